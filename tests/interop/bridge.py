"""The Python package against PyTorch's own operations. Run by check_bridge.sh; prints a line a
check. argv: the folder of docs/examples/bridge."""

import json
import os
import sys
import tempfile
import threading
import time
import warnings

import torch

import interloop as il

sys.path.insert(0, sys.argv[1])
import loop  # noqa: E402  the documentation's training loop

scaled, dictionary = loop.detectors()

TOLERANCE = 1e-5
failed = False


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - bridge: {name}{f' ({found})' if found else ''}")


def refused(name, kind, words, what):
    try:
        what()
    except kind as error:
        check(name, words in str(error), "" if words in str(error) else str(error))
    else:
        check(name, False, "nothing was raised")


def apart(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max()) / max(1.0, float(b.abs().max()))


def slopes(module, acts, **beside):
    x = acts.clone().requires_grad_(True)
    z = module(x, **beside)
    weights = torch.linspace(-1, 1, z.numel()).reshape(z.shape)
    (z * weights).sum().backward()
    return z.detach(), x.grad


g = torch.Generator().manual_seed(3)
X = torch.randn(600, 12, generator=g)
Y = (X[:, 0] + X[:, 1] * X[:, 2] + 0.2 * torch.randn(600, generator=g) > 0).to(torch.uint8)
ROWS = il.Activations(X, Y, torch.arange(600) // 2)
SEQUENCES = il.Activations(
    X.reshape(50, 12, 12), Y.reshape(50, 12)[:, 0], lengths=torch.arange(50) % 9 + 4
)

# ---- equal to the native twins ----------------------------------------------------

for use, params in [
    ("linear_probe", {}),
    ("lda", {}),
    ("mean_difference", {}),
    ("mlp_probe", {"hidden": 16}),
    ("sparse_probe", {"channels": 3}),
    ("polynomial_probe", {}),
    ("polynomial_probe", {"order": 4}),
    ("polynomial_probe", {"order": 3, "truncate": 1}),
    ("mahalanobis", {}),
    ("mahalanobis", {"shrinkage": "fixed"}),
    ("relative_mahalanobis", {}),
    ("knn", {}),
    ("knn", {"k": 3, "anchors": 50, "normalize": False}),
    *(("ensemble", {"combine": c, "scale": w}) for c in ("mean", "max") for w in ("logit", "probability")),
    *(
        ("cascade", {"low": low, "high": high, "scale": w, "combine": c})
        for low, high, w in ((0.3, 0.6, "probability"), (-0.5, 1, "logit"))
        for c in ("last", "mean")
    ),
    *(
        ("sae", {"features": 48, "k": 6, "read": 3, "architecture": a, "normalize": n, "aux": 0})
        for a in ("standard", "topk", "batchtopk", "jumprelu", "gated")
        for n in ("none", "expected_average", "layer_norm", "constant_norm")
    ),
    ("sae", {"features": 48, "k": 6, "logit": "error"}),
]:
    d = il.fit(use, ROWS, params=params, steps=60 if use == "sae" else 0)
    t = d.to_torch()
    (a, da), (b, db) = slopes(d, X), slopes(t, X)
    picked = torch.arange(600).reshape(50, 12) % 5 < 2
    some = X.reshape(50, 12, 12)
    off = max(apart(a, b), apart(da, db), apart(d(some, mask=picked), t(some, mask=picked)))
    word = " ".join([use] + [str(v) for v in params.values()])
    word = word.replace(" 0.3 0.6", "").replace(" -0.5 1", "")
    check(f"{word} scores and differentiates as its native twin", off < TOLERANCE, f"{off:.1e}")

for context in ("self", "past", "all"):
    for position in ("none", "linear", "distance"):
        d = il.fit(
            "attention_probe",
            SEQUENCES,
            params={"position": position, "distances": 5},
            context=context,
            steps=60,
        )
        t, lengths = d.to_torch(), SEQUENCES.lengths
        a, da = slopes(d, SEQUENCES.acts[0], lengths=lengths)
        b, db = slopes(t, SEQUENCES.acts[0], lengths=lengths)
        off = max(apart(a, b), apart(da, db))
        check(f"attention_probe {context} {position} is its native twin", off < TOLERANCE, f"{off:.1e}")

# ---- autograd ---------------------------------------------------------------------

probe = il.fit("mlp_probe", ROWS, params={"hidden": 16})
linear = il.fit("linear_probe", *ROWS.halves(1, 0.6)[:1], calibrate=ROWS.halves(1, 0.6)[1], fpr=0.1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gradcheck would rather have doubles
    for d in (linear, il.fit("attention_probe", SEQUENCES, context="past", steps=60)):
        x = (X[:6] if d is linear else SEQUENCES.acts[0][:2]).clone().requires_grad_(True)
        check(
            f"{d.name} passes gradcheck",
            torch.autograd.gradcheck(lambda v: d(v), (x,), eps=1e-2, atol=2e-3, rtol=2e-3),
        )


def twice():
    x = X.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(probe(x).sum(), x, create_graph=True)
    slope.square().sum().backward()


refused("a second derivative is refused by name", RuntimeError, "'mlp_probe'", twice)


def in_place():
    x = (X * 1).requires_grad_(True)
    y = x * 1
    z = probe(y)
    y.add_(1)
    z.sum().backward()


refused("a change in place before the derivative is noticed", RuntimeError, "inplace", in_place)
kept = torch.autograd.grad(probe(x := X.clone().requires_grad_(True)).sum(), x, create_graph=True)
check("a graph of the first may be kept", kept[0].shape == X.shape)
mask = (torch.arange(144).reshape(12, 12) % 3 == 0).to(torch.uint8)
some = X[:144].reshape(12, 12, 12)
check(
    "a mask picks positions in its own order",
    torch.equal(probe(some, mask=mask), probe(some[mask.bool()])),
)
check("leading dimensions stay", probe(X.reshape(2, 3, 100, 12)).shape == (2, 3, 100))
check("no rows are no logits", probe(X[:0]).shape == (0,))
half = probe(X.to(torch.bfloat16))
check("bf16 comes back as bf16", half.dtype is torch.bfloat16)
wide = X.double().requires_grad_(True)
probe(wide).sum().backward()
check("doubles get their derivative as doubles", wide.grad.dtype is torch.float64)
strided = X.t().contiguous().t()
check("rows that are not row-major are read right", torch.equal(probe(strided), probe(X)))

heard = []
threads = [threading.Thread(target=lambda: heard.append(slopes(probe, X)[1])) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
check("threads at once hear the same bits", all(torch.equal(h, heard[0]) for h in heard))

# ---- refusals ---------------------------------------------------------------------

refused("another width is refused", ValueError, "expected a width of 12, got 5", lambda: probe(X[:, :5]))
refused("another number of sites is refused", ValueError, "expected as many tensors", lambda: probe(X, X))
refused("a mask of another shape is refused", ValueError, "mask: expected shape", lambda: probe(some, mask=mask[:3]))
refused("lengths past the end are refused", ValueError, "lengths[0]", lambda: probe(some, lengths=torch.full((12,), 13)))
refused("a component that nobody offers is refused", (ValueError, RuntimeError), "nobody.probe", lambda: il.fit("nobody.probe", ROWS))
refused("labels of one class are refused", ValueError, "", lambda: il.fit("linear_probe", il.Activations(X, Y * 0)))
refused("labels that are none are refused", ValueError, "expected 0 and 1", lambda: il.fit("linear_probe", il.Activations(X, Y.long() * 3)))
refused("a file that is none is refused", ValueError, "", lambda: il.load(__file__))
refused("calibration on the documents of the fit is refused", ValueError, "document", lambda: il.fit("linear_probe", ROWS, calibrate=ROWS, fpr=0.1))
refused("a twin off the shelf is refused by name", NotImplementedError, "scaled_probe", lambda: scaled.to_torch())

# ---- files, numbers ---------------------------------------------------------------

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "probe.safetensors")
    linear.save(path)
    again = il.load(path)
    check("a detector comes back from its file with its bits", torch.equal(again(X), linear(X)))
    check("and with its threshold", again.threshold == linear.threshold)

try:
    from sklearn.metrics import roc_auc_score

    now = il.measure(linear(X), Y, ROWS.documents, linear.threshold)
    off = abs(now["auroc"] - roc_auc_score(Y.numpy(), linear(X).numpy()))
    check("AUROC is scikit-learn's", off < 1e-12, f"{off:.0e}")
except ImportError:
    print("skip - bridge: AUROC is scikit-learn's: no scikit-learn")

# ---- the audit --------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(6, 12)
        self.head = torch.nn.Linear(12, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


torch.manual_seed(0)
before, now, bare = Net(), Net(), Net()
now.load_state_dict(before.state_dict())
with torch.no_grad():
    now.body.weight[:, 0] = 0  # the model goes blind to what the label is about
inputs = torch.randn(900, 6)
labels = (inputs[:, 0] > 0).to(torch.uint8)
batches = [
    [(inputs[i : i + 100], labels[i : i + 100], torch.arange(i, i + 100)) for i in range(s, s + 300, 100)]
    for s in (0, 300, 600)
]
reader = il.fit("linear_probe", il.auditing.rows_of(before, ["body"], batches[0]), sites=["body"])
found = il.audit(now, reader, batches[1], anchors=batches[2], before=before, random_model=bare, draws=200)
check("the audit sees what the detector saw then", found["then"]["auroc"] > 0.95, f"{found['then']['auroc']:.3f}")
check("and that it is blind now", found["now"]["auroc"] < 0.65, f"{found['now']['auroc']:.3f}")
check("and that a fresh reader is, too", found["fresh.linear"]["auroc"] < 0.65)
check("a random model has a floor", found["floor.random.linear"]["auroc"] > 0.9, "a random layer keeps its input")
check("shuffled labels have another", abs(found["floor.shuffled.linear"]["auroc"] - 0.5) < 0.15)
check("it goes into JSON and comes back", json.loads(json.dumps(found))["gap"] == found["gap"])
check("it shows itself as a table", "floor.shuffled.linear" in repr(found) and "AUROC" in repr(found).splitlines()[1])
check("and in a notebook", found._repr_html_().count("<tr>") == len([v for v in found.values() if isinstance(v, dict) and "rows" in v]) + 1)
refused("anchors that judge are refused", ValueError, "anchors", lambda: il.audit(now, reader, batches[1], anchors=batches[1]))

# ---- the loop of the documentation --------------------------------------------------


class Scaled(torch.nn.Module):
    """your_lab.scaled_probe in PyTorch's words."""

    def __init__(self, d):
        super().__init__()
        self.t = d.tensors()

    def forward(self, x):
        x = (x - self.t["scaling.mean.belief"]) * self.t["scaling.inv.belief"]
        x = x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        return (x @ self.t["weight"].t() + self.t["bias"]).squeeze(-1)

    penalty = il.Detector.penalty


for together in (True, False):
    agent, mine = loop.train(scaled, dictionary, apart=together)
    twin, theirs = loop.train(Scaled(scaled), dictionary.to_torch(), apart=together)
    off = max(abs(a - b) for a, b in zip(mine, theirs))
    weights = max(apart(a, b) for a, b in zip(agent.parameters(), twin.parameters()))
    check(
        f"60 steps with a plugin of the tree and one outside it are those of native modules, apart={together}",
        max(off, weights) < TOLERANCE,
        f"loss {off:.0e}, weights {weights:.0e}",
    )
beliefs = il.reads(loop.Agent(), loop.SITE, torch.randn(64, 6), lambda m, x: m(x, True))
check("the beliefs' ancestors are found", beliefs == ["belief.0.weight", "belief.0.bias"], str(beliefs))
for together in (True, False):
    for word, d, run in (
        ("loss", scaled, lambda d, w: loop.train(d, dictionary, w, together)),
        ("reward", dictionary, lambda d, w: loop.train(scaled, d, w, together)),
    ):
        made = il.certify(run, d, beliefs)
        check(f"certificate, {word}, apart={together}: {made}", made.holds == together and made.steps == 60)
nobody = il.certify(lambda d, w: loop.train(scaled, dictionary, w), probe, beliefs)
check("a detector that is never asked certifies nothing", not nobody and "never asked" in str(nobody))
unwatched = il.certify(lambda d, w: loop.train(d, dictionary), scaled, beliefs)
check("a loop that shows nothing certifies nothing", not unwatched and "never called watch" in str(unwatched))


def by_the_clock(d, watch):
    def moved(agent, optimizer):
        with torch.no_grad():
            agent.belief[0].bias.add_(time.perf_counter_ns() % 997 * 1e-5)
        watch(agent, optimizer)

    loop.train(d, dictionary, moved)


chance = il.certify(by_the_clock, scaled, beliefs)
check("a loop that is not reproducible certifies nothing", not chance and "not reproducible" in str(chance))

# ---- runs ---------------------------------------------------------------------------

rows = il.runs.summary(sys.argv[2], frame=False)
with open(os.path.join(sys.argv[2], "summary.json"), encoding="utf-8") as file:
    summary = json.load(file)["rows"]
check("a summary is read row by row", len(rows) == len(summary) > 0)
name, value = next((k, v) for row in summary for k, v in row["metrics"].items())
check("with its metrics in columns", rows[0].get(name) == summary[0]["metrics"].get(name), name)
steps = il.runs.trajectory(sys.argv[2], frame=False)
check("a trajectory has the steps of every job", len(steps) > 0 and all("step" in r for r in steps))
refused("a folder that is no run is refused", FileNotFoundError, "interloop run", lambda: il.runs.summary("/nowhere"))

# ---- Hugging Face models, and rewards ------------------------------------------------

try:
    import transformers as hf
except ImportError:
    print("skip - bridge: sites of Hugging Face models, rewards: no transformers")
    sys.exit(failed)

common = {"vocab_size": 40, "max_position_embeddings": 32}
models = {
    "gpt2": hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=40, n_positions=32, n_embd=16, n_layer=3, n_head=2)),
    "gpt_neox": hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**common, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)),
    "llama": hf.LlamaForCausalLM(hf.LlamaConfig(**common, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32)),
}
ids = torch.randint(0, 40, (3, 9), generator=g)
for word, model in models.items():
    model.eval()
    with torch.no_grad(), il.Sites(model, "hook_embed", "blocks.1.hook_resid_pre", "blocks.1.hook_resid_post") as sites:
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
    check(
        f"{word}: TransformerLens names are its hidden states",
        torch.equal(sites["blocks.1.hook_resid_pre"], states[1])
        and torch.equal(sites["blocks.1.hook_resid_post"], states[2])
        and sites["hook_embed"].shape == states[0].shape,
    )
    upstream = il.reads(model, "blocks.0.hook_resid_post", ids)
    check(
        f"{word}: block 0 reads itself and what is before it",
        len(upstream) > 4 and not any(f".{n}." in name for name in upstream for n in (1, 2)),
        f"{len(upstream)} tensors",
    )

llama = models["llama"]
acts = il.sites.harvest(llama, ["blocks.1.hook_resid_post"], [ids])[0][0]
judge = il.fit("linear_probe", il.Activations(acts, ids % 2), sites=["blocks.1.hook_resid_post"])


class Spelled:
    """A tokenizer of letters."""

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [ord(c) % 40 for c in text]}


reward = il.RewardFunction(judge, llama, Spelled(), weight=2.0, batch=2)
prompts, completions = ["abc", "de", "fghi"], ["xyzzy", "no", ""]
given = reward(prompts=prompts, completions=completions)
with torch.no_grad():
    by_hand = []
    for p, c in zip(prompts, completions):
        with il.Sites(llama, "blocks.1.hook_resid_post") as sites:
            llama(input_ids=torch.tensor([[ord(x) % 40 for x in p + c]]))
        tail = sites.values()[0][0, len(p) :]
        by_hand.append(-2 * float(torch.sigmoid(judge(tail)).mean()) if len(c) else 0.0)
off = max(abs(a - b) for a, b in zip(given, by_hand))
check("a reward is minus the mean probability over the completion", off < TOLERANCE, f"{off:.0e}")
again = reward(prompts=prompts, completions=completions, completion_ids=[[ord(x) % 40 for x in c] for c in completions])
check("ids at hand give the same", again == given)

sys.exit(failed)
