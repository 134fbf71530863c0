#!/usr/bin/env bash
# The validator: a plugin that is well behaved passes, and each of many that are not is
# caught by the group meant for what is wrong with it.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
# A sanitizer is to leave a crash what it is.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:handle_segv=0" TSAN_OPTIONS="${TSAN_OPTIONS:-}:handle_segv=0"
source=$IL_ROOT/tests/fixtures/plugins/rude.c

compile() { # compile NAME FLAG...
    local name=$1
    shift
    "${CC:-cc}" -std=c11 -O1 -shared -fPIC -fvisibility=hidden -I"$IL_ROOT/include" "$source" \
        -o "$folder/$name.so" "$@" -lm
}

compile good 2>"$folder/log" && "$INTERLOOP" plugin stamp "$folder/good.so" ||
    { cat "$folder/log"; echo "not ok - the plugin is built"; exit 1; }
objcopy -O binary --only-section=.interloop --set-section-flags .interloop=alloc \
    "$folder/good.so" "$folder/manifest"
"$INTERLOOP" plugin check "$folder/good.so" >"$folder/out"
if [ $? -eq 0 ] && ! grep -q '^not ok' "$folder/out"; then
    echo "ok - a plugin that behaves passes"
else
    echo "not ok - a plugin that behaves passes"
    grep -A1 '^not ok' "$folder/out"
    failed=1
fi

# caught FAULT GROUP PART FLAG...: a test of GROUP fails and says PART.
caught() {
    local fault=$1 group=$2 part=$3
    shift 3
    local so=$folder/$fault.so
    compile "$fault" -DFAULT="$fault" "$@" 2>"$folder/log" || cat "$folder/log"
    # Some cannot be stamped, since they are refused before; theirs is the good one's.
    "$INTERLOOP" plugin stamp "$so" 2>/dev/null ||
        objcopy --add-section .interloop="$folder/manifest" \
            --set-section-flags .interloop=noload,readonly "$so"
    "$INTERLOOP" plugin check --seconds "${seconds:-20}" --only "$group" "$so" \
        >"$folder/out" 2>&1
    if [ $? -eq 1 ] && grep -A1 "^not ok [0-9]* - $group:" "$folder/out" | grep -q "^# .*$part"; then
        echo "ok - $fault is caught by $group"
    else
        echo "not ok - $fault is caught by $group"
        cat "$folder/out"
        failed=1
    fi
    rm -f "$so"
}

caught EXPORTS elf "exports 'il_another'" -DEXPORTING
caught CALLS_EXIT elf "calls exit" -DCALLING
caught PRINTS elf "calls printf" -DCALLING
caught DRAWS elf "calls rand" -DCALLING
caught NONE elf "RPATH" -Wl,-rpath,/nowhere
caught NONE elf "executable stack" -Wl,-z,execstack
caught NONE elf "needs the library" -Wl,--no-as-needed -lpthread -lz
if [ "$(uname -m)" = x86_64 ]; then
    caught TEXT_RELOCATION elf "text relocations" -DRELOCATING -Wl,-z,notext
    caught FLUSHES load "floating-point environment" -DCONSTRUCTING
fi
caught OPENS load "changes the open descriptors" -DCONSTRUCTING
caught CHANGES_VARIABLES load "changes the environment variables" -DCONSTRUCTING
caught DAWDLES load "of processor time" -DCONSTRUCTING
caught DIES load "ended with signal 11" -DCONSTRUCTING
caught TWICE entry "two components of a kind"
caught BAD_DEFAULT entry "its default is no value"
caught WIDE_TABLE entry "struct_size = sizeof api"
caught SILENT_SUMMARY entry "has no summary"
caught REFUSES_DEFAULTS parameters "two is no good"
caught CRASHES_AT_BOUND parameters "ended with signal 11.*depth=9"
caught REFUSES_SILENTLY parameters "refuses loud=true without saying why"
seconds=2 caught HANGS_AT_BOUND parameters "not done after 2 s.*depth=1"
caught LEAKS life "allocations are left of"
caught LEAKS_WHEN_FAILING life "allocations are left after a create"
caught TRUSTS_MALLOC life "ended with signal 11.*the plugin's allocation"
caught TRUSTS_SETUP life "ended with signal 11.*the host's allocation"
caught SHARES_INSTANCES life "changes with another's"
caught OPENS_IN_CREATE life "changes the open descriptors"
caught WRITES_PAST_FIELD shapes "ended with signal 11\|past the edge"
caught WRITES_INPUT shapes "ended with signal 11"
caught WRITES_PARAMETERS shapes "ended with signal 11"
caught NARROW_LOGITS shapes "has 1 numbers: expected 8"
caught NARROW_OUTPUT shapes "output 'logits' has"
caught NEEDS_TWO_ROWS shapes "ended with signal 11.*1 rows"
caught COUNTS_CALLS numerics "asked again, it gives other bits"
caught WRONG_BACKWARD numerics "by differences"
caught MIXES_ROWS numerics "changes other rows"
caught RACES numerics "with two workers"
caught STEPS_APART numerics "at position 4"
caught BENT_LINE numerics "name only what is linear"
caught HIDES_STATE state "keep everything in parameters"
caught IMPURE dataset "when it is asked for alone"
caught SHARED_IDS dataset "share the row"
caught LABEL_TWO dataset "expected 0 or 1"
caught LACKS_FIELD dataset "no field 'weights'"
caught WRONG_TYPE dataset "another type or shape"
caught TOKEN_PAST dataset "and the vocabulary has 10"
caught FORGETS_SEED dataset "the same fingerprint"
caught TEXT_PAST dataset "ended with signal 11.*a text with room for\|not cut to"
caught EPISODE_STATIC environment "of the same luck goes otherwise"
caught EPISODE_POINTER environment "on a copy of the state"
caught AFTER_THE_END environment "ended with signal 11.*after the end"
caught NO_NUMBER environment "is no number"
caught STATE_PAST environment "past the edge of the state\|ended with signal 11"
caught WILD_POLICY environment "chooses action 2 of 2"
caught METRIC_OF_NOTHING environment "a weight of at least 0"

# A manifest that is another build's.
compile OTHER -DRELEASE='"1.0.1"'
objcopy --add-section .interloop="$folder/manifest" \
    --set-section-flags .interloop=noload,readonly "$folder/OTHER.so"
if "$INTERLOOP" plugin check --only entry "$folder/OTHER.so" >"$folder/out"; then
    echo "not ok - a manifest of another build is caught by entry"
    failed=1
else
    grep -q '^not ok [0-9]* - entry: its manifest says' "$folder/out" &&
        echo "ok - a manifest of another build is caught by entry"
fi

check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        cat "$folder/out"
        failed=1
    fi
}
says() {
    local part=$1
    shift
    "$@" 2>&1 | tee "$folder/said" | grep -q -- "$part" || { cat "$folder/said"; return 1; }
}
check "one group can be had alone" says "^1..4$" \
    "$INTERLOOP" plugin check --only entry "$folder/good.so"
check "the seed is said" says "seed 77" \
    "$INTERLOOP" plugin check --only entry --seed 77 "$folder/good.so"
check "a failure says how to have it again" \
    says "^# again: interloop plugin check .*OTHER.so --seed 9 --only entry" \
    "$INTERLOOP" plugin check --seed 9 "$folder/OTHER.so"
check "an unknown group is an error" says "no group 'elves'" \
    "$INTERLOOP" plugin check --only elves "$folder/good.so"
check "JSON has the verdicts" says '"verdict": "passed"' \
    "$INTERLOOP" plugin check --json --only elf "$folder/good.so"
check "a parameter can be given" says "from 0.5 to 4.0, found '9'" \
    "$INTERLOOP" plugin check --only parameters --set sharpness=9 "$folder/good.so"
exit $failed
