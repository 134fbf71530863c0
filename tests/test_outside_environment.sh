#!/usr/bin/env bash
# An environment outside the tree: the first one of the documentation, built with nothing but
# what `make install` puts in place, is played, learned and told.
set -u
. "$IL_ROOT/tests/checks.sh"

prefix=$folder/prefix
make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix" >"$folder/out" 2>&1
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig HOME=$folder/home
unset XDG_DATA_HOME INTERLOOP_PLUGIN_PATH INTERLOOP
mkdir "$folder/mine" "$HOME"
cp "$IL_ROOT"/docs/examples/first_environment/* "$folder/mine"
check "the environment is built outside the tree without a warning" \
    env -u MAKEFLAGS -u MFLAGS PATH="$prefix/bin:$PATH" make -C "$folder/mine" CFLAGS=-Werror
cd "$folder/mine" || exit 1
"$prefix/bin/interloop" plugin list --plugin-path "$folder/mine" >"$folder/list" 2>&1
check "it is listed as what it is" grep -q 'environment your_lab.corridor' "$folder/list"

interloop() {
    local verb=$1
    shift
    "$prefix/bin/interloop" "$verb" corridor.yaml "$@"
}
# The mean length of 200 episodes of a policy, in hundredths.
hundredths() {
    interloop rollout --stage walker --episodes 200 --save - --policy "$1" |
        sed 's/.*"length": \([0-9]*\),.*/\1/' | awk '{ s += $1 } END { print int(100 * s / NR) }'
}
shorter_than() { # shorter_than HUNDREDTHS POLICY
    local mean
    mean=$(hundredths "$2")
    echo "mean length of $2: $mean hundredths"
    [ "$mean" -gt 0 ] && [ "$mean" -lt "$1" ]
}

check "chance needs more than ten positions to the prize" not shorter_than 1000 random
check "an agent learns it" interloop run --no-report
check "and takes few" shorter_than 600 own
exit $failed
