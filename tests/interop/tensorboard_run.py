"""The Python side of check_tensorboard.sh: tensorboard_run.py FOLDER, a job's. Reads its event
file with TensorBoard and compares with metrics.jsonl and histograms.jsonl."""

import json
import sys
from collections import defaultdict

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0})
events.Reload()


def lines(name):
    with open(f"{folder}/{name}") as file:
        return [json.loads(line) for line in file]


scalars = defaultdict(list)
for line in lines("metrics.jsonl"):
    for tag, value in line.items():
        if tag != "step":
            scalars[tag].append((line["step"], float(np.float32(value))))
got = {
    tag: [(e.step, e.value) for e in events.Scalars(tag)]
    for tag in events.Tags()["scalars"]
}
assert set(got) == set(scalars), set(got) ^ set(scalars)
for tag, points in scalars.items():
    assert got[tag] == points, (tag, got[tag], points)

histograms = defaultdict(list)
for line in lines("histograms.jsonl"):
    histograms[line["tag"]].append(line)
assert set(events.Tags()["histograms"]) == set(histograms)
for tag, expected in histograms.items():
    read = events.Histograms(tag)
    assert [e.step for e in read] == [line["step"] for line in expected], tag
    for event, line in zip(read, expected):
        h = event.histogram_value
        for field in ("min", "max", "num", "sum", "sum_squares"):
            assert getattr(h, field) == line[field], (tag, field)
        assert list(h.bucket_limit) == line["limits"], tag
        assert list(h.bucket) == line["counts"], tag
        assert sum(line["counts"]) == line["num"], tag
kinds = {tag.split("/")[0].split(".")[0] for tag in histograms}
assert kinds == {"weights", "gradient", "logits"}, kinds
print(f"{len(scalars)} scalars and {len(histograms)} histograms are the same")
