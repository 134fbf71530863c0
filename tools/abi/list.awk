# From the public headers to a C program that prints "struct field offset size" for every field
# of every struct, in the order of the headers. It relies on how the headers are laid out: one
# declaration ends with ';', a struct is `typedef struct NAME {` or `struct NAME {` and ends with
# a line that begins with '}'.

# Comments may run over lines.
{
    line = $0
    out = ""
    while (line != "") {
        if (inside) {
            end = index(line, "*/")
            if (end == 0) { line = ""; break }
            line = substr(line, end + 2)
            inside = 0
        }
        start = index(line, "/*")
        if (start == 0) { out = out line; break }
        out = out substr(line, 1, start - 1)
        line = substr(line, start + 2)
        inside = 1
    }
    $0 = out
}

/^#/ { next }

!name && /^(typedef )?struct [a-z_0-9]+ \{/ {
    match($0, /struct [a-z_0-9]+/)
    tag = substr($0, RSTART + 7, RLENGTH - 7)
    typed = /^typedef/
    name = typed ? tag : "struct " tag
    fields = 0
    text = ""
    next
}

name && /^\}/ {
    printf "    printf(\"%s . - %%zu\\n\", sizeof(%s));\n", tag, name
    for (i = 1; i <= fields; i++)
        printf "    printf(\"%s %s %%zu %%zu\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", \
            tag, field[i], name, field[i], name, field[i]
    name = ""
    next
}

# A declaration that is whole: its declarators' names.
name {
    text = text " " $0
    if (text !~ /;[ ]*$/) next
    while ((end = index(text, ";")) > 0) {
        one = substr(text, 1, end - 1)
        text = substr(text, end + 1)
        if (match(one, /\(\*(const )?[a-z_0-9A-Z]+\)/)) {
            one = substr(one, RSTART + 2, RLENGTH - 3)
            sub(/^const /, "", one)
            field[++fields] = one
            continue
        }
        count = split(one, parts, ",")
        for (i = 1; i <= count; i++) {
            sub(/\[.*/, "", parts[i])
            if (match(parts[i], /[a-zA-Z_][a-zA-Z_0-9]*[ ]*$/)) {
                word = substr(parts[i], RSTART, RLENGTH)
                gsub(/ /, "", word)
                field[++fields] = word
            }
        }
    }
}
