"""Detectors of the shelf in PyTorch's own operations: for accelerators, bf16, compilation and
second derivatives."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .detector import Detector


class Twin(nn.Module):
    """A detector in PyTorch's operations, with its shapes: what the detector takes, this takes, and
    gives the same back. It computes in the type and on the device of its own tensors (`.to(...)`)
    and gives logits in the type of the activations. `score` is the bare function, (..., W) to (...)
    and for sequences (B,T,W) to (B,T), without a choice of positions: what one would compile."""

    def __init__(self, detector, tensors):
        super().__init__()
        self.name = detector.name
        self.component = detector.component
        self.sites = detector.sites
        self.widths = detector.widths
        self.threshold = detector.threshold
        self.contract = detector.contract
        self._own = None  # the tensor whose type and device are the module's
        self.scaled = f"scaling.mean.{self.sites[0]}" in tensors
        for i, site in enumerate(self.sites):
            if self.scaled:
                self.register_buffer(f"mean{i}", tensors[f"scaling.mean.{site}"])
                self.register_buffer(f"inv{i}", tensors[f"scaling.inv.{site}"])
        self._ear = detector._ear  # a certificate that scrambles the one scrambles the other

    def rows(self, acts):
        """All sites side by side, scaled as the detector was fitted."""
        if len(acts) != len(self.sites):
            raise ValueError(
                f"detector '{self.name}' reads {len(self.sites)} sites "
                f"({', '.join(self.sites)}): expected as many tensors, got {len(acts)}"
            )
        for site, width, a in zip(self.sites, self.widths, acts):
            if a.shape[-1] != width:
                raise ValueError(f"{site}: expected a width of {width}, got {a.shape[-1]}")
        if self._own is not None:
            own = getattr(self, self._own)
            acts = [a.to(device=own.device, dtype=own.dtype) for a in acts]
        if self.scaled:
            acts = [
                (a - getattr(self, f"mean{i}")) * getattr(self, f"inv{i}")
                for i, a in enumerate(acts)
            ]
        return acts[0] if len(acts) == 1 else torch.cat(list(acts), dim=-1)

    def keep(self, tensors, *names):
        """Parameters, frozen until somebody asks for their gradients."""
        self._own = names[0]
        for name in names:
            self.register_parameter(name, nn.Parameter(tensors[name], requires_grad=False))

    def forward(self, *acts, mask=None, lengths=None, tokens=None):
        logits = self.score(*acts) if lengths is None else self._padded(acts, lengths)
        logits = logits.to(device=acts[0].device, dtype=acts[0].dtype)
        if mask is not None or lengths is not None:
            on = torch.ones(logits.shape, dtype=torch.bool, device=logits.device)
            if mask is not None:
                on &= torch.as_tensor(mask).to(on.device).bool().reshape(on.shape)
            if lengths is not None:
                time = torch.arange(logits.shape[1], device=on.device)
                on &= time[None] < torch.as_tensor(lengths).to(on.device)[:, None]
            logits = logits[on]
        return self._ear(logits)

    def _padded(self, acts, lengths):
        return self.score(*acts)  # what reads rows never sees another

    penalty = Detector.penalty
    flags = Detector.flags

    def probability(self, logits):
        if self.contract.get("calibration", {}).get("method") == "isotonic":
            raise NotImplementedError(
                f"detector '{self.name}' has an isotonic calibration: ask the detector itself for "
                "probabilities"
            )
        return Detector.probability(self, logits)

    def extra_repr(self):
        return f"{self.component} on {', '.join(self.sites)}"


class Linear(Twin):
    """linear_probe, lda, mean_difference, sparse_probe: one weight a channel."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "weight", "bias")

    def score(self, *acts):
        return F.linear(self.rows(acts), self.weight, self.bias).squeeze(-1)


class Mlp(Twin):
    """mlp_probe: one hidden layer of ReLUs."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "W_in", "b_in", "W_out", "b_out")

    def score(self, *acts):
        hidden = F.relu(F.linear(self.rows(acts), self.W_in, self.b_in))
        return F.linear(hidden, self.W_out, self.b_out).squeeze(-1)


class Attention(Twin):
    """attention_probe: (B,T,W) of each site, lengths (B) -> (B,T); 0 but for the bias at padding."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "query", "value", "bias")
        self.context = detector.contract["context"]
        self.position = detector.contract["params"].get("position", "none")
        if self.position != "none":
            self.keep(tensors, "slope" if self.position == "linear" else "distance")

    def _padded(self, acts, lengths):
        return self.score(*acts, lengths=torch.as_tensor(lengths))

    def score(self, *acts, lengths=None):
        x = self.rows(acts)
        keys = F.linear(x, self.query)  # (B,T,H)
        values = F.linear(x, self.value)
        time = torch.arange(x.shape[1], device=x.device)
        readable = {
            "self": time[:, None] == time[None, :],
            "past": time[:, None] >= time[None, :],
            "all": torch.ones(len(time), len(time), dtype=torch.bool, device=x.device),
        }[self.context][None]
        if lengths is not None:
            inside = time[None, :] < lengths[:, None].to(x.device)
            readable = readable & inside[:, None, :] & inside[:, :, None]
        scores = keys.transpose(1, 2)[:, :, None, :]  # (B,H,1,S)
        if self.position == "linear":
            scores = scores + (time / 32.0).to(x.dtype) * self.slope[:, :, None]
        elif self.position == "distance":
            apart = (time[:, None] - time[None, :]).abs().clamp(max=self.distance.shape[1] - 1)
            scores = scores + self.distance[:, apart]
        scores = scores.expand(-1, -1, len(time), -1)
        weights = scores.masked_fill(~readable[:, None], -math.inf).softmax(-1)
        weights = torch.where(readable[:, None], weights, torch.zeros_like(weights))
        pooled = torch.einsum("bhts,bsh->bt", weights, values)
        return pooled + self.bias


class Sae(Twin):
    """sae: `features`, `reconstruct`, and the logit that reads them."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        params = detector.contract["params"]
        self.architecture = params.get("architecture", "topk")
        self.k = int(params.get("k", 32))
        self.normalize = params.get("normalize", "expected_average")
        self.apply_b_dec = str(params.get("apply_b_dec", True)).lower() != "false"
        self.logit = params.get("logit", "features")
        names = ["W_enc", "W_dec", "b_dec", "scale", "readout", "readout_bias"]
        names += {
            "gated": ["b_gate", "r_mag", "b_mag"],
            "jumprelu": ["b_enc", "threshold"],
            "batchtopk": ["b_enc", "threshold"],
        }.get(self.architecture, ["b_enc"])
        if "threshold" in names:  # `threshold` is the detector's
            tensors = {**tensors, "open_above": tensors["threshold"]}
            names[names.index("threshold")] = "open_above"
        self.keep(tensors, *names)

    def _in(self, x):
        """Rows as the encoder has them, and what takes them back."""
        if self.normalize == "expected_average":
            return x * self.scale, lambda y: y / self.scale
        if self.normalize == "none":
            return x, lambda y: y
        if self.normalize == "layer_norm":
            mean = x.mean(-1, keepdim=True)
            by = x.std(-1, keepdim=True) + 1e-5
        else:
            mean = torch.zeros_like(x[..., :1])
            by = x.square().mean(-1, keepdim=True).sqrt()
        by = torch.where(by == 0, torch.ones_like(by), by)  # rows of zeros stay
        return (x - mean) / by, lambda y: y * by + mean

    def _encode(self, x):
        both = F.linear(x - self.b_dec if self.apply_b_dec else x, self.W_enc)
        if self.architecture == "gated":
            size = F.relu(both * self.r_mag.exp() + self.b_mag)
            return torch.where(both + self.b_gate > 0, size, torch.zeros_like(size))
        pre = both + self.b_enc
        if self.architecture == "standard":
            return F.relu(pre)
        if self.architecture == "topk":
            top, at = pre.topk(self.k, dim=-1)
            return torch.zeros_like(pre).scatter(-1, at, F.relu(top))
        return torch.where(pre > self.open_above, pre, torch.zeros_like(pre))

    def features(self, *acts):
        return self._ear(self._encode(self._in(self.rows(acts))[0]))

    def reconstruct(self, *acts):
        x, back = self._in(self.rows(acts))
        return back(self._encode(x) @ self.W_dec + self.b_dec)

    def score(self, *acts):
        x, _ = self._in(self.rows(acts))
        features = self._encode(x)
        if self.logit == "error":
            off = x - (features @ self.W_dec + self.b_dec)
            return off.square().mean(-1)
        return F.linear(features, self.readout[None], self.readout_bias).squeeze(-1)


class Polynomial(Twin):
    """polynomial_probe: powers along directions, order by order."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        params = detector.contract["params"]
        self.order = int(params.get("truncate", 0)) or int(params.get("order", 2))
        self.keep(tensors, "center", "scale", "weight1", "bias")
        for k in range(2, self.order + 1):
            self.keep(tensors, f"direction{k}", f"weight{k}")

    def score(self, *acts):
        x = (self.rows(acts) - self.center) * self.scale
        logits = F.linear(x, self.weight1, self.bias)
        for k in range(2, self.order + 1):
            along = F.linear(x, getattr(self, f"direction{k}"))
            logits = logits + F.linear(along.pow(k), getattr(self, f"weight{k}"))
        return logits.squeeze(-1)


class Distance(Twin):
    """mahalanobis and relative_mahalanobis: squared distances to a Gaussian of the negatives, less
    that to one of all, in units of their spread among the negatives."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "center", "whiten", "offset", "scale")
        self.relative = "background_center" in tensors
        if self.relative:
            self.keep(tensors, "background_center", "background_whiten")

    def score(self, *acts):
        x = self.rows(acts)
        far = F.linear(x - self.center, self.whiten).square().sum(-1)
        if self.relative:
            away = x - self.background_center
            far = far - F.linear(away, self.background_whiten).square().sum(-1)
        return (far + self.offset) * self.scale


class Neighbour(Twin):
    """knn: the distance to the k-th nearest of the anchors."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        params = detector.contract["params"]
        self.k = int(params.get("k", 10))
        self.normalize = str(params.get("normalize", True)).lower() != "false"
        anchors = tensors["anchors"][: int(tensors["count"])].clone()
        self.keep({**tensors, "anchors": anchors}, "anchors", "offset", "scale")

    def score(self, *acts):
        x = self.rows(acts)
        if self.normalize:
            x = x * (x.square().sum(-1, keepdim=True) + x.shape[-1] * 1e-30).rsqrt()
        with torch.no_grad():  # which anchor it is has no slope
            far = torch.cdist(
                x.to(torch.promote_types(x.dtype, torch.float32)),
                self.anchors.to(torch.promote_types(x.dtype, torch.float32)),
                compute_mode="donot_use_mm_for_euclid_dist",
            )
            whose = far.kthvalue(self.k, dim=-1).indices
        away = (x - self.anchors[whose]).square().sum(-1)
        on = away > 0  # on an anchor there is no slope either
        far = torch.where(on, torch.where(on, away, torch.ones_like(away)).sqrt(), 0 * away)
        return (far + self.offset) * self.scale


class Ensemble(Twin):
    """ensemble: the members' logits side by side, (..., M), become one."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        params = detector.contract["params"]
        self.largest = params.get("combine", "mean") == "max"
        self.odds = params.get("scale", "logit") == "probability"

    def score(self, *acts):
        z = self.rows(acts)
        if self.largest:
            return z.max(-1).values
        if self.odds:
            return F.logsigmoid(z).logsumexp(-1) - F.logsigmoid(-z).logsumexp(-1)
        return z.mean(-1)


class Cascade(Twin):
    """cascade: the members' logits side by side, (..., M); of each row the last that was asked, or
    the mean of those that were."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        params = detector.contract["params"]
        bounds = [float(params.get("low", 0.1)), float(params.get("high", 0.9))]
        if params.get("scale", "probability") != "logit":
            bounds = [math.log(b / (1 - b)) for b in bounds]
        self.low, self.high = bounds
        self.mean = params.get("combine", "last") == "mean"

    def score(self, *acts):
        z = self.rows(acts)
        sofar = z
        if self.mean:
            sofar = z.cumsum(-1) / torch.arange(1, z.shape[-1] + 1, device=z.device).to(z.dtype)
        unsure = ~((sofar <= self.low) | (sofar >= self.high))  # no number is unsure, too
        asked = unsure[..., :-1].long().cumprod(-1).sum(-1, keepdim=True)
        return sofar.gather(-1, asked).squeeze(-1)


_SHELF = {
    "interloop.linear_probe": Linear,
    "interloop.lda": Linear,
    "interloop.mean_difference": Linear,
    "interloop.sparse_probe": Linear,
    "interloop.mlp_probe": Mlp,
    "interloop.polynomial_probe": Polynomial,
    "interloop.mahalanobis": Distance,
    "interloop.relative_mahalanobis": Distance,
    "interloop.knn": Neighbour,
    "interloop.ensemble": Ensemble,
    "interloop.cascade": Cascade,
    "interloop.attention_probe": Attention,
    "interloop.sae": Sae,
}


def to_torch(detector):
    """The detector in PyTorch's own operations, equal to it up to rounding. What pools, and what is
    not of the shelf, is refused by name."""
    kind = _SHELF.get(detector.component)
    if kind is None or detector.pools:
        what = "it pools" if detector.pools else f"expected one of {', '.join(sorted(_SHELF))}"
        raise NotImplementedError(
            f"detector '{detector.name}' ({detector.component}) has no PyTorch twin: {what}"
        )
    return kind(detector, detector.tensors())
