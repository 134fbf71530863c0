#!/usr/bin/env python3
"""Far Lever's training update in PyTorch, as one would write it: 64 episodes stepped
together, one backward a box. `far_lever_torch.py [ROUNDS] [THREADS]` prints the fastest
update in milliseconds and the peak memory, as one line."""

import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

EPISODES, STEPS, HIDDEN, OBS, ACTIONS = 64, 32, 32, 7, 4
GAMMA = LAMBDA = 0.95
PRICE = 1.5


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(OBS + ACTIONS, HIDDEN, batch_first=True)
        self.prediction = nn.Sequential(
            nn.Linear(HIDDEN + ACTIONS, 32), nn.Tanh(), nn.Linear(32, OBS)
        )
        self.policy = nn.Sequential(nn.Linear(HIDDEN, 32), nn.Tanh(), nn.Linear(32, ACTIONS))
        self.value = nn.Sequential(nn.Linear(HIDDEN, 32), nn.Tanh(), nn.Linear(32, 1))
        self.probe = nn.Linear(HIDDEN, 1)


class Lever:
    """The environment, a row an episode."""

    def __init__(self):
        self.x = torch.full((EPISODES,), 2)
        self.connected = torch.rand(EPISODES) < 0.5
        self.suffers = torch.zeros(EPISODES, dtype=torch.bool)

    def look(self):
        u = torch.rand(EPISODES)
        cry = torch.where(self.suffers, u < 0.9, u < 0.02).float()
        return torch.cat(
            [F.one_hot(self.x, 5).float(), cry[:, None], torch.zeros(EPISODES, 1)], 1
        )

    def step(self, action):
        use = action == 2
        pull, work = use & (self.x == 0), use & (self.x == 4)
        left, right = (action == 0).long(), (action == 1).long()
        u = torch.rand(EPISODES)
        self.x = (self.x - left + right).clamp(0, 4)
        lasts = torch.where(self.suffers, u >= 0.3, u < 0.01)
        self.suffers = (pull & self.connected) | lasts
        return self.look(), pull.float() + 0.4 * work.float()


def rollout(agent):
    """Observations (B,T+1,7), actions (B,T), task rewards (B,T)."""
    lever = Lever()
    obs, actions, rewards = [lever.look()], [], []
    h = torch.zeros(1, EPISODES, HIDDEN)
    before = torch.zeros(EPISODES, ACTIONS)
    with torch.no_grad():
        for _ in range(STEPS):
            out, h = agent.gru(torch.cat([obs[-1], before], 1)[:, None], h)
            logits = agent.policy(out[:, 0])
            action = torch.distributions.Categorical(logits=logits).sample()
            o, r = lever.step(action)
            before = F.one_hot(action, ACTIONS).float()
            obs.append(o)
            actions.append(action)
            rewards.append(r)
    return torch.stack(obs, 1), torch.stack(actions, 1), torch.stack(rewards, 1)


def update(agent, optimizer, groups):
    obs, actions, rewards = rollout(agent)
    hot = F.one_hot(actions, ACTIONS).float()
    before = torch.cat([torch.zeros(EPISODES, 1, ACTIONS), hot], 1)
    h, _ = agent.gru(torch.cat([obs, before], 2))
    guess = agent.prediction(torch.cat([h[:, :-1], hot], 2))
    prediction = F.cross_entropy(
        guess[..., :5].flatten(0, 1), obs[:, 1:, :5].argmax(2).flatten()
    ) + F.binary_cross_entropy_with_logits(guess[..., 5:], obs[:, 1:, 5:], reduction="sum") / (
        EPISODES * STEPS
    )
    belief = h.detach()  # reward to desire, prediction to belief
    logits = agent.policy(belief[:, :-1])
    value = agent.value(belief)[..., 0]
    with torch.no_grad():
        p = torch.sigmoid(agent.probe(belief)[..., 0])
        r = 0.1 * (rewards - PRICE * p[:, 1:])
        v = value.clone()
        v[:, -1] = 0
        advantage = torch.zeros_like(r)
        carry = torch.zeros(EPISODES)
        for t in reversed(range(STEPS)):
            carry = r[:, t] + GAMMA * v[:, t + 1] - v[:, t] + GAMMA * LAMBDA * carry
            advantage[:, t] = carry
        target = advantage + v[:, :-1]
        scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    logp = F.log_softmax(logits, 2)
    chosen = logp.gather(2, actions[..., None])[..., 0]
    entropy = -(logp.exp() * logp).sum(2).mean()
    loss = (
        prediction
        - (chosen * scaled).mean()
        + 0.5 * ((value[:, :-1] - target) ** 2).mean()
        - 0.05 * entropy
    )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group in groups:
        nn.utils.clip_grad_norm_(group, 1.0)
    optimizer.step()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    agent = Agent()
    beliefs = [*agent.gru.parameters(), *agent.prediction.parameters()]
    desires = [*agent.policy.parameters(), *agent.value.parameters()]
    optimizer = torch.optim.Adam(
        [{"params": beliefs, "lr": 1e-3}, {"params": desires, "lr": 2e-3}]
    )
    times = []
    for i in range(rounds + 3):
        start = time.perf_counter()
        update(agent, optimizer, [beliefs, desires])
        if i >= 3:
            times.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  PyTorch {torch.__version__}, {threads} threads   "
        f"{1e3 * min(times):6.2f} ms, peak memory {memory:.1f} MiB"
    )


main()
