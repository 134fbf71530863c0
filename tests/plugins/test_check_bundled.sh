#!/usr/bin/env bash
# Every plugin that is built here passes every check of the validator.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

for so in "$IL_BUILD"/plugins/*.so; do
    name=$(basename "$so" .so)
    set --
    if [ "$name" = wordnet_personas ]; then
        if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
            echo "ok - $name is left out: no WordNet here"
            continue
        fi
        set -- --set root="${WORDNET:-/usr/share/wordnet}"
    fi
    if [ "$name" = text ]; then
        fixture=$IL_ROOT/tests/fixtures/text
        set -- --set file="$fixture/documents.jsonl" --set tokenizer="$fixture/chat" --set context=32 \
            --set max_tokens=8 --set longer=skip \
            --set labels=lie,odd --set roles=user,assistant --set learn=assistant
    fi
    if [ "$name" = activations ]; then
        "$INTERLOOP" activations "$IL_ROOT/tests/fixtures/pipelines/small_text.yaml" --stage pretrain \
            --set plugins.path="[$(realpath "$IL_BUILD")/plugins]" --runs "$folder/runs" --out "$folder/acts" \
            --site blocks.0.hook_resid_post --site hook_embed --tokens text --batch 64 >"$folder/out" 2>&1 ||
            cat "$folder/out"
        set -- --set folder="$folder/acts" --set tokenizer="$IL_ROOT/tests/fixtures/text/chat"
    fi
    if [ "$name" = hf_decoder ]; then
        set -- --set folder="$IL_ROOT/tests/fixtures/hf/llama"
    fi
    if "$INTERLOOP" plugin check "$so" "$@" >"$folder/out" 2>&1; then
        echo "ok - $name is well behaved"
    else
        echo "not ok - $name is well behaved"
        grep -A1 '^not ok' "$folder/out" || cat "$folder/out"
        failed=1
    fi
done
exit $failed
