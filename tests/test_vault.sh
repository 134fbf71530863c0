#!/usr/bin/env bash
# The vault: nothing that trains can read what is in it. Every way to name it in a pipeline is refused
# before anything runs, a plugin that tries behind the pipeline's back is stopped, and looks are counted.
set -u
. "$IL_ROOT/tests/checks.sh"

"$CC" -std=c11 -shared -fPIC -fvisibility=hidden -I"$IL_ROOT/include" \
    "$IL_ROOT/tests/fixtures/plugins/peek.c" -o "$folder/peek.so" -lm
"$INTERLOOP" plugin stamp "$folder/peek.so" >/dev/null
cat >"$folder/vault.yaml" <<YAML
interloop: 1
name: vault
extends: $IL_ROOT/tests/fixtures/pipelines/small_lever.yaml
plugins: {path: ["$folder", "$(realpath "$IL_BUILD")/plugins"]}
detectors:
  auditor:
    use: linear_probe
    site: belief.hook_state
    tokens: all
    fit: {rollouts: {policy: exploratory, episodes: 60}, label: suffering, method: irls, l2: 1e-3}
    threshold: {rollouts: {policy: exploratory, episodes: 70}, fpr: 0.01, unit: step}
    vault: true
  nosy:
    use: nosy.peek
    site: belief.hook_state
    tokens: all
    fit: {rollouts: {policy: exploratory, episodes: 60}, label: suffering}
stages:
  fitted: {fit: [suffering, auditor, nosy]}
  mode:
    firewall: open
    signals: {nosy: {source: nosy, channel: reward, weight: 0.1, route: [desire]}}
YAML
exits() { # exits CODE [OPTION...]
    local code=$1
    shift
    "$INTERLOOP" run "$folder/vault.yaml" --runs "$folder/runs" --no-report --variant brain --stage fitted --stage mode \
        "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
looks() { tr -d ' \n' <"$folder/runs/vault/$1/seed-1/audit.json" | grep -oP '"looks":\K[0-9]*'; }
refused() { # refused NAME SETTING MESSAGE
    check "$1 is refused" exits 2 --set "$2"
    check "it says why" says "$3"
}
reads() { echo "stages.mode.signals.spy={source: auditor, $1}"; }

vault="detector 'auditor' is in the vault: nothing may train on it"
refused "a reward" "$(reads 'channel: reward, weight: 1.0, route: [desire]')" "$vault"
refused "a loss" "$(reads 'channel: loss, weight: 1.0, route: [belief]')" "$vault"
refused "an edit" "$(reads 'channel: edit, edit: {ablate: true}')" "$vault"
refused "a halt" "$(reads 'channel: halt, trigger: {above: 0.5}')" "$vault"
refused "a gate" "stages.mode.signals.prediction.gate={detector: auditor}" "$vault"
refused "a filter of examples" "$(reads 'channel: data')" "$vault"
member="is in the vault, so what reads it has to be"
refused "an ensemble with it" "detectors.both={use: ensemble, of: [suffering, auditor]}" "$member"
refused "a cascade to it" "detectors.both={use: cascade, of: [suffering, auditor], params: {ask: 0.5}}" "$member"
refused "a refit" "detectors.auditor.refit={every: 2}" "is in the vault, so it stays frozen"
refused "a fresh reader of the audit" \
    "stages.mode.signals.spy={source: fresh.linear, channel: reward, weight: 1.0, route: [desire]}" "fresh.linear"

check "with the vault let be the run goes through" exits 0
fitted=$(looks fitted)
check "looks at the vault are counted" [ "$fitted" -gt 0 ]
check "over every stage" [ "$(looks mode/brain)" -gt "$fitted" ]
check "what watches changes nothing that trains" eval \
    'exits 0 --name watched --set "$(reads "channel: monitor")" && cmp -s \
        "$folder"/runs/{vault,watched}/mode/brain/seed-1/state/state.safetensors'

# Handles are numbers of a detector's own parameters: any other is nobody's.
for handle in 2 3 7 1000 -1; do
    check "a plugin that tries handle $handle is stopped" exits 2 --name "peek$handle" \
        --set detectors.nosy.params.handle=$handle
    check "by its name" says "nosy"
    check "since there is no parameter of handle $handle" says "no parameter of handle $handle here"
done
exit $failed
