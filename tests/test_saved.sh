#!/usr/bin/env bash
# A detector saved in a file and taken from there by another pipeline: the same scores where its
# contract fits, refused with the difference named where not, and on record where a difference is
# accepted by name.
set -u
interloop=${INTERLOOP:?}
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"
small=$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml

exits() { # exits CODE WORD...
    local code=$1
    shift
    "$interloop" "$@" --runs "$folder/runs" --plugin-path "$plugins" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
auroc() { # auroc RUN STAGE DETECTOR
    tr -d ' \n' <"$folder/runs/$1/summary.json" |
        grep -oP "\"stage\":\"$2\".*?\"$3.ref.auroc\":\K[^,}]*" | head -1
}
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }

check "a stage's detector is saved" \
    exits 0 detector fit "$small" --stage fitted --out "$folder/probe.safetensors"
check "by name, too" exits 0 detector fit "$small" --stage fitted --detector suffering \
    --out "$folder/again.safetensors"
check "to the same bytes" cmp "$folder/probe.safetensors" "$folder/again.safetensors"
check "a name that there is not is refused" \
    exits 2 detector fit "$small" --stage fitted --detector sufering --out "$folder/x.safetensors"
check "with the nearest" says "did you mean 'suffering'?"
check "a stage before any fit has nothing to save" \
    exits 2 detector fit "$small" --stage world_model --out "$folder/x.safetensors"

# pipeline TEXT...: the small one, and a detector from the file with these words.
pipeline() {
    cat >"$folder/taken.yaml" <<END
interloop: 1
extends: $small
name: taken
detectors:
  taken: {use: linear_probe, from: probe.safetensors, $*}
firewall: open
stages:
  mode:
    signals:
      compassion: {source: taken, channel: reward, weight: 1.5, route: [desire]}
END
}
site='site: belief.hook_state'
mode=(run "$folder/taken.yaml" --stage fitted --stage mode --variant brain --no-report)

pipeline "$site"
check "where it fits, it is taken" exits 0 "${mode[@]}"
check "it scores as the one that was saved" \
    same "$(auroc taken fitted taken)" "$(auroc taken fitted suffering)"
check "it judges and presses in a later stage" [ -n "$(auroc taken mode taken)" ]
check "nothing had to be accepted" not grep -q '"why"' "$folder/runs/taken/summary.json"
check "it is not in the states" \
    not grep -rqF 'detectors.taken.' "$folder/runs/taken/mode/brain/seed-1/state/"

# refused WORD SAYS OPTION...: with this difference; accepted by name it is taken, and that is on
# record.
refused() {
    local word=$1 words=$2
    shift 2
    check "another $word is refused" exits 2 "${mode[@]}" "$@"
    check "with the difference of $word" says "$words"
    check "another $word is taken when accepted" \
        exits 0 "${mode[@]}" "$@" --name "$word" --accept "taken.$word"
    check "the summary has another $word" \
        grep -q "\"what\": \"$word\"" "$folder/runs/$word/summary.json"
    check "the plan has another $word" \
        eval "tr -d ' \n' <'$folder/runs/$word/plan.json' | grep -q '\"what\":\"$word\"'"
    check "the resolved pipeline has another $word" \
        grep -q "accept:.*$word\|$word: asked" "$folder/runs/$word/pipeline.yaml"
}
pipeline 'site: belief.hook_mean'
refused site "another site: expected 'belief.hook_mean'"
check "explain says what was accepted" \
    exits 0 explain "$folder/taken.yaml" --stage mode --variant brain --accept taken.site
check "with both sides" says "made for another site: here belief.hook_mean, in its contract belief.hook_state"
pipeline "$site, tokens: open_ears"
refused tokens "another tokens: expected 'open_ears'"
pipeline "$site, context: past"
refused context "another context: expected 'past'"
pipeline "$site, threshold: {rollouts: {policy: exploratory, episodes: 9}, fpr: 0.2, unit: step}"
refused rate "another rate: expected '0.2'"
pipeline "$site"
refused model "fitted on another model: expected the weights" --seed 2
cp "$folder/probe.safetensors" "$folder/kept"
LC_ALL=C sed -i 's/TransformerLens/TransformerLenz/' "$folder/probe.safetensors"
refused convention "another convention: expected 'TransformerLens'"
cp "$folder/kept" "$folder/probe.safetensors"
LC_ALL=C sed -i 's/scaling\\":\\"none/scaling\\":\\"unit/' "$folder/probe.safetensors"
refused scaling "another scaling: expected 'none or standardized'"
cp "$folder/kept" "$folder/probe.safetensors"

pipeline "$site, accept: {model: 'the same weights, stored anew'}"
check "a reason may stand in the pipeline" exits 0 "${mode[@]}" --seed 2 --name reason
check "and is on record" grep -q "the same weights, stored anew" "$folder/runs/reason/summary.json"
check "and on the report" "$interloop" report "$folder/runs/reason"
check "beside the firewall's verdict" \
    grep -q "Contracts that do not match.*the same weights, stored anew" \
    "$folder/runs/reason/report.html"

pipeline 'site: prediction.hook_hidden'
check "another width is refused whatever is accepted" \
    exits 2 "${mode[@]}" --accept taken.site
pipeline "$site, fit: {rollouts: {policy: exploratory, episodes: 9}, label: suffering}"
check "a file and a fit are one too many" exits 2 "${mode[@]}"
check "which is said" says "comes from a file and has a \`fit\`"
pipeline "$site, refit: {every: 3}"
check "a refit, too" exits 2 "${mode[@]}"
pipeline "$site, accept: {sight: why}"
check "a difference that there is not is refused" exits 2 "${mode[@]}"
check "with the nearest difference" says "site"
pipeline "$site"
check "another component is refused" \
    exits 2 "${mode[@]}" --set detectors.taken.use=mean_difference
check "with both components" says "another component: expected 'interloop.mean_difference'"
check "a file that is not there is refused" \
    exits 2 "${mode[@]}" --set "detectors.taken.from=$folder/none.safetensors"
head -c 200 "$folder/kept" >"$folder/probe.safetensors"
check "a file cut short is refused" exits 2 "${mode[@]}"
check "with its path" says "probe.safetensors"
exit $failed
