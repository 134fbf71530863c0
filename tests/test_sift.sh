#!/usr/bin/env bash
# Data that a detector chooses, end to end: the same bits for any number of workers, what is
# logged, what the firewall and the certificates say, and who is refused.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_sift.yaml
. "$IL_ROOT/tests/checks.sh"

sift() { # verb [OPTION...]: on the stage that is sifted
    local verb=$1
    shift
    "$interloop" "$verb" "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" \
        --stage sifted "$@" >"$folder/out" 2>&1
}
state() { echo "$folder/$1/small_sift/sifted/$2/seed-1/state/state.safetensors"; }
same_state() { cmp "$(state "$1" "$2")" "$(state "$3" "$4")"; }
logs() { grep -q -- "$2" "$folder/runs/small_sift/sifted/$1/seed-1/metrics.jsonl"; }
shows() { grep -qF -- "$1" "$folder/out"; }
refuses() { # text, and what to set
    local text=$1
    shift
    sift run --runs "$folder/refused" --no-report "$@"
    [ $? -eq 2 ] && shows "$text"
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "every variant runs" sift run --runs "$folder/runs" --no-report
check "half of a batch is logged as kept" logs lowest '"sieve.kept": 0.5,'
check "none of it is, where the line lets nobody pass" logs nobody '"sieve.kept": 0.0,'
check "and no gradient is left" logs nobody '"grad_norm": 0.0}'
check "weights are logged as their mean" logs complement '"scales.kept": 0\.[0-9]'
check "who keeps all leaves the twin's bits" same_state runs all runs twin
check "who keeps half does not" not same_state runs lowest runs twin
for workers in 1 2; do
    sift run --runs "$folder/w$workers" --no-report --workers $workers --variant lowest --variant complement
    check "--workers $workers gives the same bits" same_state w$workers lowest runs lowest
    check "to weights, too" same_state w$workers complement runs complement
done

check "certify runs" sift certify --runs "$folder/runs" --seed 1 --variant frozen --variant lowest
check "what is not trained keeps its bits whoever chooses" shows "sifted/frozen seed 1: certificate holds against probe"
check "as its verdict says" shows "verdict closed"
check "and what is trained does not" shows "sifted/lowest seed 1: certificate fails against probe: step 1, tensor"
sift explain --variant lowest
check "explain prints what is kept" shows "data sieve: the 0.5 of a batch that probe scores lowest are kept"
check "with what it opens: data" shows "data       language → examples chosen by the score of probe → blocks.1"
check "and credit" shows "credit     language → its examples weighed by the score of probe → blocks.1"
check "which is refused where it must be closed" refuses \
    "credit is open from probe to probe and must be closed" --variant lowest --set stages.sifted.firewall=sealed
check "as data is" refuses \
    "data is open from probe to probe and must be closed: language → examples chosen by the score of probe" \
    --variant lowest --set stages.sifted.firewall=[data]
check "a detector that was never fitted scores nothing" refuses \
    "detector 'probe' has not been fitted yet: there is nothing to score examples by" --variant lowest \
    --set stages.fitted.fit=[auditor]
exit $failed
