#!/bin/sh
# How the plugin ABI has grown since each earlier minor: fields that were appended, and what
# abidiff makes of one plugin built with both sets of headers, where it is installed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { # build HEADERS FILE
    ${CC:-cc} -std=c11 -g -fPIC -shared -fvisibility=hidden -I"$1" -o "$2" tests/abi/old_detector.c
}

sh tools/abi/list.sh include/interloop >"$work/now"
build include "$work/now.so"
for old in tests/abi/*/; do
    echo "since $(basename "$old"):"
    sh tools/abi/list.sh "$old/interloop" >"$work/then"
    LC_ALL=C awk 'NR == FNR { had[$1 " " $2] = 1; next }
        $2 != "." && !(($1 " " $2) in had) { printf "  %s.%s at %s, %s bytes\n", $1, $2, $3, $4 }' \
        "$work/then" "$work/now"
    build "$old" "$work/then.so"
    if command -v abidiff >/dev/null; then
        abidiff "$work/then.so" "$work/now.so" | sed 's/^/  abidiff: /' || :
    else
        echo "  abidiff is not installed"
    fi
done
