#!/usr/bin/env bash
# Activations in shards: detectors fitted on them are those fitted through the model.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_text.yaml
plugins=$(realpath "$IL_BUILD")/plugins
export INTERLOOP_PLUGIN_PATH=$plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE ARGUMENT...
    local code=$1
    shift
    "$interloop" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
harvest() { # harvest CODE FOLDER OPTION...
    local code=$1 to=$2
    shift 2
    exits "$code" activations "$pipeline" --runs "$folder/runs" --stage fitted --detector probe --tokens text \
        --batch 64 --out "$folder/$to" "$@"
}
blocks="--site blocks.0.hook_resid_post --site blocks.1.hook_resid_post"

for split in train val test; do
    check "$split is harvested" harvest 0 $split $blocks --split $split
done
cat >"$folder/shards.yaml" <<YAML
interloop: 1
name: shards
seed: 1
model: {use: harvested, params: {folder: train}}
data: {use: activations, params: {folder: train, val_folder: val, test_folder: test}}
detectors:
  probe:
    use: linear_probe
    site: blocks.1.hook_resid_post
    tokens: text
    fit: {split: train, label: lie}
    threshold: {split: val, fpr: 0.05, unit: token}
stages:
  fitted: {fit: [probe], audit: {splits: [test]}}
YAML
check "a probe is fitted in the model's place" exits 0 run "$folder/shards.yaml" --runs "$folder/runs" --no-report
check "and saved" exits 0 detector fit "$folder/shards.yaml" --runs "$folder/runs" --stage fitted \
    --out "$folder/shards.safetensors"
check "as is the model's own" exits 0 detector fit "$pipeline" --runs "$folder/runs" --stage fitted \
    --out "$folder/model.safetensors"
check "to the same bytes" cmp "$folder/shards.safetensors" "$folder/model.safetensors"
exit $failed
