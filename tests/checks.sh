# What the test scripts share; sourced by them, with bash. A folder of the script's own, gone at
# its end, and checks that print a line each.
#
#   check NAME COMMAND...    "ok - NAME" when the command succeeds; else what it said, and what the
#                            last run left in $folder/out, if anything
#
# A script ends with `exit $failed`.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

check() {
    local name=$1
    shift
    if "$@" >"$folder/said" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        cat "$folder/out" "$folder/said" 2>/dev/null | sed 's/^/    /'
        failed=1
    fi
}
not() { ! "$@"; }
says() { grep -qF -- "$1" "$folder/out"; }
