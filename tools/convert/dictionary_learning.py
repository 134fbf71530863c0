#!/usr/bin/env python3
"""Turns a dictionary of the dictionary_learning library into a SAELens folder.

    dictionary_learning.py FOLDER OUT

FOLDER holds ae.pt and config.json, as the library saves them. OUT gets cfg.json and
sae_weights.safetensors, which `interloop detector import` and SAELens both read. Needs torch and
safetensors, not the library itself; ae.pt is read as tensors alone, so that no code in it runs.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def stop(message):
    sys.exit(f"dictionary_learning.py: {message}")


def per_feature(value, like):
    """One threshold for all features as one for each; the library keeps -1 until it has one."""
    if value.ndim == 0 and value < 0:
        stop("threshold: the dictionary was saved before its threshold was found")
    return value.expand(like.shape).clone() if value.ndim == 0 else value


def convert(kind, state, trainer):
    """The architecture, whether b_dec is taken off the input, further keys, and the tensors."""
    linear = "encoder.weight" in state
    tensors = {
        "W_enc": state["encoder.weight"].T if linear else state["W_enc"],
        "W_dec": state["decoder.weight"].T if linear else state["W_dec"],
    }
    names = {
        "AutoEncoder": ("bias", "encoder.bias"),
        "AutoEncoderNew": ("decoder.bias", "encoder.bias"),
        "AutoEncoderTopK": ("b_dec", "encoder.bias"),
        "BatchTopKSAE": ("b_dec", "encoder.bias"),
        "MatryoshkaBatchTopKSAE": ("b_dec", "b_enc"),
        "JumpReluAutoEncoder": ("b_dec", "b_enc"),
        "GatedAutoEncoder": ("decoder_bias", None),
    }
    if kind not in names:
        stop(f"dict_class: expected one of {', '.join(sorted(names))}, got {kind!r}")
    decoder_bias, encoder_bias = names[kind]
    tensors["b_dec"] = state[decoder_bias]
    if encoder_bias is not None:
        tensors["b_enc"] = state[encoder_bias]
    if kind in ("AutoEncoder", "AutoEncoderNew"):
        return "standard", kind == "AutoEncoder", {}, tensors
    if kind == "AutoEncoderTopK":
        k = int(state["k"]) if "k" in state else trainer["k"]
        return "topk", True, {"k": k, "rescale_acts_by_decoder_norm": False}, tensors
    if kind == "GatedAutoEncoder":
        tensors["b_gate"] = state["gate_bias"]
        tensors["b_mag"] = state["mag_bias"]
        tensors["r_mag"] = state["r_mag"]
        return "gated", True, {}, tensors
    tensors["threshold"] = per_feature(state["threshold"], tensors["b_enc"])
    return "jumprelu", kind != "JumpReluAutoEncoder", {}, tensors


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    trainer = json.loads((folder / "config.json").read_text())["trainer"]
    kind = trainer.get("dict_class")
    state = torch.load(folder / "ae.pt", map_location="cpu", weights_only=True)
    try:
        architecture, centred, further, tensors = convert(kind, state, trainer)
    except KeyError as missing:
        stop(f"{folder / 'ae.pt'}: {kind} without {missing}")
    width, features = tensors["W_enc"].shape
    tensors = {name: t.detach().float().contiguous() for name, t in tensors.items()}

    about = {"sae_lens_version": "6.0.0", "dict_class": kind}
    if "lm_name" in trainer:
        about["model_name"] = trainer["lm_name"]
    if isinstance(trainer.get("layer"), int):
        # What the library's examples train on.
        about["hook_name"] = f"blocks.{trainer['layer']}.hook_resid_post"
    config = {
        "architecture": architecture,
        "d_in": width,
        "d_sae": features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": centred,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **further,
        "metadata": about,
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "sae_weights.safetensors")
    (out / "cfg.json").write_text(json.dumps(config, indent=1) + "\n")
    print(f"{kind}: {architecture}, {width} channels, {features} features")


main()
