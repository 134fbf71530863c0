#!/usr/bin/env bash
# What the Python package reads of a Hugging Face model, by TransformerLens name and by module path, against what the
# plugin hf_decoder has at the same sites of the same folder: the two ways in are one.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
interloop=${INTERLOOP:-$IL_BUILD/interloop}
name="sites of transformers' models are those of hf_decoder"

if ! "$PYTHON" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import torch, transformers and safetensors"
    exit 0
fi
if ! site=$(bash "$IL_ROOT/tests/interop/wheel.sh" "$folder"); then
    echo "not ok - $name: no wheel"
    exit 1
fi

# sites FOLDER: every name that the package knows of a model of this kind
sites() {
    PYTHONPATH="$site" "$PYTHON" - "$1" <<'END'
import json, sys
from interloop.sites import _FAMILIES
config = json.load(open(sys.argv[1] + "/config.json"))
family = _FAMILIES[config["model_type"]]
deep = config.get("num_hidden_layers", config.get("n_layer"))
parallel = config["model_type"] == "gpt_neox" and config.get("use_parallel_residual", True)
for name in family:
    if name in ("hook_embed", "ln_final.hook_normalized"):
        print(name)
for n in range(deep):
    for name in ["hook_resid_pre", "hook_resid_post", *family]:
        whole = name in ("blocks", "hook_embed", "ln_final.hook_normalized")
        if not whole and not (parallel and name == "hook_resid_mid"):
            print(f"blocks.{n}.{name}")
END
}

for model in gpt2 gpt2_untied neox neox_serial llama llama_tied llama3 llama_yarn mistral qwen2; do
    mapfile -t asked < <(sites "$IL_ROOT/tests/fixtures/hf/$model" | sed 's/^/--site\n/')
    # Exported after two steps, so that the numbers are the plugin's own and went through a file.
    if FOLDER="$IL_ROOT/tests/fixtures/hf/$model" "$interloop" activations "$IL_ROOT/tests/interop/folder.yaml" \
        --stage stepped --plugin-path "$(realpath "$IL_BUILD")/plugins" --runs "$folder/runs" \
        --out "$folder/$model.acts" "${asked[@]}" --rows 32 --batch 64 >"$folder/out" 2>&1 &&
        FOLDER="$IL_ROOT/tests/fixtures/hf/$model" "$interloop" model export "$IL_ROOT/tests/interop/folder.yaml" \
            --stage stepped --plugin-path "$(realpath "$IL_BUILD")/plugins" --runs "$folder/runs" \
            --to "$folder/$model" >>"$folder/out" 2>&1; then
        PYTHONPATH="$site" "$PYTHON" "$IL_ROOT/tests/interop/sites.py" "$folder/$model" "$folder/$model.acts" "$model"
    else
        echo "not ok - $model: activations and export"
        sed 's/^/    /' "$folder/out"
    fi
done
