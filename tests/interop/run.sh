#!/usr/bin/env bash
# Checks against Python's libraries: runs every check_*.sh beside this file and ends with the
# line "N passed, M failed, K skipped". PYTHON names the interpreter that has them.
#
# A check prints "ok - name", "not ok - name" or "skip - name: why".
set -u
: "${IL_BUILD:?IL_BUILD must name the build folder}"
export IL_BUILD IL_ROOT="${IL_ROOT:-$(pwd)}" PYTHON="${PYTHON:-python3}"
output=$(mktemp)
trap 'rm -f "$output"' EXIT

cd "$IL_ROOT" || exit 1
for check in tests/interop/check_*.sh; do
    bash "$check" 2>&1 | tee "$output.one"
    # A check that ends badly without saying which line failed is a failure of its own.
    if [ "${PIPESTATUS[0]}" -ne 0 ] && ! grep -q '^not ok - ' "$output.one"; then
        echo "not ok - $check ended badly" | tee -a "$output.one"
    fi
    cat "$output.one" >>"$output"
    rm -f "$output.one"
done

count() { grep -c "^$1 - " "$output"; }
broken=$(count 'not ok')
echo "$(count ok) passed, $broken failed, $(count skip) skipped"
[ "$broken" -eq 0 ]
