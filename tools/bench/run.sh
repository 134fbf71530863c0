#!/usr/bin/env bash
# Times training steps: `make bench`. Builds the dataset of random tokens beside the bundled
# plugins, then times the two sizes, and PyTorch at the same sizes where PYTHON has it. ROUNDS
# says how many steps each is given.
set -euo pipefail

build=${IL_BUILD:?IL_BUILD must name the build folder}
root=${IL_ROOT:-$(pwd)}
rounds=${ROUNDS:-20}
python=${PYTHON:-python3}
plugin=$build/bench/plugins/tokens.so

mkdir -p "$build/bench/plugins"
"${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -fPIC -fvisibility=hidden \
    -shared -I"$root/include" -o "$plugin.new" "$root/tools/bench/tokens/tokens.c" -lm
"${INTERLOOP:-$build/interloop}" plugin stamp "$plugin.new"
mv "$plugin.new" "$plugin"

# The best of our steps against the best of PyTorch's, from what both have printed.
ratios() {
    awk '/(step|update), [12] worker/ { if (ours == 0 || $4 < ours) { ours = $4; workers = $2 } }
         /peak memory .* with one worker/ { memory = $3 }
         /PyTorch .* threads/ { if (best == 0 || $5 < best) {
             best = $5; threads = $3; theirs = $9 } }
         END { if (ours > 0 && best > 0) printf("  against PyTorch      %8.2f times " \
             "the speed, %d workers to %d threads; %.2f of the memory\n",
             best / ours, workers, threads, memory / theirs) }'
}

for size in s m; do
    {
        "$build/bench/bench_step" "$root/tools/bench/step_$size.yaml" "$rounds" \
            "$build/plugins" "$build/bench/plugins"
        if "$python" -c 'import torch' 2>/dev/null; then
            for threads in 1 2; do
                "$python" "$root/tools/bench/step_torch.py" "$size" "$rounds" "$threads"
            done
        else
            echo "  PyTorch: $python has none, nothing to compare with"
        fi
    } | tee "$build/bench/step_$size.txt"
    ratios <"$build/bench/step_$size.txt"
done

# What watching adds to steps: frozen detectors, and the ledger as it is kept by default.
"$build/bench/bench_ledger" "$root" "$rounds" "$build/plugins" |
    tee "$build/bench/ledger.txt"

# Updates of reinforcement: Far Lever's, 64 episodes at once.
{
    "$build/bench/bench_step" "$root/tools/bench/update.yaml" $((10 * rounds)) "$build/plugins"
    if "$python" -c 'import torch' 2>/dev/null; then
        "$python" "$root/tools/bench/far_lever_torch.py" "$rounds" 1
    fi
} | tee "$build/bench/update.txt"
grep -v "2 workers" "$build/bench/update.txt" | ratios # one worker to one thread

# Answers drawn with a cache of keys and values: Little Atlas's model, 128 at once. Both have about
# as long to show their best.
{
    "$build/bench/bench_sample" "$root/tools/bench/sample.yaml" $((10 * rounds)) 128 \
        "$build/plugins"
    if "$python" -c 'import torch' 2>/dev/null; then
        "$python" "$root/tools/bench/sample_torch.py" $((4 * rounds)) 128 1
    fi
} | tee "$build/bench/sample.txt"
awk '/to a prompt/ { ours[$2] = $6 } /PyTorch/ { theirs = $5 }
     END { if (theirs > 0) printf("  against PyTorch      %8.2f times the tokens a second, one core " \
         "each; %.2f with 16 answers to a prompt\n", ours["1"] / theirs, ours["16"] / theirs) }' \
    "$build/bench/sample.txt"

# A logistic fit, at the loss that scikit-learn's best reaches.
if "$python" -c 'import sklearn' 2>/dev/null; then
    fit=$build/bench/fit.txt
    echo "logistic fit, 100,000 rows of 512 channels" | tee "$fit"
    "$python" "$root/tools/bench/fit_sklearn.py" 100000 512 "$build/bench/fit.bin" | tee -a "$fit"
    "$build/bench/bench_fit" 100000 512 "$build/bench/fit.bin" \
        "$(awk '/scikit-learn/ { loss = $NF } END { print loss }' "$fit")" | tee -a "$fit"
    rm -f "$build/bench/fit.bin"
    awk '/scikit-learn/ { if (best == 0 || $4 < best) { best = $4; threads = $2 } }
         /iterations/ { ours = $4 }
         END { if (ours > 0) printf("  against scikit-learn %8.2f times the speed at the same " \
             "loss, 1 thread to %d\n", best / ours, threads) }' "$fit"
fi

# A TopK sparse autoencoder, the same rows in the same order from the same start.
if "$python" -c 'import torch, numpy' 2>/dev/null; then
    sae=$build/bench/sae.txt
    rows=$build/bench/sae.bin
    steps=$((rounds < 8 ? 8 : rounds))
    echo "sparse autoencoder, 4096 features of 512 channels, 32 a row, batch 2048" | tee "$sae"
    "$python" "$root/tools/bench/sae_torch.py" make "$rows" 16384 512
    "$build/bench/bench_sae" "$rows" 16384 512 4096 32 2048 "$steps" "$build/plugins" | tee -a "$sae"
    for threads in 1 2; do
        "$python" "$root/tools/bench/sae_torch.py" fit "$rows" 4096 32 2048 "$threads" | tee -a "$sae"
    done
    rm -f "$rows" "$rows.order" "$rows.start"
    awk '/autoencoder, [12] worker/ { if (ours == 0 || $4 < ours) { ours = $4; workers = $2 } }
         /PyTorch/ { if (best == 0 || $4 < best) { best = $4; threads = $2 } }
         END { if (ours > 0 && best > 0) printf("  against PyTorch      %8.2f times the speed, %d " \
             "workers to %d threads\n", best / ours, workers, threads) }' "$sae"
fi

# What a call through the Python package costs.
if "$python" -c 'import torch' 2>/dev/null && wheel=$(make -s -C "$root" wheel 2>/dev/null); then
    rm -rf "$build/bench/site"
    "$python" -m zipfile -e "$(echo "$wheel" | tail -n 1)" "$build/bench/site"
    "$python" "$root/tools/bench/bridge.py" "$build/bench/site"
fi

# Tokenizers of seven families beside the library's.
if "$python" -c 'import tokenizers' 2>/dev/null; then
    echo "tokenizers, CPU time of one thread" | tee "$build/bench/tokenizers.txt"
    INTERLOOP="${INTERLOOP:-$build/interloop}" IL_ROOT="$root" "$python" "$root/tools/bench/tokenize_text.py" 8 3 \
        gpt2 llama2 llama3 qwen2 mistral falcon bert | tee -a "$build/bench/tokenizers.txt"
fi

# How long the command takes to begin.
INTERLOOP="${INTERLOOP:-$build/interloop}" IL_ROOT="$root" bash "$root/tools/bench/startup.sh"

# A page over many runs.
INTERLOOP="${INTERLOOP:-$build/interloop}" IL_ROOT="$root" bash "$root/tools/bench/report.sh"

# Folders of weights: loading, prompts and steps beside transformers.
IL_BUILD="$build" IL_ROOT="$root" ROUNDS="$rounds" PYTHON="$python" bash "$root/tools/bench/hf.sh"
