#!/usr/bin/env bash
# Jobs in processes of their own leave the same bits, in the same order, as jobs in turn; a job
# that fails takes its descendants alone with it; a run that is told to stop goes on.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

cat >"$folder/sweep.yaml" <<YAML
interloop: 1
name: small
extends: $IL_ROOT/tests/fixtures/pipelines/small_liar.yaml
plugins: {path: [$(realpath "$IL_BUILD")/plugins]}
stages: {loop: {train: {steps: 3}, audit: {every: 3}}, fitted: {audit: {fresh: []}}}
sweep:
  seeds: [1, 2]
  grid: {stages.loop.signals.honesty.weight: [1, 3]}
YAML
run() { # run NAME [OPTION...]
    local runs=$folder/$1
    shift
    "$interloop" run "$folder/sweep.yaml" --runs "$runs" --no-report --variant frozen "$@" \
        >"$folder/out" 2>&1
}
same() { cmp "$folder/one/small/$1" "$folder/two/small/$1"; }
states() { (cd "$folder/$1/.stages" && find . -name state.safetensors -print0 | sort -z |
    xargs -0 sha256sum); }
same_states() { [ -n "$(states one)" ] && [ "$(states one)" = "$(states two)" ]; }
row() { grep -c "\"stage\": \"$2\"" "$folder/$1/small/summary.json"; }

plan() { "$interloop" sweep plan "$folder/sweep.yaml" --variant frozen --runs "$folder/$1" \
    >"$folder/out" 2>&1; }
line() { sed -n "s/^$1 *//p" "$folder/out" | tr -s ' '; }

check "a plan runs nothing" plan one
check "it counts jobs and steps" [ "$(line loop)" = "4 4 0 4 12" ]
check "and what all stages come to" [ "$(line all)" = "12 12 0 12 60" ]
check "it leaves no run" not [ -e "$folder/one/small" ]
check "jobs in turn succeed" run one
check "a plan finds what is there" plan one
check "all of it" [ "$(line all)" = "12 12 12 0 0" ]
check "jobs at once succeed" run two --jobs 3
check "their summaries are the same" same summary.json
check "so are their plans" same plan.json
check "so are the states" same_states
check "a point is a row of its own" [ "$(row two loop)" = 4 ]
check "what no point reaches is one row a seed" [ "$(row two pretrain)" = 2 ]
check "a row has its point" grep -qF \
    '"point": {"stages.loop.signals.honesty.weight": "3"}' "$folder/two/small/summary.json"
check "a second run computes nothing" run two --jobs 2
check "and says so" not grep -q " done, " "$folder/out"

check "a job that fails is told" not run bad --jobs 2 --seed 1 \
    --set stages.fitted.require='{probe.auroc: ">= 2"}'
check "by its requirement" says "probe.auroc"
check "those that start from it are left out" says "left out: a stage that it starts from failed"
check "those that do not are there" [ "$(row bad pretrain)" = 1 ]

# Started by something that ignores its children, as some job runners do.
check "a run whose children nobody counts ends, too" timeout 300 env --ignore-signal=CHLD \
    "$interloop" run "$folder/sweep.yaml" --runs "$folder/uncounted" --no-report \
    --variant frozen --jobs 2
check "with the same summary" cmp "$folder/one/small/summary.json" \
    "$folder/uncounted/small/summary.json"

# A process that is killed takes its job with it, and is not taken for one that ended well.
"$interloop" run "$folder/sweep.yaml" --runs "$folder/killed" --no-report --jobs 2 \
    --set stages.pretrain.train.steps=4000 >"$folder/out" 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ -n "$(find "$folder/killed" -name 'checkpoint.json' 2>/dev/null)" ] && break
    sleep 0.1
done
pkill -KILL -P $pid
wait $pid
check "a run whose processes were killed exits with 1" [ $? -eq 1 ]
check "and says by what" says "its process was ended by signal 9"

# Told to stop while its processes are at work.
"$interloop" run "$folder/sweep.yaml" --runs "$folder/stopped" --no-report --jobs 2 \
    --set stages.pretrain.train.steps=4000 >"$folder/out" 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ -n "$(find "$folder/stopped" -name 'checkpoint.json' 2>/dev/null)" ] && break
    sleep 0.1
done
kill -TERM $pid
wait $pid
check "a run that is told to stop exits with 1" [ $? -eq 1 ]
check "and has kept its checkpoints" [ -n "$(find "$folder/stopped" -name 'checkpoint.json')" ]
check "and left no process behind" not pgrep -f "runs $folder/stopped"
exit $failed
