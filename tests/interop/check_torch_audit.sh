#!/usr/bin/env bash
# A run's own audit, and il.audit on the checkpoints that the run hands out, loaded by transformers.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
interloop=${INTERLOOP:-$IL_BUILD/interloop}
name="the audit of a PyTorch model is that of a run"

if ! "$PYTHON" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import torch, transformers and safetensors"
    exit 0
fi
if ! site=$(bash "$IL_ROOT/tests/interop/wheel.sh" "$folder"); then
    echo "not ok - $name: no wheel"
    exit 1
fi
common=(--runs "$folder/runs" --plugin-path "$(realpath "$IL_BUILD")/plugins")
pipeline=$IL_ROOT/tests/interop/audit.yaml
export FOLDER="$IL_ROOT/tests/fixtures/hf/llama"
made() {
    "$interloop" run "$pipeline" "${common[@]}" --no-report --quiet &&
        "$interloop" model export "$pipeline" "${common[@]}" --stage adapted --merge --to "$folder/now" &&
        "$interloop" model export "$pipeline" "${common[@]}" --stage fitted --merge --to "$folder/then" &&
        "$interloop" detector fit "$pipeline" "${common[@]}" --stage adapted --detector deception \
            --out "$folder/deception.safetensors" &&
        for split in fixed_transcripts probe_full; do
            "$interloop" activations "$pipeline" "${common[@]}" --stage adapted --site hook_embed --detector deception \
                --tokens claim --split "$split" --batch 4096 --out "$folder/$split" || return 1
        done
}
if ! made >"$folder/out" 2>&1; then
    echo "not ok - $name: run, export and activations"
    sed 's/^/    /' "$folder/out"
    exit 1
fi
PYTHONPATH="$site" "$PYTHON" "$IL_ROOT/tests/interop/torch_audit.py" "$folder/runs/torch_audit/adapted/seed-1/audit.json" \
    "$folder/now" "$folder/then" "$folder/deception.safetensors" "$folder/fixed_transcripts" "$folder/probe_full"
