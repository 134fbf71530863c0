"""Tokenizers against the `tokenizers` library: ids, spans and decoded text of many lines.

Usage: compare_tokens.py NAME LINES   with INTERLOOP and IL_ROOT set. NAME is one of
tests/fixtures/tokenizers; lines mix scripts, code, emoji and broken UTF-8."""

import importlib.util
import os
import random
import subprocess
import sys

folder = os.path.join(os.environ["IL_ROOT"], "tests/fixtures/tokenizers")
spec = importlib.util.spec_from_file_location("make_tokenizers", os.path.join(folder, "make_tokenizers.py"))
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)


def broken(line, draw):
    """A line's bytes, of every fourth one some flipped, cut or put in."""
    data = bytearray(line.encode())
    if draw.random() < 0.25 and data:
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data))
            kind = draw.randrange(3)
            if kind == 0:
                data[at] = draw.randrange(256)
            elif kind == 1:
                del data[at]
                if not data:
                    break
            else:
                data.insert(at, draw.randrange(128, 256))
    return bytes(data).replace(b"\n", b"?")


def starts(data):
    """Of each character that bytes.decode(errors='replace') gives, where its bytes begin."""
    at, out = 0, []
    while at < len(data):
        for n in (1, 2, 3, 4):
            try:
                data[at:at + n].decode()
                break
            except UnicodeDecodeError as e:
                if n == 4 or at + n >= len(data):
                    n = e.end
                    try:  # the longest piece that could begin a character
                        data[at:at + 4].decode()
                    except UnicodeDecodeError as whole:
                        n = whole.end
                    break
        out.append(at)
        at += n
    return out + [len(data)]


def ask(name, data, *options):
    done = subprocess.run([os.environ["INTERLOOP"], "tokenize", "--tokenizer", os.path.join(folder, name + ".json"),
                           *options], input=data, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr.decode()}")
    return done.stdout


def main(name, count):
    draw = random.Random(11)
    rows = [broken(line, draw) for line in made.lines(count, 5)]
    data = b"".join(r + b"\n" for r in rows)
    theirs = made.Tokenizer.from_file(os.path.join(folder, name + ".json"))
    texts = [r.decode(errors="replace") for r in rows]
    expected = theirs.encode_batch(texts)
    ours = ask(name, data, "--special", "--spans").decode().split("\n")[:-1]
    wrong = 0
    assert len(ours) == len(rows), (len(ours), len(rows))
    ids = []
    for row, text, e, line in zip(rows, texts, expected, ours):
        got = [(int(i), *map(int, s.split("-"))) for i, s in (x.split(":") for x in line.split())]
        at = starts(row)
        want = [(i, at[a], at[b]) for i, (a, b) in zip(e.ids, e.offsets)]
        # A token that stands for no bytes has whatever empty span.
        want = [(i, a, b) if b > a else (i, 0, 0) for i, a, b in want]
        seen = [(i, a, b) if b > a else (i, 0, 0) for i, a, b in got]
        ids.append(e.ids)
        if want != seen:
            wrong += 1
            if wrong < 4:
                print(name, repr(row), "expected", [x for x in want if x not in seen][:6], "got", [x for x in seen if x not in want][:6])
    plain = theirs.encode_batch(texts, add_special_tokens=False)
    if [" ".join(map(str, e.ids)) for e in plain] != ask(name, data, "--ids").decode().split("\n")[:-1]:
        print(name, "differs without special tokens")
        wrong += 1
    for skip in (True, False):
        want = "".join(t + "\n" for t in theirs.decode_batch(ids, skip_special_tokens=skip))
        got = ask(name, "".join(" ".join(map(str, i)) + "\n" for i in ids).encode(), "--decode", *([] if skip else ["--special"]))
        if want != got.decode():
            wrong += 1
            pairs = [(a, b) for a, b in zip(want.split("\n"), got.decode().split("\n")) if a != b]
            print(name, "decodes otherwise:", len(pairs), pairs[:3])
    print(f"{name}: {len(rows)} lines, {sum(map(len, ids))} tokens, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    raise SystemExit(1 if main(sys.argv[1], int(sys.argv[2])) else 0)
