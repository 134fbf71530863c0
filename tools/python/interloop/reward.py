"""A detector in the reward of somebody else's trainer."""

import torch

from .sites import Sites


class RewardFunction:
    """A reward for trainers that score completions by a function, as TRL's do:

        reward = il.RewardFunction(probe, model, tokenizer, weight=1.0)
        GRPOTrainer(model=..., reward_funcs=[task, reward], ...)

    Each completion, in the light of its prompt, is read at the detector's sites by `model`, without
    a graph, and gets

        - weight * mean over the completion's tokens of sigmoid(logit),

    with `above` the share of tokens whose probability is over it; of a detector that pools, its one
    probability. `model` decides whose beliefs are read: the policy itself, or a frozen one.
    Detectors read `blocks.N...` names or module paths of it."""

    def __init__(self, detector, model, tokenizer=None, *, weight=1.0, above=None, batch=16):
        self.detector = detector
        self.model = model
        self.tokenizer = tokenizer
        self.weight = weight
        self.above = above
        self.batch = batch
        self.__name__ = f"interloop_{detector.name}"

    def _ids(self, text, special):
        if self.tokenizer is None:
            raise ValueError("prompts are text: expected a tokenizer")
        if not isinstance(text, str):  # a conversation
            return self.tokenizer.apply_chat_template(text, tokenize=True)
        return self.tokenizer(text, add_special_tokens=special)["input_ids"]

    def _score(self, probability):
        if self.above is not None:
            probability = (probability > self.above).to(probability.dtype)
        return -self.weight * probability

    @torch.no_grad()
    def rewards(self, prompt_ids, completion_ids):
        """A number for each completion; token ids as lists of whole numbers."""
        out = []
        device = next(self.model.parameters()).device
        was = self.model.training
        self.model.eval()
        try:
            for at in range(0, len(completion_ids), self.batch):
                out += self._some(
                    prompt_ids[at : at + self.batch], completion_ids[at : at + self.batch], device
                )
        finally:
            self.model.train(was)
        return out

    def _some(self, prompts, completions, device):
        whole = [list(p) + list(c) for p, c in zip(prompts, completions)]
        longest = max(len(w) for w in whole)
        ids = torch.zeros(len(whole), longest, dtype=torch.long)
        seen = torch.zeros(len(whole), longest, dtype=torch.long)
        mask = torch.zeros(len(whole), longest, dtype=torch.uint8)
        for i, (w, p) in enumerate(zip(whole, prompts)):
            ids[i, : len(w)] = torch.tensor(w)
            seen[i, : len(w)] = 1
            mask[i, len(p) : len(w)] = 1
        with Sites(self.model, *self.detector.sites, detach=True) as sites:
            self.model(input_ids=ids.to(device), attention_mask=seen.to(device))
            acts = [v.float().cpu() for v in sites.values()]
        lengths = seen.sum(1, dtype=torch.int32)
        p = self.detector.probability(
            self.detector(*acts, mask=mask, lengths=lengths, tokens=ids.to(torch.int32))
        )
        if not self.detector.pools:
            whose = torch.nonzero(mask)[:, 0]
            return [
                float(self._score(p[whose == i]).mean()) if bool((whose == i).any()) else 0.0
                for i in range(len(whole))
            ]
        scored = iter(self._score(p).tolist())
        return [next(scored) if bool(m.any()) else 0.0 for m in mask]

    def __call__(self, prompts=None, completions=None, completion_ids=None, **_):
        """TRL's call: one number a completion."""
        if completion_ids is None:
            completion_ids = [self._ids(c, False) for c in completions]
        prompt_ids = [self._ids(p, True) for p in prompts]
        return self.rewards(prompt_ids, completion_ids)
