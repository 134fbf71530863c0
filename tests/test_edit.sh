#!/usr/bin/env bash
# Edits in whole runs: what is trained under them, what their certificates say, that they resume to the same
# bits, and who is refused.
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
refuses() { # text, and what to set
    local text=$1
    shift
    edit run --runs "$folder/refused" --no-report "$@"
    [ $? -eq 2 ] && shows "$text"
}

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

for variant in frozen shadow; do
    check "$variant is certified" edit certify --runs "$folder/runs" --seed 1 --variant $variant
    check "its certificate holds" shows "certificate holds against probe"
    check "as its verdict says" shows "verdict closed"
done
for variant in ablated steered; do
    check "$variant is certified, and open" edit certify --runs "$folder/runs" --seed 1 --variant $variant
    check "its certificate names a step and a tensor" shows "certificate fails against probe: step 1, tensor"
done

edit run --runs "$folder/runs" --variant ablated --variant twin
check "the report names the edit" grep -qF "edit: ablate" "$folder/runs/small_edit/report.html"

check "explain knows the edit" edit explain --variant ablated
check "and prints it" shows \
    "edit cut: ablate by probe at blocks.1.hook_resid_post, tokens claims, strength 1.0"
check "with what it opens" shows "language → edit of probe, differentiated → blocks.1"
edit explain --variant ablated --set "stages.edited.require={edit.gone.lie: '> 0'}"
check "a requirement under an edit selects by the detector that makes it" shows \
    "selection  require edit.gone.lie > 0 → the states that are kept"
edit explain --variant steered --set stages.edited.firewall=sealed
check "steering opens credit, and is refused while that is to be closed" [ $? -eq 2 ]
check "with the path" shows "language → computed under the edit of probe"

check "a site that the model only shows is refused by name" refuses \
    "blocks.1.attn.hook_pattern: error: this site cannot be edited" --variant ablated \
    --set detectors.probe.site=blocks.1.attn.hook_pattern
check "a detector that was never fitted edits nothing" refuses \
    "detector 'probe' has not been fitted yet" --variant ablated --set stages.fitted.fit=[auditor]
check "a detector that is no dictionary splices nothing in" refuses \
    "gives no reconstruction to splice in" --variant ablated --set stages.edited.signals.cut.edit=splice
check "so does an audit" refuses "there is no mask 'claim' in what the audit reads" --variant ablated \
    --set stages.edited.audit.edits.gone.tokens=claim
check "a mask that the data does not have is refused" refuses \
    "the data has no field 'claim', did you mean 'claims'?" --variant ablated \
    --set stages.edited.signals.cut.tokens=claim
# A dictionary as the editor.
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_sae_edit.yaml
check "a dictionary edits in training and in audits" edit run --runs "$folder/sae" --no-report
state() { realpath "$folder/sae/sae_edit/edited/$1/seed-1/state"; }
check "its ablation trains otherwise" differ twin ablated
check "so does its reconstruction" differ twin spliced
value() {
    tr -d ' \n' <"$folder/sae/sae_edit/edited/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
near() { # VARIANT METRIC METRIC: but for rounding
    awk -v a="$(value "$1" "$2")" -v b="$(value "$1" "$3")" \
        'BEGIN { d = a - b; exit !(a != "" && b != "" && d < 1e-4 && d > -1e-4) }'
}
check "its reconstruction with its error is what was there" near twin lm_hon edit.kept.lm_hon
check "without it is not" unequal twin lm_hon edit.spliced.lm_hon
check "features that are named are clamped" unequal twin lm_hon edit.named.lm_hon
check "without names those are ablated that its logit reads" unequal twin lm_hon edit.read.lm_hon
check "a feature that it does not have is refused" refuses \
    "detector 'words' has no feature 48, expected 0 to 47" --variant twin \
    --set stages.edited.audit.edits.named.features=[48]
exit $failed
