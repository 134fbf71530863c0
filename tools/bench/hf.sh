#!/usr/bin/env bash
# Times folders of weights beside transformers, turn by turn, since the machine's mood changes: loading 500 MB, prompts and
# training steps of a Llama of 30 million weights. Part of `make bench`; the folders are made anew under build/.
set -euo pipefail

build=${IL_BUILD:?IL_BUILD must name the build folder}
root=${IL_ROOT:-$(pwd)}
rounds=${ROUNDS:-20}
python=${PYTHON:-python3}
said=$build/bench/hf.txt

if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    echo "folders of weights: $python has no transformers to make them and compare with"
    exit 0
fi
theirs() { "$python" "$root/tools/bench/hf_torch.py" "$@"; }
folders=$(mktemp -d "$build/bench/hf.XXXXXX")
trap 'rm -rf "$folders"' EXIT
few=$((rounds / 10 + 2))

echo "folders of weights" | tee "$said"
for size in small large; do
    theirs make "$folders/$size" $size | tee -a "$said"
done
for _ in 1 2 3 4 5; do
    "$build/bench/bench_hf" "$folders/large" $few 0 "$build/plugins"
    theirs load "$folders/large" $few
    "$build/bench/bench_hf" "$folders/small" $few 512 "$build/plugins"
    for prompts in 1 2; do
        for threads in 1 2; do
            theirs pass "$folders/small" $few $threads 512 $prompts
        done
    done
    FOLDER=$folders/small "$build/bench/bench_step" "$root/tools/bench/step_hf.yaml" $few "$build/plugins" \
        "$build/bench/plugins" | grep "step, "
    for threads in 1 2; do
        theirs step "$folders/small" $few $threads
    done
done | tee -a "$said"
# Of each turn the least of either side, at its best number of threads; of the turns the ratio in the middle, since a turn that
# met a quiet machine on one side alone says nothing.
awk 'function least(name, value) { name = turn " " name; if (!(name in best) || value < best[name]) best[name] = value }
     function middle(name, their,    i, j, k, r) {
         for (i = 1; i <= turn; i++) {
             r[i] = best[i " " their] / best[i " " name]
             for (j = i; j > 1 && r[j] < r[j - 1]; j--) { k = r[j]; r[j] = r[j - 1]; r[j - 1] = k }
         }
         return r[int((turn + 1) / 2)]
     }
     /^  loaded/ { turn++; least("load", $2); least("pages", $7) }
     /transformers loaded/ { least("their load", $3); least("their pages", $8) }
     /here, prompts: / { least("pass" $3, $(NF - 1)) }
     /PyTorch.*prompts: / { least("their pass" $4, $(NF - 1)) }
     /^  step, / { least("step", $4) }
     /PyTorch.*step/ { least("their step", $(NF - 1)) }
     END { printf("  against transformers %8.1f times the speed until it is a model, %.2f until every page was read\n",
                  middle("load", "their load"), middle("pages", "their pages"))
           printf("  against PyTorch      %8.2f times the speed on one prompt, %.2f on two, %.2f on steps; of %d turns the middle\n",
                  middle("pass1", "their pass1"), middle("pass2", "their pass2"), middle("step", "their step"), turn) }' "$said"
