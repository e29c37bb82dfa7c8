#!/bin/sh
# Prints the commands that add the milter to this Postfix (3.0 or newer), and changes nothing:
#   sh postconf.sh | sh -e   does it
# Other milters stay and come first; what is set already stays.
set -eu
# The path is below /var/spool/postfix, where Postfix's processes can reach it inside and outside of their chroot.
# Without the filter no mail comes in: senders try again.
milter='{ unix:mailguard/milter.sock, default_action=tempfail, content_timeout=330s }'

value() { postconf -h "$1" 2>/dev/null; }
set_main() { [ "$(value "$1")" = "$2" ] || printf "postconf -e '%s=%s'\n" "$1" "$2"; }

now=$(value smtpd_milters)
case $now in
    *mailguard/*) ;;
    *) set_main smtpd_milters "${now:+$now }$milter" ;;
esac
# Mail of local programs too; leave this line out when only mail from outside is to be filtered.
now=$(value non_smtpd_milters)
case $now in
    *mailguard/* | *'$smtpd_milters'*) ;;
    '') set_main non_smtpd_milters '$smtpd_milters' ;;
    *) set_main non_smtpd_milters "$now $milter" ;;
esac
# A header value that holds a NUL byte would reach the filter only up to there.
now=$(value message_strip_characters)
case $now in
    *'\0'*) ;;
    *) set_main message_strip_characters "$now"'\0' ;;
esac
echo "postfix reload"
