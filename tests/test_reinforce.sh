#!/usr/bin/env bash
# A stage of reinforcement that is killed or stopped ends with the bytes of one that never was, moving
# averages included, and workers change none. One whose numbers run away stops alone and leaves its
# last checkpoint usable.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

cat >"$folder/small.yaml" <<EOF
interloop: 1
name: small
plugins: {path: ["$(realpath "$IL_BUILD")/plugins"]}
model: {use: belief_desire, params: {hidden: 8, prediction_hidden: 8, policy_hidden: 8, value_hidden: 8}}
environment: {use: far_lever, params: {look_away: true, steps: 8}}
references: {lag: {moving_average: 0.9}, start: {of: world}}
stages:
  world:
    train:
      updates: 20
      rollouts: {explore: {policy: exploratory, episodes: 8}}
      optimizer: {use: adam, lr: 3e-3}
    signals:
      prediction: {source: prediction, channel: loss, route: [belief, prediction]}
  mode:
    from: world
    train:
      updates: 240
      rollouts: {own: {policy: own, episodes: 8}, explore: {policy: exploratory, episodes: 4}}
      lanes: 3
      algorithm: {use: ppo, gamma: 0.9, lambda: 0.9, reward_scale: 0.1, normalize: batch, epochs: 2}
      optimizer: {use: adam, lr: {belief: 1e-3, prediction: 1e-3, desire: 2e-3}}
    signals:
      prediction: {source: prediction, channel: loss, route: [belief, prediction], on: [own, explore]}
      task: {source: {reward: task}, channel: reward, route: [desire]}
      kl: {source: {kl: lag}, channel: loss, weight: 0.1, route: [desire]}
      far: {source: {kl: start}, channel: loss, weight: 0.01, route: [desire]}
    variants:
      sane: {}
      wild: {train.optimizer.schedule: {use: step, at: 0.5, factor: 1.0e+30}}
EOF

arguments() { # arguments NAME VARIANT
    args=(run "$folder/small.yaml" --runs "$folder/$1" --stage mode --variant "$2" --no-report)
}
run() { # run NAME VARIANT [OPTION...]
    arguments "$1" "$2"
    shift 2
    "$interloop" "${args[@]}" "$@" >"$folder/out" 2>&1
}
shows() { grep -q -- "$1" "$folder/out"; }
states() { find "$folder/$1/.stages" -name state.safetensors -size +0 | sort; }
same_states() {
    [ "$(states whole | wc -l)" -eq 2 ] && [ "$(states "$1" | wc -l)" -eq 2 ] &&
        cmp <(cd "$folder/whole" && find .stages -name state.safetensors | sort | xargs cat) \
            <(cd "$folder/$1" && find .stages -name state.safetensors | sort | xargs cat)
}
has_checkpoint() { compgen -G "$folder/$1/.stages/*/checkpoint.json" >/dev/null; }
same_metrics() {
    local file=small/mode/sane/seed-1/metrics.jsonl
    [ -s "$folder/whole/$file" ] && cmp "$folder/whole/$file" "$folder/$1/$file"
}

check "an undisturbed run succeeds" run whole sane
for workers in 1 2; do
    run "workers$workers" sane --workers $workers
    check "--workers $workers gives the same states" same_states "workers$workers"
done

# Killed, then told to stop, once a checkpoint is there, however fast the machine is.
arguments killed sane
"$interloop" "${args[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null &&
    ! has_checkpoint killed; do :; done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
check "a run goes on from a checkpoint" run killed sane
check "and says from which update" shows "goes on from step"
check "to the same states" same_states killed
check "and the same metrics" same_metrics killed

# The rate grows by 1e30 half way: numbers run away after the checkpoint of update 100.
run whole wild
check "a run whose numbers run away fails" [ $? -eq 1 ]
check "it says so" shows "not a number\|no number\|infinite\|not finite\|not numbers"
check "the other variant's state stays" [ "$(states whole | wc -l)" -eq 2 ]
check "and its own last checkpoint" has_checkpoint whole
run whole wild
check "that is where it goes on from" shows "goes on from step 100"
exit $failed
