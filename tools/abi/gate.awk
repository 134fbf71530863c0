# Compares two layouts of the ABI, the older first, as list.sh prints them. Whatever the older one
# has must be in the newer one as it was; a struct may only have grown at its end, and only where
# its first field says how large it is. Prints what is wrong, and ends with 1 when anything is.
#
# Values grow, too, without a trace here: enums are never renumbered, which review has to see.

NR == FNR {
    if ($2 == ".") { size[$1] = $4 } else { at[$1 " " $2] = $3 " " $4; if ($3 == 0) first[$1] = $2 }
    next
}

{
    seen[$1 " " $2] = 1
    if ($2 == ".") {
        if ($1 in size) {
            if ($4 < size[$1])
                wrong($1 " has " $4 " bytes, and had " size[$1])
            else if ($4 > size[$1] && first[$1] != "struct_size")
                wrong($1 " grew from " size[$1] " to " $4 " bytes and has no struct_size")
        }
        next
    }
    key = $1 " " $2
    if (key in at) {
        if (at[key] != $3 " " $4)
            wrong($1 "." $2 " lies at " $3 " with " $4 " bytes; it lay at " at[key])
    } else if (($1 in size) && $3 < size[$1]) {
        wrong($1 "." $2 " is new at " $3 ", inside the " size[$1] " bytes that there were")
    }
}

END {
    for (key in at)
        if (!(key in seen)) { sub(/ /, ".", key); wrong(key " is gone") }
    exit bad
}

function wrong(what) { print what; bad = 1 }
