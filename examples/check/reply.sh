#!/bin/sh
# /usr/local/lib/mailguard/reply.sh: the mailbox of a service of checks, called from aliases(5).
#
# Whatever comes ends with 0, or with 75 when this machine fails: then Postfix tries the same mail again.  The result
# goes to the address that was registered, with the null sender, so that no bounce comes back.
set -u

result=$(mktemp) || exit 75
trap 'rm -f "$result"' EXIT
/opt/mailguard/bin/mailguard check reply --client-from environment --address check@example.org \
    --state /var/lib/mailguard/check --www /var/lib/mailguard/check/pages \
    --url https://check.example.org/ >"$result" || exit 75
[ -s "$result" ] || exit 0
/usr/sbin/sendmail -i -t -f '<>' <"$result" || exit 75
