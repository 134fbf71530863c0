#!/usr/bin/env python3
"""Draws labelled rows, fits logistic regression with scikit-learn's lbfgs, and leaves the rows for ours.

    fit_sklearn.py ROWS CHANNELS FILE

FILE gets the rows (float32, row by row) and then the labels (a byte each). Prints the best time at one and at two
threads, and the loss that was reached: the mean cross-entropy + L2/2 |w|^2, summed in float64.
"""

import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

L2 = 1e-3

rows, channels = int(sys.argv[1]), int(sys.argv[2])
generator = np.random.default_rng(0)
x = generator.normal(size=(rows, channels)).astype(np.float32)
x *= np.geomspace(0.3, 3, channels).astype(np.float32)
direction = generator.normal(size=channels) / np.sqrt(channels)
labels = x @ direction + generator.logistic(size=rows) > 0
with open(sys.argv[3], "wb") as file:
    x.tofile(file)
    labels.astype(np.uint8).tofile(file)

for threads in (1, 2):
    best = np.inf
    for _ in range(2):
        with threadpool_limits(threads):
            model = LogisticRegression(C=1 / (rows * L2), solver="lbfgs", max_iter=1000)
            start = time.perf_counter()
            model.fit(x, labels)
            best = min(best, time.perf_counter() - start)
    w = model.coef_[0].astype(np.float64)
    loss = 0.0
    for first in range(0, rows, 10000):
        part = slice(first, first + 10000)
        z = x[part].astype(np.float64) @ w + float(model.intercept_[0])
        loss += np.sum(np.logaddexp(0, z) - labels[part] * z)
    loss = loss / rows + L2 / 2 * (w**2).sum()
    print(f"  scikit-learn {threads} threads {best:8.3f} s, loss {loss:.9f}", flush=True)
