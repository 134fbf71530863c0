"""A detector as a module: forward and derivative in C, under PyTorch's autograd."""

import json

import torch

from . import _native
from .host import host
from .tensors import bytes_of, capsule, floats, into, whole


_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
_tracing = torch._C._get_tracing_state
_HOLLOW = ("FakeTensor", "FunctionalTensor")  # shapes without numbers


class _Slope(torch.autograd.Function):
    """The derivative of a score, where somebody keeps its graph: it has none of its own."""

    @staticmethod
    def forward(ctx, detector, answer, seed, wanted, *acts):
        ctx.detector = detector
        slopes = _native.backward(answer, floats(seed), wanted)
        return tuple(None if s is None else into(s) for s in slopes)

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"detector '{ctx.detector.name}' ({ctx.detector.component}) has no second derivative: "
            "its first comes from C. A graph of it may be kept, not differentiated again; "
            "to_torch() gives a module of PyTorch's own operations that may be"
        )


class _Score(torch.autograd.Function):
    @staticmethod
    def forward(ctx, detector, beside, *acts):
        wanted = 0
        for i, needed in enumerate(ctx.needs_input_grad[2:]):
            wanted |= needed << i
        logits, answer = _native.ask(
            detector._handle, tuple(map(floats, acts)), *beside, wanted != 0
        )
        if wanted:
            ctx.save_for_backward(*acts)  # so that a change in place is noticed
            ctx.asked = (detector, answer, wanted)
        return into(logits)

    @staticmethod
    def jvp(ctx, *_):
        raise NotImplementedError(
            "a detector that comes from C has no forward-mode derivative: take the one of "
            "backward(), or use to_torch()"
        )

    @staticmethod
    def backward(ctx, seed):
        detector, answer, wanted = ctx.asked
        acts = ctx.saved_tensors
        if torch.is_grad_enabled():
            slopes = _Slope.apply(detector, answer, seed, wanted, *acts)
        else:
            slopes = [
                None if s is None else into(s)
                for s in _native.backward(answer, floats(seed), wanted)
            ]
        return (None, None, *slopes)


class Ear:
    """Hears what a detector says on its way to the caller: nobody, but inside a certificate. Its
    PyTorch twins say it through the same ear, and copies share it."""

    def __init__(self):
        self.heard = None

    def __call__(self, logits):
        return logits if self.heard is None else self.heard(logits)

    def __deepcopy__(self, memo):
        return self


class Detector(torch.nn.Module):
    """A fitted detector, frozen: it has no parameters that an optimizer could step.

    Called with activations, one tensor a site, it gives logits; a higher one means that more of
    what it was fitted to is there. Shapes:

    - a detector that reads rows takes (..., W) and gives (...);
    - with `mask` (B, T) or `lengths` (B), or for one that reads sequences or pools, activations
      are (B, T, W). Scored positions come back flat, in the order of `mask.nonzero()`; without
      either, (B, T). A detector that pools gives one logit for each sequence with a scored
      position.

    `tokens` (B, T) are the tokens that the model read, for detectors that look at them. Numbers
    are f32; other types and devices are converted on the way in and back on the way out.
    Derivatives flow to the activations. Safe from several threads; the GIL is released meanwhile.
    """

    def __init__(self, handle, name):
        super().__init__()
        self._handle = handle
        self.name = name
        self.contract = json.loads(_native.contract(handle))
        self.component = self.contract["component"]
        self.sites = tuple(self.contract["sites"])
        self.widths = tuple(self.contract["widths"])
        self.threshold = self.contract.get("threshold")
        self.pools = "pool" in self.contract
        self._ear = Ear()

    def _check(self, acts):
        if len(acts) != len(self.sites):
            raise ValueError(
                f"detector '{self.name}' reads {len(self.sites)} sites ({', '.join(self.sites)}): "
                f"expected as many tensors, got {len(acts)}"
            )
        for site, width, a in zip(self.sites, self.widths, acts):
            if not isinstance(a, torch.Tensor):
                raise TypeError(f"{site}: expected a tensor, got {type(a).__name__}")
            if not a.is_floating_point():
                raise TypeError(f"{site}: expected real numbers, got {a.dtype}")
            if a.layout is not torch.strided or a.is_meta:
                what = "a meta tensor" if a.is_meta else str(a.layout)
                raise TypeError(f"{site}: expected a tensor with its numbers in rows, got {what}")
            if a.dim() == 0 or a.shape[-1] != width:
                got = a.shape[-1] if a.dim() else "a single number"
                raise ValueError(f"{site}: expected a width of {width}, got {got}")
            if a is not acts[0] and a.shape[:-1] != acts[0].shape[:-1]:
                raise ValueError(
                    f"{site}: expected as many rows as {self.sites[0]} has, "
                    f"{tuple(acts[0].shape[:-1])}, got {tuple(a.shape[:-1])}"
                )
            if _wrapped(a):
                self._refuse("knows no vmap or torch.func transform: give it the whole batch")
            if type(a) is not torch.Tensor and type(a).__name__ in _HOLLOW:
                self._refuse("cannot be exported")
        if _tracing() is not None:
            self._refuse("cannot be traced")

    def _refuse(self, why):
        raise NotImplementedError(
            f"detector '{self.name}' ({self.component}) comes from C and {why}; to_torch() gives "
            "a module of PyTorch's own operations"
        )

    def __prepare_scriptable__(self):
        self._refuse("cannot be scripted")

    def forward(self, *acts, mask=None, lengths=None, tokens=None):
        if torch.compiler.is_compiling():  # between two graphs, as it is
            return _uncompiled(self, acts, mask, lengths, tokens)
        return self._ask(acts, mask, lengths, tokens)

    def _ask(self, acts, mask, lengths, tokens):
        self._check(acts)
        first = acts[0]
        shape = first.shape
        if len(shape) != 2 and (len(shape) != 3 or shape[1] == 0):
            if mask is not None or lengths is not None or tokens is not None or self.pools:
                raise ValueError(f"expected activations (B,T,W), got {tuple(shape)}")
            acts = tuple(a.reshape(-1, a.shape[-1]) for a in acts)
        if first.numel() == 0:
            none = first.sum(-1)  # that keeps its graph
            return none.reshape(-1)[:0] if self.pools else none
        beside = (None, None, None)
        if mask is not None or lengths is not None or tokens is not None:
            beside = (
                bytes_of(mask, "mask"),
                whole(lengths, "lengths"),
                whole(tokens, "tokens"),
            )
        logits = _Score.apply(self, beside, *acts)
        if first.device.type != "cpu" or first.dtype is not torch.float32:
            logits = logits.to(device=first.device, dtype=first.dtype)
        if len(shape) != 2 and mask is None and lengths is None and not self.pools:
            logits = logits.view(shape[:-1])
        return self._ear(logits)

    def penalty(self, logits, above=None):
        """What presses against the detector: the mean of softplus(logit), as the channel `loss`
        has it, and 0 of none; with `above` the share of probabilities over it, which has no
        derivative."""
        if above is not None:
            return (self.probability(logits) > above).to(logits.dtype).sum() / max(1, logits.numel())
        if logits.numel() == 0:
            return logits.sum()  # 0, and not the mean of nothing
        return torch.nn.functional.softplus(logits).mean()

    def probability(self, logits):
        """Probabilities, through the detector's calibration where it has one; through an isotonic
        one flows no derivative."""
        how = self.contract.get("calibration")
        if how is None:
            return torch.sigmoid(logits)
        if how["method"] != "isotonic":
            return torch.sigmoid(how["slope"] * logits + how.get("shift", 0.0))
        flat = into(_native.probabilities(self._handle, capsule(logits, torch.float32)))
        return flat.to(device=logits.device, dtype=logits.dtype)

    def flags(self, logits):
        """Which logits lie above the threshold that the detector was saved with."""
        if self.threshold is None:
            raise ValueError(f"detector '{self.name}' was saved without a threshold")
        return logits > self.threshold

    def tensors(self):
        """Copies of its parameters and scaling, by name."""
        return {name: into(t) for name, t in _native.tensors(self._handle)}

    def to_torch(self):
        """The same detector in PyTorch's own operations; see `interloop.to_torch`."""
        from .shelf import to_torch

        return to_torch(self)

    def save(self, path):
        """Writes it to a file of its own, all or nothing."""
        _native.save(self._handle, str(path))

    def extra_repr(self):
        return f"{self.component} on {', '.join(self.sites)}"

    def __deepcopy__(self, memo):
        return self  # frozen, and shared by every copy of what holds it

    def __reduce__(self):
        raise TypeError("a detector is not pickled: save() it, and load() it where it is needed")


@torch.compiler.disable
def _uncompiled(detector, acts, mask, lengths, tokens):
    return detector._ask(acts, mask, lengths, tokens)


def load(path, name=None):
    """Opens a saved detector (`interloop detector fit`, `import`, or `Detector.save`)."""
    path = str(path)
    return Detector(_native.load(host(), path), name or path.rsplit("/", 1)[-1].split(".")[0])
