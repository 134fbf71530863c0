#!/usr/bin/env bash
# Shards of activations against NumPy and safetensors: theirs are read here, ours there.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$IL_ROOT/tests/interop
interloop=$IL_BUILD/interloop
export INTERLOOP_PLUGIN_PATH=$IL_BUILD/plugins

if ! "$PYTHON" -c 'import numpy, safetensors.numpy' 2>/dev/null; then
    echo "skip - shards of activations: $PYTHON cannot import numpy and safetensors"
    exit 0
fi
say() { # say NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$folder/out"
    fi
}
fits() { # fits FOLDER OPTION...: the direction between the means, found on it
    local name=$1
    shift
    "$interloop" detector fit --use mean_difference --acts "$folder/$name" "$@" --out "$folder/$name.saved.safetensors" &&
        "$PYTHON" "$here/activations.py" direction "$folder/$name.direction.npy" "$folder/$name.saved.safetensors"
}
refuses() { # refuses FOLDER WORDS
    ! "$interloop" detector fit --use mean_difference --acts "$folder/$1" --out "$folder/x" >"$folder/said" 2>&1 &&
        grep -qF -- "$2" "$folder/said"
}
harvest() { # harvest FOLDER OPTION...
    local to=$1
    shift
    "$interloop" activations "$IL_ROOT/tests/fixtures/pipelines/small_text.yaml" --runs "$folder/runs" --stage pretrain \
        --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --site 'blocks.*.hook_resid_post' --detector probe \
        --tokens text --batch 64 --quiet --out "$folder/$to" "$@"
}
reads() { harvest "$@" && "$PYTHON" "$here/activations.py" read "$folder/$1" "$folder/whole"; }

say "NumPy writes shards" "$PYTHON" "$here/activations.py" write "$folder"
say "one .npy file a column is read" fits one
say ".npy files of three versions, numbered, are read" fits numbered
say ".npy files of one's own names are read" fits joined --files 'resid_{shard}.npy, y_{shard}.npy' --site resid \
    --labels "$folder/joined#y"
say "as are another program's safetensors" fits tensors --files 'part-{shard}.safetensors' --site resid \
    --labels "$folder/tensors#y"
say "and float16" fits half
say "and float64 of sequences" fits wide
say "Fortran order is refused" refuses fortran "fortran_order: expected False"
say "big-endian numbers are refused" refuses big "little-endian"
say "objects are refused" refuses object "element type"
say "a file cut short is refused" refuses cut "cut short"
say "shards are written" harvest whole
say "those of .npy hold the same in NumPy" reads npy --format npy
say "those of float16 what NumPy makes of it" reads f16 --dtype f16
say "those of float16 in .npy, too" reads f16npy --dtype f16 --format npy
say "those of bfloat16 the nearest" reads bf16 --dtype bf16
