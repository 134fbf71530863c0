"""The certificate of a PyTorch training loop: did anything about a detector's score reach what the
detector reads? The loop runs twice, with the score and with the score scrambled, and what is to be
protected is compared bit for bit after every step."""

import contextlib
import hashlib
import html
import json
import random
import sys
from dataclasses import asdict, dataclass, field
from typing import List, Optional

import torch

from .detector import Detector
from .sites import Sites, call, judging


def _bits(tensor):
    flat = tensor.detach().to("cpu").contiguous()
    return flat.view(torch.uint8).numpy().tobytes() if flat.dim() else flat.numpy().tobytes()


def reads(model, names, batch, forward=None):
    """The parameters and buffers whose value what stands at the sites depends on, by perturbing
    each in turn and comparing bits: an ancestor behind a `detach` counts. The model is as it was
    afterwards. `batch` should be typical: what no row of it passes is not seen."""
    if isinstance(names, str):
        names = (names,)
    kept = []

    def look():
        with torch.no_grad(), Sites(model, *names, detach=True) as sites:
            (forward or call)(model, batch)
            return [_bits(v) for v in sites.values()]

    with judging(model):
        plain = look()
        if look() != plain:
            raise RuntimeError("the model gives other bits when it runs again on the same batch")
        state = dict(model.named_parameters(remove_duplicate=True))
        state.update(model.named_buffers(remove_duplicate=True))
        for name, tensor in state.items():
            if not tensor.is_floating_point() or tensor.numel() == 0:
                continue
            held = tensor.detach().clone()
            g = torch.Generator().manual_seed(1)
            noise = torch.randn(held.shape, generator=g, dtype=torch.float32).abs() + 0.5
            try:
                with torch.no_grad():
                    tensor.add_(noise.to(held.dtype).to(held.device))
                if look() != plain:
                    kept.append(name)
            finally:
                with torch.no_grad():
                    tensor.copy_(held)
    return kept


class Scramble:
    """Keyed noise on a detector's logits, as wide as they are, by (key, call, element), and on
    their derivatives: a loss that is linear in the logits has the same derivative whatever they
    are, and it is the direction that it carries."""

    def __init__(self, key):
        self.key = key
        self.calls = 0

    def __call__(self, logits):
        g = torch.Generator().manual_seed(self.key * 1_000_003 + self.calls)
        self.calls += 1
        slope, shift = torch.randn((2, *logits.shape), generator=g).to(logits)
        return logits * (1 + slope) + shift * (1 + logits.detach().abs())


class Count:
    """Only counts."""

    def __init__(self):
        self.calls = 0

    def __call__(self, logits):
        self.calls += 1
        return logits


@contextlib.contextmanager
def _heard(detector, by):
    if detector._ear.heard is not None:
        raise RuntimeError(f"'{detector.name}' is in a certificate already")
    detector._ear.heard = by
    try:
        yield by
    finally:
        detector._ear.heard = None


def scrambled(detector, key):
    """A context in which the detector's logits are scrambled, and those of its PyTorch twins,
    whoever asks for them."""
    return _heard(detector, Scramble(key))


@contextlib.contextmanager
def _seeded(seed):
    """Every generator that a loop may draw from, set anew; afterwards PyTorch's is as it was."""
    numpy = sys.modules.get("numpy")
    python = random.getstate()
    others = numpy.random.get_state() if numpy is not None else None
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        random.seed(seed)
        if numpy is not None:
            numpy.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            if numpy is not None:
                numpy.random.set_state(others)


@dataclass(repr=False)
class Certificate:
    """What two trainings, one with the score and one with it scrambled, have shown."""

    detector: str
    holds: bool  # equal bits at every step
    steps: int
    protected: List[str]  # names of what was compared
    asked: int  # how often the detector was asked in a training
    first_step: Optional[int] = None  # that differs, from 0
    first_tensor: Optional[str] = None
    why: Optional[str] = None
    digest: str = ""  # of all compared bits of the training with the score
    versions: dict = field(default_factory=dict)

    def __bool__(self):
        return self.holds

    def __str__(self):
        if self.holds:
            return (
                f"non-interference held: {len(self.protected)} tensors kept their bits over "
                f"{self.steps} steps whatever '{self.detector}' said (asked {self.asked} times)"
            )
        if self.first_step is None:
            return f"no certificate: {self.why}"
        return (
            f"interference: after step {self.first_step} '{self.first_tensor}' has other bits when "
            f"the score of '{self.detector}' is scrambled"
        )

    def __repr__(self):
        lines = [str(self)]
        if self.holds or self.first_step is not None:
            shown = ", ".join(self.protected[:4]) + (", ..." if len(self.protected) > 4 else "")
            lines += [
                f"  protected  {len(self.protected)}: {shown}",
                f"  compared   {self.steps} steps, with the score, with it again, and scrambled",
                f"  digest     {self.digest[:16]}",
            ]
        return "\n".join(lines)

    def _repr_html_(self):
        colour = "#1a7f37" if self.holds else "#b3261e" if self.first_step is not None else "#7a5c00"
        first, *rest = html.escape(repr(self)).split("\n")
        return f'<pre><b style="color:{colour}">{first}</b>\n' + "\n".join(rest) + "</pre>"

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2, sort_keys=True)
            file.write("\n")


class _Watch:
    """What a training hands its state to, step by step."""

    def __init__(self, protect, against=None):
        self.protect = protect
        self.against = against
        self.steps = []  # by step: name -> digest
        self.first = None
        self.whole = hashlib.sha256()

    def __call__(self, model, optimizer=None):
        """To be called after every step. With the optimizer, its state of the protected
        parameters is compared as well: moments that move are interference to come."""
        found = {}
        named = dict(model.named_parameters(remove_duplicate=False))
        named.update(model.named_buffers(remove_duplicate=False))
        missing = [n for n in self.protect if n not in named]
        if missing:
            raise ValueError(f"the model has no parameter or buffer '{missing[0]}'")
        for name in self.protect:
            tensor = named[name]
            found[name] = hashlib.sha256(_bits(tensor)).digest()
            state = optimizer.state.get(tensor, {}) if optimizer is not None else {}
            for key, value in sorted(state.items()):
                if isinstance(value, torch.Tensor):
                    found[f"{name} ({key})"] = hashlib.sha256(_bits(value)).digest()
        for name in sorted(found):
            self.whole.update(name.encode() + found[name])
        step = len(self.steps)
        self.steps.append(found)
        if self.against is not None and self.first is None and step < len(self.against):
            other = self.against[step]
            for name in found:
                if other.get(name) != found[name]:
                    self.first = (step, name)
                    break


def certify(train_fn, detector, protect, *, seed=1, scramble_key=7):
    """Trains twice and compares. `train_fn(detector, watch)` makes its model anew, trains it, and
    calls `watch(model, optimizer)` after every step. `protect` names the parameters and buffers
    that are to keep their bits, such as `il.reads(model, detector.sites, batch)`.

    The randomness of a loop has to come from the generators of PyTorch, NumPy or Python, which
    are set before each training. The detector's PyTorch twins are scrambled with it; what takes its
    weights (`tensors()`) is not seen.

    Equal bits at every step: what the detector said did not reach what was protected, on this run.
    A detector that was never asked, or a loop that is not reproducible with the score itself,
    certifies nothing, and it is said why."""
    if not isinstance(detector, Detector):
        raise TypeError("expected a detector that interloop loaded or fitted")
    protect = list(protect)
    if not protect:
        raise ValueError("protect: expected the name of at least one parameter or buffer")
    versions = {"torch": torch.__version__}

    def run(by, against=None):
        watch = _Watch(protect, against)
        with _seeded(seed), _heard(detector, by):
            train_fn(detector, watch)
        return watch, by.calls

    plain, calls = run(Count())
    again, calls_again = run(Count(), plain.steps)
    other, calls_other = run(Scramble(scramble_key), plain.steps)
    made = Certificate(
        detector.name,
        False,
        len(plain.steps),
        protect,
        calls,
        digest=plain.whole.hexdigest(),
        versions=versions,
    )
    if not plain.steps:
        made.why = "the training never called watch(model, optimizer)"
    elif calls == 0:
        made.why = f"'{detector.name}' was never asked, so its score enters nothing"
    elif calls_again != calls or (other.first is None and calls_other == 0):
        made.why = (
            f"'{detector.name}' was asked {calls} times in the first training, {calls_again} in the "
            f"same again and {calls_other} with its score scrambled: what it said is kept from one "
            "training to the next, so that a scrambled score is never heard"
        )
    elif len(again.steps) != len(plain.steps):
        made.why = (
            f"the training is not reproducible: {len(plain.steps)} steps, then {len(again.steps)}"
        )
    elif again.first is not None:
        made.why = (
            f"the training is not reproducible: after step {again.first[0]} '{again.first[1]}' has "
            "other bits although nothing was changed"
        )
    elif other.first is None and len(other.steps) != len(plain.steps):
        made.why = (
            f"the training made {len(plain.steps)} steps with the score and {len(other.steps)} "
            "without: the score decides when it stops"
        )
    elif other.first is not None:
        made.first_step, made.first_tensor = other.first
    else:
        made.holds = True
    return made
