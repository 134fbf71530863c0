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

# --- manual pages and completion ---
man=$prefix/share/man
verbs=$("$prefix/bin/interloop" --help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p')
every_page() {
    local verb
    for verb in $verbs; do
        grep -q '^.SH DESCRIPTION' "$man/man1/interloop-$verb.1" || return 1
        grep -qF "interloop\\-$verb (1)" "$man/man1/interloop.1" || return 1
    done
}
check "every verb has a manual page, and interloop(1) names it" every_page
check "the pipeline file has one" grep -q '^.B batch$' "$man/man5/interloop-pipeline.5"
check "so has the interface of plugins" grep -q 'il_detector_api' "$man/man3/interloop-plugin.3"
if command -v groff >/dev/null; then
    check "and all of them are good roff" \
        sh -c "groff -man -Tutf8 -ww -Wbreak -z '$man'/man*/* 2>&1 | tee /dev/stderr | { ! grep -q . ; }"
fi
completes() { # completes EXPECTED WORD...: with the cursor behind the last word
    local expected=$1
    shift
    PATH=$prefix/bin:$PATH bash -c '
        . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _interloop; printf "%s\n" "${COMPREPLY[@]}"' \
        "$prefix/share/bash-completion/completions/interloop" "$@" | grep -qx -- "$expected"
}
check "verbs are completed" completes explain interloop exp
check "so are the words after a verb" completes validate interloop config val
check "and options" completes --plugin-path interloop run --pl
check "a pipeline's place takes files" completes README.md interloop explain READ
if command -v zsh >/dev/null; then
    check "zsh reads its completion" zsh -n "$prefix/share/zsh/site-functions/_interloop"
fi

# --- packages ---
if git -C "$IL_ROOT" rev-parse HEAD >/dev/null 2>&1; then
    check "dist makes a tarball of what is committed" make -s -C "$IL_ROOT" dist
    check "with the sources in a folder of the version" sh -c \
        "tar tzf '$IL_ROOT'/build/interloop-*.tar.gz | grep -q '^interloop-[0-9.]*/Makefile$'"
fi
if command -v dpkg-deb >/dev/null; then
    package=$(make -s -C "$IL_ROOT" deb 2>&1 | tail -1)
    check "deb makes a package" [ -f "$package" ]
    check "that installs the command and its plugins" sh -c "dpkg-deb -c '$package' |
        grep -c -e ' ./usr/bin/interloop$' -e 'usr/lib/interloop/plugins/gpt.so$' | grep -qx 2"
    check "and says what it needs" sh -c "dpkg-deb -f '$package' Depends | grep -q libyaml-0-2"
fi

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
