#!/usr/bin/env bash
# The event files of a run against TensorBoard: what it reads of them is what the run's own records
# say, of scalars and of histograms, written as the run went on and made anew from its records.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$IL_ROOT/tests/interop

# run NAME: a small run under that name; the second finds its stages there.
run() {
    "$IL_BUILD/interloop" run "$IL_ROOT/tests/fixtures/pipelines/small_liar.yaml" \
        --set plugins.path="[$IL_BUILD/plugins]" --set stages.loop.ledger.every=2 \
        --stage loop --variant leaky --no-report --runs "$folder/runs" --name "$1"
}

name="TensorBoard reads of a run what its records say"
if ! "$PYTHON" -c 'import numpy, tensorboard' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import numpy and tensorboard"
elif ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "skip - $name: no WordNet here"
else
    for made in once again; do
        if run $made >"$folder/out" 2>&1 &&
            "$PYTHON" "$here/tensorboard_run.py" "$folder/runs/$made/loop/leaky/seed-1" \
                >>"$folder/out" 2>&1; then
            echo "ok - $name, $made"
        else
            tail -n 5 "$folder/out" | sed 's/^/    /'
            echo "not ok - $name, $made"
        fi
    done
fi
