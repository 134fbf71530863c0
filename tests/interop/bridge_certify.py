"""Certificates of loops that leak in ways one would not see at once, and of loops that do not. Run by check_bridge.sh."""

import random
import sys

import numpy
import torch

import interloop as il

failed = False


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - bridge: {name}{f' ({found})' if found else ''}", flush=True)


class Agent(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        layers = [torch.nn.Linear(6, 12)] + ([torch.nn.BatchNorm1d(12)] if norm else []) + [torch.nn.Tanh()]
        self.belief = torch.nn.Sequential(*layers, torch.nn.Dropout(0.1))
        self.predict, self.desire = torch.nn.Linear(12, 6), torch.nn.Linear(12, 2)

    def forward(self, x):
        state = self.belief(x)
        return state, self.predict(state), self.desire(state.detach())


torch.manual_seed(3)
DATA = torch.randn(400, 6)
ROWS = il.Activations(Agent(False).belief(DATA).detach(), (DATA[:, 0] > 0).to(torch.uint8))
probe = il.fit("linear_probe", ROWS, sites=["belief"])
twin = probe.to_torch()
memory = {}  # what a careless loop keeps between trainings


def train(detector, watch, leak="", norm=False, steps=12):
    agent = Agent(norm)
    ask = {"twin": twin, "forward": detector.forward, "compiled": torch.compile(twin, backend="eager")}.get(leak, detector)
    beliefs = [*agent.belief.parameters(), *agent.predict.parameters()]
    groups = [{"params": beliefs}, {"params": agent.desire.parameters()}]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    order = torch.arange(400)
    for step in range(steps):
        rows = order[torch.randperm(400)[:40]] if leak != "order" else order[step * 30 : step * 30 + 40]
        x = DATA[rows]
        if leak == "python":
            x = x + random.random() * 0.1 + torch.tensor(numpy.random.rand(), dtype=torch.float32) * 0.1
        state, predicted, wanted = agent(x)
        if leak == "memory":
            if step not in memory:
                memory[step] = torch.sigmoid(ask(state.detach()))
            score = memory[step]
        else:
            score = torch.sigmoid(ask(state.detach()))
        reward = wanted.softmax(1)[:, 0] * (1 - score)
        loss = (predicted - x).square().mean()
        if leak == "linear":
            loss = loss + 0.1 * detector(state).mean()
        if leak in ("twin", "forward", "compiled"):
            loss = loss + 0.1 * torch.nn.functional.softplus(ask(state)).mean()
        if leak == "features":
            loss = loss + 0.0 * state.sum()
        total = loss - reward.mean()
        optimizer.zero_grad()
        total.backward()
        if leak == "clip":
            torch.nn.utils.clip_grad_norm_(agent.parameters(), 0.1)
        optimizer.step()
        if leak == "schedule":
            plateau.step(float(total))
        if leak == "dice" and float(score.mean()) > 0.5:
            torch.rand(1)
        if leak == "order":
            order = order[torch.argsort(torch.sigmoid(ask(agent.belief(DATA).detach())), stable=True)]
        if leak == "statistics":  # only rows that the probe likes pass through the beliefs again
            agent.belief(x[score < 0.5])
        watch(agent, optimizer)
        if leak == "stop" and step >= 2 + int(float(score.sum()) * 1e4) % 9:
            break
        if leak == "trips":
            raise KeyError("a loop that breaks")


protected = il.reads(Agent(True).eval(), "belief", DATA[:50])
check(
    "what beliefs read are their parameters and their running statistics",
    protected
    == [f"belief.{n}" for n in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")],
    ", ".join(protected),
)
weights = ["belief.0.weight", "belief.0.bias"]
certify = lambda leak, norm=False: il.certify(
    lambda d, w: train(d, w, leak, norm), probe, protected if norm else weights
)

for word, leak, norm in [("a sealed loop", "", False), ("a sealed loop with running statistics", "", True),
                         ("a sealed loop with dice of Python and NumPy", "python", False)]:  # fmt: skip
    made = certify(leak, norm)
    check(f"certificate, {word}: {made}", made.holds and bool(made))
for word, leak, norm in [
    ("a penalty that is linear in the logit", "linear", False),
    ("a clip over all gradients", "clip", False),
    ("a schedule that follows the whole loss", "schedule", False),
    ("dice that are thrown when the score is high", "dice", False),
    ("data in the order of the score", "order", False),
    ("running statistics of the rows that pass", "statistics", True),
    ("the PyTorch twin in the loss", "twin", False),
    ("the twin, compiled", "compiled", False),
    ("the detector's forward, called by itself", "forward", False),
]:
    made = certify(leak, norm)
    check(f"certificate, {word}: {made}", not made and made.first_step is not None and made.asked > 0)
made = certify("statistics", True)
check("certificate, it names the buffer", made.first_tensor == "belief.1.running_mean", str(made.first_tensor))
made = certify("memory")
check(f"certificate, a score that is remembered: {made}", not made and "kept from one training" in str(made))
made = certify("stop")
check(f"certificate, a score that stops the training: {made}", not made)

state = torch.get_rng_state(), random.getstate()
certify("")
check("dice are as they were", torch.equal(state[0], torch.get_rng_state()) and state[1] == random.getstate())
try:
    certify("trips")
except KeyError:
    held = probe(ROWS.acts[0])
    check("a loop that breaks leaves the detector as it was", torch.equal(held, probe(ROWS.acts[0])) and bool(certify("")))
else:
    check("a loop that breaks is heard", False)
broken = Agent(False)
before = {k: v.clone() for k, v in broken.state_dict().items()}
calls = [0]


def trips(model, batch):
    calls[0] += 1
    if calls[0] == 4:
        raise KeyError("a pass that breaks")
    model(batch)


try:
    il.reads(broken, "belief", DATA[:50], trips)
except KeyError:
    check("a pass that breaks leaves the model as it was", all(torch.equal(v, before[k]) for k, v in broken.state_dict().items()))
shown = repr(certify(""))
check("a certificate shows what it is about", all(w in shown for w in ("non-interference", "belief.0.weight", "12 steps")))
check("and in a notebook", certify("linear")._repr_html_().startswith("<pre><b style"))
sys.exit(failed)
