#!/bin/sh
# Turns the files of tools/templates into C: sh tools/embed.sh FILE... >templates.c
#
# Each becomes one string, its lines one literal each, in the table il_templates by the
# name KIND/FILE.
set -eu

cat <<'C'
/* Made by tools/embed.sh from tools/templates. */
#include "templates.h"

C
number=0
for file in "$@"; do
    number=$((number + 1))
    echo "static const char text_${number}[] ="
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e 's/^/    "/' -e 's/$/\\n"/' "$file"
    echo ';'
done
echo 'const il_template il_templates[] = {'
number=0
for file in "$@"; do
    number=$((number + 1))
    name=${file#*templates/}
    echo "    {\"${name%.in}\", text_$number},"
done
echo '    {0, 0},'
echo '};'
