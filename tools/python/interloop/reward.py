"""A detector in the reward of somebody else's trainer."""

import contextlib

import torch

from .sites import Sites, bare, judging


def _lists(ids, mask=None):
    """Sequences of token ids as lists of whole numbers; what the mask leaves out is no token."""
    rows = [row.tolist() if isinstance(row, torch.Tensor) else list(row) for row in ids]
    if mask is None:
        return rows
    kept = [row.tolist() if isinstance(row, torch.Tensor) else list(row) for row in mask]
    if [len(k) for k in kept] != [len(r) for r in rows]:
        raise ValueError("expected a mask of the shape of the ids")
    return [[t for t, on in zip(row, k) if on] for row, k in zip(rows, kept)]


class RewardFunction:
    """A reward for trainers that score completions by a function, as TRL's GRPO and RLOO do:

        reward = il.RewardFunction(probe, frozen, tokenizer, weight=1.0)
        GRPOTrainer(model=policy, reward_funcs=[task, reward], ...)

    Each completion, in the light of its prompt, is read at the detector's sites by `model`, without
    a graph and in evaluation mode, and gets

        - weight * mean over the completion's tokens of the detector's probability,

    with `above` the share of tokens whose probability is over it; of a detector that pools, its one
    probability. A completion without a token gets 0. Every token of a completion counts, the one
    that ends it too; `skip` names ids that are read, but not scored.

    `model` decides whose beliefs are read: the policy itself, or a frozen one. With
    `adapters=False` it is the policy with its PEFT adapters switched off: the base that they were
    put on. `chat` are further arguments of the tokenizer's chat template (tools, a template)."""

    def __init__(
        self,
        detector,
        model,
        tokenizer=None,
        *,
        weight=1.0,
        above=None,
        batch=16,
        adapters=True,
        skip=(),
        chat=None,
        name=None,
    ):
        if batch < 1:
            raise ValueError(f"batch: expected at least 1, got {batch}")
        if not adapters and not hasattr(model, "disable_adapter"):
            raise TypeError(
                f"adapters=False: expected a model with PEFT adapters, got {type(model).__name__}"
            )
        self.detector = detector
        self.model = model
        self.tokenizer = tokenizer
        self.weight = weight
        self.above = above
        self.batch = batch
        self.adapters = adapters
        self.skip = frozenset(int(i) for i in skip)
        self.chat = dict(chat or {})
        self.__name__ = name or f"interloop_{detector.name}"  # trainers log by it

    # ---- tokens ---------------------------------------------------------------------

    def _template(self, messages, start):
        made = self.tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=True, add_generation_prompt=start, **self.chat
        )
        return list(made["input_ids"])

    def _is_chat(self, what):
        return not isinstance(what, str) and len(what) > 0 and isinstance(what[0], dict)

    def _ids(self, what, special):
        """Text, a conversation, or ids already."""
        if isinstance(what, torch.Tensor):
            return what.tolist()
        if not isinstance(what, str) and not self._is_chat(what):
            return list(what)
        if self.tokenizer is None:
            raise ValueError("prompts and completions are text: expected a tokenizer")
        if isinstance(what, str):
            return list(self.tokenizer(what, add_special_tokens=special)["input_ids"])
        return self._template(what, True)

    def _answer(self, prompt, completion, prompt_ids):
        """The ids of a completion that came without."""
        if not self._is_chat(completion):
            return self._ids(completion, False)
        if not self._is_chat(prompt):
            raise ValueError("a completion of messages: expected its prompt as messages, too")
        whole = self._template(prompt + completion, False)
        if whole[: len(prompt_ids)] != prompt_ids:
            raise ValueError(
                "the chat template writes prompt and answer otherwise than the prompt alone: "
                "expected completion_ids"
            )
        return whole[len(prompt_ids) :]

    # ---- scores ---------------------------------------------------------------------

    @torch.no_grad()
    def probabilities(self, prompt_ids, completion_ids, prompt_mask=None, completion_mask=None):
        """What the detector says of each completion: a list of tensors, a probability for each
        token that is scored, or one of a detector that pools. Ids are lists, or padded tensors
        with their masks, on either side."""
        prompts = _lists(prompt_ids, prompt_mask)
        completions = _lists(completion_ids, completion_mask)
        if len(prompts) != len(completions):
            raise ValueError(f"expected as many prompts as completions ({len(completions)}), got {len(prompts)}")
        said = [torch.zeros(0)] * len(completions)
        some = [i for i, c in enumerate(completions) if any(t not in self.skip for t in c)]
        off = contextlib.nullcontext() if self.adapters else self.model.disable_adapter()
        with judging(self.model), off:
            for at in range(0, len(some), self.batch):
                which = some[at : at + self.batch]
                heard = self._some([prompts[i] for i in which], [completions[i] for i in which])
                for i, one in zip(which, heard):
                    said[i] = one
        return said

    def _some(self, prompts, completions):
        """Of a batch, each with something to score. Padding is on the right, where no causal
        model sees it."""
        whole = [p + c for p, c in zip(prompts, completions)]
        shape = (len(whole), max(map(len, whole)))
        ids = torch.zeros(shape, dtype=torch.long)
        seen = torch.zeros(shape, dtype=torch.long)
        mask = torch.zeros(shape, dtype=torch.uint8)
        for i, (w, p) in enumerate(zip(whole, prompts)):
            ids[i, : len(w)] = torch.tensor(w)
            seen[i, : len(w)] = 1
            for t in range(len(p), len(w)):
                mask[i, t] = w[t] not in self.skip
        device = next(self.model.parameters()).device
        known = {"use_cache": False} if hasattr(bare(self.model), "generate") else {}
        with Sites(self.model, *self.detector.sites, detach=True) as sites:
            self.model(input_ids=ids.to(device), attention_mask=seen.to(device), **known)
            acts = [v.float().cpu() for v in sites.values()]
        p = self.detector.probability(
            self.detector(
                *acts,
                mask=mask,
                lengths=seen.sum(1, dtype=torch.int32),
                tokens=ids.to(torch.int32),
            )
        )
        return p.split(1 if self.detector.pools else mask.sum(1).tolist())

    def rewards(self, prompt_ids, completion_ids, prompt_mask=None, completion_mask=None):
        """A number for each completion; arguments as those of `probabilities`."""
        out = []
        for p in self.probabilities(prompt_ids, completion_ids, prompt_mask, completion_mask):
            if self.above is not None:
                p = (p > self.above).float()
            out.append(-self.weight * float(p.mean()) if len(p) else 0.0)
        return out

    def __call__(self, prompts=None, completions=None, completion_ids=None, prompt_ids=None, **_):
        """TRL's call: one number a completion. Prompts and completions are text, messages or ids;
        ids are taken as they are where they are given."""
        if prompts is None and prompt_ids is None:
            raise ValueError("expected `prompts`")
        if prompt_ids is None:
            prompt_ids = [self._ids(p, True) for p in prompts]
        if completion_ids is None:
            if completions is None:
                raise ValueError("expected `completions` or `completion_ids`")
            whose = prompts if prompts is not None else prompt_ids
            completion_ids = [
                self._answer(p, c, list(i)) for p, c, i in zip(whose, completions, prompt_ids)
            ]
        return self.rewards(prompt_ids, completion_ids)
