#!/usr/bin/env bash
# The GPT against PyTorch as it is installed here: the fixture is made anew, and the test that
# `make test` runs on the stored one runs on that.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name="logits, loss and every gradient of the GPT are PyTorch's"
program=${IL_BUILD#"$IL_ROOT/"}/tests/plugins/test_gpt

if ! "$PYTHON" -c 'import torch, safetensors.torch' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import torch and safetensors"
elif make -s -C "$IL_ROOT" "$program" &&
    "$PYTHON" "$IL_ROOT/tests/fixtures/torch/make_gpt.py" "$folder/gpt.safetensors" &&
    IL_TORCH_FIXTURE="$folder/gpt.safetensors" "$IL_BUILD/tests/plugins/test_gpt"; then
    echo "ok - $name"
else
    echo "not ok - $name"
fi
