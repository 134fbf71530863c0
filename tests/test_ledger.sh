#!/usr/bin/env bash
# The ledger of a whole run: it is there where a detector presses, it and its interval change no
# bit of a state, and it says how far the twin is once that is there.
set -u
. "$IL_ROOT/tests/checks.sh"

# run NAME [OPTION...]: `leaky` and its twin, into a runs folder of its own.
run() {
    local name=$1
    shift
    "${INTERLOOP:?}" run "$IL_ROOT/tests/fixtures/pipelines/small_liar.yaml" --name run --no-report \
        --runs "$folder/$name" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" \
        --set stages.loop.variants.monitor.twin_of=leaky \
        --set 'stages.loop.variants.leaky.twins={twin: true, placebo: none}' \
        --stage loop --variant leaky --variant monitor "$@" >"$folder/out" 2>&1
}
job() { echo "$folder/$1/run/loop/$2/seed-1"; }
same_states() {
    cmp "$(job "$1" leaky)/state/state.safetensors" "$(job "$2" leaky)/state/state.safetensors"
}
lines() { wc -l <"$(job "$1" leaky)/ledger.jsonl"; }

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "a run whose detector presses succeeds" run plain
check "it keeps a ledger" [ "$(lines plain)" -eq 1 ]
check "what it comes to" grep -q '"sampled_work"' "$(job plain leaky)/ledger.json"
check "and how far the twin is" grep -q '"variant": *"monitor"' "$(job plain leaky)/ledger.json"
check "it maps what readings are credited with" grep -q '"honesty"' "$(job plain leaky)/credit.json"
check "its twin keeps none" [ ! -e "$(job plain monitor)/ledger.jsonl" ]
check "a ledger of every other step succeeds" run often --set stages.loop.ledger.every=2
check "it has a line for each sample" [ "$(lines often)" -eq 3 ]
check "its state is the same" same_states plain often
check "so it is with two workers" run workers --set stages.loop.ledger.every=2 --workers 1
check "to the ledger's last digit" cmp "$(job often leaky)/ledger.jsonl" \
    "$(job workers leaky)/ledger.jsonl"
check "a run without a ledger succeeds" run none --set stages.loop.ledger.every=0
check "it keeps none" [ ! -e "$(job none leaky)/ledger.json" ]
check "its state is the same, too" same_states plain none
exit $failed
