#!/usr/bin/env bash
# Far Lever and Little Atlas, with fewer updates: all stages, audits and refits end with the same
# bytes on one worker and on two, and after having been killed in each of two stages.
set -u
. "$IL_ROOT/tests/checks.sh"

far_lever() { # far_lever RUNS [OPTION...]
    args=(run "$IL_ROOT/configs/far_lever/off.yaml" --runs "$folder/$1"
        --set stages.world_model.train.updates=55 --set stages.habit.train.updates=20
        --set stages.mode.train.updates=55 --set stages.fitted.require='{}'
        --set stages.fitted.audit.rollouts.episodes=40 --set stages.mode.audit.every=52
        --set stages.mode.audit.rollouts.episodes=40
        --set stages.mode.audit.reference.episodes=40
        --set detectors.suffering.fit.rollouts.episodes=60
        --stage mode --variant e2e_s --variant naive_refit --variant naive.placebo)
    args+=("${common[@]}" "${@:2}")
}
little_atlas() {
    args=(run "$IL_ROOT/configs/little_atlas/demo.yaml" --runs "$folder/$1"
        --set stages.pretrain.train.steps=55 --set stages.pretrain.train.batch=32
        --set stages.fitted.require='{}' --set stages.rl.train.updates=55
        --set stages.rl.train.rollouts.own.samples=4 --set stages.rl.audit.every=52
        --set stages.fitted.audit.samples=32 --set stages.rl.audit.samples=32
        --set stages.fitted.audit.fresh='[]' --set stages.rl.audit.fresh='[]'
        --stage rl --variant loss --variant reward)
    args+=("${common[@]}" "${@:2}")
}
common=(--seed 1 --no-report --set plugins.path="[$(realpath "$IL_BUILD")/plugins]")
play() { "$INTERLOOP" "${args[@]}" >"$folder/out" 2>&1; }
# Every stage's state and all metrics.
bytes() {
    (cd "$folder/$1" && find . -name state.safetensors -o -name metrics.jsonl |
        sort | while read -r file; do
        echo "$file"
        cat "$file"
    done)
}
same() { [ "$(bytes "$1" | wc -c)" -gt 10000 ] && cmp <(bytes "$1") <(bytes "$2"); }

# Kills a run once it has a checkpoint that was not there.
killed() { # killed NAME RUNS
    local had=" $folder/$2/.stages/*/checkpoint.json $(echo "$folder/$2"/.stages/*/checkpoint.json) "
    local child file fresh=

    "$1" "$2"
    "$INTERLOOP" "${args[@]}" >"$folder/out" 2>&1 &
    child=$!
    while [ -z "$fresh" ] && kill -0 $child 2>/dev/null; do
        for file in "$folder/$2"/.stages/*/checkpoint.json; do
            [[ $had = *" $file "* ]] || fresh=$file
        done
    done
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    [ $? -eq 137 ]
}

for config in far_lever little_atlas; do
    for workers in 1 2; do
        $config "$config.$workers" --workers $workers
        check "$config runs on $workers" play
    done
    check "$config: the same bytes on one worker and two" same $config.1 $config.2
    check "$config is killed once it has a checkpoint" killed $config $config.killed
    check "and once more" killed $config $config.killed
    $config $config.killed
    check "it goes on" play
    check "from a checkpoint" says "goes on from step"
    check "to the same bytes" same $config.1 $config.killed
done
exit $failed
