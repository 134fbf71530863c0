#!/usr/bin/env bash
# A dictionary as the editor, in training and in audits.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_sae_edit.yaml
. "$IL_ROOT/tests/checks.sh"

edit() { # verb [OPTION...]: on the stage of the edits
    local verb=$1
    shift
    "$interloop" "$verb" "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" \
        --stage edited "$@" >"$folder/out" 2>&1
}
shows() { grep -qF -- "$1" "$folder/out"; }
state() { realpath "$folder/sae/sae_edit/edited/$1/seed-1/state"; }
same() { cmp "$(state "$1")/state.safetensors" "$(state "$2")/state.safetensors"; }
differ() { ! same "$@" >/dev/null 2>&1 && [ -f "$(state "$1")/state.safetensors" ]; }
refuses() { # text, and what to set
    local text=$1
    shift
    edit run --runs "$folder/refused" --no-report "$@"
    [ $? -eq 2 ] && shows "$text"
}

value() {
    tr -d ' \n' <"$folder/sae/sae_edit/edited/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
near() { # VARIANT METRIC METRIC: but for rounding
    awk -v a="$(value "$1" "$2")" -v b="$(value "$1" "$3")" \
        'BEGIN { d = a - b; exit !(a != "" && b != "" && d < 1e-4 && d > -1e-4) }'
}
unequal() {
    [ -n "$(value "$1" "$2")" ] && [ -n "$(value "$1" "$3")" ] && [ "$(value "$1" "$2")" != "$(value "$1" "$3")" ]
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "a dictionary edits in training and in audits" edit run --runs "$folder/sae" --no-report
check "its ablation trains otherwise" differ twin ablated
check "so does its reconstruction" differ twin spliced
check "its reconstruction with its error is what was there" near twin lm_hon edit.kept.lm_hon
check "without it is not" unequal twin lm_hon edit.spliced.lm_hon
check "features that are named are clamped" unequal twin lm_hon edit.named.lm_hon
check "without names those are ablated that its logit reads" unequal twin lm_hon edit.read.lm_hon
check "a feature that it does not have is refused" refuses \
    "detector 'words' has no feature 48, expected 0 to 47" --variant twin \
    --set stages.edited.audit.edits.named.features=[48]
exit $failed
