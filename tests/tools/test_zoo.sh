#!/usr/bin/env bash
# interloop detector zoo: a line for every detector and seed, on the rows that judge a run.
set -u
interloop=${INTERLOOP:?}
plugins=$(realpath "$IL_BUILD")/plugins
. "$IL_ROOT/tests/checks.sh"
small=$IL_ROOT/tests/fixtures/pipelines/small_lever.yaml

exits() { # exits CODE WORD...
    local code=$1
    shift
    "$interloop" "$@" --runs "$folder/runs" --plugin-path "$plugins" >"$folder/out" 2>"$folder/err"
    [ $? -eq "$code" ]
}
lines() { [ "$(grep -cE "^$1 " "$folder/out")" -eq "$2" ]; }

cat >"$folder/zoo.yaml" <<END
interloop: 1
extends: $small
name: zoo
detectors:
  lda:
    use: lda
    site: belief.hook_state
    fit: {rollouts: {policy: exploratory, episodes: 60}, label: suffering}
    threshold: {rollouts: {policy: exploratory, episodes: 70}, fpr: 0.05, unit: step}
  both:
    use: ensemble
    of: [suffering, lda]
    threshold: {rollouts: {policy: exploratory, episodes: 70}, fpr: 0.05, unit: step}
END
zoo=(detector zoo "$folder/zoo.yaml" --stage fitted)
check "a zoo is judged" exits 0 "${zoo[@]}" --seed 1 --seed 2 --out "$folder/zoo.json"
for name in suffering ideal lda both; do
    check "$name has a line for each seed" lines "$name" 2
done
check "it says on what" says "judged on exploratory: 1040 rows of 80 documents"
check "and writes it" grep -q '"score_us"' "$folder/zoo.json"
check "what is only read is fitted, too" exits 0 "${zoo[@]}" --seed 1 --detector both
check "and not shown" lines suffering 0
check "a run of the same stage" exits 0 run "$folder/zoo.yaml" --stage fitted --seed 1 --no-report
ran=$(tr -d ' \n' <"$folder/runs/zoo/summary.json" |
    grep -oP '"suffering.ref.auroc":\K[^,}]*')
check "JSON has the lines" exits 0 "${zoo[@]}" --seed 1 --detector suffering --json
check "measures the same" \
    [ "$(printf %.6f "$ran")" = "$(grep -oP '"auroc": \K[^,]*' "$folder/out" | xargs printf %.6f)" ]
check "a detector that there is not is refused" exits 2 "${zoo[@]}" --detector lad
check "a stage is to be named" exits 2 detector zoo "$folder/zoo.yaml"
check "a stage without an audit judges nothing" \
    exits 2 detector zoo "$folder/zoo.yaml" --stage world_model
check "a fit that fails is named, and the others stand" \
    exits 1 "${zoo[@]}" --seed 1 --set detectors.lda.params.shrinkage=none \
    --set detectors.lda.fit.rollouts.episodes=1
check "with the reason in its line" grep -qE '^lda .* failed: ' "$folder/out"
check "beside them" lines suffering 1
check "what reads other detectors is not saved alone" \
    exits 2 detector fit "$folder/zoo.yaml" --stage fitted --set 'stages.fitted.fit=[suffering, lda, both]' \
    --detector both --out "$folder/both.safetensors"
check "which is said" grep -q "it reads other detectors" "$folder/err"
exit $failed
