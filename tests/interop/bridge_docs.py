"""Every block of Python in docs/python.md, run as it stands, with what it takes for granted made here; and runs read
while they are written. Run by check_bridge.sh. argv: the page, the folder of its example, a run."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile

import torch

import interloop as il

failed = False
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True  # what compiles with a compiler alone


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - bridge: {name}{f' ({found})' if found else ''}", flush=True)


page, example, run = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    text = file.read()
os.chdir(tempfile.mkdtemp())


class Tiny(torch.nn.Module):
    """Enough of a language model for the page."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(40, 16)
        self.body = torch.nn.Linear(16, 16)

    def forward(self, input_ids, attention_mask=None):
        return self.body(self.table(input_ids))


class Letters:
    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [ord(c) % 40 for c in text]}


class Trainer:
    """Calls its rewards as TRL's do; check_trl.sh has TRL itself."""

    def __init__(self, model, reward_funcs, args, train_dataset, processing_class):
        self.rewards, self.prompts = reward_funcs, train_dataset

    def train(self):
        for reward in self.rewards:
            given = reward(prompts=self.prompts, completions=self.prompts, trainer_state=None)
            assert len(given) == len(self.prompts)


torch.manual_seed(0)
model, frozen, model_then = Tiny(), Tiny(), Tiny()
ids = torch.randint(0, 40, (300, 1))
labels = (ids[:, 0] % 2).to(torch.uint8)
acts = il.harvest(model, ["body"], [ids])[0][0][:, 0]
il.fit("linear_probe", il.Activations(acts, labels), sites=["body"]).save("probe.safetensors")
batches = [(ids, labels, torch.arange(300))]
known = {
    "torch": torch, "il": il, "model": model, "tokens": ids[:8], "task": lambda output: output.square().mean(),
    "frozen": frozen, "policy": model, "tokenizer": Letters(), "GRPOTrainer": Trainer, "config": None,
    "prompts": ["ab", "cde"], "model_then": model_then, "batches": batches,
    "other_batches": [(ids, labels, torch.arange(300) + 1000)], "activations": acts, "run": run,
}  # fmt: skip
blocks = re.findall(r"```python\n(.*?)```", text, re.S)
for block in blocks:
    if "completion_mask" in block:  # a loop of its own has tensors
        known.update(prompts=ids[:6].reshape(2, 3), completions=ids[6:14].reshape(2, 4), values=torch.zeros(2, 4),
                     prompt_mask=torch.ones(2, 3), completion_mask=torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]))  # fmt: skip
    elif "reward_funcs" in block:
        known["task"] = lambda completions, **_: [float(len(c)) for c in completions]
    name = next(line for line in block.splitlines() if line and not line.startswith("import"))
    if "import json" in block or ("conclusions" in block and not os.path.exists(os.path.join(run, "conclusions.json"))):
        block = block.replace("il.runs.conclusions(run)", "")
    try:
        exec(block, known)
    except Exception as error:
        check(f"the page's block '{name}'", False, f"{type(error).__name__}: {error}")
    else:
        check(f"the page's block '{name}'", True)
check("the page has blocks", len(blocks) >= 6, str(len(blocks)))
advantages = known.get("advantages")
check("what PPO is credited lies where the tokens are", bool((advantages[:, 0] < 0).all() and advantages[0, 3] == 0 and advantages[1, 2] == 0))
logits = known["probe"](*il.harvest(model, ["body"], [ids[:8]])[0])
check("the twin on an accelerator's numbers says the same", (known["logits"].float() - known["probe"](acts)).abs().max() < 0.05 * known["probe"](acts).abs().max())

with open(os.path.join(example, "loop.py"), encoding="utf-8") as file:
    lines = len(file.read().splitlines())
check("the page's loop has at most 50 lines", lines <= 50, f"{lines} lines")
said = subprocess.run([sys.executable, os.path.join(example, "loop.py")], capture_output=True, text=True)
shown = re.search(r"```\n(non-interference.*?)```", text, re.S)[1]
check("and prints what the page shows", said.stdout == shown, said.stderr[-200:] or "")
missing = [n for n in il.__all__ if n not in text and n not in ("Activations", "Certificate", "Detector", "to_torch", "measure", "runs")]
check("the page names what the package has", not missing, ", ".join(missing))

# ---- runs -------------------------------------------------------------------------------

half = os.path.join(os.getcwd(), "half")
shutil.copytree(run, half, symlinks=True)
whole = il.runs.trajectory(half, frame=False)
os.remove(os.path.join(half, "summary.json"))
jobs = list(il.runs.jobs(half))
check("a run without a summary has the jobs of one with it", sorted(j[:3] for j in jobs) == sorted(j[:3] for j in il.runs.jobs(run)))
path = os.path.join(jobs[0][3], "metrics.jsonl")
with open(path, "rb") as file:
    kept = file.read()
with open(path, "wb") as file:
    file.write(kept[:-20])
check("a line that is being written is left for later", len(il.runs.trajectory(half, frame=False)) == len(whole) - 1)
with open(path, "wb") as file:
    file.write(kept[:-20] + b"\n")
try:
    il.runs.trajectory(half, frame=False)
    check("a line that is none is named", False)
except ValueError as error:
    check("a line that is none is named", "metrics.jsonl:" in str(error))
with open(path, "wb") as file:
    file.write(kept)
columns = il.runs.trajectory(half, frame="columns")
check("columns are as long as there are rows", {len(c) for c in columns.values()} == {len(whole)}, f"{len(columns)} columns")
audits = il.runs.measures(half, frame=False)
check("audits come metric by metric", len(audits) > 0 and all("metric" in r and "seed" in r for r in audits))
line = {"step": 7, "grad_norm": 1.5, "signals": {"honesty": {"norm": 2.0, "work": -1.0, "tensors": {"w": [1, 2, 3]},
        "readers": {"probe": {"read": {"norm": 0.5}}}}, "task": {"norm": 1.0}}}  # fmt: skip
with open(os.path.join(jobs[0][3], "ledger.jsonl"), "w", encoding="utf-8") as file:
    file.write(json.dumps(line) + "\n" + json.dumps(line)[:30])
rows = il.runs.ledger(half, frame=False)
mine = [r for r in rows if r["step"] == 7 and r["seed"] == jobs[0][2] and r["stage"] == jobs[0][0] and r["variant"] == jobs[0][1]]
check("a ledger comes signal by signal", [r["signal"] for r in mine] == ["honesty", "task"] and mine[0]["readers.probe.read.norm"] == 0.5)
try:
    import pandas
except ImportError:
    print("skip - bridge: frames: no pandas")
else:
    frame = il.runs.summary(run)
    check("with pandas they are frames", isinstance(frame, pandas.DataFrame) and len(frame) == len(il.runs.summary(run, frame=False)))
sys.exit(failed)
