#!/bin/sh
# What pipe(8) of Postfix runs for each mail (see master.cf beside this file):
#   filter.sh BACK SENDER CLIENT-ADDRESS CLIENT-HELO QUEUE-ID SASL-USERNAME RECIPIENT...
# BACK tells how the result goes back to Postfix: the word sendmail, or HOST:PORT for SMTP.
#
# Whatever goes wrong ends in 75, which Postfix reads as "try again": no mail is lost and none passes unseen.
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mailguard=/opt/mailguard/bin/mailguard
reinject=/usr/local/lib/mailguard/reinject.py

# Observation: the mail goes on as it came, and the log tells what would have happened.
# When the log says what you expect, take away --dry-run.
observe=--dry-run

# With "yes", attachments and HTML text are made harmless before quarantine looks at them.
sanitize=

# With "yes", what verify found goes under an ARC signature, for a server behind this one that trusts it (Google
# Workspace, Microsoft 365).  Key and domain stand in [sign] of mailguard.toml; see mailguard-sign(1).
arc=

back=$1 sender=$2 client_address=$3 client_helo=$4 queue_id=$5 sasl_username=$6
shift 6

# guard COMMAND RECIPIENT...
guard() {
    command=$1
    shift
    for recipient do
        set -- "$@" "--recipient=$recipient"
        shift
    done
    # shellcheck disable=SC2086 # a command and its options
    "$mailguard" $command "--sender=$sender" "--client-address=$client_address" "--client-helo=$client_helo" \
        "--queue-id=$queue_id" "--sasl-username=$sasl_username" "$@"
}

work=$(mktemp -d /var/spool/mailguard/XXXXXXXX) || exit 75
trap 'rm -rf "$work"' EXIT
trap 'exit 75' HUP INT TERM

# Files, not a pipe: a pipe would hide the status of its first command and inject half a message.
cat >"$work/in" || exit 75

# To whom our own users write, those become known; --known lets the filters hold attachments of all others, and
# --conversations those of somebody else who continues what we wrote.
learn() {
    for recipient do
        set -- "$@" "--recipient=$recipient"
        shift
    done
    "$mailguard" learn --known=/var/lib/mailguard/known --conversations=/var/lib/mailguard/conversations \
        "--sender=$sender" "$@"
}
[ -z "$sasl_username" ] || learn "$@" <"$work/in" || exit 75

guard "verify ${arc:+--arc}" "$@" <"$work/in" >"$work/verified" || exit 75
verified=$work/verified
if [ -n "$sanitize" ]; then
    guard "sanitize $observe" "$@" <"$verified" >"$work/sanitized" || exit 75
    verified=$work/sanitized
fi
guard "quarantine $observe" "$@" <"$verified" >"$work/held" || exit 75
if [ -n "$arc" ]; then
    guard sign "$@" <"$work/held" >"$work/signed" || exit 75
    mv "$work/signed" "$work/held" || exit 75
fi
# A seal is for this site: what goes to others leaves without it.
guard unseal "$@" <"$work/held" >"$work/out" || exit 75

result=$work/out
[ -z "$observe" ] || result=$work/in

case $back in
    sendmail) sendmail -G -i -f "$sender" -- "$@" <"$result" || exit 75 ;;
    *) "$reinject" "$back" "$sender" "$@" <"$result" || exit 75 ;;
esac
