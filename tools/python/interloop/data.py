"""Labelled activations."""

from dataclasses import dataclass
from typing import Optional, Tuple

import torch

from .tensors import bytes_of, capsule, whole


@dataclass
class Activations:
    """Activations of one or more sites, (N,W) or (B,T,W) each, with what is known of them:
    `labels` 0 or 1, (N), (B) or (B,T); `documents` (N) or (B) whole numbers, by which splits are
    held apart and intervals are drawn; `mask` (B,T) of the positions that count; `lengths` (B)
    where padding begins."""

    acts: Tuple[torch.Tensor, ...]
    labels: Optional[torch.Tensor] = None
    documents: Optional[torch.Tensor] = None
    mask: Optional[torch.Tensor] = None
    lengths: Optional[torch.Tensor] = None
    tokens: Optional[torch.Tensor] = None

    def __post_init__(self):
        if isinstance(self.acts, torch.Tensor):
            self.acts = (self.acts,)
        self.acts = tuple(self.acts)
        if not self.acts:
            raise ValueError("expected activations of at least one site")
        for a in self.acts:
            if a.dim() not in (2, 3) or a.shape[0] != self.acts[0].shape[0]:
                raise ValueError(
                    "expected activations (N,W) or (B,T,W) with as many rows at every site, got "
                    + ", ".join(str(tuple(a.shape)) for a in self.acts)
                )

    def __len__(self):
        return self.acts[0].shape[0]

    def ids(self):
        """Documents, by row where nobody said."""
        if self.documents is None:
            return torch.arange(len(self))
        return torch.as_tensor(self.documents, dtype=torch.int64)

    def parts(self):
        """What the extension takes."""
        return (
            tuple(capsule(a, torch.float32) for a in self.acts),
            bytes_of(self.labels, "labels"),
            capsule(self.ids(), torch.int64),
            bytes_of(self.mask, "mask"),
            whole(self.lengths, "lengths"),
            whole(self.tokens, "tokens"),
        )

    def scored(self):
        """Where positions count, as booleans of the rows' shape."""
        first = self.acts[0]
        on = torch.ones(first.shape[:-1], dtype=torch.bool)
        if self.mask is not None:
            on &= torch.as_tensor(self.mask).to(torch.bool).reshape(on.shape)
        if self.lengths is not None and first.dim() == 3:
            on &= torch.arange(first.shape[1])[None] < torch.as_tensor(self.lengths)[:, None]
        return on

    def rows(self, pooled=False):
        """(labels, documents) of each scored position, or of each sequence with any."""
        on = self.scored()
        ids = self.ids()
        labels = None if self.labels is None else torch.as_tensor(self.labels).to(torch.uint8)
        if on.dim() == 1:
            return None if labels is None else labels[on], ids[on]
        wide = None
        if labels is not None:
            wide = labels[:, None].expand(on.shape) if labels.dim() == 1 else labels
        if pooled:
            some = on.any(1)
            positive = None if wide is None else (wide.bool() & on).any(1).to(torch.uint8)[some]
            return positive, ids[some]
        return None if wide is None else wide[on], ids[:, None].expand(on.shape)[on]

    def take(self, rows):
        """Some of the rows or sequences."""
        pick = lambda t: None if t is None else torch.as_tensor(t)[rows]
        return Activations(
            tuple(a[rows] for a in self.acts),
            pick(self.labels),
            self.ids()[rows],
            pick(self.mask),
            pick(self.lengths),
            pick(self.tokens),
        )

    def halves(self, seed, share=0.5):
        """Two parts that share no document."""
        ids = self.ids()
        unique = ids.unique()
        g = torch.Generator().manual_seed(seed)
        order = unique[torch.randperm(len(unique), generator=g)]
        first = torch.isin(ids, order[: max(1, round(share * len(order)))])
        return self.take(first.nonzero()[:, 0]), self.take((~first).nonzero()[:, 0])
