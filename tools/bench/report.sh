#!/usr/bin/env bash
# Times a page over a thousand runs, each with seven arms of two seeds, and weighs it.
set -euo pipefail
interloop=${INTERLOOP:?}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp -rL "${IL_ROOT:-$(pwd)}/tests/fixtures/run" "$folder/first"
"$interloop" conclude "$folder/first" >/dev/null
for i in $(seq 1 1000); do
    cp -r "$folder/first" "$folder/run_$i"
done
from=$(date +%s%N)
"$interloop" report "$folder"/run_* --out "$folder/page.html" >/dev/null
to=$(date +%s%N)
size=$(stat -c %s "$folder/page.html")
awk -v ms=$(((to - from) / 1000000)) -v size="$size" 'BEGIN {
    printf("a report over 1000 runs  %8.2f s (at most 5), %.1f MB (at most 10)\n", ms / 1000, size / 1e6)
    exit ms >= 5000 || size >= 10e6 }'
