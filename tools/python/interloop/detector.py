"""A detector as a module: forward and derivative in C, under PyTorch's autograd."""

import json

import torch

from . import _native
from .host import host
from .tensors import bytes_of, capsule, floats, into


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

    def forward(self, *acts, mask=None, lengths=None, tokens=None):
        first = acts[0] if acts else None
        if first is None or len(acts) != len(self.sites):
            raise ValueError(
                f"detector '{self.name}' reads {len(self.sites)} sites ({', '.join(self.sites)}): "
                f"expected as many tensors, got {len(acts)}"
            )
        shape = first.shape
        if len(shape) != 2 and (len(shape) != 3 or shape[1] == 0):
            if mask is not None or lengths is not None or tokens is not None or self.pools:
                raise ValueError(f"expected activations (B,T,W), got {tuple(shape)}")
            acts = tuple(a.reshape(-1, a.shape[-1]) for a in acts)
        if first.numel() == 0:
            return first.new_zeros(shape[:-1] if not self.pools else (0,))
        beside = (None, None, None)
        if mask is not None or lengths is not None or tokens is not None:
            beside = (
                bytes_of(mask, "mask"),
                capsule(lengths, torch.int32),
                capsule(tokens, torch.int32),
            )
        logits = _Score.apply(self, beside, *acts)
        if first.device.type != "cpu" or first.dtype is not torch.float32:
            logits = logits.to(device=first.device, dtype=first.dtype)
        if len(shape) != 2 and mask is None and lengths is None and not self.pools:
            return logits.view(shape[:-1])
        return logits

    def penalty(self, logits, above=None):
        """What presses against the detector: the mean of softplus(logit), as the channel `loss`
        has it; with `above` the share of probabilities over it, which has no derivative."""
        if above is not None:
            return (self.probability(logits) > above).to(logits.dtype).mean()
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


def load(path, name=None):
    """Opens a saved detector (`interloop detector fit`, `import`, or `Detector.save`)."""
    path = str(path)
    return Detector(_native.load(host(), path), name or path.rsplit("/", 1)[-1].split(".")[0])
