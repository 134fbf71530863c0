"""Runs that Interloop wrote, as tables: data frames where pandas is installed, lists of mappings
elsewhere. Needs neither PyTorch nor the extension."""

import json
import os

__all__ = ["audits", "conclusions", "jobs", "summary", "trajectory"]


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
    if frame is False:
        return rows
    try:
        import pandas
    except ImportError:
        if frame is True:
            raise
        return rows
    return pandas.DataFrame(rows)


def summary(*runs, frame=None):
    """A row for each stage, variant and seed of one or more runs, with a column for each metric. A
    metric that was not computed is absent (NaN in a frame). `frame`: True asks for a data frame,
    False for a list; by default a frame where pandas is there."""
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
    """(stage, variant, seed, folder) of every job of a run that has a folder."""
    for row in _read(run, "summary.json")["rows"]:
        variant = row.get("variant") or ""
        folder = os.path.join(os.fspath(run), row["stage"], variant, f"seed-{row['seed']}")
        if os.path.isdir(folder):
            yield row["stage"], variant, row["seed"], folder


def trajectory(*runs, frame=None):
    """A row for each step at which something was noted (metrics.jsonl), long over all jobs."""
    rows = []
    for run in runs:
        for stage, variant, seed, folder in jobs(run):
            path = os.path.join(folder, "metrics.jsonl")
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    try:
                        noted = json.loads(line)
                    except json.JSONDecodeError as error:
                        raise ValueError(f"{path}:{number}: no JSON: {error}") from None
                    flat = {"run": os.path.basename(os.path.abspath(run)), "stage": stage}
                    flat.update(variant=variant, seed=seed)
                    flat.update({k: v for k, v in noted.items() if not isinstance(v, (dict, list))})
                    rows.append(flat)
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
