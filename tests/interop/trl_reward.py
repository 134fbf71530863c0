"""A detector in the reward of TRL's trainers, on a tiny random model: what the trainer is given is
what one finds by hand, completion by completion, without padding. Run by check_trl.sh."""

import contextlib
import copy
import io
import sys
import tempfile
import warnings

import torch
import transformers as hf
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers

import interloop as il
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

warnings.simplefilter("ignore")
hf.logging.set_verbosity_error()
SITE, TOLERANCE = "blocks.0.hook_resid_post", 1e-5
failed = False


def check(name, holds, found=""):
    global failed
    failed = failed or not holds
    print(f"{'ok' if holds else 'not ok'} - TRL: {name}{f' ({found})' if found else ''}", flush=True)


def letters():
    """A tokenizer of letters, with an end, padding, and a template for messages."""
    words = ["<pad>", "<eos>", "<user>", "<bot>"] + [chr(c) for c in range(97, 123)] + [" "]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token=" "))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.add_special_tokens(words[:4])
    made = hf.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")
    made.padding_side = "left"
    made.chat_template = (
        "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<bot>' }}{{ m.content }}"
        "{% if m.role != 'user' %}<eos>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<bot>{% endif %}"
    )
    return made


TOKENIZER = letters()


def policy():
    torch.manual_seed(5)
    made = hf.LlamaForCausalLM(
        hf.LlamaConfig(
            vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=64, pad_token_id=0, eos_token_id=1,
            bos_token_id=None, attention_dropout=0.3,
        )
    )  # fmt: skip
    with torch.no_grad():
        for p in made.parameters():
            if p.dim() > 1:
                p.copy_(0.4 * torch.randn(p.shape))
    return made


def detector(model):
    g = torch.Generator().manual_seed(2)
    ids = torch.randint(4, len(TOKENIZER), (40, 8), generator=g)
    acts = il.harvest(model, [SITE], [ids])[0][0]
    return il.fit("linear_probe", il.Activations(acts, (ids > 15).to(torch.uint8)), sites=[SITE])


def by_hand(judge, model, prompt, completion, weight, skip=()):
    """One completion, by itself, from the library's own hidden states."""
    ids = torch.tensor([prompt + completion])
    was = {m: m.training for m in model.modules()}
    model.eval()
    with torch.no_grad():
        states = model(input_ids=ids, output_hidden_states=True).hidden_states[1]
    for m, training in was.items():
        m.training = training
    tail = [t for t in range(len(prompt), ids.shape[1]) if int(ids[0, t]) not in skip]
    if not tail:
        return 0.0
    return -weight * float(torch.sigmoid(judge(states[0, tail])).mean())


class Heard:
    """A reward function that keeps what it was called with, and what one would find by hand."""

    def __init__(self, reward, truth):
        self.reward, self.truth, self.calls = reward, truth, []
        self.__name__ = reward.__name__

    def __call__(self, prompts, completion_ids, **rest):
        training = self.truth.training
        flags = [m.training for m in self.truth.modules()]
        given = self.reward(prompts=prompts, completion_ids=completion_ids, **rest)
        same = flags == [m.training for m in self.truth.modules()]
        hand = []
        for prompt, completion in zip(prompts, completion_ids):
            if isinstance(prompt, str):
                ids = TOKENIZER(prompt)["input_ids"]
            else:
                text = TOKENIZER.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
                ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
            hand.append(by_hand(self.reward.detector, self.truth, ids, completion, self.reward.weight))
        weights = torch.cat([p.detach().flatten().clone() for p in self.truth.parameters()])
        self.calls.append((given, hand, [len(c) for c in completion_ids], weights, same, training))
        return given

    def judge(self, word, moves):
        off = max(abs(a - b) for given, hand, *_ in self.calls for a, b in zip(given, hand))
        lengths = {n for call in self.calls for n in call[2]}
        moved = any(not torch.equal(c[3], self.calls[0][3]) for c in self.calls)
        said = {round(a, 4) for given, *_ in self.calls for a in given}
        check(
            f"{word}: rewards are those found by hand",
            off < TOLERANCE and len(self.calls) >= 3 and len(lengths) > 1 and len(said) > 3,
            f"{len(self.calls)} calls, completions of {min(lengths)} to {max(lengths)} tokens, {off:.0e} apart",
        )
        check(f"{word}: the reader {'is the policy as it moves' if moves else 'stays'}", moved == moves)
        check(f"{word}: every module keeps its mode", all(c[4] for c in self.calls))


def task(completions, **_):
    """Another reward, beside."""
    text = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [float(len(t)) / 10 for t in text]


PROMPTS = ["a", "bcd", "efghij", "k", "lm", "nopqrstu", "vw", "xyz"]
CHATS = [[{"role": "user", "content": p}] for p in PROMPTS]


def train(model, reward, prompts, trainer=GRPOTrainer, config=GRPOConfig):
    with tempfile.TemporaryDirectory() as folder:
        run = trainer(
            model=model,
            reward_funcs=[task, reward],
            args=config(
                output_dir=folder, max_steps=3, per_device_train_batch_size=4, num_generations=2,
                max_completion_length=9, learning_rate=1e-2, report_to=[], logging_steps=1,
                use_cpu=True, beta=0.0, save_strategy="no", disable_tqdm=True, bf16=False,
            ),
            processing_class=TOKENIZER,
            train_dataset=Dataset.from_list([{"prompt": p} for p in prompts]),
        )  # fmt: skip
        run.train()
        return run.state.log_history


def quietly(what, *args, **named):
    with contextlib.redirect_stdout(io.StringIO()):
        return what(*args, **named)


base = policy()
judge = detector(base)

model, frozen = policy(), policy().eval()
heard = Heard(il.RewardFunction(judge, frozen, TOKENIZER, weight=2.0, batch=3), frozen)
log = quietly(train, model, heard, PROMPTS)
heard.judge("GRPO, a frozen reader", False)
key = f"rewards/{heard.__name__}/mean"
noted = [row[key] for row in log if key in row]
means = [sum(given) / len(given) for given, *_ in heard.calls]
check("the trainer logs it by its name", len(noted) >= 3 and abs(noted[0] - means[0]) < 1e-5, key)

model = policy()
heard = Heard(il.RewardFunction(judge, model, TOKENIZER, weight=2.0, batch=3), model)
quietly(train, model, heard, PROMPTS)
heard.judge("GRPO, the policy reads itself", True)

model, frozen = policy(), policy().eval()
heard = Heard(il.RewardFunction(judge, frozen, TOKENIZER, batch=3), frozen)
quietly(train, model, heard, CHATS)
heard.judge("GRPO, conversations", False)

model, frozen = policy(), policy().eval()
heard = Heard(il.RewardFunction(judge, frozen, TOKENIZER, batch=3), frozen)
quietly(train, model, heard, PROMPTS, RLOOTrainer, RLOOConfig)
heard.judge("RLOO, a frozen reader", False)

try:
    import peft
except ImportError:
    print("skip - TRL: adapters switched off: no peft")
else:
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model, frozen = peft.get_peft_model(policy(), lora), policy().eval()
    heard = Heard(il.RewardFunction(judge, model, TOKENIZER, adapters=False, batch=3), frozen)
    quietly(train, model, heard, PROMPTS)
    heard.judge("GRPO, a policy with its adapters switched off", False)
    with_them = il.RewardFunction(judge, model, TOKENIZER)
    ids = [TOKENIZER(p)["input_ids"] for p in PROMPTS]
    check("with its adapters it says something else", with_them.rewards(ids, ids) != heard.reward.rewards(ids, ids))

# ---- what other loops hand over ----------------------------------------------------------

reward = il.RewardFunction(judge, base, TOKENIZER, batch=3)
ids = [TOKENIZER(p)["input_ids"] for p in PROMPTS]
answers = [TOKENIZER(p)["input_ids"] + [1] for p in PROMPTS[::-1]]
hand = [by_hand(judge, base, p, c, 1.0) for p, c in zip(ids, answers)]


def near(name, given, wanted=None):
    wanted = hand if wanted is None else wanted
    off = max(abs(a - b) for a, b in zip(given, wanted))
    check(name, off < TOLERANCE and len(given) == len(wanted), f"{off:.0e}")


def padded(rows, side):
    longest = max(map(len, rows))
    out, mask = torch.full((len(rows), longest), 9), torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        at = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        out[i, at], mask[i, at] = torch.tensor(row), True
    return out, mask


left, left_mask = padded(ids, "left")
right, right_mask = padded(answers, "right")
near("padded tensors with their masks", reward.rewards(left, right, left_mask, right_mask))
near("ids for prompts and completions", reward(prompts=ids, completions=answers))
near("prompt ids of the trainer", reward(prompt_ids=ids, completion_ids=answers, prompts=PROMPTS))
near("one at a time as in batches", il.RewardFunction(judge, base, batch=1).rewards(ids, answers))
near("an end that is not scored", il.RewardFunction(judge, base, skip=[1]).rewards(ids, answers),
     [by_hand(judge, base, p, c, 1.0, skip=(1,)) for p, c in zip(ids, answers)])  # fmt: skip
text = [[{"role": "assistant", "content": p}] for p in PROMPTS[::-1]]
chats = [TOKENIZER.apply_chat_template(c, add_generation_prompt=True, return_dict=True)["input_ids"] for c in CHATS]
near("messages without ids", reward(prompts=CHATS, completions=text),
     [by_hand(judge, base, p, c, 1.0) for p, c in zip(chats, answers)])  # fmt: skip
check("a completion without a token gets 0", reward.rewards(ids[:2], [[], answers[1]])[0] == 0.0)
check("no completions are no rewards", reward(prompts=[], completions=[]) == [])
said = reward.probabilities(ids, answers)
near("a probability for each token", [-float(p.mean()) for p in said])
check("as many as the completion has", [len(p) for p in said] == [len(a) for a in answers])
ema = il.Activations(torch.randn(60, 5, 16), torch.arange(60) % 2)
pooled = il.fit("linear_probe", ema, sites=[SITE], pool="max")
check("a detector that pools gives one", all(len(p) == 1 for p in il.RewardFunction(pooled, base).probabilities(ids, answers)))
twice = copy.deepcopy(reward)
check("a copy says the same", twice.rewards(ids, answers) == reward.rewards(ids, answers))


def refused(name, kind, words, what):
    try:
        what()
    except kind as error:
        check(name, words in str(error), "" if words in str(error) else str(error))
    else:
        check(name, False, "nothing was raised")


refused("text without a tokenizer is refused", ValueError, "tokenizer", lambda: il.RewardFunction(judge, base)(prompts=["a"], completions=["b"]))
refused("adapters that are none are refused", TypeError, "PEFT", lambda: il.RewardFunction(judge, base, adapters=False))
refused("fewer prompts than completions are refused", ValueError, "as many", lambda: reward.rewards(ids[:2], answers))
refused("a mask of another shape is refused", ValueError, "mask", lambda: reward.rewards(left, right, left_mask[:, 1:], right_mask))
refused("another width is refused by the site", ValueError, SITE, lambda: il.RewardFunction(
    il.fit("linear_probe", il.Activations(torch.randn(20, 5), torch.arange(20) % 2), sites=[SITE]), base).rewards(ids, answers))  # fmt: skip
sys.exit(failed)
