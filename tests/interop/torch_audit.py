"""The audit of a run against il.audit on the same checkpoint in transformers: the same detector, data and weights, so the
same numbers. Run by check_torch_audit.sh. argv: audit.json, the model now, the model when the detector was fitted, the
detector, and shards of the judging split and of the anchors (for their tokens, labels, masks and ids)."""

import json
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, logging

import interloop as il

logging.set_verbosity_error()
logging.disable_progress_bar()
audited, now, then, saved, judged, anchors = sys.argv[1:]
failed = False


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - audit in PyTorch: {name}{f' ({found})' if found else ''}")


def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def data(shards):
    t = load_file(f"{shards}/00000.safetensors")
    return [({"input_ids": t["tokens"].long()}, t["labels"], t["ids"], t["mask"])]


with open(audited, encoding="utf-8") as file:
    told = {k: v["value"] for k, v in json.load(file)["metrics"].items()}
with open(audited, encoding="utf-8") as file:
    whole = json.load(file)["metrics"]
detector = il.load(saved, name="deception")
ours = il.audit(
    model(now), detector, data(judged), anchors=data(anchors), before=model(then), fresh=["linear"]
)
check("on the same rows", all(
    ours["now"][k] == whole["deception.auroc"][k] for k in ("positives", "negatives", "documents")
), f"{ours['now']['positives']} positives, {ours['now']['negatives']} negatives")  # fmt: skip
# A logit that lies within rounding of another's, or of a threshold, may change sides: a share of
# 1/400 a row. Means have no such edge.
for name, most in [("auroc", 2e-4), ("tpr_at_1", 0.006), ("tpr", 0.006), ("fpr", 0.002), ("mean", 1e-4),
                   ("dprime", 1e-3), ("positive", 1e-3), ("negative", 1e-3)]:  # fmt: skip
    off = abs(ours["now"][name] - told[f"deception.{name}"])
    check(f"{name} is the run's", off <= most, f"{told[f'deception.{name}']:.4f}, {off:.0e} apart")
    if name != "positive" and name != "negative":
        low, high = ours["now"].get(f"{name}_interval", (None, None))
        if low is not None and "low" in whole[f"deception.{name}"]:
            edge = max(abs(low - whole[f"deception.{name}"]["low"]), abs(high - whole[f"deception.{name}"]["high"]))
            span = max(1e-3, high - low)
            check(f"and its interval, to a fifth of its width", edge <= 0.2 * span + most, f"{low:.3f} to {high:.3f}")
for side in ("positive", "negative"):
    off = abs(ours["shift"][side] - told[f"deception.shift_{side}"])
    check(f"the shift of the {side} rows is the run's", off <= 1e-3, f"{told[f'deception.shift_{side}']:.3f}, {off:.0e} apart")
# `onlooker` reads the frozen base on the student's text: what `then` is.
for name, most in [("auroc", 2e-4), ("mean", 1e-4), ("positive", 1e-3), ("negative", 1e-3)]:
    off = abs(ours["then"][name] - told[f"onlooker.{name}"])
    check(f"{name} of the model as it was is that of the detector on the base", off <= most, f"{off:.0e}")
off = abs(ours["fresh.linear"]["auroc"] - told["fresh.linear.auroc"])
check("a fresh reader finds what the run's found", off <= 0.01, f"{told['fresh.linear.auroc']:.3f}, {off:.0e} apart")
check("the change of weights is seen", abs(ours["shift"]["positive"]) > 0.1)
check("what is judged is neither blind nor sure", 0.55 < ours["now"]["auroc"] < 0.999)
sys.exit(failed)
