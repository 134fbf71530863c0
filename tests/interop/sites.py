"""Sites of Hugging Face models as il.Sites reads them, against those that hf_decoder has. Run by
check_sites.sh. argv: a folder with a model, shards of activations, and the word for it."""

import json
import os
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, logging

import interloop as il

TOLERANCE = 1e-4
# The same place by its path in the library.
PATHS = {
    "gpt2": {"blocks.0.hook_resid_post": "transformer.h.0", "hook_embed": "transformer.wte"},
    "gpt_neox": {"blocks.0.hook_resid_post": "gpt_neox.layers.0", "hook_embed": "gpt_neox.embed_in"},
    "llama": {"blocks.0.hook_resid_post": "model.layers.0", "hook_embed": "model.embed_tokens"},
}

logging.set_verbosity_error()
logging.disable_progress_bar()
folder, shards, word = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(
    folder, dtype=torch.float32, attn_implementation="eager"
).eval()
with open(os.path.join(shards, "index.json"), encoding="utf-8") as file:
    names = json.load(file)["sites"]
names = [n["name"] if isinstance(n, dict) else n for n in names]
there = load_file(os.path.join(shards, "00000.safetensors"))
paths = PATHS.get(model.config.model_type, PATHS["llama"])

with torch.no_grad(), il.Sites(model, *names) as named, il.Sites(model, *paths.values()) as placed:
    model(there["tokens"].long())
worst = ("", 0.0)
for name in names:
    ours, theirs = there["acts." + name], named[name]
    if ours.shape != theirs.shape:
        worst = (f"{name}: {tuple(theirs.shape)}, not {tuple(ours.shape)}", float("inf"))
        break
    off = float((ours - theirs).abs().max())
    if not off <= worst[1]:
        worst = (name, off)
same = all(torch.equal(named[n], placed[p]) for n, p in paths.items())
holds = worst[1] <= TOLERANCE and same and len(names) > 10
print(
    f"{'ok' if holds else 'not ok'} - {word}: {len(names)} sites of the library's model are those of "
    f"hf_decoder (at most {worst[1]:.0e} apart, {worst[0]}), by name and by path"
)
sys.exit(not holds)
