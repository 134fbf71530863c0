#!/usr/bin/env bash
# A plugin outside the tree: the one of the documentation, built with nothing but what
# `make install` puts in place, found and described by the installed command.
set -u
. "$IL_ROOT/tests/checks.sh"

says() { # says PART COMMAND...: the command's output has this part
    local part=$1
    shift
    "$@" 2>&1 | tee "$folder/told" | grep -qF -- "$part" || { cat "$folder/told"; return 1; }
}

prefix=$folder/prefix
check "install puts the command in place" \
    make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export HOME=$folder/home
unset XDG_DATA_HOME INTERLOOP_PLUGIN_PATH INTERLOOP
command=$prefix/bin/interloop
mkdir "$folder/mine" "$HOME"
cp "$IL_ROOT"/docs/examples/first_plugin/* "$folder/mine"
lines=$(wc -l <"$folder/mine/scaled_probe.c")
so=$folder/mine/scaled_probe.so

check "the first plugin has at most 60 lines" test "$lines" -le 60
check "it compiles outside the tree without a warning" env -u MAKEFLAGS -u MFLAGS \
    make -C "$folder/mine" CFLAGS=-Werror
check "list shows it usable" says "your_lab.scaled_probe" \
    "$command" plugin list --plugin-path "$folder/mine"
check "list refuses nothing" not says "refused" \
    "$command" plugin list --plugin-path "$folder/mine"
check "a folder of the environment is searched" says "your_lab.scaled_probe" \
    env INTERLOOP_PLUGIN_PATH="$folder/none:$folder/mine" "$command" plugin list
mkdir -p "$HOME/.local/share/interloop"
cp -r "$folder/mine" "$HOME/.local/share/interloop/plugins"
check "the user's folder is searched" says "your_lab.scaled_probe" "$command" plugin list
check "one id in two files is an error" not "$command" plugin list \
    --plugin-path "$folder/mine"
check "the error names the first file" says "$so" "$command" plugin list \
    --plugin-path "$folder/mine"
check "the error names the second file" says "$HOME/.local/share/interloop/plugins/" \
    "$command" plugin list --plugin-path "$folder/mine"
rm -r "$HOME/.local"
check "a folder given twice is searched once" "$command" plugin list \
    --plugin-path "$folder/mine" --plugin-path "$folder/mine/../mine"
check "the working folder by itself is not searched" not says "your_lab" \
    sh -c "cd '$folder/mine' && '$command' plugin list"
check "inspect describes it" says "sharpness" "$command" plugin inspect "$so"
check "inspect gives the manifest as JSON" says '"default":"1"' \
    "$command" plugin inspect --json "$so"
cp "$so" "$folder/before"
check "stamping again works" "$command" plugin stamp "$so"
check "stamping again changes nothing" cmp "$so" "$folder/before"
objcopy --remove-section=.interloop "$so"
check "a file without a manifest is refused" says "has no manifest" \
    "$command" plugin list --plugin-path "$folder/mine"
chmod o+w "$folder/mine"
check "a folder that everybody may write is an error" says "everybody may write" \
    "$command" plugin list --plugin-path "$folder/mine"
check "a folder that is missing is an error" not "$command" plugin list \
    --plugin-path "$folder/missing"
chmod o-w "$folder/mine"

printf '#include <stdlib.h>\n__attribute__((constructor)) static void die(void) { abort(); }\n' |
    cat - "$folder/mine/scaled_probe.c" >"$folder/mine/crash.c"
check "a plugin that crashes when loaded is no crash of the command" says "signal 6" \
    env -u MAKEFLAGS -u MFLAGS make -C "$folder/mine" crash.so
check "nothing is left of it" not test -e "$folder/mine/crash.so"
abi=$(sed -n 's/^#define IL_ABI_M[A-Z]*OR \([0-9]*\) .*/\1/p' "$prefix/include/interloop/abi.h" |
    paste -sd.)
check "version says the ABI" says "ABI       $abi" "$command" version
for verb in config plugin version; do
    check "$verb has help" says "usage: interloop $verb" "$command" $verb --help
    check "the command lists $verb" says " $verb " "$command" --help
done
check "an unknown verb is wrong input" says "there is no verb 'nope'" "$command" nope
exit $failed
