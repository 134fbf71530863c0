"""Shards of activations against NumPy and safetensors.

write FOLDER    leaves folders of shards as other programs harvest them, and beside each the direction
                between the classes' means, which `interloop detector fit --use mean_difference` is to find
direction FILE SAVED   compares a saved detector's direction with it
read FOLDER WHOLE      holds the shards of `interloop activations` in another form to those of float32
"""
import json
import os
import struct
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


def rows(rng, count):
    labels = (np.arange(count) % 3 == 0).astype(np.uint8)
    acts = rng.normal(size=(count, 12)) + labels[:, None] * np.linspace(-1, 2, 12)
    return acts, labels


def means(acts, labels):
    """The direction between the means, of what was read: float32."""
    acts = acts.astype(np.float32).astype(np.float64)
    return acts[labels == 1].mean(0) - acts[labels == 0].mean(0)


def npy_version(path, array, version):
    with open(path, "wb") as f:
        np.lib.format.write_array(f, array, version=version)


def write(folder):
    rng = np.random.default_rng(1)
    for name in ["numbered", "joined", "tensors", "half", "wide", "one"]:
        os.makedirs(os.path.join(folder, name))
    acts, labels = rows(rng, 90)
    np.save(f"{folder}/one/acts.x.npy", acts)
    np.save(f"{folder}/one/labels.npy", labels.astype(bool))
    cuts = [0, 40, 41, 90]
    half = acts.astype(np.float16)
    for k in range(3):
        part = slice(cuts[k], cuts[k + 1])
        version = [(1, 0), (2, 0), (3, 0)][k]
        npy_version(f"{folder}/numbered/{k + 8}.acts.x.npy", acts[part].astype(np.float32), version)
        npy_version(f"{folder}/numbered/{k + 8}.labels.npy", labels[part].astype(np.int64), version)
        np.save(f"{folder}/joined/resid_{k}.npy", acts[part])
        np.save(f"{folder}/joined/y_{k}.npy", labels[part].astype(np.float64))
        save_file({"resid": acts[part].astype(np.float32), "y": labels[part], "unused": np.zeros(3)},
                  f"{folder}/tensors/part-{k}.safetensors")
        save_file({"acts.x": half[part], "labels": labels[part].astype(np.int32)}, f"{folder}/half/{k}.safetensors")
        shape = (len(acts[part]) // 1, 1, 12)
        save_file({"acts.x": acts[part].reshape(shape), "labels": labels[part].reshape(-1, 1),
                   "ids": np.arange(cuts[k], cuts[k + 1])}, f"{folder}/wide/{k}.safetensors")
    for name in ["numbered", "joined", "tensors", "wide", "one"]:
        np.save(f"{folder}/{name}.direction", means(acts, labels))
    np.save(f"{folder}/half.direction", means(half, labels))
    for name in ["fortran", "big", "object", "cut"]:
        os.makedirs(os.path.join(folder, name))
    np.save(f"{folder}/fortran/acts.x.npy", np.asfortranarray(acts))
    np.save(f"{folder}/big/acts.x.npy", acts.astype(">f4"))
    np.save(f"{folder}/object/acts.x.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
    whole = open(f"{folder}/one/acts.x.npy", "rb").read()
    open(f"{folder}/cut/acts.x.npy", "wb").write(whole[:-1])
    for name in ["fortran", "big", "cut"]:
        np.save(f"{folder}/{name}/labels.npy", labels)


def direction(expected, saved):
    wanted = np.load(expected)
    with safe_open(saved, "np") as f:
        names = [n for n in f.keys() if f.get_tensor(n).size == 12 and f.get_tensor(n).dtype == np.float32]
        got = f.get_tensor([n for n in names if "scaling" not in n][0]).reshape(-1).astype(np.float64)
        inv = [n for n in names if "scaling.inv" in n]
        if inv:
            got = got * f.get_tensor(inv[0]).reshape(-1)
    cosine = got @ wanted / np.linalg.norm(got) / np.linalg.norm(wanted)
    print("cosine", cosine)
    return cosine > 1 - 1e-6


def read(folder, whole):
    index = json.load(open(f"{folder}/index.json"))
    well = True
    for k in range(index["shards"]):
        exact = load_file(f"{whole}/{k:05d}.safetensors")
        if index["format"] == "npy":
            got = {n: np.load(f"{folder}/{k:05d}.{n}.npy") for n in exact}
        elif index["dtype"] == "bf16":
            got = brain(f"{folder}/{k:05d}.safetensors")
        else:
            got = load_file(f"{folder}/{k:05d}.safetensors")
        for name, a in exact.items():
            wanted = a
            if name.startswith("acts.") and index["dtype"] == "f16":
                wanted = a.astype(np.float16)
            if name.startswith("acts.") and index["dtype"] == "bf16":
                bits = a.view(np.uint32)
                wanted = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
            same = got[name].dtype == wanted.dtype and np.array_equal(got[name], wanted)
            if not same:
                print(folder, k, name, got[name].dtype, wanted.dtype)
            well = well and same
    return well


def brain(path):
    """Tensors of a file with bfloat16, which NumPy has not: as their bits."""
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        kinds = {"BF16": np.uint16, "I32": np.int32, "I64": np.int64, "U8": np.uint8, "BOOL": np.bool_}
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(data[8 + size + a:8 + size + b], kinds[t["dtype"]]).reshape(t["shape"])
    return out


if __name__ == "__main__":
    verb = {"write": write, "direction": direction, "read": read}[sys.argv[1]]
    sys.exit(0 if verb(*sys.argv[2:]) in (None, True) else 1)
