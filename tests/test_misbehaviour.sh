#!/usr/bin/env bash
# Environments that misbehave in the middle of a run: each is named with update, episode and
# position, stops its own run alone, and leaves a checkpoint that the run goes on from.
set -u
. "$IL_ROOT/tests/checks.sh"

fails() { [ "$code" -eq "$1" ]; }

"$CC" -std=c11 -shared -fPIC -fvisibility=hidden -I"$IL_ROOT/include" \
    "$IL_ROOT/tests/fixtures/plugins/walk.c" -o "$folder/walk.so" -lm
"$INTERLOOP" plugin stamp "$folder/walk.so"
cat >"$folder/walks.yaml" <<YAML
interloop: 1
name: walks
seed: 1
plugins: {path: ["$folder", "$(realpath "$IL_BUILD")/plugins"]}
model: {use: belief_desire, params: {hidden: 8, prediction_hidden: 8, policy_hidden: 8, value_hidden: 8}}
environment: {use: walk.line}
stages:
  walker:
    train:
      updates: 120
      rollouts: {own: {policy: own, episodes: 8}}
      lanes: 2
      algorithm: {use: a2c, gamma: 0.95, lambda: 0.95, normalize: batch, value_weight: 0.5}
      optimizer: {use: adam, lr: 5e-3}
    signals:
      task: {source: {reward: gain}, channel: reward, route: all}
      entropy: {source: entropy, channel: loss, weight: 0.01, route: all}
    variants:
      seldom: {/environment.params.fault: seldom}
      good: {}
      wide: {/environment.params.fault: wide_obs}
      past: {/environment.params.fault: state}
      wild: {train.rollouts.own.policy: random, /environment.params.fault: wild,
             signals.task.channel: monitor}
      late_wide: {/environment.params: {fault: wide_obs, rare: true}}
      late_blind: {/environment.params: {fault: nan_obs, rare: true}}
      late_wild: {train.rollouts.own.policy: random, signals.task.channel: monitor,
                  /environment.params: {fault: wild, rare: true}}
      late_endless: {/environment.params: {fault: endless, rare: true}}
YAML
run() {
    "$INTERLOOP" run "$folder/walks.yaml" --runs "$folder/runs" --no-report "$@" \
        >"$folder/out" 2>&1
    code=$?
}

run --variant seldom --variant good
check "a reward that is no number ends the command with 1" fails 1
check "is named with update, episode and position" \
    grep -Eq "seldom seed 1: walk.line: update [0-9]+, episode [0-9]+, position [0-9]+: no number was given for the reward 'cost'" \
    "$folder/out"
check "and the other runs are done" says "good seed 1 done"
first=$(grep -o 'update [0-9]*' "$folder/out" | head -1)
run --variant seldom
check "the run goes on from its last checkpoint" says "goes on from step 50"
check "to the same fault" says "$first,"
run --variant wide
check "an observation of the wrong size is named" says \
    "update 1, episode 0, position 3: the environment wrote an observation wider than the 2"
check "and is wrong input" fails 2
run --variant past
check "a state written past its size is named" says "wrote past the 16 bytes of its state"
run --variant wild
check "an action that there is none of is named" says \
    "position 1: the policy chose action 3: expected 0 to 2"
check "and is wrong input too" fails 2

# The same in an episode long after the last checkpoint.
late=(--variant late_wide --variant late_blind --variant late_wild --variant late_endless)
at='seed 1: walk.line: update [0-9]+, episode [0-9]+'
run "${late[@]}" --variant good
check "of several that go wrong the command tells" not fails 0
check "an observation too wide," grep -Eq \
    "late_wide $at, position 3: the environment wrote an observation wider" "$folder/out"
check "one that is no number" grep -Eq \
    "late_blind $at, position 3: value 1 of the observation's 2 is no number" \
    "$folder/out"
check "and an action that there is none of" grep -Eq \
    "late_wild $at, position 1: the policy chose action 3" "$folder/out"
check "and an episode that never ends" grep -Eq \
    "late_endless $at, position [0-9]+: the episode goes on after [0-9]+ actions" "$folder/out"
check "and what is sound is done" says "good seed 1 "
for variant in late_wide late_blind late_wild late_endless; do
    run --variant $variant
    check "$variant goes on from its last checkpoint" says "goes on from step 50"
    check "and stops again" not fails 0
done
exit $failed
