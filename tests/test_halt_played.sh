#!/usr/bin/env bash
# Halts and sifted episodes where the model plays: the same bits for any number of workers, what
# the firewall says, and the certificate of a freeze that what is read does not feel.
set -u
interloop=${INTERLOOP:?}
fixtures=$IL_ROOT/tests/fixtures/pipelines
. "$IL_ROOT/tests/checks.sh"

plugins="plugins.path=[$(realpath "$IL_BUILD")/plugins]"
lever() { # verb [OPTION...]
    local verb=$1
    shift
    "$interloop" "$verb" "$fixtures/small_lever.yaml" --set "$plugins" --stage mode --variant brain \
        --set stages.mode.train.updates=8 --set stages.mode.audit.every=2 "$@" >"$folder/out" 2>&1
}
atlas() {
    local verb=$1
    shift
    "$interloop" "$verb" "$fixtures/small_atlas.yaml" --set "$plugins" --stage rl --variant reward \
        --set stages.rl.firewall=open "$@" >"$folder/out" 2>&1
}
guard() { # what follows: a line that the detector of the stage has crossed from the start
    echo "stages.mode.signals.guard={source: suffering, channel: halt, when: {metric: suffering.own.auroc, below: 1.5}, $1}"
}
sieve="stages.mode.signals.sieve={source: suffering, channel: data, keep: {lowest: 0.5}}"
freeze=$(guard "do: {freeze: [desire]}")
state() { echo "$folder/$1"/*/"$2"/*/seed-1/state/state.safetensors; }
same_state() { cmp $(state "$1" "$3") $(state "$2" "$3"); }
metrics() { echo "$folder/$1"/*/"$2"/*/seed-1/metrics.jsonl; }

for w in 1 2; do
    check "an agent is frozen with --workers $w" lever run --runs "$folder/freeze$w" --no-report --workers $w --set "$freeze"
    check "an agent is stopped with --workers $w" lever run --runs "$folder/stop$w" --no-report --workers $w \
        --set "$(guard "do: stop, keep: best")"
    check "at the first audit" says "at step 0 (suffering.own.auroc below 1.5): stop, and keep the best state"
    check "its episodes are sifted with --workers $w" lever run --runs "$folder/sift$w" --no-report --workers $w --set "$sieve" \
        --set stages.mode.firewall=open
    check "a writer's answers are sifted with --workers $w" atlas run --runs "$folder/atlas$w" --no-report --workers $w \
        --set "stages.rl.signals.sieve={source: deception, channel: data, reweight: {exponential: 0.5}}" \
        --set "stages.rl.signals.guard={source: deception, channel: halt, when: {metric: hack, above: 1}}"
done
for what in freeze stop sift; do
    check "two workers leave the bits of one: $what" same_state ${what}1 ${what}2 mode
done
check "two workers leave the bits of one: answers" same_state atlas1 atlas2 rl
check "half of the episodes is logged as kept" grep -q '"sieve.kept": 0.5,' $(metrics sift1 mode)
check "what answers weigh is logged" grep -q '"sieve.kept": 0\.[0-9]' $(metrics atlas1 rl)

check "explain takes the freeze, sealed" lever explain --set "$freeze"
check "and says so" says "halt guard: suffering.own.auroc below 1.5 → freeze desire (one of 5 ends)"
check "sifting what the belief learns from is refused while sealed" not lever explain --set "$sieve"
check "by the path that opens" says "prediction → its examples weighed by the score of suffering"
check "certify takes the freeze on recorded episodes" lever certify --recorded --runs "$folder/freeze1" --seed 1 --set "$freeze"
check "the belief keeps its bits" says "certificate holds against suffering on recorded episodes"
exit $failed
