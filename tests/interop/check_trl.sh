#!/usr/bin/env bash
# A detector in the reward of TRL's trainers.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name="a detector in the reward of TRL's trainers"

if ! "$PYTHON" -c 'import torch, transformers, datasets, trl' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import torch, transformers, datasets and trl"
    exit 0
fi
if ! site=$(bash "$IL_ROOT/tests/interop/wheel.sh" "$folder"); then
    echo "not ok - $name: no wheel"
    exit 1
fi
cd "$folder" || exit 1
PYTHONPATH="$site" TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 \
    "$PYTHON" "$IL_ROOT/tests/interop/trl_reward.py" 2>"$folder/errors" || {
    tail -n 20 "$folder/errors" | sed 's/^/    /'
    exit 1
}
