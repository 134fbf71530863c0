#!/usr/bin/env bash
# Halts end to end: early stopping with each state that may be kept, alarms, freezes; the same bits
# for any number of workers and across a stop; what the firewall says; who is refused.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_halt.yaml
. "$IL_ROOT/tests/checks.sh"

args() { # verb [OPTION...]
    local verb=$1
    shift
    set -- "$verb" "$pipeline" --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" "$@"
    all=("$@")
}
halt() {
    args "$@"
    "$interloop" "${all[@]}" >"$folder/out" 2>&1
}
run() { # folder variant...: the stage that is guarded
    local runs=$folder/$1 options=()
    shift
    for variant in "$@"; do options+=(--variant "$variant"); done
    halt run --stage guarded --runs "$runs" --no-report "${options[@]}"
}
of() { echo "$folder/$1/small_halt/guarded/$2/seed-1/$3"; }
same_state() { cmp "$(of "$1" "$2" state/state.safetensors)" "$(of "$3" "$4" state/state.safetensors)"; }
same_metrics() { cmp "$(of "$1" "$2" metrics.jsonl)" "$(of "$3" "$4" metrics.jsonl)"; }
shows() { grep -qF -- "$1" "$folder/out"; }
has() { grep -qF -- "$2" "$1"; }
metric() { # variant name: of the summary
    tr -d '\n ' <"$folder/runs/small_halt/summary.json" | grep -o "\"variant\":\"$1\".*" |
        grep -o "\"$2\":[0-9.e+-]*" | head -1 | cut -d: -f2
}
refuses() { # text, and what to set
    local text=$1
    shift
    halt run --stage guarded --runs "$folder/refused" --no-report "$@"
    [ $? -eq 2 ] && shows "$text"
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "a stage that its guard stops succeeds" run runs stopped
check "it says by which line" shows "guard: lm_hon 5.006 at step 4 (lm_hon below 5.1): stop"
check "so do those that run for as long by themselves" run runs two four unguarded
check "the state that is left is that of the step" same_state runs stopped runs four
check "the summary has the step at which it fired" [ "$(metric stopped guard.fired)" = 4.0 ]
check "the audit has the line" has "$(of runs stopped audit.json)" '"line": "lm_hon below 5.1"'
check "as the published schema has it" env IL_AUDITS="$(of runs stopped audit.json)" "$IL_BUILD/tests/core/audit/test_schema"
check "and how many ends there were" has "$(of runs stopped audit.json)" '"ends": 5'
check "the metrics have each judgement" has "$(of runs stopped metrics.jsonl)" '"guard.fired": 1'

check "the state of before may be kept" run runs before
check "which is that of the audit before" same_state runs before runs two
check "the summary has the step that it is of" [ "$(metric before guard.kept)" = 2.0 ]
check "so may the best" run runs best
check "which is none of the later ones" not same_state runs best runs two
check "and no kept state stays behind" [ -z "$(find "$folder/runs/.stages" -name 'kept*')" ]
check "patience waits for another audit" run runs patient
check "and says so" shows "at step 6 (lm_hon below 5.1 for 2 audits): stop"
check "a gap to a fresh reader may be watched" run runs gap
check "it may never be crossed" not shows "warning"
check "an alarm sounds" run runs alarm
check "once, for as long as it lasts" [ "$(grep -c "alarm$" "$folder/out")" = 1 ]
check "and changes no bit" same_state runs alarm runs unguarded
check "nor the result's address" [ "$(readlink "$(of runs alarm state)")" = "$(readlink "$(of runs unguarded state)")" ]
check "as a stop does" not [ "$(readlink "$(of runs gap state)")" = "$(readlink "$(of runs unguarded state)")" ]
check "a freeze goes on" run runs frozen
check "and says what it freezes" shows "freeze blocks.0, embed"
check "to another end" not same_state runs frozen runs unguarded

for workers in 1 2; do
    halt run --stage guarded --runs "$folder/w$workers" --no-report --workers $workers \
        --variant before --variant frozen
    check "--workers $workers keeps the same state of before" same_state w$workers before runs before
    check "--workers $workers freezes to the same state" same_state w$workers frozen runs frozen
done

# Told to stop once the first audit is written: it goes on from there.
for variant in before frozen; do
    args run --stage guarded --runs "$folder/cut" --no-report --variant $variant
    "$interloop" "${all[@]}" >"$folder/out" 2>&1 &
    child=$!
    while kill -0 $child 2>/dev/null &&
        ! grep -qs '"step": 2' "$folder"/cut/.stages/*/observed/*/metrics.jsonl; do :; done
    kill -TERM $child 2>/dev/null
    wait $child
    check "$variant goes on after it was told to stop" run cut $variant
    check "to the same state" same_state cut $variant runs $variant
    check "and the same metrics" same_metrics cut $variant runs $variant
    rm -rf "$folder/cut"
done

halt explain --stage guarded --variant stopped
check "explain prints what halts" shows "halt guard: lm_hon below 5.1 → stop (one of 5 ends)"
check "and what that opens" shows \
    "selection  guard: lm_hon below 5.1 → stop, one of 5 ends, 2.3 bits, counted in log2"
halt explain --stage guarded --variant alarm
check "an alarm opens nothing" not shows "2.3 bits"
halt explain --stage guarded --variant frozen
check "a freeze opens credit" shows "language → frozen by the health of probe → blocks.0"
halt explain --stage after
check "what starts from a stage that was stopped inherits the selection" shows "lm_hon below 5.1 → stop"
calm=(--set stages.guarded.signals.pressure.channel=monitor)
check "a stop is certified" halt certify --stage guarded --runs "$folder/runs" --seed 1 --variant stopped "${calm[@]}"
check "up to the first of both that stops" shows "certificate holds against probe"
check "and says who stopped" shows "halted there by the coins in place of its readings"
check "a freeze of what is read is certified" halt certify --stage guarded --runs "$folder/runs" --seed 1 --variant frozen "${calm[@]}"
check "and found to move it" shows "certificate fails against probe: step 3"
check "a freeze of the rest is certified, sealed" halt certify --stage guarded --runs "$folder/runs" --seed 1 --variant frozen \
    "${calm[@]}" --set stages.guarded.firewall=sealed --set stages.guarded.variants.frozen="{signals: {guard: {do: {freeze: [unembed]}}, language: {route: {downstream: probe}}}}"
check "and moves nothing that is read" shows "certificate holds against probe: what the detectors read kept its bits over 8 steps (verdict closed)"
check "a freeze is refused where credit must be closed" refuses \
    "credit is open from probe to probe and must be closed: language → frozen by the health of probe" \
    --variant frozen --set stages.guarded.firewall=sealed \
    --set stages.guarded.signals.pressure.channel=monitor
check "a stop is refused where selection must be" refuses \
    "selection is open from probe to probe and must be closed" \
    --variant stopped --set stages.guarded.firewall=[selection] \
    --set stages.guarded.signals.pressure.channel=monitor
check "a metric that no audit measures is an error" refuses \
    "the audit at step 2 measured no 'probe.trp' to halt by" \
    --variant stopped --set stages.guarded.signals.guard.when.metric=probe.trp
check "a group that the model does not have is one" refuses \
    "the model has no parameter group 'block.0'" \
    --variant frozen --set stages.guarded.variants.frozen="{signals.guard.do: {freeze: [block.0]}}"
exit $failed
