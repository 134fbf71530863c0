#!/usr/bin/env bash
# interloop rollout: episodes of a named policy without a run, of a stage's own policy after
# one, as text and as lines of JSON, and what it refuses.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

cat >"$work/far.yaml" <<YAML
interloop: 1
name: far
seed: 1
plugins: {path: ["$IL_BUILD/plugins"]}
model: {use: belief_desire, params: {hidden: 8, prediction_hidden: 8, policy_hidden: 8, value_hidden: 8}}
environment: {use: far_lever, params: {look_away: true, steps: 32}}
stages:
  look:
    train:
      updates: 2
      rollouts: {explore: {policy: exploratory, episodes: 8}}
      lanes: 2
      optimizer: {use: adam, lr: 3e-3}
    signals:
      prediction: {source: prediction, channel: loss, route: [belief, prediction], on: [explore]}
    variants:
      slow: {train.optimizer.lr: 1e-3}
      fast: {}
YAML

check() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        cat "$work/out"
        failed=1
    fi
}
says() { # says PART COMMAND...: the command's output has this part
    local part=$1
    shift
    "$@" 2>&1 | tee "$work/said" | grep -qF -- "$part" || { cat "$work/said"; return 1; }
}
exits() { # exits CODE PART COMMAND...: it exits so and says so
    local code=$1 part=$2
    shift 2
    "$@" >"$work/said" 2>&1
    [ $? -eq "$code" ] && grep -qF -- "$part" "$work/said" || { cat "$work/said"; return 1; }
}
rollout() {
    "$INTERLOOP" rollout "$work/far.yaml" --stage look --runs "$work/runs" "$@"
}
lines() { [ "$(wc -l <"$1")" -eq "$2" ] || { wc -l "$1"; return 1; }; }

check "help says what it does" says "Plays episodes" "$INTERLOOP" rollout --help
check "always to work scores 12" says "task             12.0000" \
    rollout --variant fast --policy always_work --episodes 20
check "always to the lever scores 30" says "task             30.0000" \
    rollout --variant fast --policy always_lever --episodes 3
check "an episode is told in the environment's words" says "pull   1.0" \
    rollout --variant fast --policy always_lever --episodes 1
check "a file is saved" rollout --variant fast --policy exploratory --episodes 18 --save "$work/a"
check "with one line an episode" lines "$work/a" 18
check "that begins with its number" says '{"episode": 17, "length": 33, "obs": [[0.0, 0.0, 1.0,' \
    tail -n 1 "$work/a"
check "its luck is the same in another variant" \
    rollout --variant=slow --policy=exploratory --episodes=7 --save="$work/b"
head -n 7 "$work/a" >"$work/head"
check "and whatever the number of episodes" cmp "$work/head" "$work/b"
check "another seed has other luck" \
    rollout --variant fast --seed 2 --policy exploratory --episodes 7 --save "$work/c"
check "to the file" lines "$work/c" 7
check "and it differs" bash -c "! cmp -s '$work/b' '$work/c'"

check "an own policy needs a result" exits 2 "has no result in" \
    rollout --variant fast --episodes 2
check "a run makes one" "$INTERLOOP" run "$work/far.yaml" --runs "$work/runs" --no-report
check "then it is played" says "episode 1" rollout --variant fast --episodes 2
rollout --variant fast --episodes 20 --save "$work/own"
check "by what that variant learned" rollout --variant slow --episodes 20 --save "$work/slow"
check "and no other" bash -c "! cmp -s '$work/own' '$work/slow'"
rollout --variant fast --episodes 5 --save - >"$work/few"
head -n 5 "$work/own" >"$work/head"
check "with the same bits whatever the number of episodes" cmp "$work/head" "$work/few"

check "an unknown policy is named with those there are" \
    exits 2 "it has own, exploratory, always_work, always_lever" \
    rollout --variant fast --policy lazy --episodes 1
check "a prompt is for text" exits 2 "no kind of prompt 'hidden'; it has none" \
    rollout --variant fast --policy always_work --prompt hidden --episodes 1
check "one variant is to be named" exits 2 "look/slow, look/fast" \
    rollout --policy always_work --episodes 1
check "no episodes are no rollout" exits 2 "--episodes: expected a number" \
    rollout --variant fast --episodes 0
check "a stage is asked for" exits 2 "expected --stage and --episodes" \
    "$INTERLOOP" rollout "$work/far.yaml" --episodes 1
check "a folder that is not there cannot be saved to" exits 1 "$work/none" \
    rollout --variant fast --policy always_work --episodes 1 --save "$work/none/a"
check "a pipeline without an environment has nothing to play" exits 2 "no \`environment\`" \
    "$INTERLOOP" rollout "$IL_ROOT/configs/liar/demo.yaml" --stage pretrain --episodes 1 \
    --set "plugins.path=[$IL_BUILD/plugins]"

cat >"$work/atlas.yaml" <<YAML
interloop: 1
name: atlas
seed: 1
plugins: {path: ["$IL_BUILD/plugins"]}
model: {use: gpt, params: {layers: 1, width: 8, heads: 2, context: 19}}
data: {use: little_atlas_transcripts}
environment: {use: little_atlas}
stages:
  pretrain:
    train: {steps: 2, batch: 8, lanes: 2, optimizer: {use: adamw, lr: 3e-3}}
    signals: {language: {source: next_token, channel: loss, route: all}}
YAML
atlas() {
    "$INTERLOOP" rollout "$work/atlas.yaml" --stage pretrain --runs "$work/runs" "$@"
}
check "a model of text is trained" \
    "$INTERLOOP" run "$work/atlas.yaml" --runs "$work/runs" --no-report
check "and answers, in words" says "= LEAK" atlas --episodes 3
check "to prompts of another kind too" says '"tokens": [11, ' \
    atlas --episodes 1 --prompt hidden --save -
check "a kind that there is not is named with those there are" exits 2 "it has visible, hidden" \
    atlas --episodes 1 --prompt secret
check "a model's own is the only policy there" exits 2 "it has own" \
    atlas --episodes 1 --policy exploratory
exit $failed
