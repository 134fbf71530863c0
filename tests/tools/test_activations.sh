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

sed 's/fit: \[probe\]/train: {steps: 3, batch: 8, optimizer: {use: adamw, lr: 1e-3}}, signals: {x: {source: probe, channel: loss, route: all}}/' \
    "$folder/shards.yaml" >"$folder/trains.yaml"
check "what has no parameters is not trained" exits 2 run "$folder/trains.yaml" --runs "$folder/runs"
check "which is said" says "the model has no parameters"
sed 's/detectors:/&\n  dict: {use: sae, site: blocks.1.hook_resid_post, tokens: text, params: {features: 32, k: 4}, fit: {split: train, steps: 30, batch: 32}}/; s/fit: \[probe\]/fit: [probe, dict]/' \
    "$folder/shards.yaml" >"$folder/dict_shards.yaml"
sed 's/detectors:/&\n  dict: {use: sae, site: blocks.1.hook_resid_post, tokens: text, params: {features: 32, k: 4}, fit: {split: train, steps: 30, batch: 32}}/; s/fit: \[probe\]/fit: [probe, dict]/; s#\.\./text#'"$IL_ROOT"'/tests/fixtures/text#' \
    "$pipeline" >"$folder/dict_model.yaml"
for from in shards model; do
    check "a dictionary is trained on $from" exits 0 detector fit "$folder/dict_$from.yaml" --runs "$folder/runs" \
        --set plugins.path="[$plugins]" --stage fitted --detector dict --out "$folder/dict_$from.safetensors"
done
check "they are the same bytes" cmp "$folder/dict_shards.safetensors" "$folder/dict_model.safetensors"

check "another model's activations are harvested" harvest 0 other $blocks --split val --set stages.pretrain.train.steps=1
check "they are no split of these" exits 2 run "$folder/shards.yaml" --runs "$folder/runs" --set data.params.val_folder="$folder/other"
check "as is said" says "of other weights than those of \`folder\`"
check "nor is the data their model's" exits 2 run "$folder/shards.yaml" --runs "$folder/runs" --set model.params.folder="$folder/other"
check "as is said, too" says "the data's shards are of other weights than these"

# ---- detectors on folders, without a pipeline
probe="--use linear_probe --site blocks.1.hook_resid_post"
weights() { tail -c 196 "$1"; } # bias, scale, mean and weight: 1, 16, 16 and 16 floats
check "a probe is fitted on a folder" exits 0 detector fit $probe --acts "$folder/train" --out "$folder/own.safetensors"
check "on what the mask counts" says "rows of 15 documents"
check "to the weights of the model's own" cmp <(weights "$folder/own.safetensors") <(weights "$folder/model.safetensors")
check "with the hash of its model" grep -qa "$(grep -oaP 'model\\":\\"\K[0-9a-f]{64}' "$folder/model.safetensors")" \
    "$folder/own.safetensors"
check "it is judged on other documents" exits 0 detector eval "$folder/own.safetensors" --acts "$folder/test" --json
own=$(grep -oP '"auroc": \K[^,]*' "$folder/out")
check "as is the model's own in its pipeline" exits 0 detector eval "$pipeline" --runs "$folder/runs" --stage fitted --json
check "to the same AUROC" [ -n "$own" -a "$own" = "$(grep -oP '"auroc": \K[^,]*' "$folder/out")" ]
check "documents that fitted it do not judge it" exits 2 detector eval "$folder/own.safetensors" --acts "$folder/train"
check "a threshold holds documents back" exits 0 detector fit $probe --fpr 0.1 --acts "$folder/train" --out "$folder/x"
check "a dictionary is trained on a folder" exits 0 detector fit --use sae --set features=32 --set k=4 --steps 20 \
    --batch 64 --acts "$folder/train#acts.blocks.1.hook_resid_post" --out "$folder/x"
check "a site that its shards lack is refused" exits 2 detector fit --use lda --site nowhere --acts "$folder/train" \
    --out "$folder/x"
check "a tensor that they lack, too" exits 2 detector fit --use lda --acts "$folder/train#acts.nowhere" --out "$folder/x"
check "by name" says "its shards have no 'acts.nowhere'"

# ---- what is harvested
shards() { (cd "$folder/$1" && sha256sum *.safetensors); }
same() { [ "$(shards "$1")" = "$(shards "$2")" ]; }
check "a pattern means sites" harvest 0 pattern --site 'blocks.*.hook_resid_post'
check "all that fit, in the model's order" same pattern train
check "a list does, too" harvest 0 list --site 'blocks.0.hook_resid_post, blocks.1.hook_resid_post'
check "likewise" same list train
check "a site that there is not is refused" harvest 2 no --site blocks.0.hook_resid_pots
check "with the nearest" says "did you mean 'blocks.0.hook_resid_post'?"
check "as is a pattern of none" harvest 2 no --site 'blocks.*.nothing'
check "nothing is left of them" [ ! -e "$folder/no" ]
check "a type that there is not is refused" harvest 2 no $blocks --dtype f8
check "by name" says "expected f32, f16 or bf16"
check "NumPy has no bfloat16" harvest 2 no $blocks --format npy --dtype bf16

# ---- going on
check "other rows are refused" harvest 2 train $blocks --rows 64
check "with what differs" says "its rows is 94, and here it is 64"
check "another site is refused" harvest 2 train --site hook_embed
check "by name" says 'its sites is ["blocks.0.hook_resid_post","blocks.1.hook_resid_post"]'
check "other data are refused" harvest 2 train $blocks --set data.params.labels=odd --rows 94
check "another model is refused" harvest 2 train $blocks --set stages.pretrain.train.steps=1
check "another type is refused" harvest 2 train $blocks --dtype f16
cp -r "$folder/train" "$folder/cut"
truncate -s -5 "$folder/cut/00001.safetensors"
touch "$folder/cut/00001.safetensors.99999-0.tmp"
check "a shard that was cut short is written again" harvest 0 cut $blocks
check "which is said" says "shard 1 is written again"
check "to the same bits" same cut train
check "what was left half written is gone" [ ! -e "$folder/cut/00001.safetensors.99999-0.tmp" ]
check "progress is told as JSON" harvest 0 told $blocks --json
check "with rows and time left" says '"steps":94'
check "quiet is quiet" harvest 0 told $blocks --quiet
check "without a word" [ ! -s "$folder/out" ]

# Files may not grow past 512 KiB: what a full disk does, without filling one.
full() {
    (
        trap '' XFSZ
        ulimit -f 512
        "$interloop" activations "$pipeline" --runs "$folder/runs" --stage fitted --batch 64 --site 'blocks.*' \
            --out "$folder/full"
    ) >"$folder/out" 2>&1
    [ $? -eq 1 ]
}
check "a full disk ends it" full
check "with the file's name" says "00000.safetensors"
check "and leaves no half shard" [ "$(ls "$folder/full")" = index.json ]
check "what is there is no dataset" exits 2 detector fit --use lda --acts "$folder/full" --out "$folder/x"
large() { exits 0 activations "$pipeline" --runs "$folder/runs" --stage fitted --batch 64 --site 'blocks.*' --out "$folder/$1"; }
check "with space again it goes on" large full
check "as one does that had it" large enough
check "to the same bits" same full enough

# Killed as soon as there is another shard, until one harvest comes through. Where the first is
# done before anybody looked, all of it again.
many="--stage pretrain --batch 64 --site blocks.* --set data.params.context=2"
there() {
    local files=("$folder"/killed/*.safetensors)
    [ -e "${files[0]}" ] && echo ${#files[@]} || echo 0
}
killed() {
    local rounds=0 tries=0 pid files before
    while [ $rounds -eq 0 -a $tries -lt 50 ]; do
        rm -rf "$folder/killed"
        tries=$((tries + 1))
        while [ $rounds -lt 50 ]; do
            before=$(there)
            "$interloop" activations "$pipeline" --runs "$folder/runs" $many --out "$folder/killed" \
                >"$folder/out" 2>&1 &
            pid=$!
            while kill -0 $pid 2>/dev/null; do
                files=("$folder"/killed/*.safetensors)
                [ ! -e "${files[0]}" -o ${#files[@]} -le "$before" ] || kill -9 $pid 2>/dev/null
            done
            wait $pid 2>/dev/null && break
            [ "$(there)" -gt "$before" ] || return 1
            rounds=$((rounds + 1))
        done
    done
    [ $rounds -ge 1 ]
}
check "a harvest is killed and goes on" killed
check "another is not" exits 0 activations "$pipeline" --runs "$folder/runs" $many --out "$folder/alive"
check "it has more shards than one" [ -f "$folder/alive/00003.safetensors" ]
check "they have the same bits" same killed alive

# ---- forms
size() { stat -c %s "$folder/$1/00000.safetensors"; }
for dtype in f16 bf16; do
    check "$dtype is written" harvest 0 $dtype $blocks --dtype $dtype
    check "in less space" [ "$(size $dtype)" -lt "$(($(size train) * 2 / 3))" ]
done
check ".npy files are written" harvest 0 npy $blocks --format npy
check "one a column" [ -f "$folder/npy/00001.acts.blocks.1.hook_resid_post.npy" -a -f "$folder/npy/00001.labels.npy" ]
rm "$folder/npy/00001.ids.npy"
check "a shard without its last file is none" harvest 0 npy $blocks --format npy
check "it is there again" [ -f "$folder/npy/00001.ids.npy" ]
for form in npy f16; do
    check "a probe is fitted on $form" exits 0 detector fit "$folder/shards.yaml" --runs "$folder/runs" --stage fitted \
        --set data.params.folder="$folder/$form" --set model.params.folder="$folder/$form" --out "$folder/$form.safetensors"
done
check "and on the folder itself" exits 0 detector fit $probe --acts "$folder/npy" --out "$folder/x"
check "to the same weights" cmp <(weights "$folder/x") <(weights "$folder/model.safetensors")
check ".npy gives the same bytes, too" cmp "$folder/npy.safetensors" "$folder/model.safetensors"
exit $failed
