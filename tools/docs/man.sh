#!/bin/sh
# Writes the manual pages into a folder: interloop(1), one for each verb from what the verb says
# of itself, interloop-pipeline(5) and interloop-plugin(3) from the references.
#
#   sh tools/docs/man.sh INTERLOOP VERSION FOLDER
set -eu
interloop=$1
version=$2
out=$3
mkdir -p "$out/man1" "$out/man3" "$out/man5"

# Text as roff takes it: no line begins a command, no backslash an escape.
quote() { sed -e 's/\\/\\e/g' -e "s/^\\([.']\\)/\\\\\\&\\1/" -e 's/-/\\-/g'; }
# head NAME SECTION SUMMARY
head_of() {
    printf '.TH %s %s "" "interloop %s" "Interloop"\n.SH NAME\n%s \\- %s\n' \
        "$(echo "$1" | tr '[:lower:]' '[:upper:]')" "$2" "$version" "$1" "$3"
}
verbs() { "$interloop" --help | sed -n 's/^  \([a-z][a-z]*\)  *\(.*\)$/\1 \2/p'; }

{
    head_of interloop 1 "interpretability in the loop of training"
    printf '.SH SYNOPSIS\n.nf\n'
    "$interloop" --help | sed -n 's/^usage: //p' | quote
    printf '.fi\n.SH VERBS\n'
    verbs | while read -r verb summary; do
        printf '.TP\n.BR interloop\\-%s (1)\n%s\n' "$verb" "$(echo "$summary" | quote)"
    done
    printf '.SH EXIT STATUS\n0 well, 1 failed, 2 wrong input.\n'
    printf '.SH SEE ALSO\n.BR interloop\\-pipeline (5),\n.BR interloop\\-plugin (3)\n'
} >"$out/man1/interloop.1"

verbs | while read -r verb summary; do
    "$interloop" "$verb" --help >"$out/said"
    {
        head_of "interloop-$verb" 1 "$(echo "$summary" | quote)"
        printf '.SH SYNOPSIS\n.nf\n'
        # The usage goes on to the first empty line.
        sed '/^$/,$d' "$out/said" | sed -e 's/^usage: //' -e 's/^       //' | quote
        printf '.fi\n.SH DESCRIPTION\n.nf\n'
        sed '1,/^$/d' "$out/said" | quote
        printf '.fi\n.SH SEE ALSO\n.BR interloop (1)\n'
    } >"$out/man1/interloop-$verb.1"
done
rm -f "$out/said"

# Markdown of our references: headings, tables, code, text.
from_markdown() {
    LC_ALL=C awk '
        function escape(t) { gsub(/\\/, "\\e", t); gsub(/-/, "\\-", t); return t }
        function bare(t) { gsub(/\]\(#[^)]*\)/, "", t); gsub(/[\[`]|\*\*/, "", t); return t }
        function safe(t) { t = escape(t); if (t ~ /^[.\x27]/) t = "\\&" t; return t }
        /^# / { next }
        /^## / { printf ".SH %s\n", safe(toupper(substr($0, 4))); next }
        /^```/ { code = !code; print code ? ".nf" : ".fi"; next }
        code { print safe($0); next }
        /^\|---/ || /^\| key \|/ { next }
        /^\|/ {
            n = split($0, cell, / *\| */)
            printf ".TP\n.B %s\n%s%s%s\n", safe(bare(cell[2])), safe(bare(cell[3])), \
                cell[4] != "" ? ": " : "", escape(bare(cell[4]))
            next
        }
        /^$/ { print ".PP"; next }
        { print safe(bare($0)) }'
}
{
    head_of interloop-pipeline 5 "the pipeline file"
    printf '.SH DESCRIPTION\n'
    "$interloop" config reference | from_markdown
} >"$out/man5/interloop-pipeline.5"
{
    head_of interloop-plugin 3 "the interface of plugins"
    printf '.SH SYNOPSIS\n.nf\n#include <interloop/plugin.h>\n.fi\n.SH DESCRIPTION\n'
    sh tools/docs/abi.sh | from_markdown
} >"$out/man3/interloop-plugin.3"
