#!/bin/bash
# interloop detector import and export: every format in, verified, and out again; what does not fit
# is refused with nothing written.
set -u

interloop=${INTERLOOP:?}
export INTERLOOP_PLUGIN_PATH=${IL_BUILD:?}/plugins
fixtures=${IL_ROOT:?}/tests/fixtures/exchange
. "$IL_ROOT/tests/checks.sh"

# exits CODE WORD ARGUMENT...: how `interloop detector` ends; what it said is in $folder/out.
exits() {
    local code=$1
    shift
    "$interloop" detector "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
imports() { exits 0 import "$@"; }
refused() { # what it says, what must not be written, then the import
    local text=$1 file=$2
    shift 2
    exits 2 import "$@" --out "$file" && says "$text" && [ ! -e "$file" ]
}

# ---- dictionaries ------------------------------------------------------------------------------

all_folders() {
    for sae in "$fixtures"/sae_lens/*; do
        name=$(basename "$sae")
        imports "$sae" --out "$folder/$name.safetensors" --tolerance 1e-5 &&
            says 'the component computes what the file describes' &&
            says 'verified: features on 12 rows' &&
            says 'verified: reconstructions on 12 rows' &&
            says 'interloop.sae on blocks.1.hook_resid_post' || return 1
    done
}
check "every folder of SAELens is imported and its component verified" all_folders

around() { # out to SAELens and in again, held against the rows of the first
    for name in standard_layer_norm standard_rescaled gated jumprelu topk batchtopk standard_5; do
        exits 0 export "$folder/$name.safetensors" --to saelens "$folder/out_$name" || return 1
        cp "$fixtures/sae_lens/$name/expected.safetensors" "$folder/out_$name" || return 1
        imports saelens "$folder/out_$name" --out "$folder/back.safetensors" --tolerance 1e-5 &&
            says 'verified: features' && says 'verified: reconstructions' &&
            says 'reads blocks.1.hook_resid_post of tiny' || return 1
    done
}
check "what was imported goes out to SAELens' form and in again" around

check "a folder that holds an SAE is not written over" \
    exits 2 export "$folder/gated.safetensors" --to saelens "$folder/out_gated"

scope() {
    exits 0 export "$folder/batchtopk.safetensors" --to npz "$folder/params.npz" &&
        imports "$folder/params.npz" --site a.site --out "$folder/scope.safetensors" \
            --verify "$fixtures/sae_lens/batchtopk/expected.safetensors#x" \
            --expect "$fixtures/sae_lens/batchtopk/expected.safetensors#features" --tolerance 1e-5 &&
        says "Gemma Scope's parameters: jumprelu" && says 'verified: features on 12 rows'
}
check "a dictionary goes out as Gemma Scope's parameters, centred or not" scope

sparsify() {
    imports "$fixtures/sparsify/model.layers.2" --out "$folder/sparsify.safetensors" &&
        says 'its name says that it reads blocks.2.hook_resid_post' &&
        says 'verified: features on 12 rows'
}
check "a folder of sparsify is imported" sparsify

gemma() {
    imports "$fixtures/gemma_scope.npz" --site s --out "$folder/gemma.safetensors" \
        --verify "$fixtures/gemma_scope.safetensors#x" \
        --expect "$fixtures/gemma_scope.safetensors#output" &&
        says 'verified: reconstructions on 12 rows of gemma_scope.safetensors#x' || return 1
    mkdir "$folder/scope_folder" && cp "$fixtures/gemma_scope.npz" "$folder/scope_folder/params.npz" &&
        imports "$folder/scope_folder" --site s --out "$folder/gemma.safetensors" &&
        says "Gemma Scope's parameters" && ! grep -q "$folder" "$folder/gemma.safetensors"
}
check "Gemma Scope's parameters are imported and verified by given rows" gemma

one_feature() {
    imports "$fixtures/sae_lens/standard" --feature 3 --site blocks.9.hook_resid_post \
        --out "$folder/three.safetensors" &&
        says 'it is taken to read blocks.9.hook_resid_post instead' &&
        exits 2 import "$fixtures/sae_lens/standard" --feature 20 --out "$folder/none" &&
        says 'expected one of the 20 features' && [ ! -e "$folder/none" ]
}
check "a feature of a dictionary becomes its logit" one_feature

unverified() {
    imports "$fixtures/gemma_scope.npz" --site s --out "$folder/unverified.safetensors" &&
        says 'there were no activations to verify it on'
}
scaled() {
    imports "$fixtures/sae_lens/standard" --scale 2 --accept reconstruction --tolerance 1e9 \
        --out "$folder/scaled.safetensors" && says 'the factor 2 is folded into the weights' &&
        exits 2 import "$fixtures/probe_scaled.npz" --site s --scale 2 --out "$folder/none" &&
        says 'the file holds no dictionary'
}
check "a factor of the activations may be given" scaled

check "it says plainly when there was nothing to verify on" unverified

# ---- directions --------------------------------------------------------------------------------

probe() {
    imports "$fixtures/probe_scaled.npz" --site blocks.0.hook_resid_post \
        --out "$folder/probe.safetensors" &&
        says 'the scaler (mean, scale) is folded' && says 'verified: scores on 12 rows of the file'
}
check "a probe of scikit-learn is imported and verified by the rows in its file" probe

torch() {
    imports "$fixtures/probe_torch.safetensors" --site s --out "$folder/torch.safetensors" \
        --verify "$fixtures/probe.safetensors#x" --expect "$fixtures/probe.safetensors#one" &&
        says 'verified: scores on 12 rows' &&
        imports "$fixtures/probe_torch.safetensors" --site s --out "$folder/torch.safetensors" \
            --verify "$fixtures/probe.safetensors#x" &&
        says 'there was nothing to hold them against'
}
check "a probe of PyTorch is imported" torch

out_again() {
    for to in npz safetensors; do
        exits 0 export "$folder/probe.safetensors" --to $to "$folder/again.$to" &&
            imports "$folder/again.$to" --site s --out "$folder/again" \
                --verify "$fixtures/probe_scaled.npz#activations" \
                --expect "$fixtures/probe_scaled.npz#scores" &&
            says 'verified: scores' || return 1
    done
}
check "a probe goes out as arrays and in again" out_again

vectors() {
    imports "$fixtures/vectors.gguf" --out "$folder/cv{layer}.safetensors" &&
        says 'control vector for llama: 4 layers' &&
        says 'interloop.linear_probe on blocks.3.hook_resid_post' &&
        [ -e "$folder/cv1.safetensors" ] && [ -e "$folder/cv4.safetensors" ] &&
        exits 0 export "$folder/cv3.safetensors" --to gguf "$folder/cv3.gguf" &&
        imports gguf "$folder/cv3.gguf" --out "$folder/cv3.back" &&
        says 'for llama: 1 layers, 3 to 3' &&
        exits 0 export "$folder/cv3.back" --to gguf "$folder/cv3.again" &&
        cmp "$folder/cv3.gguf" "$folder/cv3.again" &&
        exits 0 export "$folder"/cv[1-4].safetensors --to gguf "$folder/all.gguf" &&
        imports "$folder/all.gguf" --layer 4 --out "$folder/cv4.back" &&
        says '4 layers, 1 to 4, of 64 channels'
}
check "a control vector becomes a detector a layer, and goes out again" vectors
check "several layers need a place each" \
    refused 'the file has 4 layers' "$folder/one" "$fixtures/vectors.gguf"
check "a layer that is not there is refused" \
    refused 'the file has no layer 9' "$folder/one" "$fixtures/vectors.gguf" --layer 9

# ---- in a pipeline -----------------------------------------------------------------------------

# Weights from elsewhere name no model of ours, which a pipeline has to take on itself.
pipeline() {
    imports "$fixtures/sae_lens/standard" --feature 3 --tokens claims --out "$folder/run_sae.safetensors" &&
        imports "$fixtures/probe_scaled.npz" --site blocks.1.hook_resid_post --tokens claims \
            --out "$folder/run_probe.safetensors" || return 1
    cat >"$folder/use.yaml" <<YAML
interloop: 1
extends: $IL_ROOT/tests/fixtures/pipelines/small_liar.yaml
name: foreign
model: {use: gpt, params: {layers: 3, width: 8, heads: 2, context: 43, tied: false}}
detectors:
  features: {use: sae, from: run_sae.safetensors, site: blocks.1.hook_resid_post, tokens: claims, accept: {model: "$1"}}
  theirs: {use: linear_probe, from: run_probe.safetensors, site: blocks.1.hook_resid_post, tokens: claims, accept: {model: "$1"}}
stages:
  pretrain:
    train: {steps: 2}
    audit:
      splits: [probe_test]
      edits:
        spliced: {detector: features, splice: true}
        ablated: {detector: theirs, ablate: true}
YAML
    "$interloop" run "$folder/use.yaml" --stage pretrain \
        --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --runs "$folder/runs" >"$folder/out" 2>&1 &&
        grep -q '"edit.spliced.theirs.mean"' "$folder/runs/foreign/summary.json" &&
        grep -q '"edit.ablated.features.mean"' "$folder/runs/foreign/summary.json"
}
check "imported detectors are read and edited by in a pipeline" pipeline "made elsewhere"

# ---- refusals ----------------------------------------------------------------------------------

check "features that are not those expected are refused" \
    refused 'the features are not those expected' "$folder/no" "$fixtures/sae_lens/standard" \
    --verify "$fixtures/sae_lens/topk/expected.safetensors#x" \
    --expect "$fixtures/sae_lens/topk/expected.safetensors#features"
check "a reconstruction worse than the mean is refused" \
    refused 'the reconstruction leaves' "$folder/no" "$fixtures/sae_lens/standard" \
    --verify "$fixtures/sae_lens/topk/expected.safetensors#x"
accepted() {
    imports "$fixtures/sae_lens/standard" --verify "$fixtures/sae_lens/topk/expected.safetensors#x" \
        --accept reconstruction --out "$folder/accepted.safetensors" && says 'accepted: the recon'
}
check "but may be accepted by name" accepted
check "rows of another width are refused" \
    refused "expected rows of 8 channels, got shape (64,)" "$folder/no" \
    "$fixtures/sae_lens/standard" --verify "$fixtures/vectors.safetensors#direction.1"
check "a file without a site needs one" \
    refused 'name the site' "$folder/no" "$fixtures/gemma_scope.npz"
check "another format than the file's is refused" \
    refused "expected a probe" "$folder/no" probe "$fixtures/gemma_scope.npz" --site s
check "a format that there is not is refused" \
    refused 'expected a format: saelens' "$folder/no" onnx "$fixtures/gemma_scope.npz" --site s
check "a component that is no dictionary is refused" \
    refused 'features' "$folder/no" "$fixtures/sae_lens/standard" --use linear_probe
check "a component that is not linear is refused" \
    refused 'expected a linear detector' "$folder/no" "$fixtures/probe_scaled.npz" --site s \
    --use mlp_probe

printf '\200\004\225junk' >"$folder/model.pkl"
check "a pickle is refused unread" refused 'a pickle' "$folder/no" "$folder/model.pkl"
mkdir "$folder/empty"
check "a folder of something else is refused" \
    refused 'expected a folder with cfg.json' "$folder/no" "$folder/empty"
touch "$folder/empty/ae.pt"
check "a dictionary of dictionary_learning is sent to its converter" \
    refused 'tools/convert/dictionary_learning.py' "$folder/no" "$folder/empty"
check "a detector of ours is nothing to import" \
    refused 'nothing to import' "$folder/no" "$folder/probe.safetensors"

for to in saelens gguf onnx; do
    not_to() { exits 2 export "$folder/$1.safetensors" --to $to "$folder/not" && [ ! -e "$folder/not" ]; }
    [ $to = saelens ] && check "a probe is no folder of SAELens" not_to probe
    [ $to = gguf ] && check "a dictionary is no control vector" not_to gated
    [ $to = onnx ] && check "an unknown format is refused" not_to gated
done
check "parameters that cannot say what the dictionary does are refused" \
    exits 2 export "$folder/gated.safetensors" --to npz "$folder/gated.npz"

exit $failed
