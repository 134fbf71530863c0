"""Times the step of bench_step in PyTorch: the same GPT, batch, loss, clipping and AdamW.

    step_torch.py s|m ROUNDS THREADS

Prints the fastest step in milliseconds and the peak memory in MiB, as one line.
"""
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

SIZES = {"s": (4, 128, 4, 64, 16, 512), "m": (6, 384, 6, 128, 8, 4096)}


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x):
        rows, tokens, width = x.shape
        parts = self.qkv(self.ln1(x)).split(width, dim=2)
        q, k, v = (p.view(rows, tokens, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.narrow(F.gelu(self.wide(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, width, heads, context, vocabulary):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Parameter(torch.randn(context, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.unembed = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.embed(tokens) + self.place
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.ln(x))


def main():
    size, rounds, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    layers, width, heads, context, batch, vocabulary = SIZES[size]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = Gpt(layers, width, heads, context, vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    best = float("inf")
    for step in range(rounds + 2):
        tokens = torch.randint(vocabulary, (batch, context))
        start = time.perf_counter()
        logits = model(tokens)[:, :-1].reshape(-1, vocabulary)
        loss = F.cross_entropy(logits, tokens[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step >= 2:
            best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  PyTorch {torch.__version__}, {threads} threads {best * 1e3:8.2f} ms, "
          f"peak memory {peak:.1f} MiB")


if __name__ == "__main__":
    main()
