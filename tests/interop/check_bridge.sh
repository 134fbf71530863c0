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
if ! site=$(bash "$IL_ROOT/tests/interop/wheel.sh" "$folder"); then
    echo "not ok - $name: no wheel"
    exit 1
fi
make -s -C "$IL_ROOT" install PREFIX="$folder/prefix" >/dev/null || exit 1
cp -r "$IL_ROOT/docs/examples/first_plugin" "$folder/mine"
env -u MAKEFLAGS -u MFLAGS PKG_CONFIG_PATH="$folder/prefix/lib/pkgconfig" \
    PATH="$folder/prefix/bin:$PATH" make -s -C "$folder/mine" || exit 1
cd "$folder" || exit 1
export INTERLOOP_PLUGIN_PATH="$folder/mine" PYTHONPATH="$site"
bad=0
# part FILE ARG...: a part that ends badly without saying why is a failure of its own
part() {
    "$PYTHON" "$IL_ROOT/tests/interop/$1" "${@:2}" 2>"$folder/errors" && return
    bad=1
    tail -n 12 "$folder/errors" | sed 's/^/    /'
}
part bridge.py "$IL_ROOT/docs/examples/bridge" "$IL_ROOT/tests/fixtures/run"
part bridge_attack.py
part bridge_certify.py
part bridge_docs.py "$IL_ROOT/docs/python.md" "$IL_ROOT/docs/examples/bridge" "$IL_ROOT/tests/fixtures/run"
exit $bad
