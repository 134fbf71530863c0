"""The Python side of check_formats.sh: formats.py VERB FOLDER, where FOLDER has the program
that formats.c becomes."""

import subprocess
import sys

import numpy as np

verb, folder = sys.argv[1:]


def program(*words):
    return subprocess.run(
        [folder + "/formats", *words], check=True, capture_output=True, text=True
    ).stdout


def read_ours():
    from safetensors import safe_open
    from safetensors.numpy import load_file

    path = folder + "/ours.safetensors"
    program("tensors", path)
    expected = {
        "flags": np.array([True, False, True]),
        "weights": np.arange(1, 7, dtype=np.float32).reshape(2, 3),
        "none": np.zeros((0, 7), np.float32),
        "scalar": np.array(0.5),
        "steps": np.array([-1, 1 << 40], np.int64),
    }
    got = load_file(path)
    assert got.keys() == expected.keys(), got.keys()
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype, (name, got[name].dtype)
        assert got[name].shape == tensor.shape, (name, got[name].shape)
        assert np.array_equal(got[name], tensor), (name, got[name])
    with safe_open(path, "np") as file:
        assert file.metadata() == {"step": "12", "by": 'a "b"\nä'}, file.metadata()


def read_theirs():
    from safetensors.numpy import save_file

    path = folder + "/theirs.safetensors"
    names = {
        "F64": np.float64,
        "F32": np.float32,
        "F16": np.float16,
        "I64": np.int64,
        "I32": np.int32,
        "I16": np.int16,
        "I8": np.int8,
        "U8": np.uint8,
        "BOOL": np.bool_,
    }
    shapes = [(), (3,), (2, 3), (0, 4), (1, 2, 3, 1)]
    tensors = {
        f"{name}.{i}": np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
        for name, dtype in names.items()
        for i, shape in enumerate(shapes)
    }
    save_file(tensors, path, metadata={"made": "elsewhere"})
    lines = program("print", path).splitlines()
    assert len(lines) == len(tensors), len(lines)
    for line in lines:
        name, dtype, shape, data = (line + " ").split(" ")[:4]
        tensor = tensors[name]
        assert dtype == name.split(".")[0], line
        assert shape == "[" + ",".join(map(str, tensor.shape)) + "]", line
        assert data == tensor.tobytes().hex(), line


def read_events():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = folder + "/events.out.tfevents.1"
    program("events", path)
    events = EventAccumulator(path)
    events.Reload()
    assert events.Tags()["scalars"] == ["probe/auroc"], events.Tags()
    got = [(e.wall_time, e.step, e.value) for e in events.Scalars("probe/auroc")]
    assert got == [(1e9 + i, i * 1000, i / 4) for i in range(5)], got
    assert events.Tags()["histograms"] == ["weights/all"], events.Tags()
    (event,) = events.Histograms("weights/all")
    h = event.histogram_value
    assert (event.wall_time, event.step) == (1e9, 4000), event
    assert (h.min, h.max, h.num, h.sum, h.sum_squares) == (-1.5, 4, 5, 3, 18.375), h
    width = 5.5 / 40
    assert np.allclose(h.bucket_limit, [-1.5 + (b + 1) * width for b in range(40)]), h
    counts, _ = np.histogram([-1.5, 0, 0.25, 0.25, 4], bins=40, range=(-1.5, 4))
    assert list(h.bucket) == list(counts), h


{"read_ours": read_ours, "read_theirs": read_theirs, "read_events": read_events}[verb]()
