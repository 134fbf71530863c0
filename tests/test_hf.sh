#!/usr/bin/env bash
# The pipelines of configs/hf, shortened: adapters beside a folder's weights under a monitor, a loss, an edit and a reward; the
# same bits whatever runs at once; and what is handed out of them.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"
short=(--no-report --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --set stages.taught.train.steps=30)

run() { # run PIPELINE RUNS [OPTION...]
    local pipeline=$IL_ROOT/configs/hf/$1.yaml runs=$2
    shift 2
    "$interloop" run "$pipeline" --runs "$folder/$runs" "${short[@]}" "$@" >"$folder/out" 2>&1
}
export_() { # export_ RUNS NAME [OPTION...]
    local runs=$1 name=$2
    shift 2
    "$interloop" model export "$IL_ROOT/configs/hf/loop.yaml" --runs "$folder/$runs" "${short[@]:1}" \
        --set stages.adapted.train.steps=4 --set stages.adapted.audit.every=4 --to "$folder/$name" "$@" \
        >"$folder/out" 2>&1
}
exits() {
    local code=$1
    shift
    "$@"
    [ $? -eq "$code" ]
}
loop=(--set stages.adapted.train.steps=4 --set stages.adapted.audit.every=4)

check "a checkpoint is monitored" run monitor a "${loop[@]}"
check "steered" run steer a "${loop[@]}"
check "reinforced" run rl a --set stages.rl.train.updates=2 --set stages.rl.audit.every=2
check "and trained on its detector" run loop a "${loop[@]}" --workers 1
check "the same once more, on two workers" run loop b "${loop[@]}" --workers 2
check "adapters are handed out" export_ a one --stage adapted --variant pressed --adapters
check "those of both runs" export_ b two --stage adapted --variant pressed --adapters
check "are the same to the bit" cmp "$folder/one/adapter_model.safetensors" "$folder/two/adapter_model.safetensors"
check "they are not those of the twin" export_ a twin --stage adapted --variant none --adapters
check "which nothing pressed" not cmp "$folder/one/adapter_model.safetensors" "$folder/twin/adapter_model.safetensors"
check "a model with adapters is not handed out as one without" exits 2 export_ a three --stage adapted --variant none
check "and that is said" says "it has adapters: write them by themselves, or merged"
check "merged it is" export_ a three --stage adapted --variant none --merge --dtype bf16
check "with its type" grep -q '"dtype": "bfloat16"' "$folder/three/config.json"
check "a folder that is there stays as it is" exits 2 export_ a three --stage adapted --variant none --merge
check "a stage that has not been run has nothing to hand out" exits 2 export_ none four --stage adapted --variant none --merge
whole() { # whole FOLDER NAME [OPTION...]: the model of a folder, as it is
    "$interloop" model export "$IL_ROOT/configs/hf/monitor.yaml" --runs "$folder/none" "${short[@]:1}" \
        --set model.params.folder="$1" --set model.params.lora_rank=0 --to "$folder/$2" "${@:3}" >"$folder/out" 2>&1
}
atlas=$IL_ROOT/tests/fixtures/hf/atlas
check "a model is handed out in one file" whole "$atlas" file
check "or in several" whole "$atlas" shards --shard-size 20KB
check "with their index" grep -q '"model.embed_tokens.weight": "model-0000' "$folder/shards/model.safetensors.index.json"
check "none of them larger than was asked for, but for headers and single tensors" \
    [ -z "$(find "$folder/shards" -name 'model-*.safetensors' -size +24k)" ]
check "and no whole one" not test -e "$folder/shards/model.safetensors"
check "they are read" whole "$folder/shards" again
check "as the same model" cmp "$folder/file/model.safetensors" "$folder/again/model.safetensors"
check "what fits into one file is one" whole "$atlas" large --shard-size 1GB
check "the same" cmp "$folder/file/model.safetensors" "$folder/large/model.safetensors"
check "a size that is none is refused" exits 2 whole "$atlas" four --shard-size 20XB
check "and that is said" says "--shard-size: expected a size like 200MB, got 20XB"
check "another type of numbers is refused" exits 2 export_ a four --dtype f8
check "nothing is left where nothing was written" not test -e "$folder/four"
# Stopped while adapters alone are trained: of what nothing steps there are no moments to keep, and it goes on to the same bits.
lora() { # lora RUNS
    exec "$interloop" run "$IL_ROOT/configs/hf/monitor.yaml" --runs "$folder/$1" "${short[@]}" --stage taught \
        --set stages.taught.train.steps=400 --set 'stages.taught.signals.language.route=[lora]' \
        --set 'stages.taught.train.clip=[{groups: [lora], norm: 1.0}]' >"$folder/out" 2>&1
}
state() { find "$folder/$1/.stages" -name state.safetensors; }
check "adapters alone are trained" eval '(lora whole)'
check "their moments are kept" grep -q 'moment1.model.layers.0.self_attn.q_proj.lora_B' "$(state whole)"
check "those of frozen weights are not" not grep -q 'moment1.model.layers.0.self_attn.q_proj.weight' "$(state whole)"
lora stopped &
pid=$!
for _ in $(seq 100); do
    [ -n "$(find "$folder/stopped" -name metrics.jsonl -size +0 2>/dev/null)" ] && break
    sleep 0.05
done
kill -TERM $pid
wait $pid
check "stopped half way" [ -n "$(find "$folder/stopped" -name checkpoint.safetensors)" ]
check "it goes on" eval '(lora stopped)'
check "to the same state" cmp "$(state whole)" "$(state stopped)"
exit $failed
