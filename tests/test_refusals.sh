#!/usr/bin/env bash
# What is refused, with which words, and that a refusal leaves alone what was there.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/configs/liar/demo.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE VERB [OPTION...]
    local code=$1 verb=$2
    shift 2
    "$interloop" "$verb" "$pipeline" --runs "$folder/runs" \
        --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>"$folder/errors"
    local got=$?
    cat "$folder/errors" >>"$folder/out"
    [ $got -eq "$code" ]
}
complains() { grep -qF -- "$1" "$folder/errors"; }
nothing_computed() { ! find "$folder/runs" -name '*.safetensors' 2>/dev/null | grep -q .; }

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "a leak under a sealed firewall is refused" exits 2 explain \
    --set stages.loop.variants.leaky.firewall=sealed
check "the path is named on the standard error" complains "language → blocks.3"
check "with the stage and the variant" complains "loop/leaky: error: "
check "the same file without the change is not" exits 0 explain
check "an unknown site is refused" exits 2 explain \
    --set detectors.probe.site=blocks.2.hook_resid_pots
check "the nearest site is named" says "did you mean 'blocks.2.hook_resid_post'"
check "an unknown mask is refused" exits 2 explain --set detectors.probe.tokens=claimz
check "the mask is named" says "the data has no mask 'claimz'"
check "a folder of plugins that is missing is refused" exits 2 explain \
    --plugin-path "$folder/missing"
check "the folder is named" says "$folder/missing: error"
check "without WordNet a run is refused" \
    exits 2 run --no-report --set data.params.root="$folder/missing"
check "the missing file is named" says "$folder/missing/data.noun"
check "nothing is computed by any of them" nothing_computed

# A checkpoint that was cut short is neither used nor replaced.
small=(--no-report --stage pretrain --seed 1 --set model.params.width=16
    --set model.params.heads=2 --set stages.pretrain.train.steps=120)
"$interloop" run "$pipeline" --runs "$folder/runs" --set plugins.path="[$plugins]" \
    "${small[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null &&
    [ -z "$(find "$folder/runs" -name metrics.jsonl -size +0)" ]; do :; done
kill -TERM $child
wait $child
file=$(find "$folder/runs/.stages" -name checkpoint.safetensors)
check "a run told to stop leaves a checkpoint" [ -f "$file" ]
truncate -s 5000 "$file"
sum=$(cat "${file%/*}"/checkpoint.* | sha256sum)
check "a checkpoint cut short is refused" exits 2 run "${small[@]}"
check "its file and what is wrong are named" \
    says "checkpoint.safetensors: error: cut short or changed"
check "it is left as it is" [ "$(cat "${file%/*}"/checkpoint.* | sha256sum)" = "$sum" ]
check "no state is written beside it" [ ! -e "${file%/*}/state.safetensors" ]
exit $failed
