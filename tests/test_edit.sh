#!/usr/bin/env bash
# Edits in whole runs: what is trained and measured under them, and that they resume to the same bits.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_edit.yaml
. "$IL_ROOT/tests/checks.sh"

edit() { # verb [OPTION...]: on the stage of the edits
    local verb=$1
    shift
    "$interloop" "$verb" "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" \
        --stage edited "$@" >"$folder/out" 2>&1
}
shows() { grep -qF -- "$1" "$folder/out"; }
state() { # variant: its tensors
    realpath "$folder/${2:-runs}/small_edit/edited/$1/seed-1/state" 2>/dev/null
}
same() { cmp "$(state "$1")/state.safetensors" "$(state "$2" "${3:-runs}")/state.safetensors"; }
differ() { ! same "$@" >/dev/null 2>&1 && [ -f "$(state "$1")/state.safetensors" ]; }
if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "every variant runs" edit run --runs "$folder/runs" --no-report
check "an edit at weight 0 leaves every bit of the training" same twin nothing
check "an ablation does not" differ twin ablated
check "a rising one ends elsewhere" differ ablated rising
check "so does one at every position" differ ablated everywhere
check "and steering" differ ablated steered

# The value of a metric in a variant's audit; METRIC of one is METRIC of another.
value() {
    tr -d ' \n' <"$folder/${3:-runs}/small_edit/edited/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
equal() { [ -n "$(value "$1" "$2")" ] && [ "$(value "$1" "$2")" = "$(value "$1" "$3")" ]; }
unequal() { [ -n "$(value "$1" "$2")" ] && [ -n "$(value "$1" "$3")" ] && ! equal "$@"; }

for metric in lie acc_hon lm_hon probe.auroc probe.mean probe.flag_now; do
    check "an audit under an edit at weight 0 measures $metric as without" \
        equal twin $metric edit.none.$metric
done
for metric in lm_hon probe.mean; do
    check "one under an ablation does not ($metric)" unequal twin $metric edit.gone.$metric
    check "nor one under steering ($metric)" unequal twin $metric edit.pushed.$metric
done
check "a detector upstream of the site reads what it read" equal twin auditor.auroc edit.pushed.auditor.auroc
check "ablating what a fresh reader found changes what is done" unequal twin lm_hon fresh.linear.ablated.lm_hon
check "and so does ablating anything" unequal twin lm_hon floor.ablated.lm_hon

edit run --runs "$folder/workers" --no-report --workers 1 --variant ablated
check "one worker gives the bits of two" same ablated ablated workers

# Killed once a checkpoint is there.
often=(--set stages.edited.train.steps=120 --variant rising --no-report)
edit run --runs "$folder/whole" "${often[@]}"
"$interloop" run "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --stage edited \
    --runs "$folder/killed" "${often[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null &&
    ! compgen -G "$folder/killed/.stages/*/checkpoint.json" >/dev/null; do :; done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
check "a run that is killed under an edit goes on" edit run --runs "$folder/killed" "${often[@]}"
check "to the same bits" cmp "$(state rising whole)/state.safetensors" "$(state rising killed)/state.safetensors"

edit run --runs "$folder/runs" --variant ablated --variant twin
check "the report names the edit" grep -qF "edit: ablate" "$folder/runs/small_edit/report.html"

check "every audit is as the published schema says" env \
    IL_AUDITS="$(find "$folder" -name audit.json -not -path '*/.stages/*')" "$IL_BUILD/tests/core/audit/test_schema"
exit $failed
