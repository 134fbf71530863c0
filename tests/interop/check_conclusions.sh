#!/usr/bin/env bash
# What a run concludes, against its published schema and scipy's tests as they are installed here.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name="conclusions fit their schema, and their numbers are scipy's"

if ! "$PYTHON" -c 'import jsonschema, numpy, scipy' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import jsonschema, numpy and scipy"
elif "$IL_BUILD/interloop" run "$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml" --runs "$folder" \
    --set "plugins.path=[$(realpath "$IL_BUILD")/plugins]" --set 'twins={}' \
    --set 'sweep.seeds=[1, 2, 3, 4]' --no-report >"$folder/out" 2>&1 &&
    "$PYTHON" "$IL_ROOT/tests/interop/conclusions.py" \
        "$IL_ROOT/docs/reference/conclusions.schema.json" "$folder"/*/conclusions.json \
        >>"$folder/out" 2>&1; then
    echo "ok - $name"
else
    echo "not ok - $name"
    tail -n 8 "$folder/out" | sed 's/^/    /'
fi
