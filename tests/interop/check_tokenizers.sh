#!/usr/bin/env bash
# Tokenizers of every family against the `tokenizers` library, on lines of mixed scripts, code,
# emoji and broken UTF-8. LINES_EACH says how many.
set -u
export INTERLOOP=${INTERLOOP:-$IL_BUILD/interloop}

for file in "$IL_ROOT"/tests/fixtures/tokenizers/*.expected.json; do
    family=$(basename "$file" .expected.json)
    name="ids, spans and text are those of the tokenizers library: $family"
    if ! "$PYTHON" -c "import tokenizers" 2>/dev/null; then
        echo "skip - $name: $PYTHON cannot import tokenizers"
    elif "$PYTHON" "$IL_ROOT/tests/interop/compare_tokens.py" "$family" "${LINES_EACH:-10000}"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
    fi
done
