#!/usr/bin/env bash
# Other programs' files of detectors, both ways, against the libraries that own the formats as they
# are installed here: fixtures made anew for the tests that `make test` runs on the stored ones, and
# what is written here loaded by those libraries.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$IL_ROOT/tests/interop
fixtures=$IL_ROOT/tests/fixtures/exchange
built=${IL_BUILD#"$IL_ROOT/"}/tests/core
export INTERLOOP_PLUGIN_PATH=$IL_BUILD/plugins
export IL_EXCHANGE_FIXTURES=$folder/made

has() { "$PYTHON" -c "import $1" 2>/dev/null; }

# check MODULES NAME COMMAND...: skipped where Python lacks a module.
check() {
    local modules=$1 name=$2
    shift 2
    if ! has "$modules"; then
        echo "skip - $name: $PYTHON cannot import $modules"
    elif "$@" >"$folder/said" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        tail -n 5 "$folder/said" | sed 's/^/    /'
    fi
}

make_test() { make -s -C "$IL_ROOT" "$built/$1"; }
anew() { # the script that makes them, where to, the test that reads them
    "$PYTHON" "$fixtures/$1" "$2" && make_test "$3" && "$IL_BUILD/tests/core/$3"
}
# Folders of versions that are not installed here stay as they are stored.
cp -r "$fixtures" "$folder/made"
rm -rf "$folder/made/sparsify"

check sae_lens "folders made by the installed SAELens are read as it reads them" \
    anew make_sae_lens.py "$folder/made/sae_lens" exchange/test_sae_lens
check sparsify,sae_lens,sklearn "SAEs of sparsify and probes of scikit-learn and PyTorch are read" \
    anew make_others.py "$folder/made" exchange/test_weights
check sparsify,sae_lens,sklearn "and their probes score the same" \
    anew make_others.py "$folder/made" exchange/test_direction
check gguf,numpy "control vectors of the gguf package are read" \
    anew make_files.py "$folder/made" formats/test_gguf
check gguf,numpy "and archives of numpy" \
    anew make_files.py "$folder/made" formats/test_npz

check sae_lens "folders written here load in SAELens and give the same" \
    "$PYTHON" "$here/exchange.py" sae_lens "$folder"
check gguf,numpy,safetensors "probes and control vectors written here are read by their libraries" \
    "$PYTHON" "$here/exchange.py" directions "$folder"
check dictionary_learning,sae_lens "dictionaries of dictionary_learning are converted and read" \
    "$PYTHON" "$here/exchange.py" dictionary_learning "$folder"
