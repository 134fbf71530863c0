"""Sites of a PyTorch model: activations read by TransformerLens name or by module path."""

import contextlib
import re

import torch

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")

# The families that are held equal to the model plugin `hf_decoder`, site by site: where their
# blocks lie in the body of the model, and what is read for which name, in the body or in a block.
# Norms are read after their gain, as there; PATH.in is a module's input.
_LLAMA = {
    "blocks": "layers",
    "hook_embed": "embed_tokens",
    "ln_final.hook_normalized": "norm",
    "ln1.hook_normalized": "input_layernorm",
    "ln2.hook_normalized": "post_attention_layernorm",
    "hook_attn_out": "self_attn",
    "hook_resid_mid": "post_attention_layernorm.in",
    "hook_mlp_out": "mlp",
    "attn.hook_q": "self_attn.q_proj",
    "attn.hook_k": "self_attn.k_proj",
    "attn.hook_v": "self_attn.v_proj",
    "attn.hook_z": "self_attn.o_proj.in",
    "mlp.hook_pre": "mlp.gate_proj",
    "mlp.hook_pre_linear": "mlp.up_proj",
    "mlp.hook_post": "mlp.down_proj.in",
}
_FAMILIES = {
    "gpt2": {
        "blocks": "h",
        "hook_embed": "wte",
        "ln_final.hook_normalized": "ln_f",
        "ln1.hook_normalized": "ln_1",
        "ln2.hook_normalized": "ln_2",
        "hook_attn_out": "attn",
        "hook_resid_mid": "ln_2.in",
        "hook_mlp_out": "mlp",
        "attn.hook_z": "attn.c_proj.in",
        "mlp.hook_pre": "mlp.c_fc",
        "mlp.hook_post": "mlp.c_proj.in",
    },
    "gpt_neox": {
        "blocks": "layers",
        "hook_embed": "embed_in",
        "ln_final.hook_normalized": "final_layer_norm",
        "ln1.hook_normalized": "input_layernorm",
        "ln2.hook_normalized": "post_attention_layernorm",
        "hook_attn_out": "attention",
        "hook_resid_mid": "post_attention_layernorm.in",
        "hook_mlp_out": "mlp",
        "attn.hook_z": "attention.dense.in",
        "mlp.hook_pre": "mlp.dense_h_to_4h",
        "mlp.hook_post": "mlp.dense_4h_to_h.in",
    },
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
}
_ELSEWHERE = ("h", "layers", "model.layers", "transformer.h", "gpt_neox.layers")


def bare(model):
    """The model inside what wraps it: parallel training, compilation, adapters, a value head."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif hasattr(model, "pretrained_model"):
            model = model.pretrained_model
        elif type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            model = model.module
        else:
            return model


@contextlib.contextmanager
def judging(model):
    """Inside, every module of the model is in evaluation mode; then each in the one it was in."""
    was = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, training in was.items():
            module.training = training


def _first(value):
    if isinstance(value, dict):  # an output of named fields
        value = tuple(value.values())
    return value[0] if isinstance(value, (tuple, list)) else value


def _side(path):
    return (path[:-3], "in") if path.endswith(".in") else (path, "out")


def _named(model, name):
    """(path in the body of the model, body) of a TransformerLens name; None: not of this model."""
    body = getattr(model, "base_model", model)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    family = _FAMILIES.get(kind, {})
    places = [family["blocks"]] if family else _ELSEWHERE
    blocks = next((p for p in places if _module(body, p) is not None), None)
    match = _BLOCK.fullmatch(name)
    if match is None:
        return (family[name], body) if name in family and name != "blocks" else None
    if blocks is None or int(match[1]) >= len(_module(body, blocks)):
        return None
    block, what = f"{blocks}.{match[1]}", match[2]
    if what in ("hook_resid_pre", "hook_resid_post"):
        return block + (".in" if what == "hook_resid_pre" else ""), body
    if what == "hook_resid_mid" and getattr(model.config, "use_parallel_residual", False):
        return None  # attention and MLP read the same stream
    return (f"{block}.{family[what]}", body) if what in family else None


def _module(model, path):
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


def locate(model, name):
    """(module, "in" or "out"): what to hook for a site. A module's path is its output (the first,
    where it gives several); PATH.in its first input."""
    inside = bare(model)
    known = getattr(inside, "hook_dict", None)  # TransformerLens has modules for its names
    if known is not None and name in known:
        return known[name], "out"
    found = _named(inside, name)
    for path, body in ([found] if found is not None else []) + [(name, model), (name, inside)]:
        where, side = _side(path)
        module = _module(body, where) if where else None
        if module is not None:
            return module, side
    raise ValueError(
        f"the model ({type(inside).__name__}) has no site '{name}': expected the path of a module, "
        "blocks.N.hook_resid_pre or blocks.N.hook_resid_post of its blocks, or another "
        f"TransformerLens name in models of {', '.join(_FAMILIES)}"
    )


class Sites:
    """Reads sites of a model while it runs:

        with il.Sites(model, "blocks.2.hook_resid_post") as sites:
            model(tokens)
            logits = probe(*sites.values())

    Values keep their graph, so that a loss on them reaches the model; `detach=True` cuts it. Of a
    model that runs several times inside the block, the last run counts; `clear()` forgets it.
    """

    def __init__(self, model, *names, detach=False):
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("expected the names of sites")
        self.model = model
        self.names = names
        self.detach = detach
        self._places = [locate(model, name) for name in names]
        self._found = {}
        self._hooks = []

    def _keep(self, name):
        def keep(value):
            value = _first(value)
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"site '{name}': expected a tensor, got {type(value).__name__}")
            self._found[name] = value.detach() if self.detach else value

        def after(module, inputs, output):
            keep(output)

        def before(module, inputs, named):
            keep(inputs if inputs else next(iter(named.values()), None))

        return after, before

    def __enter__(self):
        for name, (module, side) in zip(self.names, self._places):
            after, before = self._keep(name)
            self._hooks.append(
                module.register_forward_hook(after)
                if side == "out"
                else module.register_forward_pre_hook(before, with_kwargs=True)
            )
        return self

    def __exit__(self, *_):
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def clear(self):
        self._found.clear()

    def __getitem__(self, name):
        if name not in self._found:
            raise RuntimeError(f"site '{name}': the model has not passed it yet")
        return self._found[name]

    def values(self):
        """The activations, one tensor a site, in the order of the names."""
        return tuple(self[name] for name in self.names)


def harvest(model, names, batches, forward=None):
    """Activations of a model over batches, without a graph: a list of tuples, one a batch."""
    kept = []
    with judging(model), torch.no_grad(), Sites(model, *names, detach=True) as sites:
        for batch in batches:
            sites.clear()
            (forward or call)(model, batch)
            kept.append(tuple(v.float().cpu() for v in sites.values()))
    return kept


def call(model, batch):
    """Runs a model on a batch: a mapping is its named arguments, anything else its first."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(batch)
