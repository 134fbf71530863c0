"""Detectors of the shelf in PyTorch's own operations: for accelerators, bf16, compilation and
second derivatives."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class _Scaled(nn.Module):
    """All sites side by side, scaled as the detector was fitted."""

    def __init__(self, detector, tensors):
        super().__init__()
        self.sites = detector.sites
        self.widths = detector.widths
        self.threshold = detector.threshold
        self.scaled = f"scaling.mean.{self.sites[0]}" in tensors
        for i, site in enumerate(self.sites):
            if self.scaled:
                self.register_buffer(f"mean{i}", tensors[f"scaling.mean.{site}"])
                self.register_buffer(f"inv{i}", tensors[f"scaling.inv.{site}"])

    def rows(self, acts):
        if len(acts) != len(self.sites):
            raise ValueError(f"expected activations of {len(self.sites)} sites, got {len(acts)}")
        if self.scaled:
            acts = [
                (a - getattr(self, f"mean{i}")) * getattr(self, f"inv{i}")
                for i, a in enumerate(acts)
            ]
        return acts[0] if len(acts) == 1 else torch.cat(list(acts), dim=-1)

    def keep(self, tensors, *names):
        """Parameters, frozen until somebody asks for their gradients."""
        for name in names:
            self.register_parameter(name, nn.Parameter(tensors[name], requires_grad=False))


class Linear(_Scaled):
    """linear_probe, lda, mean_difference, sparse directions: one weight a channel."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "weight", "bias")

    def forward(self, *acts):
        return F.linear(self.rows(acts), self.weight, self.bias).squeeze(-1)


class Mlp(_Scaled):
    """mlp_probe: one hidden layer of ReLUs."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "W_in", "b_in", "W_out", "b_out")

    def forward(self, *acts):
        hidden = F.relu(F.linear(self.rows(acts), self.W_in, self.b_in))
        return F.linear(hidden, self.W_out, self.b_out).squeeze(-1)


class Attention(_Scaled):
    """attention_probe: (B,T,W) of each site, lengths (B) -> (B,T); 0 but for the bias at padding."""

    def __init__(self, detector, tensors):
        super().__init__(detector, tensors)
        self.keep(tensors, "query", "value", "bias")
        self.context = detector.contract["context"]
        self.position = detector.contract["params"].get("position", "none")
        if self.position != "none":
            self.keep(tensors, "slope" if self.position == "linear" else "distance")

    def forward(self, *acts, lengths=None):
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


class Sae(_Scaled):
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
        return self._encode(self._in(self.rows(acts))[0])

    def reconstruct(self, *acts):
        x, back = self._in(self.rows(acts))
        return back(self._encode(x) @ self.W_dec + self.b_dec)

    def forward(self, *acts):
        x, _ = self._in(self.rows(acts))
        features = self._encode(x)
        if self.logit == "error":
            off = x - (features @ self.W_dec + self.b_dec)
            return off.square().mean(-1)
        return F.linear(features, self.readout[None], self.readout_bias).squeeze(-1)


_SHELF = {
    "interloop.linear_probe": Linear,
    "interloop.lda": Linear,
    "interloop.mean_difference": Linear,
    "interloop.mlp_probe": Mlp,
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
