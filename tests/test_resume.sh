#!/usr/bin/env bash
# A stage that is killed, however often, ends with the bytes of one that never was; so does one
# told to stop. What is there is not computed again, and workers change no bit.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/configs/liar/demo.yaml
. "$IL_ROOT/tests/checks.sh"

# The arguments of a small run into $folder/NAME.
tiny() {
    args=(run "$pipeline" --runs "$folder/$1" --stage pretrain --seed 1 --no-report
        --set plugins.path="[$(realpath "$IL_BUILD")/plugins]"
        --set model.params.width=16 --set model.params.heads=2
        --set stages.pretrain.train.steps=120 --set stages.pretrain.ledger.every=20)
}
run() { # run NAME [OPTION...]
    tiny "$1"
    shift
    "$interloop" "${args[@]}" "$@" >"$folder/out" 2>&1
}
shows() { grep -q -- "$1" "$folder/out"; }
state() { find "$folder/$1/.stages" -name state.safetensors; }
same_state() { [ -n "$(state whole)" ] && cmp "$(state whole)" "$(state "$1")"; }
same_metrics() {
    local file
    for file in metrics.jsonl ledger.jsonl ledger.json histograms.jsonl; do
        file=liar/pretrain/seed-1/$file
        [ -s "$folder/whole/$file" ] && cmp "$folder/whole/$file" "$folder/$1/$file" || return 1
    done
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "an undisturbed run succeeds" run whole
sum=$(sha256sum "$(state whole)")
check "a second run succeeds" run whole
check "it computes nothing" shows "seed 1 was there"
check "it leaves the state as it was" [ "$(sha256sum "$(state whole)")" = "$sum" ]

# Each try has a quarter more time, from too little for any step to enough to end.
tiny killed
killed=0
status=1
limit=400
for _ in $(seq 20); do
    timeout -s KILL "$((limit / 1000)).$(printf %03d $((limit % 1000)))" \
        "$interloop" "${args[@]}" >"$folder/out" 2>&1
    status=$?
    [ $status -eq 137 ] || break
    killed=$((killed + 1))
    limit=$((limit * 5 / 4))
done 2>/dev/null
check "a run that is killed again and again ends" [ $status -eq 0 ]
check "it was killed at least once" [ $killed -gt 0 ]
check "its state has the same bytes" same_state killed
check "so have its metrics, its ledger and its histograms" same_metrics killed

# Killed once a checkpoint is there, however fast the machine is.
tiny once
"$interloop" "${args[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null &&
    ! compgen -G "$folder/once/.stages/*/checkpoint.json" >/dev/null; do :; done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
check "a run goes on from a checkpoint" run once
check "and says from which step" shows "goes on from step"
check "to the same state" same_state once
check "and the same metrics" same_metrics once

# Told to stop once the first metrics are written.
tiny stopped
"$interloop" "${args[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null &&
    [ -z "$(find "$folder/stopped" -name metrics.jsonl -size +0 2>/dev/null)" ]; do :; done
kill -TERM $child
wait $child
check "a run told to stop exits with 1" [ $? -eq 1 ]
check "it says where it stopped" shows "stopped at step"
check "the same command goes on" run stopped
check "from where it stopped" shows "goes on from step"
check "to the same state again" same_state stopped
check "and the same metrics again" same_metrics stopped

for workers in 1 2; do
    run "workers$workers" --workers $workers
    check "--workers $workers gives the same state" same_state "workers$workers"
done
exit $failed
