#!/bin/sh
# report.sh ADDRESS: mail what was held and released yesterday, if there was anything.
# For cron, as the user who owns the journal:   5 6 * * *  mailguard  /usr/local/lib/mailguard/report.sh admin@example.com
umask 077
mailguard=/opt/mailguard/bin/mailguard
journal=/var/lib/mailguard/journal

mail=$(mktemp) || exit
trap 'rm -f "$mail"' EXIT
"$mailguard" report --journal "$journal" --to "$1" >"$mail" || exit

# The null sender, so that nothing answers or bounces.
[ ! -s "$mail" ] || sendmail -i -f '<>' -- "$1" <"$mail"
