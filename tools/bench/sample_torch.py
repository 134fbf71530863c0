"""Times drawing answers in PyTorch as bench_sample does: the same GPT with a cache of keys and
values, the same prompts' length, the same tokens allowed.

    sample_torch.py ROUNDS ROWS THREADS

The prompts go through at once, then one token after the other, and rows that have ended leave the
batch once a tenth has. That, one copy into the cache for keys and values, and one look a token at
how many rows go on were the fastest of the ways tried, by a hundredth or two each; attention written
out in products was slower, and torch.compile was no faster. Prints the tokens a second of the
fastest round, as one line. The draws differ from bench_sample's, the number of tokens drawn is
counted in each.
"""
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, WIDTH, HEADS, VOCABULARY = 3, 48, 4, 22
PROMPT, ANSWER, PAD, EOS = 7, 12, 10, 21
FORBIDDEN = [10, 11, 12, 13]


class Block(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.ln1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.ln2 = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        shape = (2, rows, HEADS, PROMPT + ANSWER, WIDTH // HEADS)
        self.register_buffer("cache", torch.zeros(shape))  # keys and values

    def forward(self, x, at):
        rows, tokens, width = x.shape
        qkv = self.qkv(self.ln1(x)).view(rows, tokens, 3, HEADS, -1)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        end = at + tokens
        cache = self.cache[:, :rows]
        cache[:, :, :, at:end] = qkv[1:]
        keys, values = cache[:, :, :, :end]
        mixed = F.scaled_dot_product_attention(qkv[0], keys, values, is_causal=tokens > 1)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.narrow(F.gelu(self.wide(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Parameter(torch.randn(PROMPT + ANSWER, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(rows) for _ in range(LAYERS))
        self.ln = nn.LayerNorm(WIDTH)
        self.unembed = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens, at):
        """Logits after the last of `tokens` (B,T), which stand at `at` and on."""
        x = self.embed(tokens) + self.place[at:at + tokens.shape[1]]
        for block in self.blocks:
            x = block(x, at)
        return self.unembed(self.ln(x[:, -1]))


def answer(model, prompts, forbidden):
    """Draws until every row has ended; returns how many tokens were drawn."""
    rows = going = len(prompts)
    ended = torch.zeros(rows, 1, dtype=torch.bool)
    fresh, at, drawn = prompts, 0, 0
    for _ in range(ANSWER):
        logits = model(fresh, at).masked_fill_(forbidden, float("-inf"))
        at += fresh.shape[1]
        fresh = torch.multinomial(torch.softmax(logits, -1), 1).masked_fill_(ended, PAD)
        drawn += going
        ended |= fresh == EOS
        going = rows - int(ended.sum())
        if going == 0:
            break
        if going < 0.9 * rows:
            keep = (~ended[:, 0]).nonzero()[:, 0]
            for block in model.blocks:
                block.cache[:, :going, :, :at] = block.cache[:, keep, :, :at]
            fresh, ended, rows = fresh[keep], ended[keep], going
    return drawn


def main():
    rounds, rows, threads = (int(a) for a in sys.argv[1:4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = Gpt(rows).eval()
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.02)
    forbidden = torch.zeros(VOCABULARY, dtype=torch.bool)
    forbidden[FORBIDDEN] = True
    best = 0.0
    with torch.inference_mode():
        for step in range(rounds + 2):
            prompts = torch.randint(10, (rows, PROMPT))
            start = time.perf_counter()
            drawn = answer(model, prompts, forbidden)
            seconds = time.perf_counter() - start
            if step >= 2:
                best = max(best, drawn / seconds)
    print(f"  PyTorch {torch.__version__}, {threads} threads {best:10.0f} tokens/s")


if __name__ == "__main__":
    main()
