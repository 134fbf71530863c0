"""What a call of a detector through the Python package costs, beside the same detector in PyTorch's
own operations: the least of several rounds, which take turns. Prints rows for the table of
run.sh. argv: the folder of the unpacked wheel."""

import sys
import time

sys.path.insert(0, sys.argv[1])
import torch  # noqa: E402

import interloop as il  # noqa: E402

ROUNDS, CALLS = 7, 2000


def least(*calls):
    """Microseconds a call of each."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for i, call in enumerate(calls):
            since = time.perf_counter()
            for _ in range(CALLS):
                call()
            best[i] = min(best[i], (time.perf_counter() - since) / CALLS * 1e6)
    return best


torch.set_num_threads(1)
rows = torch.randn(200, 16)
probe = il.fit("linear_probe", il.Activations(rows, (rows[:, 0] > 0).to(torch.uint8)))
twin = probe.to_torch()
x = torch.randn(1, 16)
leaf = x.clone().requires_grad_(True)
one = torch.ones(1)
slope = lambda module: lambda: torch.autograd.grad(module(leaf), leaf, one)
empty = least(lambda: probe(x), lambda: twin(x))
both = least(slope(probe), slope(twin))
print(f"bridge, a call without a graph: {empty[0]:.1f} us; as PyTorch's operations {empty[1]:.1f} us")
print(f"bridge, forward and derivative: {both[0]:.1f} us; as PyTorch's operations {both[1]:.1f} us")
