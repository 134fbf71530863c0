#!/usr/bin/env bash
# wheel.sh FOLDER: builds the wheel, unpacks it below FOLDER and prints where to: what PYTHONPATH has to name. What make says
# is only shown when it fails.
set -u
if ! make -s -C "$IL_ROOT" wheel >"$1/wheel.out" 2>&1; then
    cat "$1/wheel.out" >&2
    exit 1
fi
"$PYTHON" -m zipfile -e "$(tail -n 1 "$1/wheel.out")" "$1/site" && echo "$1/site"
