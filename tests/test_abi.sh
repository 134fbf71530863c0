#!/usr/bin/env bash
# The plugin ABI: its layout is the one on record, it has only grown since each earlier version,
# and a plugin that was built with the headers of an earlier version works.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"
cd "$IL_ROOT" || exit 1

layout() { sh tools/abi/list.sh "$1"; }
gate() { LC_ALL=C awk -f tools/abi/gate.awk "$1" "$2" >"$folder/out" 2>&1; }

layout include/interloop >"$folder/now"
[ -n "${IL_BLESS:-}" ] && cp "$folder/now" tools/abi/layout.txt
check "the layout is the one on record (after a slot was appended: raise IL_ABI_MINOR, make bless)" \
    diff tools/abi/layout.txt "$folder/now"

# The same at compile time, by name.
{
    echo '#include <interloop/plugin.h>'
    awk '$2 != "." {
        printf "_Static_assert(offsetof(%s, %s) == %s, \"%s.%s moved\");\n", $1, $2, $3, $1, $2 }' \
        tools/abi/layout.txt
} >"$folder/asserts.c"
check "and its offsets hold where they are compiled in" \
    "${CC:-cc}" -std=c11 -Iinclude -fsyntax-only "$folder/asserts.c"

for old in tests/abi/*/; do
    version=$(basename "$old")
    layout "$old/interloop" >"$folder/then"
    check "it has only grown since $version" gate "$folder/then" "$folder/now"
    check "$version is an older minor of this major" sh -c "
        [ \$(sed -n 's/^#define IL_ABI_MAJOR \([0-9]*\).*/\1/p' $old/interloop/abi.h) -eq \
          \$(sed -n 's/^#define IL_ABI_MAJOR \([0-9]*\).*/\1/p' include/interloop/abi.h) ] &&
        [ \$(sed -n 's/^#define IL_ABI_MINOR \([0-9]*\).*/\1/p' $old/interloop/abi.h) -lt \
          \$(sed -n 's/^#define IL_ABI_MINOR \([0-9]*\).*/\1/p' include/interloop/abi.h) ]"

    # Built as its author would have, and never since.
    # shellcheck disable=SC2086 # a sanitizer's flags are to be split
    check "a plugin builds with the headers of $version" "${CC:-cc}" -std=c11 -O2 -fPIC \
        -shared -fvisibility=hidden -I"$old" -Wl,-z,defs -o "$folder/old_detector.so" \
        tests/abi/old_detector.c -lm
    check "it is stamped" "$interloop" plugin stamp "$folder/old_detector.so"
    check "it says $version" sh -c \
        "'$interloop' plugin inspect '$folder/old_detector.so' | grep -q 'ABI $version,'"
    check "it is well behaved under this host" \
        "$interloop" plugin check "$folder/old_detector.so"
done

# --- the gate itself ---
change() { # change NAME SED: a copy of the headers with something done to it
    mkdir -p "$folder/$1/interloop"
    cp include/interloop/*.h "$folder/$1/interloop"
    sed -i "$2" "$folder/$1/interloop/detector.h"
    layout "$folder/$1/interloop" >"$folder/$1.txt" 2>/dev/null
}
change inserted 's/^    void (\*destroy)(void \*self); .*/    int fresh;\n&/'
check "a slot that was inserted is refused" not gate "$folder/now" "$folder/inserted.txt"
check "by what it moved" says "il_detector_api.fresh is new at"
change gone '/^    void (\*destroy)(void \*self); .*/d'
check "a slot that is gone is refused" not gate "$folder/now" "$folder/gone.txt"
check "by its name" says "il_detector_api.destroy is gone"
change wider 's/^    int32_t sites;/    int64_t sites;/'
check "a field that changed its size is refused" not gate "$folder/now" "$folder/wider.txt"
check "with both sizes" says "il_reading.sites lies at 8 with 8 bytes; it lay at 8 4"
change appended 's/^} il_detector_api;/    int fresh;\n&/'
check "a slot at the end is taken" gate "$folder/now" "$folder/appended.txt"
exit $failed
