#!/usr/bin/env bash
# Safetensors and TensorBoard files against the libraries that own the formats.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$IL_ROOT/tests/interop

# shellcheck disable=SC2046 # flags are to be split
${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -I"$IL_ROOT/include" -I"$IL_ROOT/core" \
    -o "$folder/formats" "$here/formats.c" "$IL_BUILD/libinterloop.a" \
    $(pkg-config --libs yaml-0.1 jansson libsodium zlib libpcre2-8 libutf8proc) -lm -ldl -lpthread || exit 1

# run MODULE VERB NAME: one exchange with Python, skipped where it lacks the module.
run() {
    if ! "$PYTHON" -c "import numpy, $1" 2>/dev/null; then
        echo "skip - $3: $PYTHON cannot import numpy and $1"
    elif "$PYTHON" "$here/formats.py" "$2" "$folder"; then
        echo "ok - $3"
    else
        echo "not ok - $3"
    fi
}
run safetensors read_ours "the safetensors library reads what is written here"
run safetensors read_theirs "what the safetensors library writes is read here"
run tensorboard read_events "TensorBoard reads the event files written here"
