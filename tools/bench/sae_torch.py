#!/usr/bin/env python3
"""Training a TopK sparse autoencoder in PyTorch, as one would write it for a CPU: dense products, fused Adam, decoder rows
kept at norm 1 without the gradient's part along them.

    sae_torch.py make FILE ROWS WIDTH               rows that are sums of few of many directions
    sae_torch.py fit FILE FEATURES K BATCH THREADS  on the rows, start and order that bench_sae left beside FILE

`fit` prints the fastest step in milliseconds and the loss of a few steps, as one line.
"""

import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

DIRECTIONS, ACTIVE = 2048, 24


def make(path, rows, width):
    g = torch.Generator().manual_seed(1)
    directions = F.normalize(torch.randn(DIRECTIONS, width, generator=g), dim=1)
    with open(path, "wb") as out:
        for first in range(0, rows, 4096):
            n = min(4096, rows - first)
            # some directions are much more frequent than others
            at = (torch.rand(n, ACTIVE, generator=g).square() * DIRECTIONS).long()
            by = torch.rand(n, ACTIVE, 1, generator=g) + 0.5
            x = (directions[at] * by).sum(1) + 0.1 * torch.randn(n, width, generator=g)
            out.write(x.numpy().tobytes())


def fit(path, features, k, batch, threads):
    torch.set_num_threads(threads)
    order = torch.from_numpy(np.fromfile(path + ".order", dtype=np.int64))
    start = np.fromfile(path + ".start", dtype=np.float32)
    width = (len(start) - 1) // (features + 1)
    scale = float(start[0])
    b_dec = torch.nn.Parameter(torch.from_numpy(start[1 : 1 + width].copy()))
    w_dec = torch.nn.Parameter(torch.from_numpy(start[1 + width :].reshape(features, width).copy()))
    # (in, out), as the product reads it
    w_enc = torch.nn.Parameter(w_dec.detach().T.contiguous())
    b_enc = torch.nn.Parameter(torch.zeros(features))
    rows = torch.from_numpy(np.fromfile(path, dtype=np.float32).reshape(-1, width)) * scale
    steps = len(order) // batch
    optimizer = torch.optim.Adam([w_enc, b_enc, w_dec, b_dec], lr=1e-3, fused=True)
    best, losses = float("inf"), []
    for step in range(steps):
        began = time.perf_counter()
        x = rows[order[step * batch : (step + 1) * batch]]
        pre = torch.addmm(b_enc, x - b_dec, w_enc)
        values, at = pre.topk(k, dim=-1, sorted=False)
        acts = torch.zeros_like(pre).scatter_(-1, at, values.relu())
        loss = (torch.addmm(b_dec, acts, w_dec) - x).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            w_dec.grad -= (w_dec.grad * w_dec).sum(-1, keepdim=True) * w_dec
            optimizer.step()
            w_dec /= w_dec.norm(dim=-1, keepdim=True)
        losses.append(loss.item())
        best = min(best, time.perf_counter() - began)
    some = " ".join(f"{losses[i]:.4f}" for i in sorted({0, steps // 4, steps // 2, steps - 1}))
    print(f"  PyTorch, {threads} threads {1e3 * best:10.2f} ms a step; loss {some}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        fit(sys.argv[2], *map(int, sys.argv[3:7]))
