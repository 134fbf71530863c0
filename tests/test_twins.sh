#!/usr/bin/env bash
# What presses is compared with its twin and its placebo without being told: they are scheduled, run,
# and concluded from; what is declared serves; what is turned off is said; and a question that
# changes under way is seen.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

cat >"$folder/small.yaml" <<YAML
interloop: 1
name: small
extends: $IL_ROOT/tests/fixtures/pipelines/small_lever.yaml
plugins: {path: [$(realpath "$IL_BUILD")/plugins]}
twins: {}
sweep: {seeds: [1, 2]}
YAML
cat >"$folder/quiet.yaml" <<YAML
interloop: 1
name: quiet
extends: small.yaml
stages: {mode: {variants: {quiet: {signals.compassion.channel: monitor}}}}
YAML
run() { # run RUNS FILE [OPTION...]
    local runs=$folder/$1 file=$folder/$2.yaml
    shift 2
    "$interloop" run "$file" --runs "$runs" --no-report "$@" >"$folder/out" 2>&1
}
ask() { "$interloop" "$@" >"$folder/out" 2>&1; }
at=$folder/one/small
has() { grep -qF -- "$2" "$1"; }

check "explain says what is compared with what" ask explain "$folder/small.yaml" --stage mode
check "of what is there" says "compared with its twin brain.twin and its placebo brain.placebo"
check "and of what is scheduled" says "scheduled as the twin of brain"
check "a plan marks it" ask sweep plan "$folder/small.yaml" --all --runs "$folder/none"
check "job by job" says "mode/brain.twin, seed 1, scheduled"
check "one of them is printed by its name" ask config print "$folder/small.yaml" \
    --stage mode --variant refit.twin --seed 1
check "resolved" says "compassion: {source: suffering, channel: monitor"

check "a run runs them" run one small
check "the twin has a row a seed" [ "$(grep -c '"variant": "brain.twin"' "$at/summary.json")" = 2 ]
check "with its role" has "$at/summary.json" '"role": "placebo"'
check "the pressed one knows them" has "$at/summary.json" '"placebos": ["brain.placebo"]'
check "twins of one state are one" has "$at/plan.json" '"scheduled": "brain"'
hash=$(sed -n 's/^ *"hash": "\([0-9a-f]*\)".*/\1/p' "$at/plan.json" | head -n 1)
check "the endpoint was hashed into the plan" [ "${#hash}" = 64 ]
check "and is concluded from" has "$at/conclusions.json" "$hash"
check "as the default that it is" has "$at/conclusions.json" '"declared": false'
check "of an agent on the reference set" has "$at/conclusions.json" '"metric": "suffering.ref.tpr"'

# The same once more, from what is there; and two at once.
cp "$at/conclusions.json" "$folder/first.json"
rm "$at/conclusions.json"
check "a run that goes on concludes anew" run one small
check "to the same" cmp "$folder/first.json" "$at/conclusions.json"
check "jobs at once succeed" run two small --jobs 2
check "with the same summary" cmp "$at/summary.json" "$folder/two/small/summary.json"
check "the same plan" cmp "$at/plan.json" "$folder/two/small/plan.json"
check "and the same conclusions" cmp "$at/conclusions.json" "$folder/two/small/conclusions.json"

check "sentences are printed" ask conclude "$at"
check "one an arm" says "refit against its twin refit.twin: "
check "with the seeds' floor" says "2 seeds, with which no p by sign flips is below 0.5"
check "what is no run is refused" not ask conclude "$folder/nowhere"

# A declared variant that trains alike.
check "a quiet variant runs" run one quiet --stage world_model --stage fitted --stage mode
check "it is the twin" has "$folder/one/quiet/summary.json" '"twin": "quiet"'
check "and nothing is scheduled for it" not has "$folder/one/quiet/summary.json" '"brain.twin"'
check "two runs ask the same" ask conclude "$at" --json
check "and their results count once" says '"alternatives": 3'

# One variant alone, its twin by name, and what the plan keeps.
check "a variant runs by itself" run some small --seed 1 --variant brain
check "that it lacks its twin is said" ask conclude "$folder/some/small"
check "by its name" says "its twin brain.twin has measured nothing on record"
check "its twin is added" run some small --seed 1 --variant brain.twin
check "the plan keeps both" [ "$(grep -c '"variant": "brain' "$folder/some/small/plan.json")" -ge 4 ]
check "and now it is compared" ask conclude "$folder/some/small"
check "on one seed" says "one seed, which shows nothing about another"

# A question that changes.
check "a run goes on under another endpoint" run some small --seed 1 --variant brain \
    --set 'endpoint={metric: task, stage: mode}'
check "which is told" says "the endpoint is task now and was suffering.ref.tpr when the run began"
check "and kept" has "$folder/some/small/conclusions.json" '"endpoints_before"'

# None.
check "they can be turned off" run off small --seed 1 --set twins=none
check "then there are none" not has "$folder/off/small/summary.json" '.twin"'
# shellcheck disable=SC2016 # backticks are meant
check "and it is said" has "$folder/off/small/conclusions.json" 'twin: turned off by `twins`'
check "in its sentence" ask conclude "$folder/off/small"
check "too" says "brain: it has no twin on record to compare with (twin: turned off by"

exit $failed
