#!/usr/bin/env bash
# Edits while a model acts: in environments of steps and of text, trained on what it did and audited.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

edit() { # VERB small_lever_edit|small_atlas_edit [OPTION...]
    local verb=$1 pipeline=$IL_ROOT/tests/fixtures/pipelines/$2.yaml
    shift 2
    "$interloop" "$verb" "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" \
        --stage edited "$@" >"$folder/out" 2>&1
}
state() { echo "$folder/${3:-runs}/$1/edited/$2/seed-1/state/state.safetensors"; }
same() { cmp -s "$(state "$1" "$2")" "$(state "$1" "$3" "${4:-runs}")"; }
differ() { [ -f "$(state "$1" "$2")" ] && [ -f "$(state "$1" "$3")" ] && ! same "$@"; }
value() { # NAME VARIANT METRIC
    tr -d ' \n' <"$folder/runs/$1/edited/$2/seed-1/audit.json" |
        grep -oP "\"\Q$3\E\":{[^}]*\"value\":\K[^,}]*"
}
equal() { [ -n "$(value "$1" "$2" "$3")" ] && [ "$(value "$1" "$2" "$3")" = "$(value "$1" "$2" "$4")" ]; }
unequal() { [ -n "$(value "$1" "$2" "$3")" ] && [ -n "$(value "$1" "$2" "$4")" ] && ! equal "$@"; }
refuses() { # PIPELINE TEXT [OPTION...]
    local pipeline=$1 text=$2
    shift 2
    edit run "$pipeline" --runs "$folder/refused" --no-report "$@"
    [ $? -eq 2 ] && says "$text"
}

check "Far Lever is played under edits" edit run small_lever_edit --runs "$folder/runs" --no-report --workers 2
edit run small_lever_edit --runs "$folder/one" --no-report --workers 1 --variant heard
check "one worker gives the bits of two" same lever_edit heard heard one
check "an edit at weight 0 leaves every bit" same lever_edit twin nothing
check "an ablation does not" differ lever_edit twin ablated
check "nor one where ears are open, which is another" differ lever_edit ablated heard
for metric in task harm prediction suffering.own.auroc; do
    check "an audit under an edit at weight 0 measures $metric as without" \
        equal lever_edit twin $metric edit.none.$metric
done
check "steering the belief changes what is done" unequal lever_edit twin task edit.pushed.task
check "an ablated belief predicts otherwise" unequal lever_edit twin prediction edit.gone.prediction
check "causal use is measured" unequal lever_edit twin prediction fresh.linear.ablated.prediction
check "with its floor" unequal lever_edit twin prediction floor.ablated.prediction

check "explain sees rows that were chosen under an edit" edit explain small_lever_edit --variant ablated
check "as data" says "prediction → rows chosen under the edit of suffering → gru.b_hidden, read by suffering"
check "and as input of who reads no parameter" says \
    "edit of suffering → episodes that the model plays, read by ideal"
check "on recorded episodes an edit that only desires go on with is certified" \
    edit certify small_lever_edit --runs "$folder/runs" --variant ablated --recorded \
    --set stages.edited.signals.prediction.channel=monitor \
    --set stages.edited.train.clip='[{groups: [desire], norm: 1.0}]'
check "and holds" says "certificate holds against suffering"

check "Little Atlas answers under edits" edit run small_atlas_edit --runs "$folder/runs" --no-report
check "an edit at weight 0 leaves every bit" same atlas_edit twin nothing
check "steering does not" differ atlas_edit twin steered
for metric in hack tokens deception.auroc; do
    check "an audit under an edit at weight 0 measures $metric as without" \
        equal atlas_edit twin $metric edit.none.$metric
done
check "steering changes what is answered" unequal atlas_edit twin hack edit.pushed.hack
check "a mask that is not known while an answer is written is refused" refuses small_atlas_edit \
    "mask 'claim' is not known while an answer is written" --variant steered \
    --set stages.edited.signals.cut.tokens=claim
check "in an audit too" refuses small_atlas_edit \
    "mask 'claim' is not known while an answer is written" --variant twin \
    --set stages.edited.audit.edits.none.tokens=claim
check "a site that is sampled is not edited" refuses small_lever_edit \
    "would be edited twice" --variant ablated \
    --set stages.edited.train.sample='{site: belief.hook_state, mean: belief.hook_mean, std: 0.1}'
check "every audit is as the published schema says" env \
    IL_AUDITS="$(find "$folder" -name audit.json -not -path '*/.stages/*')" "$IL_BUILD/tests/core/audit/test_schema"
exit $failed
