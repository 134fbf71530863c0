#!/usr/bin/env bash
# The verb watch: what a run's jobs are at, once and as they go on.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE WORD...
    local code=$1
    shift
    "$interloop" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
comes() { # comes TEXT: a line of the watch has it, before long
    local line
    while IFS= read -r -t 20 line <&4; do
        case $line in *"$1"*) return 0 ;; esac
    done
    return 1
}

check "a folder is needed" exits 2 watch
check "and must be there" exits 2 watch "$folder/none"
check "help is there" exits 0 watch --help
check "a finished run is shown once" exits 0 watch "$IL_ROOT/tests/fixtures/run" --once
check "with step and detectors" \
    says "loop/leaky/seed-1  done, step 200  auroc probe 0.547, auditor 0.934"

job=$folder/runs/mine/loop/seed-1
mkdir -p "$job"
check "a job may have nothing yet" exits 0 watch "$folder/runs/mine" --once
check "which is said" says "loop/seed-1  no metrics yet"
mkfifo "$folder/fifo"
"$interloop" watch "$folder/runs/mine" >"$folder/fifo" 2>"$folder/errors" &
pid=$!
exec 4<"$folder/fifo"
printf '{"step": 3, "loss.task": 0.5, "a.auroc": 0.75, "a.gap.auroc": 0.1, "a.own.auroc": 0.5}\n' >"$job/new"
mv "$job/new" "$job/metrics.jsonl"
check "what comes is shown, but for gaps" comes "step 3  loss.task 0.5  auroc a 0.750, a.own 0.500"
printf '{"step": 4, "loss.task": 0.25, "\\u001b[2J.auroc": 1}\n{"step": 5, "torn' >"$job/new"
mv "$job/new" "$job/metrics.jsonl"
check "and again, nothing that a terminal obeys" comes "step 4  loss.task 0.25  auroc ?[2J 1.000"
touch -d '2000-01-01' "$job/metrics.jsonl"
: >"$job/events.out.tfevents.interloop"
check "a job whose events are newer is not done" comes "loop/seed-1  no metrics yet"
kill "$pid"
wait "$pid" 2>"$folder/said"
check "without an error" not [ -s "$folder/errors" ]

if command -v script >/dev/null; then
    printf '{"steps": {"loop": 40}}\n' >"$folder/runs/mine/plan.json"
    printf 'info loop: begun\ninfo loop seed 1: a long way to go, and more than this screen is wide\ninfo torn' \
        >"$folder/runs/mine/log.txt"
    rm "$job/events.out.tfevents.interloop"
    timeout 20 script -qc "stty cols 40 rows 10; timeout 2 $interloop watch $folder/runs/mine" /dev/null \
        </dev/null 2>&1 | tr '\r' '\n' >"$folder/out"
    check "a screen ends with the last whole line of the log" says "info loop seed 1: a long way"
    check "cut to its width" not says "more than this screen"
    check "and without colour" not grep -q "$(printf '\033')\[[0-9;]*m" "$folder/out"
fi
exit $failed
