#!/usr/bin/env bash
# A dictionary in a whole run: taught without a label, the same bits for any number of workers, read
# by a sparse probe, judged, saved with its stage and taken back from it.
set -u
interloop=${INTERLOOP:?}
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE PIPELINE [OPTION...]
    local code=$1 pipeline=$2
    shift 2
    "$interloop" run "$folder/$pipeline.yaml" --runs "$folder/runs" \
        --set plugins.path="[$plugins]" --no-report "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
value() { # value RUN METRIC
    tr -d ' \n' <"$folder/runs/$1/fitted/${3:-.}/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
state() { # the hash of what a run's fitted stage left
    tr -d ' \n' <"$folder/runs/$1/summary.json" | grep -oP '"stage":"fitted"[^{}]*"state":"\K[^"]*'
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

cat >"$folder/words.yaml" <<YAML
interloop: 1
extends: [$IL_ROOT/tests/fixtures/pipelines/small_liar.yaml]
name: words
detectors:
  words:
    use: sae
    params: {architecture: batchtopk, features: 48, k: 4, prefixes: "16", dead_after: 10}
    site: blocks.1.hook_resid_post
    fit: {split: probe_train, steps: 60, batch: 128, lr: 0.005, lanes: 3}
  few:
    use: sparse_probe
    params: {channels: 4}
    of: [words]
    tokens: claims
    fit: {split: probe_train, label: deceiver}
    threshold: {split: probe_calib, fpr: 0.05, unit: token}
stages:
  fitted:
    fit: [probe, auditor, words, few]
    audit: {splits: [probe_test], fresh: [linear]}
YAML
fitted=(--stage pretrain --stage fitted)

check "one worker teaches it" exits 0 words --name one --workers 1 "${fitted[@]}"
check "its losses are in the log" says "words: step 60 of 60, loss"
rm -rf "$folder/runs/.stages"
check "two workers teach it" exits 0 words --name two --workers 2 "${fitted[@]}"
for metric in words.fvu words.l0 words.dead words.ce_recovered few.auroc; do
    check "$metric is measured" [ -n "$(value two $metric)" ]
    check "$metric does not depend on workers" \
        [ "$(value one $metric)" = "$(value two $metric)" ]
done
check "what is left is the same, bit for bit" \
    [ -n "$(state one)" -a "$(state one)" = "$(state two)" ]
check "a stage that goes on from it reads the same features" exits 0 words --name loop \
    --stage loop --variant monitor --set 'stages.loop.audit={splits: [probe_test]}'

held=(--set detectors.words.fit.hold=70 "${fitted[@]}")
check "some documents at a time teach it too" exits 0 words --name parts --workers 2 "${held[@]}"
for metric in words.fvu words.dead; do
    check "in parts $metric is measured, and another" \
        [ -n "$(value parts $metric)" -a "$(value parts $metric)" != "$(value one $metric)" ]
done
check "an audit on what a later part held is refused" exits 2 words --name seen "${held[@]}" \
    --set 'stages.fitted.audit={splits: [probe_train]}'
check "with the document" says "would judge this detector"
check "parts are refused with a label" exits 2 words "${held[@]}" --set detectors.words.fit.label=deceiver
check "with the reason" says "\`hold\` is for a fit without a label"

check "a probe without a label is refused" exits 2 words "${fitted[@]}" --set 'detectors.plain={use: linear_probe,
    site: blocks.1.hook_resid_post, tokens: claims, fit: {split: probe_train}}'
check "and told so" says "expected the key 'label'"
check "a dictionary's numbers are refused elsewhere" exits 2 words \
    --set detectors.probe.fit.decay=0.5 "${fitted[@]}"
check "and told so too" says "warmup, decay, lanes and hold are a dictionary's"
check "more kept than there is, is refused" exits 2 words --set detectors.words.params.k=49 \
    "${fitted[@]}"
check "with both numbers" says "k is 49 and there are 48 features"
exit $failed
