#!/usr/bin/env bash
# Detectors that read detectors, in whole runs on a small model: fitted, watched, pressed, certified and refused.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/composed.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE VERB [OPTION...]
    local code=$1 verb=$2
    shift 2
    "$interloop" $verb "$pipeline" --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
runs() { exits "$1" "$2" --runs "$folder/runs" "${@:3}"; }
value() { # value STAGE METRIC
    tr -d ' \n' <"$folder/runs/composed/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
differ() { [ -n "$(value "$1" "$2")" ] && [ "$(value "$1" "$2")" != "$(value "$3" "$2")" ]; }
below() { awk -v a="$(value "$1" "$2")" -v b="$3" 'BEGIN { exit !(a < b) }'; }

check "a run of composed detectors succeeds" runs 0 run --no-report
check "what is read is fitted first" \
    [ "$(grep -o 'fits [a-z]*' "$folder/out" | head -6 | tr '\n' ' ')" = "fits early fits late fits answers fits attended fits both fits weighed " ]
check "the ensemble is audited" [ -n "$(value fitted both.auroc)" ]
check "at the threshold that it was calibrated on" [ -n "$(value fitted both.tpr)" ]
check "a probe of detectors is audited" [ -n "$(value fitted weighed.auroc)" ]
check "pressure on the ensemble is differentiated through its members" \
    below loop/pressed both.mean "$(value loop/monitor both.mean)"
check "a member's refit changes the ensemble" differ loop/refitted both.mean loop/monitor
check "and what reads that" differ loop/refitted weighed.mean loop/monitor
for variant in answered judged gated; do
    check "pressure on answers, $variant, is felt" differ loop/$variant answers.mean loop/monitor
done
check "a gate of steps is a gate" differ loop/steps both.mean loop/monitor
for name in late weighed answers; do
    check "$name has an error of calibration" [ -n "$(value fitted $name.ece)" ]
    check "and one from before it" [ -n "$(value fitted $name.ece_before)" ]
done
check "one without has but one" [ -z "$(value fitted early.ece_before)" ]
check "a cascade says how many rows went on" [ -n "$(value fitted staged.escalated)" ]
check "one of one member asks nobody" [ -z "$(value fitted both.escalated)" ]
check "a reliability diagram counts its bins" grep -q '"before"' "$folder/runs/composed/fitted/seed-1/audit.json"
check "an answer is one row" grep -q '"n": 1500' "$folder/runs/composed/fitted/seed-1/audit.json"
check "pressure on pooled scores lowers them" below loop/answered answers.mean "$(value loop/monitor answers.mean)"
check "a run goes on from composed states" runs 0 run --no-report --stage loop --variant monitor
check "from what was there" says "loop: monitor seed 1 was there"

check "pressure downstream of all members is sealed" runs 0 certify --stage loop --variant downstream
for name in both early late weighed; do
    check "the certificate holds against $name" \
        grep -q "holds against $name:.*verdict closed" "$folder/out"
done
check "pressure through the members is open" runs 0 certify --stage loop --variant pressed
for name in both early late weighed; do
    check "pressure on the ensemble counts for $name" \
        grep -q "fails against $name:.*verdict open" "$folder/out"
done
check "a member's refit moves what reads it" exits 0 explain --stage loop --variant refitted \
    --set stages.loop.signals.evade.channel=loss
check "as the firewall says" says "refitted on"
check "the plan says what reads what" says "weighed reads early, both, is calibrated by isotonic"
check "and what gives a score a sequence" says "answers gives one score a sequence (top_k_mean, k 2), is calibrated by temperature"

refused() { # refused NAME SET SAYS
    check "$1 is refused" exits 2 "config validate" --set "$2"
    check "with what is wrong" says "$3"
}
refused "an unknown member" 'detectors.both.of=[early, lat]' "no detector 'lat', did you mean 'late'?"
refused "a detector that reads itself" 'detectors.both.of=[early, both]' "'both' would read itself"
refused "a circle" 'detectors.early={use: linear_probe, of: [weighed], fit: {split: probe_partial, label: deceptive}}' \
    "'weighed' would read itself through"
refused "of beside site" 'detectors.both.site=blocks.0.hook_resid_post' '`of` beside `site`'
refused "members that score different tokens" 'detectors.late.tokens=all' "say on which \`tokens\` they are read together"
refused "a member in the vault of one that is not" 'detectors.early.vault=true' "give 'both' \`vault: true\`"
refused "fitting what reads an unfitted detector" 'stages.fitted.fit=[both]' "fitted neither by stage 'fitted' nor before it"
refused "a re-zeroed member" 'detectors.early.rezero={split: trusted, rows: 64}' "give \`rezero\` to 'both' instead"
refused "a unit that a pooled score has not" 'detectors.answers.threshold={split: trusted, fpr: 0.1, unit: token}' \
    "no token alarms: expected unit sequence or episode"
refused "members of two units" 'detectors.verdict.of=[answers, late]' "expected one unit for all"
refused "pooling twice" 'detectors.verdict.pool=mean' 'expected one `pool` of the two'
refused "an unknown pooling" 'detectors.answers.pool=median' "'median' is not last, mean, max"
refused "a number of another pooling" 'detectors.answers.pool={use: max, k: 2}' "unknown key 'k'"
refused "calibrating on what fitted" 'detectors.late.calibrate={split: probe_partial, method: platt}' \
    "'probe_partial' fits detector 'late' already"
refused "reading a detector of steps" 'detectors.late.calibrate={split: probe_full, method: isotonic}' \
    "expected platt or temperature"
refused "a gradient through steps" 'stages.loop.variants.steps={signals.evade.gate: {detector: weighed, through: true}}' \
    'a gate with `through` needs platt or temperature'
refused "an unknown calibration" 'detectors.late.calibrate={split: probe_full, method: beta}' "expected platt, temperature or isotonic"
check "calibrating on a class alone fails" runs 2 run --no-report --stage fitted \
    --set 'detectors.late.calibrate={split: fixed_justified, method: platt}'
check "with what it found" says "of both classes, got 1500 with 1500 positive"
check "a cascade that is never sure is refused" exits 2 explain --stage fitted \
    --set 'detectors.staged.params={low: 2, high: 3}'
check "with what is wrong" says "probabilities between 0 and 1"
check "a report is made" runs 0 run --stage fitted
check "with reliability diagrams" grep -q "What probabilities are worth" "$folder/runs/composed/report.html"
refused "five levels" 'detectors={early: {use: linear_probe, site: embed, fit: {split: probe_partial, label: deceptive}}, a: {use: ensemble, of: [early]}, b: {use: ensemble, of: [a]}, c: {use: ensemble, of: [b]}, d: {use: ensemble, of: [c]}, late: {use: ensemble, of: [d]}, both: {use: ensemble, of: [late]}}' \
    "through 4 others: expected 3 at most"
pipeline=$IL_ROOT/tests/fixtures/firewall/far_lever.yaml
value() { # value STAGE METRIC
    tr -d ' \n' <"$folder/runs/firewall_far_lever/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
set -- --set 'detectors.suffering.fit={rollouts: {policy: exploratory, episodes: 60}, label: suffering, steps: 100}' \
    --set 'detectors.suffering.threshold={rollouts: {policy: exploratory, episodes: 60}, fpr: 0.1}' \
    --set 'detectors.suffering.calibrate={rollouts: {policy: exploratory, episodes: 60}, method: platt}' \
    --set 'detectors.suffering.pool={use: ema_max, decay: 0.5}'
check "an episode's score, calibrated, is a reward" runs 0 run --no-report --stage mode --variant brain \
    --variant brain_hard --variant brain_refit "$@"
check "which is measured by the episode" \
    grep -q '"n": 20,' "$folder/runs/firewall_far_lever/mode/brain/seed-1/audit.json"
check "with its calibration" [ -n "$(value mode/brain suffering.ref.ece_before)" ]
set -- --set 'detectors.pair={use: ensemble, of: [suffering, ideal]}' \
    --set stages.mode.signals.compassion.source=pair
check "two detectors as one are a reward" runs 0 run --no-report --stage mode --variant brain "$@"
check "which reaches no belief" runs 0 certify --stage mode --variant brain --recorded "$@"
check "nor through the one that is fitted" grep -q "holds against suffering on recorded.*verdict closed" "$folder/out"

pipeline=$IL_ROOT/configs/composed/demo.yaml
check "the demo is a good pipeline" exits 0 "config validate"
check "and can be explained" exits 0 explain --stage loop --variant spared
exit $failed
