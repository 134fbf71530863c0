#!/bin/sh
# Prints the layout of the plugin ABI, "struct field offset size" a line, from the headers in a
# folder (include/interloop). A struct's first line, with '.' for the field, has its whole size.
set -eu
headers=${1:-include/interloop}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
    echo '#include <stddef.h>'
    echo '#include <stdio.h>'
    echo '#include <interloop/plugin.h>'
    echo 'int main(void) {'
    for header in "$headers"/*.h; do
        LC_ALL=C awk -f "$here/list.awk" "$header"
    done
    echo '    return 0; }'
} >"$work/list.c"
${CC:-cc} -std=c11 -w -I"$(dirname "$headers")" -o "$work/list" "$work/list.c"
"$work/list"
