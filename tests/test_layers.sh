#!/usr/bin/env bash
# Several layers at once in a whole run: side by side in one detector, and one probe a layer with an ensemble of them.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/layers.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE VERB [OPTION...]
    local code=$1 verb=$2
    shift 2
    "$interloop" "$verb" "$pipeline" --runs "$folder/runs" --set plugins.path="[$plugins]" "$@" \
        >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
value() { # value RUN METRIC
    tr -d ' \n' <"$folder/runs/$1/fitted/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
within() { [ -n "$1" ] && awk -v x="$1" 'BEGIN { exit !(x > 0 && x < 1) }'; }

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "two layers are fitted on and audited" exits 0 run --name one --no-report --stage fitted --workers 1
for detector in side closed attends last layers; do
    check "$detector is judged" within "$(value one $detector.auroc)"
done
check "a polynomial exits early by order" within "$(value one staged.escalated)"
check "and is judged" within "$(value one staged.auroc)"
for use in mean_difference mahalanobis knn; do
    check "$use reads two layers side by side" exits 0 run --name "$use" --no-report --stage fitted \
        --set detectors.closed.use="$use"
    check "and is judged" within "$(value $use closed.auroc)"
done
check "an exact fit has no batch" exits 2 run --name none --stage fitted --set detectors.side.fit.method=irls
check "which is said" says "has no \`batch\`"
exit $failed
