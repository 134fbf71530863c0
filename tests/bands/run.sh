#!/usr/bin/env bash
# The whole Liar experiment, three seeds and every variant, held against its bands. Takes long:
# it is no part of `make test`. What was computed before is not computed again.
#
#   IL_BUILD=build IL_ROOT=. INTERLOOP=build/interloop bash tests/bands/run.sh
set -eu
build=${IL_BUILD:?}
root=${IL_ROOT:-$(pwd)}
ran=0
mkdir -p "$build/tests/bands"
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -Wall -Wextra -Werror "$root/tests/bands/check_liar.c" \
    -o "$build/tests/bands/check_liar" $(pkg-config --cflags --libs jansson) -lm
"${INTERLOOP:-$build/interloop}" run "$root/configs/liar/full.yaml" --runs "$build/bands" || ran=$?
# Also after a failure: the bands say how far it came.
"$build/tests/bands/check_liar" "$build/bands/liar/summary.json"
[ $ran -eq 0 ]
