#!/bin/sh
# Runs every test: the programs that make built from test_*.c, and the scripts test_*.sh, two at
# a time. Shows what failed in full and ends with the line "N passed, M failed".
#
#   IL_BUILD=build sh tests/run.sh [part of a path]
#
# A program is a suite of Check and says "Checks: N, Failures: F, Errors: E". A script prints
# "ok - name" or "not ok - name" for each check. A test that crashes, runs longer than
# IL_TEST_SECONDS, or checks nothing counts as one failure.
set -u

build=${IL_BUILD:?IL_BUILD must name the build folder}
root=${IL_ROOT:-$(pwd)}
part=${1:-}
seconds=${IL_TEST_SECONDS:-300}
logs=$build/tests/logs

export IL_BUILD IL_ROOT="$root" INTERLOOP="${INTERLOOP:-$build/interloop}"
# Check's own limit is 4 seconds a test, too tight for a sanitizer on a busy machine.
export CK_DEFAULT_TIMEOUT="${CK_DEFAULT_TIMEOUT:-$seconds}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

rm -rf "$logs"
mkdir -p "$logs"
cd "$root" || exit 1

# Sources decide what is run, so that a program whose source is gone is not.
find tests -name 'test_*.c' -o -name 'test_*.sh' | LC_ALL=C sort |
    grep -F -- "$part" >"$logs/all"

# One test: its output to a log, its exit status to a file beside it.
cat >"$logs/one" <<'ONE'
log=$2/$(echo "$1" | tr / .)
case $1 in
*.sh) timeout -k 5 "$3" bash "$1" >"$log.out" 2>&1 ;;
*) timeout -k 5 "$3" "$IL_BUILD/${1%.c}" >"$log.out" 2>&1 ;;
esac
echo $? >"$log.status"
ONE
xargs -P "${IL_TEST_JOBS:-2}" -I{} sh "$logs/one" {} "$logs" "$seconds" <"$logs/all"

passed=0
failed=0
while read -r test; do
    log=$logs/$(echo "$test" | tr / .)
    status=$(cat "$log.status")
    case $test in
    *.sh)
        ok=$(grep -c '^ok - ' "$log.out")
        bad=$(grep -c '^not ok - ' "$log.out")
        ;;
    *)
        sums=$(sed -n 's/^.*Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' \
            "$log.out" | awk '{ n += $1; bad += $2 + $3 } END { print n + 0, bad + 0 }')
        bad=${sums#* }
        ok=$((${sums% *} - bad))
        ;;
    esac
    # A status that the counts do not explain, or no checks at all, is a failure of its own.
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$ok" -eq 0 ]; }; then
        bad=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -eq 0 ]; then
        printf '  ok     %s (%d)\n' "$test" "$ok"
    else
        printf '  FAILED %s (%d of %d, exit status %d)\n' "$test" "$bad" $((ok + bad)) "$status"
        if [ "$status" -eq 124 ]; then
            echo "    stopped after $seconds seconds"
        fi
        sed 's/^/    /' "$log.out"
    fi
done <"$logs/all"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
