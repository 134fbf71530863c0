#!/usr/bin/env bash
# audit.json of short runs of text, agents and answers against the published schema, by a validator
# that is not ours.
set -u
interloop=$IL_BUILD/interloop
plugins=$(realpath "$IL_BUILD")/plugins
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if ! "$PYTHON" -c 'import jsonschema' 2>/dev/null; then
    echo "skip - audits against their schema: $PYTHON has no jsonschema"
    exit 0
fi
runs=(small_lever small_lever_edit)
if [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    runs+=(small_liar small_edit)
fi
runs+=(small_atlas)
for run in "${runs[@]}"; do
    if ! "$interloop" run "$IL_ROOT/tests/fixtures/pipelines/$run.yaml" --runs "$folder/$run" --no-report \
        --set plugins.path="[$plugins]" >"$folder/out" 2>&1; then
        echo "not ok - a short run of $run"
        sed 's/^/    /' "$folder/out"
        continue
    fi
    "$PYTHON" - "$IL_ROOT/docs/reference/audit.schema.json" "$folder/$run" "$run" <<'END'
import json, pathlib, sys
from jsonschema import Draft202012Validator

schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
seen, wrong = 0, []
for path in pathlib.Path(sys.argv[2]).rglob("audit.json"):
    if ".stages" not in path.parts:
        seen += 1
        for error in validator.iter_errors(json.load(open(path))):
            wrong.append(f"{path}: {list(error.path)}: {error.message[:200]}")
print("not ok" if wrong or seen == 0 else "ok", f"- {seen} audits of {sys.argv[3]} are as the schema says")
for line in wrong[:10]:
    print("    " + line)
END
done
