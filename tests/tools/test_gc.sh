#!/bin/bash
# interloop gc on a folder of runs made by hand: one state is named, one is its parent, one is
# nobody's.
set -u

interloop=${INTERLOOP:?}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bad=0

check() { # name, then a command that must succeed
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        bad=1
    fi
}

address() { printf "%064d" 0 | tr 0 "$1"; }
gone() { ! [ -e "$1" ]; }
exits() { # code, then a command
    local code=$1
    shift
    "$@" >"$folder/out" 2>"$folder/err"
    [ $? -eq "$code" ]
}

runs=$folder/runs
for letter in a b c; do
    mkdir -p "$runs/.stages/$(address $letter)"
    echo '{}' >"$runs/.stages/$(address $letter)/state.json"
done
echo "{\"parent\": \"$(address a)\"}" >"$runs/.stages/$(address b)/lineage.json"
mkdir "$runs/one"
echo "{\"rows\": [{\"state\": \"$(address b)\", \"parent\": null}]}" >"$runs/one/summary.json"

check "a dry run succeeds" exits 0 "$interloop" gc --runs "$runs" --dry-run
check "it says what it would remove" grep -q "would remove $(address c)" "$folder/out"
check "it removes nothing" [ -d "$runs/.stages/$(address c)" ]
check "gc succeeds" exits 0 "$interloop" gc --runs "$runs"
check "it says what it removed" grep -q "^removed 1 states (3 bytes), kept 2$" "$folder/out"
check "what no run names is gone" gone "$runs/.stages/$(address c)"
check "what a run names stays" [ -f "$runs/.stages/$(address b)/state.json" ]
check "and what it started from" [ -f "$runs/.stages/$(address a)/state.json" ]

echo '{"rows"' >"$runs/one/summary.json"
check "a summary that cannot be read is wrong input" exits 2 "$interloop" gc --runs "$runs"
check "its path is named" grep -q "one/summary.json" "$folder/err"
check "nothing is removed then" [ -d "$runs/.stages/$(address a)" ]
check "a folder that is not there is wrong input" exits 2 "$interloop" gc --runs "$folder/x"
check "an unknown option is wrong input" exits 2 "$interloop" gc --all
check "an argument too many is wrong input" exits 2 "$interloop" gc here
check "help is given" exits 0 "$interloop" gc --help
exit $bad
