#!/usr/bin/env bash
# interloop detector harvest, eval and explain on a stage: what is written out is what the
# pipeline's own detectors read, and is held to their contracts.
set -u
interloop=${INTERLOOP:?}
plugins=$(realpath "$IL_BUILD")/plugins
export INTERLOOP_PLUGIN_PATH=$plugins
. "$IL_ROOT/tests/checks.sh"
small=$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml

exits() { # exits CODE WORD OPTION...: of a stage
    local code=$1 word=$2
    shift 2
    "$interloop" detector "$word" "$small" --stage fitted --runs "$folder/runs" "$@" \
        >"$folder/out" 2>"$folder/err"
    [ $? -eq "$code" ]
}
ends() { # ends CODE WORD ...: of files
    local code=$1
    shift
    "$interloop" detector "$@" >"$folder/out" 2>"$folder/err"
    [ $? -eq "$code" ]
}
auroc() { grep -oP '"auroc": \K[^,]*' "$folder/out"; }
warns() { grep -qF -- "$1" "$folder/err"; }

check "activations are written" exits 0 harvest --out "$folder/all"
check "as arrays" says "acts.belief.hook_state.npy  float32 (80, 13, 12)"
check "each in a file" [ -f "$folder/all/labels.npy" -a -f "$folder/all/ids.npy" ]
check "the detector is saved" exits 0 fit --out "$folder/probe.safetensors"
check "and judged in its pipeline" exits 0 eval --detector suffering --json
expected=$(auroc)
file=$folder/all/activations.safetensors
check "and on what was written" ends 0 eval "$folder/probe.safetensors" --acts "$file" --json
check "to the same AUROC" [ -n "$expected" -a "$(auroc)" = "$expected" ]
check "by arrays, too" ends 0 eval "$folder/probe.safetensors" --json \
    --acts "$folder/all/acts.belief.hook_state.npy" --labels "$folder/all/labels.npy" \
    --mask "$folder/all/mask.npy" --ids "$folder/all/ids.npy" --lengths "$folder/all/lengths.npy"
check "the arrays are the same" [ "$(auroc)" = "$expected" ]
check "scored rows alone are written" exits 0 harvest --scored --out "$folder/rows"
check "one after the other" says "acts.belief.hook_state.npy  float32 (1040, 12)"
check "they are judged" ends 0 eval "$folder/probe.safetensors" --json \
    --acts "$folder/rows/activations.safetensors"
check "they are the same" [ "$(auroc)" = "$expected" ]
check "a detector is fitted on them" \
    ends 0 fit --use lda --acts "$file" --fpr 0.05 --out "$folder/lda.safetensors"
check "their documents do not judge it" ends 2 eval "$folder/lda.safetensors" --acts "$file"
check "the model goes with it" \
    grep -qa "$(grep -oaP 'model\\":\\"\K[0-9a-f]{64}' "$folder/probe.safetensors")" \
    "$folder/lda.safetensors"

check "sequences are pooled" ends 0 fit --use linear_probe --pool max --acts "$file" \
    --fpr 0.1 --unit sequence --out "$folder/pooled.safetensors"
check "into one score each" says "60 rows of 60 documents"
check "and judged so" ends 0 eval "$folder/pooled.safetensors" --acts "$file" --accept ids
check "each once" says "on 80 rows of 80 documents"
check "rows are not pooled" ends 2 fit --use linear_probe --pool max \
    --acts "$folder/rows/activations.safetensors" --out "$folder/x.safetensors"
check "a pooling that there is not is refused" ends 2 fit --use linear_probe --pool most \
    --acts "$file" --out "$folder/x.safetensors"
check "a dictionary needs no labels" ends 0 fit --use sae --set features=32 --set k=4 \
    --steps 20 --batch 256 --acts "$folder/all/acts.belief.hook_state.npy" \
    --out "$folder/sae.safetensors"
check "its features are explained" ends 0 explain "$folder/sae.safetensors" --feature 3 --top 2 \
    --acts "$folder/all/acts.belief.hook_state.npy"
check "one by one" says "feature 3 on 1040 rows"

check "another site is written" exits 0 harvest --site belief.hook_mean --out "$folder/mean"
check "and refused" ends 2 eval "$folder/probe.safetensors" \
    --acts "$folder/mean/activations.safetensors"
check "by name" warns "another site: it reads 'belief.hook_state'"
check "or accepted" ends 0 eval "$folder/probe.safetensors" --accept site \
    --acts "$folder/mean/activations.safetensors"
check "another mask is written" exits 0 harvest --tokens open_ears --out "$folder/ears"
check "and refused, too" ends 2 eval "$folder/probe.safetensors" \
    --acts "$folder/ears/activations.safetensors"
check "as other tokens" warns "another tokens: the activations have 'open_ears', it has 'all'"
check "another model's are written" exits 0 harvest --seed 2 --out "$folder/two"
check "and refused as well" ends 2 eval "$folder/probe.safetensors" \
    --acts "$folder/two/activations.safetensors"
check "as another model" warns "fitted on another model"
check "a site that there is not is refused" exits 2 harvest --site belief.hook_maen --out "$folder/x"
check "with the nearest" warns "did you mean 'belief.hook_mean'?"
check "nothing is left of it" [ ! -e "$folder/x" ]

check "a stage's detector is explained" exits 0 explain --detector suffering --top 2
check "with what it reads" says "belief.hook_state (12)"
check "with its threshold" says "for a false-positive rate of 0.01 a step"
check "with its channels" says "the channels that weigh most, of 12"
check "with where it fires" says "its logit on 1040 rows"
check "a saved one is explained by itself" ends 0 explain "$folder/lda.safetensors"
check "in the same words" says "two Gaussians with one covariance"
exit $failed
