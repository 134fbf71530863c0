"""The Python package under hands that are not careful: inputs of every kind, transforms, threads, forks, wrappers,
compilation, memory. Run by check_bridge.sh; prints a line a check."""

import copy
import gc
import os
import pickle
import sys
import threading
import warnings

import torch

import interloop as il

warnings.simplefilter("ignore")
failed = False


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - bridge: {name}{f' ({found})' if found else ''}", flush=True)


def refused(name, kind, words, what):
    try:
        what()
    except kind as error:
        check(name, words in str(error), "" if words in str(error) else str(error)[:200])
    except Exception as error:
        check(name, False, f"{type(error).__name__}: {str(error)[:200]}")
    else:
        check(name, False, "nothing was raised")


g = torch.Generator().manual_seed(11)
X = torch.randn(600, 12, generator=g)
Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).to(torch.uint8)
ROWS = il.Activations(X, Y, torch.arange(600) // 2)
SEQUENCES = il.Activations(X.reshape(50, 12, 12), Y.reshape(50, 12)[:, 0])
SHELF = {
    "linear_probe": il.fit("linear_probe", ROWS),
    "lda": il.fit("lda", ROWS),
    "mean_difference": il.fit("mean_difference", ROWS),
    "sparse_probe": il.fit("sparse_probe", ROWS),
    "mlp_probe": il.fit("mlp_probe", ROWS, params={"hidden": 16}),
    "polynomial_probe": il.fit("polynomial_probe", ROWS, params={"order": 3}),
    "mahalanobis": il.fit("mahalanobis", ROWS),
    "relative_mahalanobis": il.fit("relative_mahalanobis", ROWS),
    "knn": il.fit("knn", ROWS),
    "ensemble": il.fit("ensemble", ROWS, params={"scale": "probability"}),
    "cascade": il.fit("cascade", ROWS, params={"combine": "mean"}),
    "sae": il.fit("sae", ROWS, params={"features": 48, "k": 6, "read": 3, "aux": 0}, steps=60),
    "attention_probe": il.fit("attention_probe", SEQUENCES, context="past", steps=60),
}
probe, mlp = SHELF["linear_probe"], SHELF["mlp_probe"]

# ---- every detector of the shelf: gradcheck, wide and narrow twins, compilation --------

for word, d in SHELF.items():
    x = X[:36].reshape(3, 12, 12)[:, :4] if word == "attention_probe" else X[7:13]
    twin = d.to_torch()
    exact = copy.deepcopy(twin).double()
    wide = x.double().requires_grad_(True)
    check(f"{word}: the twin in doubles passes gradcheck", torch.autograd.gradcheck(exact, (wide,)))
    ours = torch.autograd.grad(d(narrow := x.clone().requires_grad_(True)).sum(), narrow)[0]
    theirs = torch.autograd.grad(exact(wide).sum(), wide)[0]
    off = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1))
    check(f"{word}: and its derivative is the detector's", off < 1e-5, f"{off:.0e}")
    # Of the bits half: what is left is their rounding. A difference of distances loses more, and
    # where it decides (a dictionary's choice, a bound, a neighbour), a few rows change sides.
    half = copy.deepcopy(twin).to(torch.bfloat16)(x.to(torch.bfloat16)).float()
    plain = d(x)
    off = (half - plain).abs() / plain.abs().max().clamp(min=1)
    edge = word in ("sae", "cascade", "knn")
    off = float(off.median() if edge else off.max())
    most = 0.2 if word == "relative_mahalanobis" else 0.05
    check(f"{word}: the twin in bf16 says the same to {most:.0%}{' by the median' if edge else ''}", off < most, f"{off:.1%}")
    compiled = torch.compile(twin.score, fullgraph=True, backend="aot_eager")
    check(f"{word}: the twin compiles whole", torch.allclose(compiled(x), plain, atol=1e-4))
    names = list(twin.state_dict())
    again = d.to_torch()
    with torch.no_grad():
        for p in again.parameters():
            p.zero_()
    again.load_state_dict(twin.state_dict())
    check(f"{word}: its state goes into another", torch.equal(again(x), twin(x)), ", ".join(names))

# ---- numbers as they come ---------------------------------------------------------------

check("an expanded row", torch.equal(probe(X[:1].expand(7, 12)), probe(X[:1].repeat(7, 1))))
check("every other row", torch.equal(probe(X[::2]), probe(X)[::2]))
check("a slice of channels of something wider", torch.equal(probe(torch.cat([X, X], 1)[:, 12:]), probe(X)))
check("a lazily negated view", torch.equal(probe(torch._neg_view(X)), probe(-X)))
for dtype in (torch.float64, torch.float16, torch.bfloat16):
    near = (probe(X.to(dtype)).float() - probe(X.to(dtype).float())).abs().max() < 0.05
    check(f"{dtype} comes back as it went in", probe(X.to(dtype)).dtype is dtype and bool(near))
check("one row without leading dimensions", torch.equal(probe(X[0]), probe(X[:1])[0]))
torn = torch.cat([X[:3], X[3:4] * float("nan"), X[4:]])
check("a row that is no number spoils itself alone", probe(torn).isnan().nonzero().tolist() == [[3]])
many = torch.randn(1_500_000, 12, generator=g)
check("a million rows are the same rows", torch.equal(probe(many)[-600:], probe(many[-600:].clone())))
del many
check("without a derivative there is no graph", not probe(X).requires_grad and probe(X.clone().requires_grad_(True)).requires_grad)
none = X[:0].clone().requires_grad_(True)
check("no rows have a derivative", torch.autograd.grad(probe(none).sum() + probe.penalty(probe(none)), none)[0].shape == (0, 12))
blank = X.reshape(50, 12, 12).clone().requires_grad_(True)
hidden = probe(blank, mask=torch.zeros(50, 12, dtype=torch.bool))
check("nothing scored has a derivative of zeros", float(torch.autograd.grad(hidden.sum(), blank)[0].abs().sum()) == 0)
with torch.inference_mode():
    check("inference mode", torch.equal(probe(X * 1), probe(X)))
with torch.autocast("cpu", dtype=torch.bfloat16):
    check("autocast leaves numbers as they are", torch.equal(probe(X), probe(X.clone())) and probe(X).dtype is torch.float32)

# ---- refusals, by name ------------------------------------------------------------------

three = X.reshape(50, 12, 12)
refused("a meta tensor", TypeError, "meta", lambda: probe(X.to("meta")))
refused("whole numbers", TypeError, "real numbers", lambda: probe(X.long()))
refused("a sparse tensor", TypeError, "sparse", lambda: probe(X.to_sparse()))
refused("complex numbers", TypeError, "real numbers", lambda: probe(X.to(torch.complex64)))
refused("no tensor", TypeError, "site", lambda: probe(X.tolist()))
refused("no rows of another width", ValueError, "width of 12, got 5", lambda: probe(X[:0, :5]))
refused("a single number", ValueError, "width", lambda: probe(X[0, 0]))
refused("nothing at all", ValueError, "linear_probe", lambda: probe())
refused("a mask of fractions", TypeError, "mask", lambda: probe(three, mask=torch.ones(50, 12)))
refused("lengths of fractions", TypeError, "lengths", lambda: probe(three, lengths=torch.full((50,), 2.5)))
refused("lengths below zero", ValueError, "lengths[0]", lambda: probe(three, lengths=torch.full((50,), -1)))
refused("lengths of more than 32 bits", ValueError, "32 bits", lambda: probe(three, lengths=torch.full((50,), 2**32 + 3)))
refused("vmap", NotImplementedError, "linear_probe", lambda: torch.func.vmap(probe)(three))
refused("torch.func.grad", NotImplementedError, "linear_probe", lambda: torch.func.grad(lambda x: probe(x).sum())(X))
refused("forward mode", NotImplementedError, "forward-mode", lambda: torch.autograd.forward_ad.dual_level().__enter__() and 0 or probe(torch.autograd.forward_ad.make_dual(X, X)))
torch.autograd.forward_ad.exit_dual_level()
refused("a Hessian", RuntimeError, "mlp_probe", lambda: torch.autograd.functional.hessian(lambda x: mlp(x).sum(), X[:2]))
refused("a trace", NotImplementedError, "linear_probe", lambda: torch.jit.trace(probe, (X,)))
refused("a script", NotImplementedError, "linear_probe", lambda: torch.jit.script(torch.nn.Sequential(probe)))
refused("a pickle", TypeError, "save()", lambda: pickle.dumps(probe))
if hasattr(torch, "export"):
    refused("an export", NotImplementedError, "linear_probe", lambda: torch.export.export(probe, (X,), strict=False))
refused("a parameter that is none", ValueError, "hiden", lambda: il.fit("mlp_probe", ROWS, params={"hiden": 3}))
refused("a parameter out of bounds", ValueError, "hidden: expected a whole number", lambda: il.fit("mlp_probe", ROWS, params={"hidden": -3}))
refused("rows that are no numbers", (ValueError, RuntimeError), "", lambda: il.fit("linear_probe", il.Activations(torn, Y)))
refused("a folder of plugins that is none", (ValueError, RuntimeError), "/nowhere", lambda: il.use_plugins("/nowhere"))
refused("a file that is none", (ValueError, OSError, RuntimeError), "/nowhere.safetensors", lambda: il.load("/nowhere.safetensors"))

# ---- modules in modules -----------------------------------------------------------------

holder = torch.nn.Sequential(torch.nn.Linear(12, 12), probe)
check("it adds nothing to a state", list(holder.state_dict()) == ["0.weight", "0.bias"])
check("nor to what an optimizer steps", len(list(holder.parameters())) == 2)
check("a copy of its holder shares it", copy.deepcopy(holder)[1] is probe)
check("a holder that is halved leaves it whole", torch.equal(copy.deepcopy(holder).half()[1](X), probe(X)))

torch.manual_seed(0)
linear = torch.nn.Linear(12, 12)
whole = lambda x: torch.relu(probe(torch.tanh(linear(x))) * 2).sum()
plain, cut = X.clone().requires_grad_(True), X.clone().requires_grad_(True)
whole(plain).backward()
torch.compile(whole, backend="aot_eager")(cut).backward()
check("a compiled loss around it has its derivative", torch.allclose(plain.grad, cut.grad, atol=1e-6))
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29581")
if torch.distributed.is_available():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    torch.manual_seed(0)
    alone, parallel = copy.deepcopy(holder), torch.nn.parallel.DistributedDataParallel(copy.deepcopy(holder))
    alone(X).sum().backward()
    parallel(X).sum().backward()
    check("parallel training sees through it", torch.equal(alone[0].weight.grad, parallel.module[0].weight.grad))
    with il.Sites(parallel, "0") as sites:
        parallel(X)
    check("and sites are found inside", sites["0"].shape == (600, 12))
    torch.distributed.destroy_process_group()
body = torch.nn.Sequential(torch.nn.Linear(12, 12), torch.nn.Tanh())
quick = torch.compile(body, backend="eager")
with il.Sites(quick, "0", detach=True) as sites:
    quick(X)
    check("and inside what is compiled", torch.equal(sites["0"], body[0](X).detach()))
with torch.no_grad():
    body[0].weight.zero_()
with il.Sites(quick, "0", detach=True) as sites:
    quick(X)
    check("as it is now, compiled already", torch.equal(sites["0"], body[0](X).detach()))

# ---- many at once -----------------------------------------------------------------------

wanted = {w: d(three if w == "attention_probe" else X).clone() for w, d in SHELF.items()}
wrong = []


def ask():
    for _ in range(20):
        for word, d in SHELF.items():
            x = (three if word == "attention_probe" else X).clone().requires_grad_(True)
            z = d(x)
            z.sum().backward()
            if not torch.equal(z.detach(), wanted[word]) or x.grad is None:
                wrong.append(word)


threads = [threading.Thread(target=ask) for _ in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
check("six threads ask all of the shelf and hear what one does", not wrong, str(set(wrong)) if wrong else "")

kept = probe(three[:1].clone().requires_grad_(True))
crossed = []
back = threading.Thread(target=lambda: crossed.append(kept.sum().backward()))
back.start()
back.join()
check("a graph of one thread is differentiated in another", len(crossed) == 1)


class Scored(torch.utils.data.Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, i):
        return probe(X[i : i + 8]), il.fit("linear_probe", ROWS)(X[i : i + 8]) if i % 16 == 0 else probe(X[i : i + 8])


if "fork" in torch.multiprocessing.get_all_start_methods():
    loader = torch.utils.data.DataLoader(Scored(), batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=60)
    found = torch.cat([first for first, _ in loader])
    check("forked workers hear the same", torch.equal(found, torch.stack([probe(X[i : i + 8]) for i in range(64)])))

# ---- memory -----------------------------------------------------------------------------


def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def work(times):
    x = torch.randn(64, 12, requires_grad=True)
    for i in range(times):
        probe(x).sum().backward()
        x.grad = None
        mlp(X[:4])
        probe(x)  # a graph that nobody differentiates
        if i % 50 == 0:
            for wrong in (lambda: probe._ask((X,), torch.ones(3, 3, dtype=torch.bool), None, None),
                          lambda: probe(three, lengths=torch.full((50,), 13))):  # fmt: skip
                try:
                    wrong()
                except ValueError:
                    pass
        if i % 500 == 0:
            probe.tensors()
            probe.probability(il.fit("mean_difference", ROWS)(X))


if os.path.exists("/proc/self/statm"):
    work(3000)
    before = resident()
    work(34000)
    grown = resident() - before
    check("a hundred thousand calls leave nothing behind", grown < 2048, f"{grown} KiB")

sys.exit(failed)
