#!/usr/bin/env bash
# What `make install` puts in place: headers that stand alone, pkg-config files that lead to
# them, and the rules by which a plugin is built outside the tree.
set -u
. "$IL_ROOT/tests/checks.sh"

# MAKEFLAGS carries SAN, CC and the rest in from the make that runs the tests, so that this
# installs the very build that is under test.
check "install works with a staging folder" \
    make -s -C "$IL_ROOT" install DESTDIR="$folder/stage" PREFIX=/usr
prefix=$folder/prefix
check "install works with a prefix" make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix"
check "the two differ in the prefix alone" \
    diff -r -I '^prefix=' "$folder/stage/usr" "$prefix"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
cflags=$(pkg-config --cflags interloop-plugin)
check "the library is found by pkg-config" \
    test -e "$(pkg-config --variable=libdir interloop)/libinterloop.a"
check "the plugins' folder is found by pkg-config" \
    test -d "$(pkg-config --variable=plugindir interloop-plugin)"
check "the plugin package has nothing to link" \
    test -z "$(pkg-config --libs interloop-plugin)"

# every_header COMPILER SUFFIX FLAG...: each header alone, included twice.
every_header() {
    local compiler=$1 suffix=$2 header
    shift 2
    for header in "$prefix"/include/interloop/*.h; do
        printf '#include <interloop/%s>\n#include <interloop/%s>\n' \
            "$(basename "$header")" "$(basename "$header")" >"$folder/one.$suffix"
        # shellcheck disable=SC2086 # flags are to be split
        "$compiler" "$@" -Wall -Wextra -Werror -fsyntax-only $cflags \
            "$folder/one.$suffix" || return 1
    done
}
check "every header compiles alone as C11" every_header "${CC:-cc}" c -std=c11 -pedantic
if command -v c++ >/dev/null; then
    check "every header compiles alone as C++" every_header c++ cc -std=c++11
fi

# A stand-in for the command, so that the rules are tested by themselves.
plugin=$folder/plugin
mkdir "$plugin"
printf '#!/bin/sh\necho "$@" >>%s/stamped\n' "$plugin" >"$folder/stamper"
chmod +x "$folder/stamper"
printf 'include $(shell pkg-config --variable=mk interloop-plugin)\n' >"$plugin/Makefile"
printf '#include <interloop/status.h>\nint exported = IL_OK;\n' >"$plugin/good.c"
printf 'int nowhere(void);\nint exported(void);\nint exported(void) { return nowhere(); }\n' \
    >"$plugin/bad.c"
build() { env -u MAKEFLAGS -u MFLAGS make -C "$plugin" INTERLOOP="$folder/stamper" "$1"; }

check "the rules build a plugin outside the tree" build good.so
check "the rules have it stamped under its full path" \
    grep -qx "plugin stamp $plugin/good.so.part" "$plugin/stamped"
check "a plugin that needs another symbol is refused" not build bad.so
check "nothing is left where a refused plugin would be" not test -e "$plugin/bad.so"
printf '#!/bin/sh\nexit 1\n' >"$folder/stamper"
touch "$plugin/good.c"
rm "$plugin/good.so"
check "a plugin that cannot be stamped is refused" not build good.so
check "nothing is left where it would be" not test -e "$plugin/good.so"
exit $failed
