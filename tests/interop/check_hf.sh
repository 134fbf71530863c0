#!/usr/bin/env bash
# Folders of models against `transformers` and PEFT as they are installed here: fixtures are made anew, and the test that
# `make test` runs on the stored ones runs on those; what is handed out is loaded there, and what PEFT saves is read here.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
interloop=${INTERLOOP:-$IL_BUILD/interloop}
built=${IL_BUILD#"$IL_ROOT/"}/tests/plugins

if ! "$PYTHON" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "skip - logits, gradients and greedy text are those of transformers: $PYTHON cannot import it"
    exit 0
fi
ok() { # ok NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$folder/out"
    fi
}
made() {
    make -s -C "$IL_ROOT" "$built/test_hf_decoder" &&
        "$PYTHON" "$IL_ROOT/tests/fixtures/hf/make_hf.py" "$folder/cases" &&
        IL_HF_FIXTURES="$folder/cases" "$IL_BUILD/tests/plugins/test_hf_decoder"
}
export_() { # export_ MODEL OUT [OPTION...]: as it starts
    local model=$1 out=$2
    shift 2
    FOLDER=$folder/cases/$model "$interloop" model export "$IL_ROOT/tests/interop/folder.yaml" --runs "$folder/runs" \
        --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --to "$folder/$out" "$@"
}
with_adapters() { # with_adapters MODEL ADAPTER OUT OPTION...
    export_ "$1" "$3" --set model.params.adapter="$folder/$2" "${@:4}"
}
hf() { "$PYTHON" "$IL_ROOT/tests/interop/hf.py" "$@"; }

ok "logits, gradients and greedy text are those of transformers" made
models=(gpt2 gpt2_untied neox neox_serial llama llama_tied llama3 llama_yarn mistral qwen2)
for model in "${models[@]}"; do
    for dtype in f32 f16 bf16; do
        ok "$model is handed out as $dtype" export_ "$model" "$model.$dtype" --dtype $dtype
    done
done
ok "all of them load there with the logits that they have here" hf same "$folder/cases" "${models[@]}"
for dtype in f32 f16 bf16; do
    rm -rf "$folder/llama.$dtype"
    ok "in several files, as $dtype" export_ llama "llama.$dtype" --dtype $dtype --shard-size 10KB
done
ok "they load there, too" hf same "$folder/cases" llama
ok "there were several" test -e "$folder/llama.f16/model.safetensors.index.json"
if ! "$PYTHON" -c 'import peft' 2>/dev/null; then
    echo "skip - adapters of PEFT: $PYTHON cannot import it"
    exit 0
fi
ok "PEFT makes two adapters, each with a name" hf several "$folder/cases/llama" "$folder/both"
ok "which are read and merged" with_adapters llama both both.merged --merge --set model.params.lora_names="style safety"
ok "into the logits that PEFT has" hf summed "$folder/cases/llama" "$folder/both" "$folder/both.merged"
ok "and handed out again" with_adapters llama both both.again --adapters --set model.params.lora_names="style safety"
ok "for PEFT to load, each" hf summed "$folder/cases/llama" "$folder/both.again" "$folder/both.merged"
for model in gpt2 neox llama; do
    ok "PEFT makes adapters of $model" hf adapt "$folder/cases/$model" "$folder/$model.peft"
    ok "which are read and merged" with_adapters $model $model.peft $model.merged --merge
    ok "into the logits that PEFT has" hf merged "$folder/cases/$model" "$folder/$model.peft" "$folder/$model.merged"
    ok "and handed out again" with_adapters $model $model.peft $model.again --adapters
    ok "for PEFT to load" hf merged "$folder/cases/$model" "$folder/$model.again" "$folder/$model.merged"
done
