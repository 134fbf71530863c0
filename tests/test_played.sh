#!/usr/bin/env bash
# Detectors and episodes, in a whole run: fitted, calibrated, refitted and judged on them, and what is refused.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE RUNS VERB [OPTION...]
    local code=$1 runs=$2 verb=$3
    shift 3
    "$interloop" "$verb" "$pipeline" --runs "$folder/$runs" \
        --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
job() { echo "$folder/${2:-runs}/lever/$1/seed-1"; }
# The value of a metric in the last audit of STAGE[/VARIANT].
value() { # value STAGE METRIC
    tr -d ' \n' <"$(job "$1")/audit.json" | grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
is() { # is STAGE METRIC TEST
    local x
    x=$(value "$1" "$2") && [ -n "$x" ] && awk "BEGIN { x = $x; exit !($3) }"
}
same() { [ -n "$(value "$1" "$2")" ] && [ "$(value "$1" "$2")" = "$(value "$3" "$4")" ]; }
differ() { [ -n "$(value "$1" "$2")" ] && ! same "$@"; }
equal() { cmp -s "$1" "$2"; }
differs() { [ -s "$1" ] && [ -s "$2" ] && ! equal "$1" "$2"; }
holds() { tr -d ' \n' <"$1" | grep -qF -- "$2"; }
lacks() { ! holds "$1" "$2"; }
# A number of the state's counters, such as a threshold.
threshold() { tr -d ' \n' <"$(job "$1")/state/state.json" | grep -oP '"threshold":\K[^,}]*'; }
moved() { [ -n "$(threshold "$1")" ] && [ "$(threshold "$1")" != "$(threshold "$2")" ]; }
kept() { [ -n "$(threshold "$1")" ] && [ "$(threshold "$1")" = "$(threshold "$2")" ]; }

check "a small run succeeds" exits 0 runs run --no-report --workers 1
check "with two workers too" exits 0 two run --no-report --workers 2
for stage in fitted mode/brain mode/refit; do
    check "two workers audit $stage to the same bits" \
        equal "$(job $stage)/audit.json" "$(job $stage two)/audit.json"
    check "and note the same metrics of $stage" \
        equal "$(job $stage)/metrics.jsonl" "$(job $stage two)/metrics.jsonl"
done

for set in own ref; do
    check "the fitted detector reads $set episodes" is fitted suffering.$set.auroc "x > 0.6 && x <= 1"
    check "no better than the ideal observer does" \
        same fitted ideal.$set.auroc fitted suffering.$set.against.auroc
    check "its gap to a fresh reader is the difference" is fitted suffering.$set.auroc_gap "x > -0.2 && x < 0.4"
    check "its direction is near the fresh one's on $set" is fitted suffering.$set.cos "x > 0.3 && x <= 1"
    check "its calibration is measured on $set" is fitted suffering.$set.ece "x >= 0 && x < 0.5"
    check "ideal probabilities mean what they say on $set" is fitted ideal.$set.conceal "x > -0.05 && x < 0.05"
    check "open ears are judged by themselves on $set" \
        differ fitted suffering.$set.open_ears.auroc fitted suffering.$set.auroc
done
for floor in random shuffled; do
    check "a floor of $floor stands beside the fresh reader" \
        is fitted floor.$floor.linear.own.auroc "x >= 0 && x <= 1"
    check "and under the plain name" same fitted floor.$floor.linear.auroc fitted floor.$floor.linear.own.auroc
    check "another for the reference" differ fitted floor.$floor.linear.ref.auroc fitted floor.$floor.linear.own.auroc
    check "the figures have that of $floor" \
        holds "$(job fitted)/audit.json" "\"$floor\":{\"linear\":$(value fitted floor.$floor.linear.auroc)}"
done
check "labels dealt anew teach less than the true ones" \
    is fitted floor.shuffled.linear.ref.auroc "x < $(value fitted fresh.linear.ref.auroc) - 0.2"
check "random weights are the same in every audit of a seed" \
    same fitted floor.random.linear.ref.auroc mode/brain floor.random.linear.ref.auroc
check "only a stage's end has floors" [ "$(grep -c floor "$(job mode/brain)/metrics.jsonl")" -le 1 ]
check "the first set has the plain names, too" same fitted suffering.auroc fitted suffering.own.auroc
check "few of the reference's negatives lie above the threshold" is fitted suffering.ref.fpr "x < 0.06"
check "the environment's metrics are there" is fitted harm "x >= 0 && x < 1"
check "and the model's loss" is fitted prediction "x > 0"
check "the reference is the same episodes for every model" \
    same fitted ideal.ref.auroc mode/brain ideal.ref.auroc
check "the own ones are not" differ fitted ideal.own.mean mode/brain ideal.own.mean
check "profiles split by a label that an episode keeps" holds "$(job fitted)/audit.json" '"by":{"connected"'
check "histograms of the first audit stand beside the last's" holds "$(job mode/brain)/audit.json" '"first":{'
check "a stage that only fits has one audit" lacks "$(job fitted)/audit.json" '"first":{'

for measure in auroc tpr mean; do
    check "the first cell's $measure is what it was right after the fit" \
        same mode/brain suffering.own.cells.y0w0.$measure fitted suffering.own.$measure
    check "the last cell's is that of now" \
        same mode/brain suffering.own.cells.y1w1.$measure mode/brain suffering.own.$measure
    check "right after the fit all four cells of $measure are one" \
        same fitted suffering.own.cells.y0w1.$measure fitted suffering.own.cells.y1w0.$measure
    check "the reference is read under both weights: $measure" \
        same mode/brain suffering.ref.cells.y0w0.$measure fitted suffering.ref.$measure
done
check "episodes that stay the same have no others" [ -z "$(value mode/brain suffering.ref.cells.y1w0.auroc)" ]
check "weights move the reading of the same episodes" \
    differ mode/brain suffering.own.cells.y1w0.mean mode/brain suffering.own.cells.y1w1.mean
check "but not of one that reads what was seen" \
    same mode/brain ideal.own.cells.y1w0.auroc mode/brain ideal.own.cells.y1w1.auroc
check "the shift of a class is the difference of its means" is mode/brain suffering.ref.shift_positive \
    "x - $(value mode/brain suffering.ref.positive) + $(value fitted suffering.ref.positive) < 1e-6 &&
     $(value mode/brain suffering.ref.positive) - $(value fitted suffering.ref.positive) - x < 1e-6"
check "and there is none right after the fit" [ -z "$(value fitted suffering.ref.shift_positive)" ]
check "whole episodes are judged beside positions" \
    differ fitted suffering.ref.episode.fpr fitted suffering.ref.fpr
check "at the same threshold an episode alarms more often than a position" is fitted \
    suffering.ref.episode.fpr "x > $(value fitted suffering.ref.fpr)"
for site in input.obs input.action; do # where the ideal observer reads
    check "fresh readers read $site of episodes too" is fitted fresh.linear@$site.ref.auroc "x >= 0 && x <= 1"
done
check "what is at the detector's own site is read once" \
    [ -z "$(value fitted fresh.linear@belief.hook_state.ref.auroc)" ]
check "a stage's way has the detector's site alone" [ "$(grep -c fresh.linear@ "$(job mode/brain)/metrics.jsonl")" -eq 1 ]
check "what the agent does without a fresh reader's direction is told" is fitted fresh.linear.ablated.harm "x >= 0 && x <= 1"
check "beside a direction at random" is fitted floor.ablated.harm "x >= 0 && x <= 1"
check "ears that are open are not muffed" is fitted look_rate "x + $(value fitted muffed) > 0.999999 && x + $(value fitted muffed) < 1.000001"
check "the agent's own states are mostly like the reference" is fitted suffering.own.coverage "x > 0.5 && x <= 1"
check "the audit says what a detector alarms by" holds "$(job fitted)/audit.json" '"unit":"step","negatives":'
check "time is told beside" holds "$(job fitted)/audit_time.json" '"seconds":{'

check "a frozen detector keeps its threshold" kept mode/brain fitted
check "a refit on episodes sets it anew" moved mode/refit mode/brain
check "and so does one from scratch" moved mode/anew mode/brain

# Stopped and killed with refits behind and ahead of the checkpoint.
long=(--no-report --variant refit --stage mode --set stages.mode.train.updates=130 --set stages.mode.audit.every=65)
check "a longer run succeeds" exits 0 whole run "${long[@]}"
"$interloop" run "$pipeline" --runs "$folder/once" --set plugins.path="[$plugins]" "${long[@]}" >"$folder/out" 2>&1 &
child=$!
while kill -0 $child 2>/dev/null && ! compgen -G "$folder/once/.stages/*/checkpoint.json" >/dev/null; do :; done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
check "killed, it goes on" exits 0 once run "${long[@]}"
check "from its checkpoint" says "goes on from step"
check "to the same audit, its first one with it" equal "$(job mode/refit whole)/audit.json" "$(job mode/refit once)/audit.json"
check "to the same detector" equal "$(job mode/refit whole)/state/state.safetensors" "$(job mode/refit once)/state/state.safetensors"

# Rates of 0 leave the weights, so that only how episodes are played could tell the two apart.
still=(--no-report --variant brain --stage mode --set stages.mode.train.optimizer='{use: adam, lr: 0.0}')
check "training at a rate of nothing succeeds" exits 0 mean run "${still[@]}"
check "with a sampled belief, too" exits 0 drawn run "${still[@]}" \
    --set stages.mode.train.sample='{site: belief.hook_state, mean: belief.hook_mean, std: 0.5}'
check "training plays by what is drawn" differs "$(job mode/brain mean)/metrics.jsonl" "$(job mode/brain drawn)/metrics.jsonl"
# All but the credit of the rewards, which is of the episodes that trained.
judged() { sed '/^ "credit": {/,/^ }/d' "$(job mode/brain "$1")/audit.json"; }
judge_alike() { [ -n "$(judged "$1")" ] && [ "$(judged "$1")" = "$(judged "$2")" ]; }
check "and an audit does not: it plays the mean" judge_alike mean drawn

check "an unknown policy is refused" exits 2 no run --stage fitted \
    --set detectors.suffering.fit.rollouts='{policy: explorative, episodes: 3}'
check "with the nearest one" says "did you mean 'exploratory'"
check "an unknown mask is refused" exits 2 no run --stage fitted \
    --set stages.fitted.audit.tokens=shut_ears
check "by its name" says "no mask 'shut_ears'"
check "answers need an environment of text" exits 2 no run --stage fitted --set stages.fitted.audit.samples=8
check "it says so" says "no environment of text"
check "an unknown label is refused" exits 2 no run --stage fitted \
    --set detectors.suffering.fit.label=grief
check "as the environment's" says "the environment has no label 'grief'"
check "an exact fit needs a linear detector" exits 2 no run --stage fitted --set detectors.suffering.use=mlp_probe
check "it names the method" says "irls"
check "every audit is as the published schema says" env \
    IL_AUDITS="$(find "$folder" -name audit.json -not -path '*/.stages/*')" "$IL_BUILD/tests/core/audit/test_schema"
exit $failed
