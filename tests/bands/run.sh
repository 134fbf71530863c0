#!/usr/bin/env bash
# The whole experiments, every variant and seed, held against their bands. Takes long: it is no
# part of `make test`. What was computed before is not computed again. EXPERIMENTS picks some of
# liar, little_atlas and far_lever.
#
#   IL_BUILD=build IL_ROOT=. INTERLOOP=build/interloop bash tests/bands/run.sh
set -eu
build=${IL_BUILD:?}
root=${IL_ROOT:-$(pwd)}
failed=0
mkdir -p "$build/tests/bands"

# experiment NAME PIPELINE...: runs them and shows check_NAME their summaries, also after a
# failure, since the bands say how far it came.
experiment() {
    local name=$1 pipeline summaries=()

    case " ${EXPERIMENTS:-$name} " in *" $name "*) ;; *) return 0 ;; esac
    shift
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror "$root/tests/bands/check_$name.c" \
        -o "$build/tests/bands/check_$name" $(pkg-config --cflags --libs jansson) -lm
    for pipeline in "$@"; do
        pipeline=$root/configs/$name/$pipeline.yaml
        "${INTERLOOP:-$build/interloop}" run "$pipeline" --runs "$build/bands" || failed=1
        summaries+=("$build/bands/$(sed -n 's/^name: *//p' "$pipeline")/summary.json")
    done
    "$build/tests/bands/check_$name" "${summaries[@]}" || failed=1
}

experiment liar full
experiment little_atlas full
experiment far_lever off on
# The sweep of the price has no bands; its figure is on the pages of these runs.
case " ${EXPERIMENTS:-far_lever} " in *" far_lever "*)
    for pipeline in lambda_off lambda_on; do
        "${INTERLOOP:-$build/interloop}" run "$root/configs/far_lever/$pipeline.yaml" \
            --runs "$build/bands" || failed=1
    done
    ;;
esac
[ $failed -eq 0 ]
