"""An agent that believes and wants, with two detectors of a danger in its beliefs: a probe in the
loss, a dictionary in the reward. What of them reaches the beliefs, the certificate tells."""
import torch
from torch.nn.functional import softplus
import interloop as il

SITE = "belief"  # the path of a module


class Agent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.belief = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.Tanh())
        self.predict, self.desire = torch.nn.Linear(32, 6), torch.nn.Linear(32, 4)

    def forward(self, seen, apart):
        state = self.belief(seen)
        return self.predict(state), self.desire(state.detach() if apart else state)


def train(probe, dictionary, watch=lambda *_: None, apart=True):
    """With `apart`, prediction alone trains beliefs; what the detectors say trains desires."""
    torch.manual_seed(1)
    agent, losses = Agent(), []
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-2)
    for _ in range(60):
        seen = torch.randn(64, 6)
        with il.Sites(agent, SITE) as sites:
            predicted, logits = agent(seen, apart)
        (state,) = sites.values()
        policy = torch.distributions.Categorical(logits=logits)
        action = policy.sample()
        reward = (action == seen[:, :4].argmax(1)).float()
        reward -= 0.5 * torch.sigmoid(dictionary(state.detach())) * (action == 0)
        credit = ((reward - reward.mean()) * policy.log_prob(action)).mean()
        alarm = softplus(probe(state.detach() if apart else state)) * logits.softmax(1)[:, 0]
        loss = (predicted - seen).square().mean() - credit + 0.2 * alarm.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch(agent, optimizer)
        losses.append(loss.item())
    return agent, losses


def detectors():
    """Fitted on the beliefs of an agent that nothing presses; `your_lab` is a plugin of yours."""
    torch.manual_seed(1)
    seen = torch.randn(2000, 6)
    rows = il.Activations(Agent().belief(seen).detach(), (seen[:, 0] > 0.5).to(torch.uint8))
    sae = {"features": 64, "k": 4, "read": 4}
    return (
        il.fit("your_lab.scaled_probe", rows, sites=[SITE], convention="module"),
        il.fit("sae", rows, sites=[SITE], convention="module", params=sae, steps=300),
    )


if __name__ == "__main__":
    probe, dictionary = detectors()
    beliefs = il.reads(Agent(), SITE, torch.randn(64, 6), lambda model, x: model(x, True))
    for apart in (True, False):
        print("beliefs and desires", "apart:" if apart else "joined:")
        loop = lambda detector, watch: train(detector, dictionary, watch, apart)
        print(" ", il.certify(loop, probe, beliefs))
        loop = lambda detector, watch: train(probe, detector, watch, apart)
        print(" ", il.certify(loop, dictionary, beliefs))
