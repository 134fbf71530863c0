"""Times encoding by interloop and by the `tokenizers` library on the same text: CPU seconds of one thread each, turn by turn,
the best of each.

Usage: tokenize_text.py MEGABYTES ROUNDS FAMILY...   with INTERLOOP and IL_ROOT set. FAMILY is a tokenizer of
tests/fixtures/tokenizers, or a path to a tokenizer.json. The command's start and the file's reading are taken off by runs on nothing."""

import importlib.util
import os
import resource
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
    """CPU seconds of the command on a file."""
    def used():
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        return r.ru_utime + r.ru_stime
    begin = used()
    subprocess.run([os.environ["INTERLOOP"], "tokenize", "--quiet", "--special", "--tokenizer", path, file], check=True)
    return used() - begin


def theirs(tokenizer, lines):
    begin = time.process_time()
    tokenizer.encode_batch(lines)
    return time.process_time() - begin


def main(megabytes, rounds, families):
    lines = [x.replace("\n", " ") for x in made.lines(20000, 3)]
    lines *= max(1, int(megabytes * 1e6 / sum(len(x.encode()) + 1 for x in lines)))
    ratios = []
    with tempfile.NamedTemporaryFile("wb") as f, tempfile.NamedTemporaryFile("wb") as empty:
        f.write("\n".join(lines).encode())
        f.flush()
        size = f.tell() / 1e6
        for family in families:
            path = family if os.path.sep in family else os.path.join(folder, family + ".json")
            tokenizer = made.Tokenizer.from_file(path)
            times = [(ours(path, f.name), ours(path, empty.name), theirs(tokenizer, lines)) for _ in range(rounds)]
            best = [min(t) for t in zip(*times)]
            best[0] = max(best[0] - best[1], 1e-9)
            ratios.append(best[2] / best[0])
            print(f"  {os.path.basename(family):12s} {size / best[0]:8.1f} MB/s, tokenizers {size / best[2]:6.1f} MB/s, {ratios[-1]:5.1f} times")
    print(f"  against tokenizers   {min(ratios):8.1f} times the speed at least, of {len(ratios)} families")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
