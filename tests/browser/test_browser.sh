#!/usr/bin/env bash
# The pages in a browser: from the file, and as served. Where no Chromium is installed this says so
# and looks at what can be looked at without one; `make browser` installs it first.
#
# IL_SHOTS names a folder for screenshots and the printed page.
set -u
interloop=${INTERLOOP:?}
# shellcheck source=tests/checks.sh
. "$IL_ROOT/tests/checks.sh"
runs=$folder/runs
mkdir -p "$runs" "$folder/profile"

cp -rL "$IL_ROOT/tests/fixtures/run" "$runs/made_up"
check "conclusions are drawn" "$interloop" conclude "$runs/made_up"
check "a page is made" "$interloop" report "$runs/made_up"
cp -r "$runs/made_up" "$runs/another"
check "a page over many is made" "$interloop" report "$runs/made_up" "$runs/another" \
    --out "$runs/few.html"
many=()
for i in $(seq 1 15); do
    cp -r "$runs/made_up" "$folder/many_$i"
    many+=("$folder/many_$i")
done
check "and over more than have a panel each" "$interloop" report "${many[@]}" --out "$runs/many.html"
check "a comparison is a page" "$interloop" compare "$runs/made_up" --margin 0.1 \
    --html "$runs/compared.html"
check "it is whole" grep -q '</html>' "$runs/made_up/report.html"

browser=
for name in ${IL_BROWSER:-chromium chromium-browser google-chrome}; do
    browser=${browser:-$(command -v "$name")}
done
if [ -z "$browser" ]; then
    echo "skip - the pages in a browser: no Chromium is installed; 'make browser' installs it"
    exit $failed
fi

# shellcheck disable=SC2046 # flags are to be split
check "the driver is built" ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -Wall -Wextra \
    -o "$folder/look" "$IL_ROOT/tests/browser/look.c" "$IL_ROOT/tests/browser/devtools.c" \
    $(pkg-config --cflags --libs jansson)

mkfifo "$folder/fifo"
"$interloop" serve "$runs" --port 0 >"$folder/fifo" 2>"$folder/errors" &
server=$!
read -r address <"$folder/fifo"
shots=()
if [ -n "${IL_SHOTS:-}" ]; then
    mkdir -p "$IL_SHOTS"
    shots=(--shots "$IL_SHOTS")
fi
timeout 250 "$folder/look" "$browser" "$folder/profile" "${shots[@]}" \
    "file://$runs/made_up/report.html" "file://$runs/few.html" "file://$runs/many.html" \
    "file://$runs/compared.html" \
    "${address}runs/made_up/report.html" >"$folder/looked" 2>&1
looked=$?
sed "s|$folder||g" "$folder/looked"
grep -q '^not ok' "$folder/looked" && failed=1
if [ "$looked" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "not ok - the looks came to their end"
    failed=1
fi
kill "$server"
wait "$server" 2>/dev/null
exit $failed
