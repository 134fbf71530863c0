#!/usr/bin/env bash
# What edits open, what their certificates say, and who is refused.
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

for variant in frozen shadow; do
    check "$variant is certified" edit certify --runs "$folder/runs" --seed 1 --variant $variant
    check "its certificate holds" shows "certificate holds against probe"
    check "as its verdict says" shows "verdict closed"
done
for variant in ablated steered; do
    check "$variant is certified, and open" edit certify --runs "$folder/runs" --seed 1 --variant $variant
    check "its certificate names a step and a tensor" shows "certificate fails against probe: step 1, tensor"
done

check "explain knows the edit" edit explain --variant ablated
check "and prints it" shows \
    "edit cut: ablate by probe at blocks.1.hook_resid_post, tokens claims, strength 1.0"
check "with what it opens" shows "language → edit of probe, differentiated → blocks.1"
edit explain --variant ablated --set "stages.edited.require={edit.gone.lie: '> 0'}" \
    --set "stages.edited.audit={splits: [probe_test], edits: {gone: {detector: probe, ablate: true}}}"
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
check "so does an audit" refuses "there is no mask 'claim' in what the audit reads" --variant twin \
    --set stages.edited.variants.twin.audit.edits.gone.tokens=claim
check "a mask that the data does not have is refused" refuses \
    "the data has no field 'claim', did you mean 'claims'?" --variant ablated \
    --set stages.edited.signals.cut.tokens=claim
exit $failed
