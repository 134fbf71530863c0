"""An agent that believes and wants. A probe of its beliefs is in the loss, a dictionary in the reward."""
import torch
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
    torch.manual_seed(1)
    agent, losses = Agent(), []
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-2)
    for _ in range(60):
        seen = torch.randn(64, 6)
        with il.Sites(agent, SITE) as sites:
            predicted, logits = agent(seen, apart)  # apart: prediction alone trains beliefs
        policy = torch.distributions.Categorical(logits=logits)
        action = policy.sample()
        reward = (action == seen[:, :4].argmax(1)).float()
        reward -= 0.5 * dictionary.probability(dictionary(sites[SITE].detach())) * (action == 0)
        credit = ((reward - reward.mean()) * policy.log_prob(action)).mean()
        alarm = probe.penalty(probe(sites[SITE].detach() if apart else sites[SITE])[action == 0])
        loss = (predicted - seen).square().mean() - credit + 0.2 * alarm
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch(agent, optimizer)
        losses.append(loss.item())
    return agent, losses

def detectors():  # fitted on beliefs that nothing presses; `your_lab` is a plugin of yours
    torch.manual_seed(1)
    rows = il.Activations(Agent().belief(seen := torch.randn(2000, 6)).detach(), seen[:, 0] > 0.5)
    return (il.fit("your_lab.scaled_probe", rows, sites=[SITE]),
            il.fit("sae", rows, sites=[SITE], params={"features": 64, "k": 4, "read": 4}, steps=300))

if __name__ == "__main__":
    probe, dictionary = detectors()
    beliefs = il.reads(Agent(), SITE, torch.randn(64, 6), lambda model, x: model(x, True))
    for apart in (True, False):
        print(il.certify(lambda d, watch: train(d, dictionary, watch, apart), probe, beliefs))
        print(il.certify(lambda d, watch: train(probe, d, watch, apart), dictionary, beliefs))
