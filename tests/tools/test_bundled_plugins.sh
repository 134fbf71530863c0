#!/usr/bin/env bash
# Every plugin that ships passes the checks that other labs' plugins are asked to pass.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

count=0
for plugin in "$IL_BUILD"/plugins/*.so; do
    check "$(basename "$plugin") is well behaved" "$interloop" plugin check "$plugin"
    count=$((count + 1))
done
check "there were plugins to look at" [ "$count" -ge 15 ]
exit $failed
