#!/usr/bin/env bash
# The Python package in PyTorch's hands: the wheel is built, installed into a folder of its own and
# tried, with a plugin that is built outside the tree.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name="the Python package scores and differentiates as PyTorch does"

if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import torch"
    exit 0
fi
if ! make -s -C "$IL_ROOT" wheel >"$folder/wheel" 2>&1; then
    cat "$folder/wheel"
    echo "not ok - $name: no wheel"
    exit 1
fi
"$PYTHON" -m zipfile -e "$(tail -n 1 "$folder/wheel")" "$folder/site" || exit 1
make -s -C "$IL_ROOT" install PREFIX="$folder/prefix" >/dev/null || exit 1
cp -r "$IL_ROOT/docs/examples/first_plugin" "$folder/mine"
env -u MAKEFLAGS -u MFLAGS PKG_CONFIG_PATH="$folder/prefix/lib/pkgconfig" \
    PATH="$folder/prefix/bin:$PATH" make -s -C "$folder/mine" || exit 1
cd "$folder" || exit 1
INTERLOOP_PLUGIN_PATH="$folder/mine" PYTHONPATH="$folder/site" \
    "$PYTHON" "$IL_ROOT/tests/interop/bridge.py" "$IL_ROOT/docs/examples/bridge" "$IL_ROOT/tests/fixtures/run"
