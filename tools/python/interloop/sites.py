"""Sites of a PyTorch model: activations read by TransformerLens name or by module path."""

import re

import torch

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")

# Where the parts of a block lie, by the name of the list of blocks in the model.
_PARTS = {
    "transformer.h": ("attn", "mlp", "transformer.wte", "transformer.ln_f"),
    "gpt_neox.layers": ("attention", "mlp", "gpt_neox.embed_in", "gpt_neox.final_layer_norm"),
    "model.layers": ("self_attn", "mlp", "model.embed_tokens", "model.norm"),
}


def _first(value):
    return value[0] if isinstance(value, tuple) else value


def _blocks(model):
    for path in _PARTS:
        try:
            return path, model.get_submodule(path)
        except AttributeError:
            continue
    return None, None


def locate(model, name):
    """(module, "in" or "out"): what to hook for a site. A module's path is its output (the first,
    where it gives several); PATH.in its first input."""
    inner = getattr(model, "hook_dict", None)  # TransformerLens has modules for its names
    if inner is not None and name in inner:
        return inner[name], "out"
    path, blocks = _blocks(model)
    match = _BLOCK.fullmatch(name)
    if path is not None:
        attention, mlp, embedding, last = _PARTS[path]
        if match is not None and int(match[1]) < len(blocks):
            block = f"{path}.{match[1]}"
            places = {
                "hook_resid_pre": (block, "in"),
                "hook_resid_post": (block, "out"),
                "hook_attn_out": (f"{block}.{attention}", "out"),
                "hook_mlp_out": (f"{block}.{mlp}", "out"),
            }
            if match[2] in places:
                where, side = places[match[2]]
                return model.get_submodule(where), side
        if name == "hook_embed":
            return model.get_submodule(embedding), "out"
        if name == "ln_final.hook_normalized":
            return model.get_submodule(last), "out"
    where, side = (name[:-3], "in") if name.endswith(".in") else (name, "out")
    try:
        return model.get_submodule(where), side
    except AttributeError:
        known = "the path of a module"
        if path is not None:
            known += f", blocks.0..{len(blocks) - 1}.hook_resid_post and its kin"
        raise ValueError(f"the model has no site '{name}': expected {known}") from None


class Sites:
    """Reads sites of a model while it runs:

        with il.Sites(model, "blocks.2.hook_resid_post") as sites:
            model(tokens)
            logits = probe(*sites.values())

    Values keep their graph, so that a loss on them reaches the model; `detach=True` cuts it. Of a
    model that runs several times inside the block, the last run counts; `clear()` forgets it.
    """

    def __init__(self, model, *names, detach=False):
        if not names:
            raise ValueError("expected the name of a site")
        self.model = model
        self.names = names
        self.detach = detach
        self._places = [locate(model, name) for name in names]
        self._found = {}
        self._hooks = []

    def _keep(self, name):
        def after(module, inputs, output):
            value = _first(output)
            self._found[name] = value.detach() if self.detach else value

        def before(module, inputs, named):
            value = inputs[0] if inputs else next(iter(named.values()))
            self._found[name] = value.detach() if self.detach else value

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
    was = model.training
    model.eval()
    try:
        with torch.no_grad(), Sites(model, *names, detach=True) as sites:
            for batch in batches:
                sites.clear()
                (forward or call)(model, batch)
                kept.append(tuple(v.float().cpu() for v in sites.values()))
    finally:
        model.train(was)
    return kept


def call(model, batch):
    """Runs a model on a batch: a mapping is its named arguments, anything else its first."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(batch)
