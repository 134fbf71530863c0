#!/usr/bin/env bash
# Conversations by chat templates against `transformers`, byte for byte: the templates of
# tests/fixtures/tokenizers/chat, and those of TEMPLATES, a folder of *.jinja, where it is set.
set -u
export INTERLOOP=${INTERLOOP:-$IL_BUILD/interloop}

for folder in "$IL_ROOT/tests/fixtures/tokenizers/chat" ${TEMPLATES:+"$TEMPLATES"}; do
    name="conversations are those of transformers: $(basename "$folder")"
    if ! "$PYTHON" -c "import transformers, jinja2" 2>/dev/null; then
        echo "skip - $name: $PYTHON cannot import transformers"
    elif "$PYTHON" "$IL_ROOT/tests/interop/compare_chats.py" "$folder"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
    fi
done
