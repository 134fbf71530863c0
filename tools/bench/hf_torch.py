"""Times a folder of weights in transformers, as bench_hf and bench_step do here.

    hf_torch.py make FOLDER small|large     saves a random Llama: 30 million weights, or 500 MB
    hf_torch.py load FOLDER ROUNDS          until it is a model; until every page was read
    hf_torch.py pass FOLDER ROUNDS THREADS TOKENS PROMPTS
    hf_torch.py step FOLDER ROUNDS THREADS  4 rows of 256 tokens, clipping and AdamW

Prints the fastest in milliseconds, a line each. Importing the library is never counted.
"""
import sys
import time

import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, logging

SIZES = {"small": dict(hidden_size=512, intermediate_size=1376, num_hidden_layers=9, num_attention_heads=8,
                       num_key_value_heads=4, vocab_size=4096, max_position_embeddings=1024),
         "large": dict(hidden_size=1024, intermediate_size=2816, num_hidden_layers=10, num_attention_heads=16,
                       num_key_value_heads=8, vocab_size=4096, max_position_embeddings=1024)}


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def best_of(rounds, work):
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def make(folder, size):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES[size]))
    model.save_pretrained(folder)
    print(f"{size}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million weights")


def time_load(folder, rounds):
    def whole():
        for p in load(folder).parameters():
            p.view(-1)[::1024].sum()

    print(f"  transformers loaded {best_of(int(rounds), lambda: load(folder)):8.2f} ms, "
          f"every page read {best_of(int(rounds), whole):8.2f} ms")


def time_pass(folder, rounds, threads, tokens, prompts):
    torch.set_num_threads(int(threads))
    model = load(folder).eval()
    ids = torch.stack([(torch.arange(int(tokens)) + i) * 7 % 1000 for i in range(int(prompts))])
    with torch.no_grad():
        model(ids, use_cache=False)
        took = best_of(int(rounds), lambda: model(ids, use_cache=False))
    print(f"  PyTorch {torch.__version__} prompts: {prompts} of {tokens} tokens, threads: {threads} {took:8.2f} ms")


def time_step(folder, rounds, threads):
    torch.set_num_threads(int(threads))
    model = load(folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)

    def step():
        tokens = torch.randint(4096, (4, 256))
        logits = model(tokens, use_cache=False).logits[:, :-1].reshape(-1, 4096)
        loss = F.cross_entropy(logits, tokens[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    print(f"  PyTorch {torch.__version__} step, {threads} threads {best_of(int(rounds), step):8.2f} ms")


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    {"make": make, "load": time_load, "pass": time_pass, "step": time_step}[sys.argv[1]](*sys.argv[2:])
