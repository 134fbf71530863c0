#!/usr/bin/env bash
# Text from a tokenizer to a probe: the verb, a whole run, and shards of activations that a
# stopped harvest goes on with.
set -u
interloop=${INTERLOOP:?}
pipeline=$IL_ROOT/tests/fixtures/pipelines/small_text.yaml
plugins=$(realpath "$IL_BUILD")/plugins
tokenizer=$IL_ROOT/tests/fixtures/text/chat
. "$IL_ROOT/tests/checks.sh"

tokenize() { # tokenize INPUT OPTION...
    local input=$1
    shift
    printf '%s\n' "$input" | "$interloop" tokenize --tokenizer "$tokenizer" "$@" >"$folder/out" 2>&1
}
there_and_back() {
    tokenize "été 日本 x" --ids && tokenize "$(cat "$folder/out")" --decode &&
        [ "$(cat "$folder/out")" = "été 日本 x" ]
}
chats() {
    tokenize '[{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]' --chat --prompt &&
        [ "$(cat "$folder/out")" = '"<|im_start|>system\u000aS<|im_end|>\u000a<|im_start|>user\u000ahi<|im_end|>\u000a<|im_start|>assistant\u000a"' ]
}
brings() {
    tokenize '{"messages": [{"role": "system", "content": [{"type": "text", "text": "S"}]}], "end": "!"}' --chat &&
        [ "$(cat "$folder/out")" = '"<|im_start|>system\u000aS!<|im_end|>\u000a"' ]
}
exits() { # exits CODE VERB OPTION...
    local code=$1 verb=$2
    shift 2
    "$interloop" "$verb" "$pipeline" --runs "$folder/runs" --set plugins.path="[$plugins]" --workers 1 "$@" \
        >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
harvest() { # harvest CODE FOLDER OPTION...
    local code=$1 to=$2
    shift 2
    exits "$code" activations --stage fitted --site blocks.0.hook_resid_post --site blocks.1.hook_resid_post \
        --detector probe --batch 64 --out "$folder/$to" "$@"
}

check "text comes back from its ids" there_and_back
check "a conversation is written by its template" chats
check "with what it brings for the template" brings
check "a wrong tokenizer is refused" bash -c "! '$interloop' tokenize --tokenizer '$pipeline' </dev/null 2>'$folder/out'"
check "with the place" says "line 1"

check "a probe is fitted and judged on text" exits 0 run --name text --no-report
check "activations are written in shards" harvest 0 whole
check "which are two or more" test -f "$folder/whole/00001.safetensors"
mkdir "$folder/part"
cp "$folder/whole/index.json" "$folder/whole/00000.safetensors" "$folder/part"
check "a stopped harvest goes on" harvest 0 part
check "to the same bits" diff -r "$folder/whole" "$folder/part"
check "another harvest is refused there" harvest 2 part --rows 64
check "which is said" says "another harvest"
exit $failed
