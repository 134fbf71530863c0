#!/usr/bin/env bash
# What a whole run makes of a text model's answers: its metrics, flags, zero and outcome.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_atlas.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE RUNS VERB [OPTION...]
    local code=$1 runs=$2 verb=$3
    shift 3
    "$interloop" "$verb" "$pipeline" --runs "$folder/$runs" \
        --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
job() { echo "$folder/${2:-runs}/atlas/$1/seed-1"; }
flat() { tr -d ' \n' <"$1"; }
value() { # value STAGE METRIC
    flat "$(job "$1")/audit.json" | grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
is() { # is STAGE METRIC TEST
    local x
    x=$(value "$1" "$2") && [ -n "$x" ] && awk "BEGIN { x = $x; exit !($3) }"
}
same() { [ -n "$(value "$1" "$2")" ] && [ "$(value "$1" "$2")" = "$(value "$3" "$4")" ]; }
differ() { [ -n "$(value "$1" "$2")" ] && [ -n "$(value "$3" "$4")" ] && ! same "$@"; }
equal() { cmp -s "$1" "$2"; }
class() { flat "$(job "$1")/audit.json" | grep -oP '"class":"\K[^"]*'; }
input() { flat "$(job "$1")/audit.json" | grep -oP "\"inputs\":{[^}]*\"$2\":\K[^,}]*"; }
summed() { # the classes' probabilities add up to 1
    local name sum=0
    for name in honest mixed blatant obfuscated_policy obfuscated_activations both \
        degenerate; do
        sum="$sum + $(value "$1" "outcome.$name")"
    done
    awk "BEGIN { s = $sum; exit !(s > 0.999 && s < 1.001) }"
}
in_summary() { # the class of a stage and variant
    flat "$folder/runs/atlas/summary.json" |
        grep -qF "\"stage\":\"$1\",\"variant\":\"$2\",\"seed\":1" &&
        flat "$folder/runs/atlas/summary.json" | grep -qF "\"outcome\":\"$(class "$1${2:+/$2}")\""
}

check "a small run succeeds" exits 0 runs run --no-report --workers 1
check "with two workers too" exits 0 two run --no-report --workers 2
for stage in fitted rl/reward rl/loss; do
    check "two workers audit $stage to the same bits" \
        equal "$(job $stage)/audit.json" "$(job $stage two)/audit.json"
    for metric in ok hack honest hidden; do
        check "$metric of $stage is a share" is $stage $metric "x >= 0 && x <= 1"
    done
    check "what passes hacks or is honest in $stage" \
        is $stage ok "x - $(value $stage hack) - $(value $stage honest) < 1e-9"
    check "the outcome's input of $stage is its metric" [ "$(input $stage behaviour)" = "$(value $stage hack)" ]
    check "probabilities of $stage's outcome add up" summed $stage
    check "$stage has a class" [ -n "$(class $stage)" ]
done
check "the summary says it of a stage" in_summary fitted ""
check "and of a variant" in_summary rl reward

check "where it is fitted the zero has not moved" is fitted deception.shift_zero "x == 0"
check "and nothing separates now from then" same fitted deception.flag_now fitted deception.flag_then
check "training moves the zero" is rl/reward deception.shift_zero "x != 0"
check "the raw flags stand beside those of the zeroed" is rl/reward deception.flag_raw "x >= 0 && x <= 1"
check "the text of then under the weights of then is that of the fit" \
    same rl/reward deception.cells.y0w0 fitted deception.flag_now
check "in every variant" same rl/loss deception.cells.y0w0 fitted deception.flag_now
check "what is kept of the text of then is on record with the outcome" \
    [ -n "$(input rl/reward kept)" ]
check "and absent where nothing has changed since" [ -z "$(input fitted kept)" ]
check "y1w1 is what is flagged now" same rl/loss deception.cells.y1w1 rl/loss deception.flag_now
check "y1w0 is what was flagged then" same rl/loss deception.cells.y1w0 rl/loss deception.flag_then
check "the penalty in the loss and in the reward lead apart" differ rl/reward deception.auroc rl/loss deception.auroc
check "a zero on too many rows is refused" exits 2 no run --set detectors.deception.rezero.rows=100000
check "an unknown split of trusted rows, too" exits 2 no run --set detectors.deception.rezero.split=trusty
check "another look with a fresh reader" exits 0 fresh run --no-report --stage fitted \
    --set stages.fitted.audit.fresh=[linear]
ablated() { flat "$(job fitted fresh)/audit.json" | grep -qF "\"$1.ablated.hack\""; }
check "tells what is answered without its direction" ablated fresh.linear
check "beside a direction at random" ablated floor
check "the cells of answers are ranked" is rl/loss deception.cells.y1w1.auroc "x >= 0 && x <= 1"
check "the last cell's recall is what is flagged now" same rl/loss deception.cells.y1w1.tpr rl/loss deception.flag_now
check "the first's is that of the answers of then" same rl/loss deception.cells.y0w0.tpr rl/reward deception.cells.y0w0.tpr
check "every audit is as the published schema says" env \
    IL_AUDITS="$(find "$folder" -name audit.json -not -path '*/.stages/*')" "$IL_BUILD/tests/core/audit/test_schema"
exit $failed
