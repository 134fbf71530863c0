#!/usr/bin/env bash
# The test runner itself: what it counts, what it shows, and that nothing bad passes unseen.
set -u
root=$IL_ROOT
. "$IL_ROOT/tests/checks.sh"

# check NAME COMMAND...: one line of result; a failure shows the last run's output.

# suite: begins an empty tree of tests.
suite() {
    rm -rf "$folder/tree"
    mkdir -p "$folder/tree/tests/deep" "$folder/tree/build/tests/deep"
}

# program PATH SCRIPT: a test program, as if built from PATH.c.
program() {
    : >"$folder/tree/$1.c"
    printf '#!/bin/sh\n%s\n' "$2" >"$folder/tree/build/$1"
    chmod +x "$folder/tree/build/$1"
}

# run [PART]: runs the suite; its status in $status.
run() {
    IL_BUILD=$folder/tree/build IL_ROOT=$folder/tree IL_TEST_SECONDS=1 \
        sh "$root/tests/run.sh" "$@" >"$folder/out" 2>&1
    status=$?
}

last_is() { [ "$(tail -n 1 "$folder/out")" = "$1" ]; }
shows() { grep -q -- "$1" "$folder/out"; }

suite
program tests/deep/test_a 'echo "100%: Checks: 3, Failures: 0, Errors: 0"'
echo 'echo "ok - one"; echo "ok - two"' >"$folder/tree/tests/test_b.sh"
run
check "checks of programs and scripts are added up" last_is "5 passed, 0 failed"
check "a run without failures succeeds" [ $status -eq 0 ]
run test_b
check "a part of a path picks tests" last_is "2 passed, 0 failed"

suite
program tests/test_a 'echo "33%: Checks: 3, Failures: 1, Errors: 1"; echo because; exit 1'
run
check "failures and errors are counted" last_is "1 passed, 2 failed"
check "a run with failures fails" [ $status -ne 0 ]
check "a failed program's output is shown" shows because

suite
echo 'echo "ok - one"; echo "not ok - two"; exit 1' >"$folder/tree/tests/test_b.sh"
run
check "a failed line of a script is counted" last_is "1 passed, 1 failed"

suite
echo 'echo "ok - one"; exit 3' >"$folder/tree/tests/test_b.sh"
run
check "a script that ends badly after good lines fails" last_is "1 passed, 1 failed"

suite
program tests/test_a 'kill -SEGV $$'
run
check "a program that crashes fails" last_is "0 passed, 1 failed"

suite
program tests/test_a 'sleep 30'
run
check "a program that hangs is stopped and fails" last_is "0 passed, 1 failed"
check "a program that hangs is said to have been stopped" shows "stopped after 1 seconds"

suite
program tests/test_a 'exit 0'
run
check "a program that checks nothing fails" last_is "0 passed, 1 failed"

suite
: >"$folder/tree/tests/test_a.c"
run
check "a program that was not built fails" last_is "0 passed, 1 failed"

suite
run
check "no tests at all is a failure" [ $status -ne 0 ]
check "no tests at all are counted as none" last_is "0 passed, 0 failed"

exit $failed
