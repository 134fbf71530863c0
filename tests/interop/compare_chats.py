"""Chat templates against `transformers`: what both write of many conversations, and what both refuse.

Usage: compare_chats.py FOLDER   with INTERLOOP and IL_ROOT set. FOLDER holds templates, *.jinja."""

import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from transformers.utils import chat_template_utils as theirs

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
PIECES = ["Hi", "", " ", "\n\n", "été", "日本 🙂", "<think>\nhm\n</think>\n\n", "x < y & 'z' \"q\"", "\ttab\u00a0", "</think>", "{% if %}", "[INST]",
          "a.b.c", "/no_think", "</s>", "1 + 1 = 2", "\u2028", "ok"]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Of a <town> & \"more\", été", "parameters": {
    "type": "object", "properties": {"town": {"type": "string", "description": "Which?"}, "days": {"type": "integer", "enum": [1, 2]},
                                     "names": {"type": "array", "items": {"type": "string"}}}, "required": ["town"]}}}]


class Fixed(datetime.datetime):
    """A clock that stands."""
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def conversations(count):
    """As many as that: turns in order and out of it, parts, reasons, tools, names for the template."""
    draw = random.Random(7)
    text = lambda: "".join(draw.choice(PIECES) for _ in range(draw.randrange(4)))
    for i in range(count):
        messages = [{"role": "system", "content": text()}] if draw.random() < 0.4 else []
        for k in range(draw.randrange(1, 6)):
            role = ("user", "assistant")[k % 2] if draw.random() < 0.9 else draw.choice(["user", "assistant", "tool", "system"])
            messages.append({"role": role, "content": text()})
        given = {"messages": messages}
        kind = i % 8
        if kind == 1:
            messages[-1]["content"] = [{"type": "text", "text": text()} for _ in range(draw.randrange(3))]
        elif kind == 2:
            messages[-1] = {"role": "assistant", "content": text(), draw.choice(["reasoning_content", "thinking", "reasoning"]): text()}
        elif kind in (3, 4):
            given["tools"] = TOOLS if kind == 4 else []
        elif kind in (5, 6):
            arguments = {"town": text(), "days": 1, "f": 0.5, "none": None, "deep": {"list": [True, []]}}
            messages += [{"role": "assistant", "content": None if kind == 5 else text(), "tool_calls": [
                {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": arguments if kind == 5 else json.dumps(arguments)}}]},
                {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": text()}]
            given["tools"] = TOOLS
        elif kind == 7:
            given["enable_thinking"] = draw.random() < 0.5
        yield given


def render(template, given, prompt):
    given = dict(given)
    try:
        out = theirs.render_jinja_template([given.pop("messages")], chat_template=template, add_generation_prompt=prompt,
                                           tools=given.pop("tools", None), **given, **SPECIAL)
        while not isinstance(out, str):
            out = out[0]
        return out, None
    except Exception as error:  # whatever a template stumbles over
        return None, repr(error)


def ours(folder, given, prompt):
    done = subprocess.run([os.environ["INTERLOOP"], "tokenize", "--tokenizer", folder, "--chat"] + (["--prompt"] if prompt else []),
                          input="".join(json.dumps({**g, "date": "2024-07-26"}) + "\n" for g in given).encode(), capture_output=True)
    lines = [json.loads(x) for x in done.stdout.decode().split("\n")[:-1]]
    return lines, done.stderr.decode().strip()


def main(folder, count):
    theirs.datetime = Fixed
    rows = list(conversations(count))
    total = {"alike": 0, "refused by both": 0, "differ": 0, "refused here": 0, "refused there": 0}
    whole = 0
    paths = sorted(pathlib.Path(folder).glob("*.jinja"))
    for path in paths:
        seen = dict.fromkeys(total, 0)
        template = path.read_text()
        with tempfile.TemporaryDirectory() as at:
            shutil.copy(os.path.join(os.environ["IL_ROOT"], "tests/fixtures/text/chat/tokenizer.json"), at)
            pathlib.Path(at, "chat_template.jinja").write_text(template)
            pathlib.Path(at, "tokenizer_config.json").write_text(json.dumps(SPECIAL))
            for prompt in (False, True):
                left = list(rows)
                while left:  # a refusal ends the command: go on behind it
                    got, why = ours(at, left, prompt)
                    results = [(g, None) for g in got] + ([(None, why)] if len(got) < len(left) else [])
                    for given, (text, refusal) in zip(left, results):
                        want, error = render(template, given, prompt)
                        kind = ("refused by both" if text is None and want is None else "refused here" if text is None
                                else "refused there" if want is None else "alike" if text == want else "differ")
                        seen[kind] += 1
                        if kind in ("differ", "refused here", "refused there") and sum(seen[k] for k in list(seen)[2:]) < 4:
                            print(path.name, kind, json.dumps(given)[:300], refusal or error or (want[-200:], text[-200:]))
                    left = left[len(results):]
        whole += seen["differ"] + seen["refused here"] + seen["refused there"] == 0
        for kind in total:
            total[kind] += seen[kind]
    print(f"{whole} of {len(paths)} templates alike; {2 * count} renderings each:", ", ".join(f"{n} {k}" for k, n in total.items()))
    return whole != len(paths) or not paths


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(os.environ.get("CHATS_EACH", "120"))))
