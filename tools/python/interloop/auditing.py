"""The audit of a PyTorch model: does the detector still tell the truth about it?"""

import html

import torch

from . import _native
from .data import Activations
from .fitting import fit
from .sites import harvest
from .tensors import capsule

_FRESH = {
    "linear": "linear_probe",
    "mean_difference": "mean_difference",
    "mlp": "mlp_probe",
    "mahalanobis": "mahalanobis",
}


def measure(logits, labels, documents=None, threshold=None, draws=1000, seed=1):
    """AUROC, TPR at 1% FPR, recall and false positives at the threshold, mean probability, d',
    with counts and 95% intervals from resamples of whole documents: the core's own numbers."""
    logits = torch.as_tensor(logits).detach().reshape(-1).float()
    labels = torch.as_tensor(labels).reshape(-1).to(torch.uint8)
    ids = torch.arange(len(logits)) if documents is None else torch.as_tensor(documents).reshape(-1)
    order = torch.argsort(ids, stable=True)
    raw = _native.measure(
        capsule(logits[order], torch.float32),
        capsule(labels[order], torch.uint8),
        capsule(ids[order], torch.int64),
        None if threshold is None else float(threshold),
        draws,
        seed,
    )
    out = {k: v for k, v in raw.items() if not isinstance(v, tuple)}
    for name, value in raw.items():
        if isinstance(value, tuple):
            out[name] = value[0]
            if value[1] is not None:
                out[f"{name}_interval"] = [value[1], value[2]]
    return out


class Audit(dict):
    """What an audit found, as a mapping that shows itself as a table."""

    def _table(self):
        first = self["now"]
        rows = [("", "AUROC", "95%", "TPR at 1% FPR", "recall", "false alarms")]
        for name, one in self.items():
            if isinstance(one, dict) and "rows" in one:
                low, high = one.get("auroc_interval", (None, None))
                rows.append((
                    name,
                    _number(one.get("auroc")),
                    "" if low is None else f"{low:.3f} to {high:.3f}",
                    *(_number(one.get(k)) for k in ("tpr_at_1", "tpr", "fpr")),
                ))  # fmt: skip
        head = (
            f"{self['detector']} ({self['component']}) on {', '.join(self['sites'])}: "
            f"{first['positives']} positives, {first['negatives']} negatives, "
            f"{first['documents']} documents"
        )
        return head, rows

    def __repr__(self):
        head, rows = self._table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [head]
        lines += ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
        if "gap" in self:
            lines.append(f"gap between the best fresh reader and the detector: {self['gap']:.3f}")
        return "\n".join(lines)

    def _repr_html_(self):
        head, rows = self._table()
        cell = lambda kind, text: f"<{kind}>{html.escape(text)}</{kind}>"
        body = [f"<tr>{''.join(cell('td' if i else 'th', c) for c in row)}</tr>" for i, row in enumerate(rows)]
        return f"<p>{html.escape(head)}</p><table>{''.join(body)}</table>"


def _number(value):
    return "" if value is None else f"{value:.3f}"


def _judge(detector, rows, draws, seed):
    """A detector on labelled activations."""
    with torch.no_grad():
        logits = detector(*rows.acts, mask=rows.mask, lengths=rows.lengths, tokens=rows.tokens)
    labels, documents = rows.rows(detector.pools)
    return measure(logits, labels, documents, detector.threshold, draws, seed)


def _shuffled(rows, seed):
    """Labels dealt anew over whole documents."""
    ids = rows.ids()
    labels = torch.as_tensor(rows.labels).to(torch.uint8)
    unique, where = ids.unique(return_inverse=True)
    g = torch.Generator().manual_seed(seed)
    deal = torch.randperm(len(unique), generator=g)
    if labels.dim() == 1:
        first = torch.zeros(len(unique), dtype=torch.long)
        first[where.flip(0)] = torch.arange(len(ids)).flip(0)  # the first row of each document
        dealt = labels[first][deal][where]
    else:
        dealt = labels[torch.argsort(torch.argsort(deal))[where] % len(labels)]
    return Activations(rows.acts, dealt, ids, rows.mask, rows.lengths, rows.tokens)


def _documents_meet(a, b):
    return bool(torch.isin(a.ids().unique(), b.ids().unique()).any())


def rows_of(model, sites, data, forward=None):
    """Activations of labelled batches. `data` is Activations already, or a sequence of
    (batch, labels, documents[, mask]) as `model` takes batches."""
    if isinstance(data, Activations):
        return data
    data = list(data)
    if not data:
        raise ValueError("expected at least one batch")
    kept = harvest(model, sites, [d[0] for d in data], forward)
    columns = [torch.cat([torch.as_tensor(d[i]) for d in data]) for i in (1, 2)]
    mask = torch.cat([torch.as_tensor(d[3]) for d in data]) if len(data[0]) > 3 else None
    acts = tuple(torch.cat([k[i] for k in kept]) for i in range(len(sites)))
    return Activations(acts, columns[0], columns[1], mask)


def audit(
    model,
    detector,
    data,
    *,
    anchors=None,
    before=None,
    random_model=None,
    fresh=("linear", "mlp"),
    sites=None,
    forward=None,
    draws=1000,
    seed=1,
):
    """Judges a detector on a model as it is now, on `data` that neither fitted nor calibrated it.

    - `before`: the model as it was when the detector was fitted: the same data through it tell
      what the change of its weights did (`then`, and the shift of each class).
    - `anchors`: other labelled data, on which fresh readers are fitted from scratch at the
      detector's sites: what could still be read. They share no document with `data`.
    - `random_model`: the same architecture untrained: the floor of a fresh reader, beside the
      floor of labels dealt anew over documents, which is always there.

    Gives a mapping: `now`, `then`, `shift`, `fresh.READER`, `floor.shuffled.READER`,
    `floor.random.READER`, and `gap`, the best fresh AUROC less the detector's. Audit readers are
    fitted here and forgotten here: none can train anything. The model is not changed.

    Of behaviour that changes, too: judge the text of then and the text of now, each with `before`.
    The two audits' `then` and `now` are the four cells, text by weights."""
    sites = tuple(sites or detector.sites)
    judged = rows_of(model, sites, data, forward)
    out = Audit(
        detector=detector.name,
        component=detector.component,
        sites=list(sites),
        now=_judge(detector, judged, draws, seed),
    )
    if before is not None:
        then = rows_of(before, sites, data, forward)
        out["then"] = _judge(detector, then, draws, seed)
        out["shift"] = {
            c: out["now"][c] - out["then"][c]
            for c in ("positive", "negative")
            if c in out["now"] and c in out["then"]
        }
    if anchors is None:
        return out
    ground = rows_of(model, sites, anchors, forward)
    if _documents_meet(ground, judged):
        raise ValueError(
            "anchors: expected documents that `data` does not have: what fits a reader may not "
            "judge it"
        )
    bare = None
    if random_model is not None:
        bare = (
            rows_of(random_model, sites, anchors, forward),
            rows_of(random_model, sites, data, forward),
        )
    for name in fresh:
        if name not in _FRESH:
            raise ValueError(f"fresh: expected {', '.join(_FRESH)}, got '{name}'")
        use = _FRESH[name]
        out[f"fresh.{name}"] = _judge(
            fit(use, ground, sites=sites, seed=seed), judged, draws, seed
        )
        out[f"floor.shuffled.{name}"] = _judge(
            fit(use, _shuffled(ground, seed), sites=sites, seed=seed), judged, draws, seed
        )
        if bare is not None:
            out[f"floor.random.{name}"] = _judge(
                fit(use, bare[0], sites=sites, seed=seed), bare[1], draws, seed
            )
    best = max((out[f"fresh.{n}"].get("auroc", float("nan")) for n in fresh), default=None)
    if best is not None and "auroc" in out["now"]:
        out["gap"] = best - out["now"]["auroc"]
    return out
