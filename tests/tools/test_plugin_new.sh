#!/usr/bin/env bash
# `interloop plugin new`: for each kind, a folder that builds without a warning, passes the
# checks and runs its example, outside the tree and with what `make install` puts in place.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

check() {
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$folder/out"
        failed=1
    fi
}
not() { ! "$@"; }
says() { # says PART COMMAND...: the command's output has this part
    local part=$1
    shift
    "$@" 2>&1 | tee "$folder/said" | grep -qF -- "$part" || { cat "$folder/said"; return 1; }
}

prefix=$folder/prefix
make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix" >"$folder/out" 2>&1
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig HOME=$folder/home
unset XDG_DATA_HOME INTERLOOP_PLUGIN_PATH INTERLOOP
command=$prefix/bin/interloop
mkdir "$HOME"
cd "$folder" || exit 1

for kind in model dataset environment detector; do
    check "new makes a $kind" "$command" plugin new "$kind" "lab.my_$kind"
    check "the $kind builds without a warning" \
        env -u MAKEFLAGS -u MFLAGS make -C "my_$kind" CFLAGS=-Werror
    check "the $kind passes the checks and its example runs" \
        env -u MAKEFLAGS -u MFLAGS make -C "my_$kind" test
    check "the $kind is what its name says" says "$kind lab.my_$kind" \
        "$command" plugin inspect "my_$kind/my_$kind.so"
    check "nothing of the templates is left to fill in" not grep -rq '@[A-Z]*@' "my_$kind"
done

cp -r my_detector before
check "a file that is there is an error" says "is there already" \
    "$command" plugin new model lab.my_detector
check "and stays as it was" diff -r before my_detector
check "a name alone is put into a space" says "detector your_lab.plain" \
    "$command" plugin new detector plain --folder elsewhere/deep
check "--folder says where" test -f elsewhere/deep/plain.c
check "a name that is none is an error" says "is no name" "$command" plugin new model lab.My-Own
check "the namespace of the bundled plugins is refused" says "interloop" \
    "$command" plugin new model interloop.mine
check "a kind that is none is wrong input" not "$command" plugin new planet lab.mine
check "nothing was made of them" not test -e mine

so=my_detector/my_detector.so
check "inspect names the symbols that are needed" says "vsnprintf" "$command" plugin inspect $so
check "inspect --load says what loading adds" says "functions: create score" \
    "$command" plugin inspect --load $so
check "and as JSON" says '"reads":"rows"' "$command" plugin inspect --load --json $so
exit $failed
