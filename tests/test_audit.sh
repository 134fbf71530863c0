#!/usr/bin/env bash
# Audits of a whole run on a small model: the four cells, and pressure that outlives its stage.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_liar.yaml
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE VERB [OPTION...]
    local code=$1 verb=$2
    shift 2
    "$interloop" "$verb" "$pipeline" --runs "$folder/runs" \
        --set plugins.path="[$plugins]" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
# The value of a metric in the last audit of STAGE[/VARIANT].
value() { # value STAGE METRIC
    tr -d ' \n' <"$folder/runs/small/$1/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
same() { # same STAGE METRIC STAGE METRIC
    [ -n "$(value "$1" "$2")" ] && [ "$(value "$1" "$2")" = "$(value "$3" "$4")" ]
}
differ() { [ -n "$(value "$1" "$2")" ] && ! same "$@"; }

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

check "a small run succeeds" exits 0 run --no-report --stage fitted --stage loop \
    --variant monitor --variant frozen
for cell in y0w0 y0w1 y1w0; do
    check "right after the fit $cell is y1w1" \
        same fitted probe.cells.$cell fitted probe.cells.y1w1
done
check "y1w1 is what is flagged now" same loop/monitor probe.cells.y1w1 loop/monitor probe.flag_now
check "y1w0 is what was flagged then" same loop/monitor probe.cells.y1w0 loop/monitor probe.flag_then
check "the text of then under the weights of then is the same in every variant" \
    same loop/monitor probe.cells.y0w0 loop/frozen probe.cells.y0w0
check "text of deceivers alone is recalled as it is flagged" same loop/monitor probe.cells.y1w1.tpr loop/monitor probe.flag_now
check "beside it stand the negatives of the split, read now" same loop/monitor probe.cells.y0w1.fpr loop/monitor probe.fpr
check "and read then" same loop/monitor probe.cells.y1w0.fpr fitted probe.fpr
for measure in auroc tpr mean; do
    check "the first cell's $measure is the same in every variant" \
        same loop/monitor probe.cells.y0w0.$measure loop/frozen probe.cells.y0w0.$measure
done
check "training moves the reading of a text" \
    differ loop/monitor probe.cells.y0w0 loop/monitor probe.cells.y0w1
for text in y0 y1; do
    check "with the probe's upstream frozen the reading of $text stays" \
        same loop/frozen probe.cells.${text}w0 loop/frozen probe.cells.${text}w1
done

near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-9 && b - a < 1e-9) }'; }
for detector in probe auditor; do
    check "two refits of $detector lie apart by some noise" \
        awk -v x="$(value fitted $detector.noise.cos)" 'BEGIN { exit !(x != "" && x >= -1 && x <= 1) }'
    check "what they restore is their recall less that of now" near \
        "$(value loop/monitor $detector.restored)" \
        "$(awk -v a="$(value loop/monitor $detector.refit.recall)" -v b="$(value loop/monitor $detector.tpr)" 'BEGIN { printf "%.17g", a - b }')"
    check "what $detector lost is the recall of then less that of now" near \
        "$(value loop/monitor $detector.lost)" \
        "$(awk -v a="$(value fitted $detector.tpr)" -v b="$(value loop/monitor $detector.tpr)" 'BEGIN { printf "%.17g", a - b }')"
    check "with its upstream frozen $detector loses nothing" near "$(value loop/frozen $detector.lost)" 0
    check "some of the model's own text is like what taught $detector" \
        awk -v x="$(value fitted $detector.coverage)" 'BEGIN { exit !(x != "" && x >= 0 && x <= 1) }'
done
check "what the model does without a fresh reader's direction is told" [ -n "$(value fitted fresh.linear.ablated.lie)" ]
check "beside a direction at random" [ -n "$(value fitted floor.ablated.lie)" ]

for site in blocks.0 blocks.2; do # the other detector's, and the last residual stream
    check "fresh readers read $site too" \
        differ fitted fresh.linear@$site.hook_resid_post.auroc fitted fresh.linear.auroc
done
check "not at the first detector's site a second time" \
    [ -z "$(value fitted fresh.linear@blocks.1.hook_resid_post.auroc)" ]
check "floors stand beside them" [ -n "$(value fitted floor.random.linear.auroc)" ]
sum=$(find "$folder/runs/.stages" -name '*.safetensors' -exec sha256sum {} + | sort | sha256sum)
before=$(value fitted probe.auroc)
check "another audit of a stage that fits" exits 0 run --no-report --stage fitted \
    --set stages.fitted.audit.fresh='[linear, mlp]'
check "looks again" says "was there, looks again"
check "and fits nothing" eval '! says "fits probe"'
check "it has what it had" [ "$(value fitted probe.auroc)" = "$before" ]
check "and what is asked for now" [ -n "$(value fitted fresh.mlp.auroc)" ]
check "another detector" exits 0 run --no-report --stage pretrain \
    --set detectors.auditor.tokens=all
check "trains no stage again that shows none" says "pretrain: seed 1 was there"
check "no state has changed by that" \
    [ "$(find "$folder/runs/.stages" -name '*.safetensors' -exec sha256sum {} + | sort | sha256sum)" = "$sum" ]
check "an audit's unknown site is refused before anything runs" exits 2 run --no-report \
    --stage loop --set stages.loop.audit.sites=[blocks.2.hook_resid_pots]
check "with the nearest" says "did you mean 'blocks.2.hook_resid_post'"

check "the detector to compare with is scored beside the other" \
    same loop/monitor probe.against.auroc loop/monitor auditor.auroc
check "one that is not there is refused" exits 2 run --no-report --stage loop \
    --set stages.loop.audit.against=auditer
check "with the nearest" says "did you mean 'auditor'"

check "a stage without pressure after a pressed one is explained" exits 0 explain --stage after
check "by the variant that it starts from" says "stage after, from loop/frozen"
check "it shows what the pressure of before has changed" \
    says "language → blocks.2.ln1.w [changed by probe]"
check "and is refused where relay must be closed" exits 2 explain --stage after \
    --set stages.after.firewall=sealed
check "every audit is as the published schema says" env \
    IL_AUDITS="$(find "$folder" -name audit.json -not -path '*/.stages/*')" "$IL_BUILD/tests/core/audit/test_schema"
exit $failed
