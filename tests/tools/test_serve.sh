#!/usr/bin/env bash
# The verb serve: refuses what it cannot show, says where it is, answers, and ends when asked to.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"

exits() { # exits CODE WORD...
    local code=$1
    shift
    "$interloop" "$@" >"$folder/out" 2>&1
    [ $? -eq "$code" ]
}
ask() { # ask PATH
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$1" >&3
    timeout 20 cat <&3 >"$folder/out"
    exec 3>&-
}

check "a folder is needed" exits 2 serve
check "and must be there" exits 2 serve "$folder/none"
check "which is said" says "$folder/none: error: expected the folder of the runs"
check "a port is a number" exits 2 serve "$folder" --port 65536
check "help is there" exits 0 serve --help

mkdir -p "$folder/runs/mine"
echo "info hello" >"$folder/runs/mine/log.txt"
for signal in TERM INT; do
    mkfifo "$folder/fifo"
    # A shell's background jobs ignore interrupts, and so would what they start.
    (trap - INT && exec "$interloop" serve "$folder/runs" --port 0) >"$folder/fifo" 2>"$folder/errors" &
    pid=$!
    read -r address <"$folder/fifo"
    port=${address##*:}
    port=${port%/}
    check "it says where it is" grep -qE '^http://127\.0\.0\.1:[0-9]+/$' <<<"$address"
    check "it answers" ask /runs/mine/log.txt
    check "with the file" says "info hello"
    check "it can be asked to end" kill -"$signal" "$pid"
    wait "$pid"
    check "and ends well" [ $? -eq 0 ]
    check "without a word" not [ -s "$folder/errors" ]
    rm "$folder/fifo"
done
exit $failed
