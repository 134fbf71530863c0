"""Fresh detectors, fitted by the core."""

import re

from . import _native
from .data import Activations
from .detector import Detector
from .host import host

_CONTEXTS = {"self": 0, "past": 1, "all": 2}


def fit(
    use,
    rows,
    *,
    sites=None,
    params=None,
    calibrate=None,
    fpr=None,
    context="self",
    pool=None,
    method=None,
    steps=0,
    lr=-1.0,
    l2=-1.0,
    seed=1,
    label=None,
    convention=None,
    name=None,
):
    """Fits a detector from scratch on labelled activations, as a pipeline's stage would.

    `use` is a component ("linear_probe", "lab.my_probe"), `params` its own. With `fpr` the
    threshold is set for that rate of false positives on `calibrate`, other rows, none of whose
    documents may be among those of the fit. Method and numbers are the component's own where none
    are given. The same rows and seed give the same bits."""
    if not isinstance(rows, Activations):
        raise TypeError(f"rows: expected Activations, got {type(rows).__name__}")
    if (fpr is None) != (calibrate is None):
        raise ValueError("expected both `fpr` and `calibrate`, or neither")
    if context not in _CONTEXTS:
        raise ValueError(f"context: expected {', '.join(_CONTEXTS)}, got '{context}'")
    names = tuple(sites) if sites is not None else _numbered(rows)
    handle = _native.fit(
        host(),
        use,
        {k: _text(v) for k, v in (params or {}).items()},
        names,
        rows.parts(),
        None if calibrate is None else calibrate.parts(),
        -1.0 if fpr is None else float(fpr),
        context=_CONTEXTS[context],
        pool=pool,
        method=method,
        steps=steps,
        lr=lr,
        l2=l2,
        seed=seed,
        label=label,
        convention=convention if convention is not None else _convention(sites),
    )
    return Detector(handle, name or use.rsplit(".", 1)[-1])


def _numbered(rows):
    n = len(rows.acts)
    return ("site",) if n == 1 else tuple(f"site{i}" for i in range(n))


def _convention(sites):
    """Whose names these are: TransformerLens', or paths of modules."""
    if not sites:
        return "none"
    lens = re.compile(r"(blocks\.\d+\..*)?hook_\w+|ln_final\.hook_\w+|input\.\w+")
    return None if all(lens.fullmatch(name) for name in sites) else "module"


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
