#!/usr/bin/env bash
# The pipelines of configs/hf, shortened: text through a folder's own tokenizer, adapters beside its weights under a monitor, a
# loss, an edit and a reward; the same bits whatever runs at once; what certificates say; and what is handed out.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"
short=(--no-report --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --set vars.context=56 --set stages.fitted.audit.samples=16
    --set stages.fitted.audit.fresh=[])
head -n 200 "$IL_ROOT/tests/fixtures/hf/opinions/conversations.jsonl" >"$folder/documents.jsonl"
export DOCUMENTS=$folder/documents.jsonl
few=(--set stages.adapted.train.steps=4 --set stages.adapted.audit.every=4 --set stages.adapted.audit.samples=16
    --set stages.adapted.audit.fresh=[])
one=(--set stages.rl.train.updates=2 --set stages.rl.audit.every=2 --set stages.rl.audit.samples=16
    --set stages.rl.audit.fresh=[])

run() { # run PIPELINE RUNS [OPTION...]
    local pipeline=$IL_ROOT/configs/hf/$1.yaml runs=$2
    shift 2
    "$interloop" run "$pipeline" --runs "$folder/$runs" "${short[@]}" "$@" >"$folder/out" 2>&1
}
export_() { # export_ RUNS NAME [OPTION...]
    local runs=$1 name=$2
    shift 2
    "$interloop" model export "$IL_ROOT/configs/hf/loop.yaml" --runs "$folder/$runs" "${short[@]:1}" "${few[@]}" \
        --to "$folder/$name" "$@" >"$folder/out" 2>&1
}
rl() { # rl VERB [OPTION...]: of the pipeline with a reward
    local verb=$1
    shift
    "$interloop" "$verb" "$IL_ROOT/configs/hf/rl.yaml" --runs "$folder/a" "${short[@]:1}" "${one[@]}" "$@" >"$folder/out" 2>&1
}
plan() {
    "$interloop" explain "$IL_ROOT/configs/hf/loop.yaml" "${short[@]:1}" --runs "$folder/a" --stage adapted --variant frozen \
        >"$folder/out" 2>&1
}
exits() {
    local code=$1
    shift
    "$@"
    [ $? -eq "$code" ]
}
audit() { # audit RUN STAGE JQ-LIKE-TEXT: whether a stage's audit has it
    grep -qF -- "$3" "$folder/a/$1/$2"/seed-1/audit.json
}
loop=(--variant monitor --variant naive --variant shadow --set stages.adapted.twins.placebo=none)

check "a checkpoint is monitored" run monitor a "${few[@]}" --set detectors.dictionary.fit.steps=30
check "beside an untaught copy of it" run monitor floor --stage fitted --set 'stages.fitted.audit.fresh=[linear]'
check "whose reading is a number" grep -q '"floor.random.linear.auroc": 0\.[0-9]' "$folder/floor"/*/fitted/seed-1/metrics.jsonl
check "with what the folder's model says to its prompts, as text" audit hf_monitor given '"answer": "Yes, a '
check "and steered" run steer a "${few[@]}"
check "what it says under an edit is text, too" audit hf_steer read '"answers_under"'
check "and trained on its detector" run loop a "${few[@]}" "${loop[@]}" --workers 1
check "the same once more, on two workers" run loop b "${few[@]}" "${loop[@]}" --workers 2
check "there is a plan" plan
check "which trains the adapters downstream of the probe alone" grep -Eq '^doubt +loss +· +· +6/18 +· +· +·' "$folder/out"
check "adapters are handed out" export_ a one --stage adapted --variant naive --adapters
check "those of both runs" export_ b two --stage adapted --variant naive --adapters
check "are the same to the bit" cmp "$folder/one/adapter_model.safetensors" "$folder/two/adapter_model.safetensors"
check "they are not those of the twin" export_ a twin --stage adapted --variant monitor --adapters
check "which nothing pressed" not cmp "$folder/one/adapter_model.safetensors" "$folder/twin/adapter_model.safetensors"
check "a model with adapters is not handed out as one without" exits 2 export_ a three --stage adapted --variant monitor
check "and that is said" says "it has adapters: write them by themselves, or merged"
check "merged it is" export_ a three --stage adapted --variant monitor --merge --dtype bf16
check "with its type" grep -q '"dtype": "bfloat16"' "$folder/three/config.json"
check "and its tokenizer" cmp "$folder/three/tokenizer.json" "$IL_ROOT/tests/fixtures/hf/opinions/tokenizer.json"
check "what was handed out is a folder to start from" env FOLDER="$folder/three" "$interloop" run "$IL_ROOT/configs/hf/loop.yaml" \
    --runs "$folder/c" "${short[@]}" --stage given
check "a folder that is there stays as it is" exits 2 export_ a three --stage adapted --variant monitor --merge
check "a stage that has not been run has nothing to hand out" exits 2 export_ none four --stage adapted --variant monitor --merge
whole() { # whole FOLDER NAME [OPTION...]: the model of a folder, as it is
    "$interloop" model export "$IL_ROOT/configs/hf/monitor.yaml" --runs "$folder/none" "${short[@]:1}" \
        --set model.params.folder="$1" --set model.params.lora_rank=0 --to "$folder/$2" "${@:3}" >"$folder/out" 2>&1
}
given=$IL_ROOT/tests/fixtures/hf/opinions
check "a model is handed out in one file" whole "$given" file
check "or in several" whole "$given" shards --shard-size 150KB
check "with their index" grep -q '"model.embed_tokens.weight": "model-0000' "$folder/shards/model.safetensors.index.json"
check "none of them larger than was asked for, but for their headers" \
    [ -z "$(find "$folder/shards" -name 'model-*.safetensors' -size +152k)" ]
check "and no whole one" not test -e "$folder/shards/model.safetensors"
check "they are read" whole "$folder/shards" again
check "as the same model" cmp "$folder/file/model.safetensors" "$folder/again/model.safetensors"
check "what fits into one file is one" whole "$given" large --shard-size 1GB
check "the same" cmp "$folder/file/model.safetensors" "$folder/large/model.safetensors"
check "a size that is none is refused" exits 2 whole "$given" four --shard-size 20XB
check "and that is said" says "--shard-size: expected a size like 200MB, got 20XB"
check "another type of numbers is refused" exits 2 export_ a four --dtype f8
check "nothing is left where nothing was written" not test -e "$folder/four"
check "and reinforced on what it writes" run rl a "${one[@]}" --variant unread --variant base --variant own --set stages.rl.twins.placebo=none
check "a reader in the frozen base is sealed from its own reward" rl certify --stage rl --variant base --recorded
check "to the bit" says "certificate holds against lies on recorded episodes"
check "and closed" says "(verdict closed)"
check "a reader in the policy is not" rl certify --stage rl --variant own --recorded
check "which the certificate finds" says "verdict open"
check "the plan says which channels are open" rl explain --variant own
check "by the path" says "caught → scaled by the score of lies"
check "a stage's answers can be read" rl rollout --stage rl --variant own --episodes 3
check "with what they were asked" says "<|im_start|>user"
check "the report has them" "$interloop" report "$folder/a/hf_rl"
check "side by side" grep -q 'What it wrote' "$folder/a/hf_rl/report.html"
# Stopped while adapters alone are trained: of what nothing steps there are no moments to keep, and it goes on to the same bits.
lora() { # lora RUNS
    exec "$interloop" run "$IL_ROOT/configs/hf/loop.yaml" --runs "$folder/$1" "${short[@]}" --stage adapted --variant monitor \
        --set stages.adapted.from=given --set stages.adapted.train.steps=100 --set stages.adapted.audit.every=100 \
        --set stages.adapted.audit.fresh=[] >"$folder/out" 2>&1
}
state() { find "$folder/$1/.stages" -name state.safetensors -exec grep -l moment1.model {} +; }
check "adapters alone are trained" eval '(lora whole)'
check "their moments are kept" grep -q 'moment1.model.layers.0.self_attn.q_proj.lora_B' "$(state whole)"
check "those of frozen weights are not" not grep -q 'moment1.model.layers.0.self_attn.q_proj.weight' "$(state whole)"
lora stopped &
pid=$!
while kill -0 $pid 2>/dev/null &&
    ! grep -qs '"step": [1-9]' "$folder"/stopped/.stages/*/observed/*/metrics.jsonl; do sleep 0.01; done
kill -TERM $pid 2>/dev/null
wait $pid
check "stopped half way" [ -n "$(find "$folder/stopped" -name checkpoint.safetensors)" ]
check "it goes on" eval '(lora stopped)'
check "to the same state" cmp "$(state whole)" "$(state stopped)"
# A file of floats is read where it is mapped. Cut while that goes on, it ends the run, which says why.
cp -r "$IL_ROOT/tests/fixtures/hf/llama3" "$folder/cut"
cat >"$folder/cut.yaml" <<END
interloop: 1
name: cut
seed: 1
plugins: {path: [$(realpath "$IL_BUILD")/plugins]}
model: {use: hf_decoder, params: {folder: $folder/cut, context: 19, lora_rank: 2}}
data: {use: little_atlas_transcripts}
stages:
  long:
    train: {steps: 1000000, batch: 8, optimizer: {use: adamw, lr: 1e-3}}
    signals: {language: {source: next_token, channel: loss, route: [lora]}}
    ledger: {every: 1}
END
"$interloop" run "$folder/cut.yaml" --runs "$folder/c" --no-report >"$folder/out" 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ -n "$(find "$folder/c" -name ledger.jsonl -size +0 2>/dev/null)" ] && break
    sleep 0.05
done
: >"$folder/cut/model.safetensors"
wait $pid 2>/dev/null
check "a run whose weights are cut under it fails" [ $? -ne 0 ]
check "and says what happened" says "a file that is read where it is mapped became shorter"
exit $failed
