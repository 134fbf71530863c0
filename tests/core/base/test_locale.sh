#!/usr/bin/env bash
# The tests of text once more, under locales whose decimal point is a comma and a character of
# two bytes. They are compiled here, since a machine seldom has them; where that cannot be done,
# one line says so.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

for name in de_DE ps_AF; do
    if ! localedef -i "$name" -f UTF-8 "$folder/$name" >"$folder/log" 2>&1 &&
        [ ! -d "$folder/$name" ]; then
        echo "ok - numbers under $name: skipped, localedef cannot make the locale here"
        continue
    fi
    if LOCPATH=$folder "$IL_BUILD/tests/core/base/test_text" >"$folder/log" 2>&1; then
        echo "ok - numbers are read and written the same under $name"
    else
        echo "not ok - numbers are read and written the same under $name"
        cat "$folder/log"
        failed=1
    fi
    rm -rf "${folder:?}/$name"
done
exit $failed
