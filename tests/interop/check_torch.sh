#!/usr/bin/env bash
# The models against PyTorch as it is installed here: each fixture is made anew, and the test that
# `make test` runs on the stored one runs on that.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
built=${IL_BUILD#"$IL_ROOT/"}/tests/plugins

# check MODEL NAME
check() {
    if ! "$PYTHON" -c 'import torch, safetensors.torch' 2>/dev/null; then
        echo "skip - $2: $PYTHON cannot import torch and safetensors"
    elif make -s -C "$IL_ROOT" "$built/test_$1" &&
        "$PYTHON" "$IL_ROOT/tests/fixtures/torch/make_$1.py" "$folder/$1.safetensors" &&
        IL_TORCH_FIXTURE="$folder/$1.safetensors" "$IL_BUILD/tests/plugins/test_$1"; then
        echo "ok - $2"
    else
        echo "not ok - $2"
    fi
}
check gpt "logits, loss and every gradient of the GPT are PyTorch's"
check belief_desire "beliefs, losses and every gradient of the agent are PyTorch's"
check attention_probe "logits and every gradient of the attention probe are PyTorch's"
check through_fit "fits move with their rows as PyTorch's autograd says"
