"""Times encoding by interloop and by the `tokenizers` library, one thread each, on the same text.

Usage: tokenize_text.py FAMILY MEGABYTES [ROUNDS]   with INTERLOOP and IL_ROOT set. Both read a tokenizer of
tests/fixtures/tokenizers; the command's time has the start and the file's reading in it, and is taken
off by a run on nothing."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
folder = os.path.join(os.environ["IL_ROOT"], "tests/fixtures/tokenizers")
spec = importlib.util.spec_from_file_location("make_tokenizers", os.path.join(folder, "make_tokenizers.py"))
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)


def ours(path, file):
    begin = time.perf_counter()
    subprocess.run([os.environ["INTERLOOP"], "tokenize", "--quiet", "--special", "--tokenizer", path, file], check=True)
    return time.perf_counter() - begin


def main(family, megabytes, rounds):
    path = os.path.join(folder, family + ".json")
    lines = [x.replace("\n", " ") for x in made.lines(20000, 3)]
    size = sum(len(x.encode()) + 1 for x in lines)
    lines *= max(1, int(megabytes * 1e6 / size))
    theirs = made.Tokenizer.from_file(path)
    with tempfile.NamedTemporaryFile("wb") as f, tempfile.NamedTemporaryFile("wb") as empty:
        f.write("\n".join(lines).encode())
        f.flush()
        size = f.tell() / 1e6
        idle = min(ours(path, empty.name) for _ in range(3))
        best = [1e9, 1e9]
        for _ in range(rounds):
            best[0] = min(best[0], ours(path, f.name) - idle)
            begin = time.perf_counter()
            theirs.encode_batch(lines)
            best[1] = min(best[1], time.perf_counter() - begin)
    print(f"  {family:10s} {size / best[0]:8.1f} MB/s, tokenizers {size / best[1]:6.1f} MB/s, {best[1] / best[0]:5.1f} times")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
