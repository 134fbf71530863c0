#!/usr/bin/env bash
# Detectors refitted while a small model trains: the refit moves the detector and nothing else, the
# firewall says when a pressed model moves it, and a killed run goes on to the same detector.
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
value() { # value RUN METRIC: of the loop's last audit
    tr -d ' \n' <"$folder/runs/$1/loop/monitor/seed-1/audit.json" |
        grep -oP "\"\Q$2\E\":{[^}]*\"value\":\K[^,}]*"
}
same() { # same METRIC RUN RUN
    [ -n "$(value "$2" "$1")" ] && [ "$(value "$2" "$1")" = "$(value "$3" "$1")" ]
}
moved() { [ -n "$(value "$2" "$1")" ] && ! same "$@"; }
threshold() { # of the probe of RUN
    tr -d ' \n' <"$folder/runs/$1/loop/monitor/seed-1/state/state.json" |
        grep -oP '"contracts":.*"probe":{([^{}]|{[^{}]*})*"threshold":\K[^,}]*'
}

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

loop=(--no-report --stage loop --variant monitor)
every=(--set 'detectors.probe.refit={every: 2}')
online=(--set 'detectors.probe.refit={online: {steps: 1, lr: 0.05}}')
check "with frozen detectors it runs" exits 0 run --name frozen "${loop[@]}"
check "with a refit every 2 steps" exits 0 run --name every "${loop[@]}" "${every[@]}"
check "with a refit on every batch" exits 0 run --name online "${loop[@]}" "${online[@]}"
for refit in every online; do
    check "$refit moves the detector" moved probe.positive $refit frozen
    check "$refit leaves another detector alone" same auditor.positive $refit frozen
    check "$refit changes nothing of the model" same lm_hon $refit frozen
    check "$refit reads the text of then as the detector did then" \
        same probe.cells.y0w0 $refit frozen
    check "$refit leaves the threshold of then" \
        [ -n "$(threshold $refit)" -a "$(threshold $refit)" = "$(threshold frozen)" ]
done
check "the two are not the same detector" moved probe.positive every online

# Through its fit, which has to end at its optimum.
exact=(--set detectors.probe.fit.method=irls --set detectors.probe.fit.l2=0.01)
through=("${exact[@]}" --set 'detectors.probe.refit={through_fit: 2}')
check "a fit through which no derivative goes is refused" exits 2 run --name refused "${loop[@]}" \
    --set 'detectors.probe.refit={through_fit: 2}'
check "it is refused with the fit that can be" says "irls"
check "with an exact fit it runs" exits 0 run --name exact "${loop[@]}" "${exact[@]}"
check "with a refit through it" exits 0 run --name through "${loop[@]}" "${through[@]}"
check "through moves the detector" moved probe.positive through exact
check "through leaves another detector alone" same auditor.positive through exact
check "through changes nothing of the model that is not pressed" same lm_hon through exact
check "through reads the text of then as the detector did then" \
    same probe.cells.y0w0 through exact
check "through leaves the threshold of then" \
    [ -n "$(threshold through)" -a "$(threshold through)" = "$(threshold exact)" ]

leaky=(--stage loop --variant leaky)
check "under a leak a frozen detector is explained" exits 0 explain "${leaky[@]}"
check "it does not move" eval '! grep -q "^  reader " "$folder/out"'
for refit in every online through; do
    declare -n set=$refit
    check "$refit under a leak is explained" exits 0 explain "${leaky[@]}" "${set[@]}"
    check "$refit opens the channel reader" \
        grep -Eq '^  reader .*\[changed by probe\] → activations that probe is refitted on' \
        "$folder/out"
    check "$refit is refused where that must be closed" exits 2 explain "${leaky[@]}" \
        "${set[@]}" --set stages.loop.variants.leaky.firewall='[reader]'
    check "$refit is refused with the way to close it" says "detectors.probe.refit: frozen"
done

# Killed once a checkpoint is there.
follow=("${exact[@]}" --set 'detectors.probe.refit={through_fit: 7, split: probe_train, rows: 64}')
for refit in online follow; do
    declare -n set=$refit
    long=("${loop[@]}" "${set[@]}" --set stages.loop.train.steps=110
        --set stages.loop.audit.every=110)
    check "a longer run, $refit" exits 0 run --name whole "${long[@]}"
    whole=$(sha256sum <"$folder/runs/whole/loop/monitor/seed-1/state/state.safetensors")
    "$interloop" run "$pipeline" --runs "$folder/$refit" --name killed \
        --set plugins.path="[$plugins]" "${long[@]}" >"$folder/out" 2>&1 &
    child=$!
    while kill -0 $child 2>/dev/null &&
        ! compgen -G "$folder/$refit/.stages/*/checkpoint.json" >/dev/null; do :; done
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    "$interloop" run "$pipeline" --runs "$folder/$refit" --name killed \
        --set plugins.path="[$plugins]" "${long[@]}" >"$folder/out" 2>&1
    check "killed on the way it goes on, $refit" says "goes on from step"
    check "to the same model and the same detector" [ "$whole" = \
        "$(sha256sum <"$folder/$refit/killed/loop/monitor/seed-1/state/state.safetensors")" ]
done
exit $failed
