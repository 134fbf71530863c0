#!/usr/bin/env python3
"""What check_hf.sh asks of transformers and PEFT.

    hf.py same CASES MODEL...               CASES/../MODEL.DTYPE have the logits of CASES/MODEL, its numbers rounded
    hf.py adapt FOLDER ADAPTERS             saves random adapters of the model
    hf.py several FOLDER ADAPTERS           saves two, one over the root of its rank, in folders by their names
    hf.py summed FOLDER ADAPTERS WRITTEN    WRITTEN has the logits of FOLDER with both of them
    hf.py merged FOLDER ADAPTERS WRITTEN    WRITTEN has the logits that PEFT gives FOLDER with ADAPTERS
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, logging

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
TARGETS = {"gpt2": ["c_attn", "c_fc"], "gpt_neox": ["query_key_value", "dense"],
           "llama": ["q_proj", "v_proj", "down_proj"]}


def load(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def logits(model):
    tokens = torch.arange(24).reshape(2, 12) % model.config.vocab_size
    with torch.no_grad():
        return model(tokens).logits


def apart(a, b):
    return (a - b).abs().max().item()


def same(cases, *models):
    for name in models:
        for dtype, torch_dtype in DTYPES.items():
            written = os.path.join(cases, "..", f"{name}.{dtype}")
            said = json.load(open(os.path.join(written, "config.json")))
            assert said.get("dtype", said.get("torch_dtype")) == str(torch_dtype).removeprefix("torch."), said
            model = load(os.path.join(cases, name))
            with torch.no_grad():  # the weights alone: the library keeps its tables whole when it loads half widths
                for p in model.parameters():
                    p.copy_(p.to(torch_dtype).float())
            assert apart(logits(model), logits(load(written))) == 0.0, (name, dtype)


def adapt(folder, adapters):
    import peft

    model = load(folder)
    kind = model.config.model_type
    config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=TARGETS[kind], fan_in_fan_out=kind == "gpt2",
                             task_type="CAUSAL_LM")
    torch.manual_seed(5)
    model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(0.2 * torch.randn(p.shape))
    model.save_pretrained(adapters)


def several(folder, adapters):
    import peft

    model = load(folder)
    for seed, (name, extra) in enumerate({"style": {}, "safety": {"use_rslora": True, "target_modules": ["o_proj"]}}.items()):
        config = peft.LoraConfig(**{"r": 3 + seed, "lora_alpha": 7, "target_modules": ["q_proj", "v_proj"],
                                    "task_type": "CAUSAL_LM", **extra})
        if seed == 0:
            model = peft.get_peft_model(model, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    torch.manual_seed(6)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(0.2 * torch.randn(p.shape))
    model.save_pretrained(adapters)


def summed(folder, adapters, written):
    import peft

    model = load(folder)
    for name in ("style", "safety"):  # merged one after the other, they are all there
        model = peft.PeftModel.from_pretrained(model, os.path.join(adapters, name)).merge_and_unload()
    assert apart(logits(model.eval()), logits(load(written))) < 1e-4
    assert apart(logits(load(folder)), logits(load(written))) > 0.1, "the adapters do nothing"


def merged(folder, adapters, written):
    import peft

    plain = logits(load(folder))
    theirs = logits(peft.PeftModel.from_pretrained(load(folder), adapters).eval())
    ours = logits(load(written))
    assert apart(theirs, ours) < 1e-4, apart(theirs, ours)
    assert apart(theirs, plain) > 0.1, "the adapters do nothing"


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    globals()[sys.argv[1]](*sys.argv[2:])
