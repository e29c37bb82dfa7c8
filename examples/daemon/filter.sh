#!/bin/sh
# A filter that needs neither Python nor a compiler: socat(1) carries the message to `mailguard daemon` and back.
# `filter.sh strip < message > stripped`.  Options that name files name them from the root directory.
# Nothing is written before all of the answer is there, and whatever goes wrong is status 75.
umask 077
reply=$(mktemp) || exit 75
trap 'rm -f "$reply"' EXIT
trap 'exit 75' HUP INT TERM
{
    printf '%s\0' mailguard-1 '' '' $# "$@" 5 "PATH=$PATH" "HOME=${HOME:-/}" "XDG_CONFIG_HOME=$XDG_CONFIG_HOME" \
        "MAILGUARD_CONFIG=$MAILGUARD_CONFIG" "MAILGUARD_KEY_FILE=$MAILGUARD_KEY_FILE"
    cat
} | timeout 310 socat -t 310 - "UNIX-CONNECT:$MAILGUARD_DAEMON" >"$reply" 2>/dev/null || exit 75
{
    read -r word status length || exit 75
    [ "$word" = done ] || exit 75
    begin=$((${#word} + ${#status} + ${#length} + 3))
    [ "$(wc -c <"$reply")" -ge $((begin + length)) ] || exit 75
    head -c "$length" || exit 75
    cat >&2
    exit "$status"
} <"$reply"
