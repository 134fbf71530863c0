"""Interloop's detectors, audit and certificate for PyTorch.

    import interloop as il

    probe = il.load("probe.safetensors")        # an nn.Module over the detector's own code
    logits = probe(activations)                 # differentiable in the activations
    loss = loss + 0.1 * probe.penalty(logits)

Detectors are what `interloop detector fit`, `import` or `il.fit` wrote: a file of tensors with a
contract. Their code is a plugin, `.so`, the same that a pipeline loads; `il.use_plugins` names
further folders of them. Reading runs (`il.runs`) needs neither PyTorch nor the extension.
"""

from . import runs

__all__ = [
    "Activations",
    "Certificate",
    "Detector",
    "RewardFunction",
    "Sites",
    "audit",
    "certify",
    "fit",
    "harvest",
    "load",
    "measure",
    "reads",
    "runs",
    "to_torch",
    "use_plugins",
]

_HOMES = {
    "Activations": "data",
    "Certificate": "certificate",
    "Detector": "detector",
    "RewardFunction": "reward",
    "Sites": "sites",
    "audit": "auditing",
    "certify": "certificate",
    "fit": "fitting",
    "harvest": "sites",
    "load": "detector",
    "measure": "auditing",
    "reads": "certificate",
    "to_torch": "shelf",
    "use_plugins": "host",
}


def __getattr__(name):
    """Loads what needs PyTorch when it is first asked for."""
    if name == "__version__":
        from . import _native

        return _native.VERSION
    from importlib import import_module

    if name in _HOMES.values():
        return import_module("." + name, __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'interloop' has no attribute '{name}'")
    return getattr(import_module("." + _HOMES[name], __name__), name)


def __dir__():
    return sorted(__all__)
