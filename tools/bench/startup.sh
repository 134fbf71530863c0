#!/usr/bin/env bash
# How long the command takes to begin: each of three calls in milliseconds, the median of 21, and
# as a multiple of a process that does nothing.
set -eu
interloop=${INTERLOOP:?}
root=${IL_ROOT:-$(pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 50 plugins, each with a detector of its own.
mkdir "$work/plugins"
chmod 755 "$work" "$work/plugins"
for i in $(seq 50); do
    sed -e "s/IL_PLUGIN(\"old\"/IL_PLUGIN(\"bench\"/" -e "s/IL_DETECTOR(\"probe\"/IL_DETECTOR(\"probe_$i\"/" \
        "$root/tests/abi/old_detector.c" >"$work/plugin.c"
    ${CC:-cc} -std=c11 -O1 -fPIC -shared -fvisibility=hidden -I"$root/include" \
        -o "$work/plugins/probe_$i.so" "$work/plugin.c"
    "$interloop" plugin stamp "$work/plugins/probe_$i.so" >/dev/null
done

# 2,000 lines: detectors, and stages with variants that change them.
{
    printf 'interloop: 1\nname: long\nmodel: {use: gpt}\ndata: {use: wordnet_personas}\ndetectors:\n'
    for i in $(seq 150); do
        printf '  d%d:\n    use: linear_probe\n    site: blocks.1.hook_resid_post\n    tokens: claims\n' "$i"
        printf '    fit: {split: probe_train, label: deceiver}\n'
        printf '    threshold: {split: probe_calib, fpr: 0.05, unit: token}\n'
    done
    printf 'stages:\n'
    for i in $(seq 50); do
        printf '  s%d:\n' "$i"
        [ "$i" -eq 1 ] || printf '    from: s1\n'
        printf '    train:\n      steps: 5\n      batch: 4\n      optimizer:\n        use: adam\n        lr: 1e-3\n'
        printf '    signals:\n      language:\n        source: next_token\n        channel: loss\n        route: all\n'
        for d in $(seq 10); do
            printf '      p%d: {source: d%d, channel: monitor}\n' "$d" "$d"
        done
    done
} >"$work/long.yaml"
lines=$(wc -l <"$work/long.yaml")

printf 'int main(void) { return 0; }\n' >"$work/empty.c"
${CC:-cc} -O2 -o "$work/empty" "$work/empty.c"

# The median of 21 calls, in microseconds.
median() {
    local i begin
    for i in $(seq 21); do
        begin=$(date +%s%N)
        "$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }
        echo $((($(date +%s%N) - begin) / 1000))
    done | sort -n | sed -n 11p
}
empty=$(median "$work/empty")
report() { # report NAME BOUND COMMAND...
    local name=$1 bound=$2 us
    shift 2
    us=$(median "$@")
    awk -v n="$name" -v us="$us" -v e="$empty" -v b="$bound" \
        'BEGIN { printf "%-44s %7.1f ms  %6.1f x an empty process  (bound %d ms)\n", n, us / 1000, us / e, b }'
}
printf '%-44s %7s\n' "an empty process" "$(awk -v e="$empty" 'BEGIN { printf "%.1f ms", e / 1000 }')"
report "interloop version" 20 "$interloop" version
report "interloop plugin list, 50 more plugins" 100 "$interloop" plugin list --plugin-path "$work/plugins"
report "interloop config validate, $lines lines" 100 "$interloop" config validate "$work/long.yaml"
