"""Runs that Interloop wrote, as tables: data frames where pandas is installed, lists of mappings
elsewhere. Needs neither PyTorch nor the extension."""

import json
import os
import re

__all__ = ["audits", "conclusions", "jobs", "ledger", "measures", "summary", "trajectory"]


def _read(run, *parts):
    path = os.path.join(os.fspath(run), *parts)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: not there; expected a folder that `interloop run` wrote"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no JSON: {error}") from None


def _frame(rows, frame):
    """Rows as they are asked for; of columns, a row without one has None there."""
    if frame is False:
        return rows
    if frame == "columns":
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}
    try:
        import pandas
    except ImportError:
        if frame is True:
            raise
        return rows
    return pandas.DataFrame(rows)


def _lines(path):
    """The mappings of a file that has one a line. The last may still be being written: without its
    end it is left for the next time."""
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            try:
                noted = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: no JSON: {error}") from None
            yield noted


def _flat(mapping, prefix=""):
    """Numbers and text, those further in by names with dots; lists are left out."""
    found = {}
    for name, value in mapping.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{name}."))
        elif not isinstance(value, list):
            found[prefix + name] = value
    return found


def _signals(noted):
    """A line of a ledger as a row a signal, without what it has of each tensor."""
    for name, one in noted.get("signals", {}).items():
        row = {"step": noted.get("step"), "grad_norm": noted.get("grad_norm"), "signal": name}
        row.update(_flat({k: v for k, v in one.items() if k != "tensors"}))
        yield row


def _noted(runs, name, rows_of, frame):
    rows = []
    for run in runs:
        for stage, variant, seed, folder in jobs(run):
            which = {"run": os.path.basename(os.path.abspath(run)), "stage": stage}
            which.update(variant=variant, seed=seed)
            for noted in _lines(os.path.join(folder, name)):
                rows += [{**which, **row} for row in rows_of(noted)]
    return _frame(rows, frame)


def summary(*runs, frame=None):
    """A row for each stage, variant and seed of one or more runs, with a column for each metric. A
    metric that was not computed is absent (NaN in a frame). `frame`: True asks for a data frame,
    False for a list of mappings, "columns" for a mapping of lists; by default a frame where pandas
    is there, and a list elsewhere. A run has a summary when it is done."""
    rows = []
    for run in runs:
        for row in _read(run, "summary.json")["rows"]:
            flat = {"run": os.path.basename(os.path.abspath(run))}
            flat.update({k: v for k, v in row.items() if not isinstance(v, (dict, list))})
            flat.update({f"point.{k}": v for k, v in (row.get("point") or {}).items()})
            flat.update(row.get("metrics") or {})
            rows.append(flat)
    return _frame(rows, frame)


def jobs(run):
    """(stage, variant, seed, folder) of every job of a run that has a folder: in the order of the
    summary, and by name what is not in it yet, since the run goes on."""
    run = os.fspath(run)
    if not os.path.isdir(run):
        raise FileNotFoundError(f"{run}: not there; expected a folder that `interloop run` wrote")
    seen = set()
    if os.path.exists(os.path.join(run, "summary.json")):
        for row in _read(run, "summary.json")["rows"]:
            variant = row.get("variant") or ""
            folder = os.path.join(run, row["stage"], variant, f"seed-{row['seed']}")
            seen.add(os.path.normpath(folder))
            if os.path.isdir(folder):
                yield row["stage"], variant, row["seed"], folder
    for folder, below, _ in os.walk(run):
        below[:] = sorted(name for name in below if not name.startswith("."))
        parts = os.path.relpath(folder, run).split(os.sep)
        seed = re.fullmatch(r"seed-(\d+)", parts[-1])
        if seed is None:
            continue
        below.clear()
        if 2 <= len(parts) <= 3 and os.path.normpath(folder) not in seen:
            yield parts[0], parts[1] if len(parts) == 3 else "", int(seed[1]), folder


def trajectory(*runs, frame=None):
    """A row for each step at which something was noted (metrics.jsonl), long over all jobs. Of a
    run that goes on, as far as it has come."""
    return _noted(runs, "metrics.jsonl", lambda noted: [_flat(noted)], frame)


def ledger(*runs, frame=None):
    """A row for each signal at each step that was sampled (ledger.jsonl), long over all jobs, with
    `norm`, `cosine` and `work`, and by reader `readers.READER.read.norm` and its kin: likewise."""
    return _noted(runs, "ledger.jsonl", _signals, frame)


def measures(*runs, frame=None):
    """A row for each metric of each job's last audit, with its interval (`low`, `high`) and the
    rows behind it where there are some."""
    rows = []
    for run in runs:
        for (stage, variant, seed), audit in audits(run).items():
            which = {"run": os.path.basename(os.path.abspath(run)), "stage": stage}
            which.update(variant=variant, seed=seed)
            for name, one in audit.get("metrics", {}).items():
                rows.append({**which, "metric": name, **one})
    return _frame(rows, frame)


def audits(run):
    """The last audit of each job, whole: {(stage, variant, seed): audit.json}."""
    found = {}
    for stage, variant, seed, folder in jobs(run):
        if os.path.exists(os.path.join(folder, "audit.json")):
            found[stage, variant, seed] = _read(folder, "audit.json")
    return found


def conclusions(run):
    """What the run allows to be said: conclusions.json."""
    return _read(run, "conclusions.json")
