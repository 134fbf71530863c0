# From a public header to Markdown: what a comment says as text, the declarations under it as code.
# Blocks are parted by blank lines, as the headers are laid out.
function flush_code() {
    if (code != "") { printf "```c\n%s```\n\n", code; code = "" }
}
function plain(text) { gsub(/^[ ]*\/?\*+\/?[ ]?/, "", text); sub(/[ ]*\*\/[ ]*$/, "", text); return text }

FNR == 1 { printf "## %s\n\n", name }
/^#ifdef __cplusplus$/ { skip = 1 }
skip { if (/^#endif$/) skip = 0; next }
/^#(ifndef|define) INTERLOOP_[A-Z]*_H$/ || /^#include/ { next }
/^#endif$/ && depth == 0 && code == "" { next }

# A comment that stands by itself at the margin.
/^\/\*/ && code == "" && !comment { comment = 1; text = "" }
comment {
    line = plain($0)
    text = text (text == "" || line == "" ? "" : "\n") line
    if (/\*\//) { comment = 0; printf "%s\n\n", text }
    next
}
/^$/ && depth == 0 { flush_code(); next }
{
    code = code $0 "\n"
    line = $0
    depth += gsub(/\{/, "", line) - gsub(/\}/, "", line)
}
END { flush_code() }
