#!/usr/bin/env bash
# What a run tells while it goes on: a line on a terminal, lines in a pipe, JSON, and nothing.
set -u
. "$IL_ROOT/tests/checks.sh"

pipeline=$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml
run() { # run [OPTION...]: standard output and error apart
    rm -rf "$folder/runs"
    "$INTERLOOP" run "$pipeline" --runs "$folder/runs" --stage fitted --stage mode --variant brain "$@" \
        >"$folder/out" 2>"$folder/err"
}
has() { grep -q -- "$1" "$folder/$2"; }
objects() { ! grep -vq '^{"event":"[a-z]*",.*}$' "$folder/out"; }
events() { grep -c "^{\"event\":\"$1\"" "$folder/out"; }

check "a run with --json succeeds" run --json
check "each line of its output is an object with an event" objects
check "progress is told with its step, pace, losses and the detectors' health" has \
    '"event":"progress","label":"mode/brain seed 1","step":6,"steps":6,"rate":[0-9.e+]*,"left":0.0,"losses":{.*"prediction":[0-9.]*.*},"health":{' out
check "the log is there too" has '"event":"log","level":"info","component":"mode","line":"brain seed 1 done' out
check "the last line says how it ended and where it lies" eval \
    'tail -1 "$folder/out" | grep -q "^{\"event\":\"end\",\"code\":0,\"folder\":\".*lever\"}$"'
check "and nothing else is said" [ ! -s "$folder/err" ]
alone=$(events progress)
check "two processes tell as much" eval 'run --json --jobs 2 && objects && [ "$(events progress)" -eq "$alone" ]'
check "a refusal ends in JSON too" eval \
    '! run --json --set stages.mode.nothing=1 && tail -1 "$folder/out" | grep -q "\"event\":\"end\",\"code\":2"'

check "a quiet run succeeds" run --quiet
check "and says nothing" [ ! -s "$folder/out" ] && check "at all" [ ! -s "$folder/err" ]
check "but leaves its report" [ -s "$folder/runs/lever/report.html" ]
check "and says what is wrong" eval '! run --quiet --set stages.mode.nothing=1 && has "nothing" err'

check "in a pipe there is a line for each audit and each job" eval 'run && has "mode: brain seed 1 done" err'
check "and none is rewritten" eval '! grep -q "$(printf "\r")" "$folder/err"'

if command -v script >/dev/null; then
    rm -rf "$folder/runs"
    COLUMNS=60 script -qc "stty cols 60; $INTERLOOP run $pipeline --runs $folder/runs --stage fitted --stage mode --variant brain --no-report" \
        /dev/null >"$folder/out" 2>&1 </dev/null
    tr '\r' '\n' <"$folder/out" | grep -a 'brain seed 1: step' >"$folder/lines"
    check "on a terminal the step, the pace and what is left stand in one line" \
        grep -aq 'step 6/6 .*/s  0 s left' "$folder/lines"
    check "which is no wider than the terminal" eval \
        '! sed "s/\x1b\[K//g" "$folder/lines" | grep -aqE "^.{60,}$"'
fi
exit $failed
