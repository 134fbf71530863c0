#!/usr/bin/env bash
# Detectors of attention patterns in a whole run: fitted, calibrated, pressed and audited, and what they refuse.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/patterns.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE VERB [OPTION...]
    local code=$1 verb=$2
    shift 2
    "$interloop" "$verb" "$pipeline" --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
value() { # value RUN VARIANT METRIC: of the loop's last audit
    tr -d ' \n' <"$folder/$1/$1/loop/$2/seed-1/audit.json" |
        grep -oP "\"\Q$3\E\":{[^}]*\"value\":\K[^,}]*"
}
within() { # within VALUE: a share, and not one that nothing decided
    [ -n "$1" ] && awk -v x="$1" 'BEGIN { exit !(x > 0 && x < 1) }'
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "patterns are fitted on, pressed and audited" exits 0 run --runs "$folder/one" --name one --no-report \
    --stage loop --variant pressed
for detector in watch heads raw claimed any; do
    check "$detector is judged" within "$(value one pressed $detector.auroc)"
done
check "they open direct, each through its pattern" exits 0 explain --stage loop --variant pressed
check "and no further than to queries and keys of the last layer they read" \
    grep -Eq '^  direct .*(watch|heads|raw), differentiated → blocks\.1\.attn\.[bW]_QKV' "$folder/out"

check "an activation is no pattern" exits 2 run --runs "$folder/r" --name r --stage loop --variant monitor \
    --set 'detectors.watch.sites=[blocks.0.hook_resid_post]'
check "and that is said" says "its site 1 is none"
check "a threshold without a label has no negatives" exits 2 run --runs "$folder/r" --name r --stage loop \
    --variant monitor --set detectors.watch.label=
check "keys are a mask of the data" exits 2 run --runs "$folder/r" --name r --stage loop --variant monitor \
    --set detectors.claimed.keys=statements
check "and one that it lacks is named" says "has no mask 'statements'"
check "a label that the data does not have is named" exits 2 run --runs "$folder/r" --name r --stage loop \
    --variant monitor --set detectors.watch.label=liars
check "with its place" says "has no label 'liars'"
exit $failed
