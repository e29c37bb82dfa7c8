#!/bin/sh
# Prints the commands by which this Postfix serves replies to checks, and changes nothing:
#   sh postconf.sh | sh -e   does it
# What is set already stays.
set -eu
value() { postconf -h "$1" 2>/dev/null; }
set_main() { [ "$(value "$1")" = "$2" ] || printf "postconf -e '%s=%s'\n" "$1" "$2"; }

# Replies come to check+TOKEN@; the token stays in the address.
now=$(value recipient_delimiter)
case $now in
    *+*) ;;
    *) set_main recipient_delimiter "$now+" ;;
esac
# How a reply was encrypted stands in the Received field, from which the result takes it.
set_main smtpd_tls_received_header yes
[ -n "$(value smtpd_tls_security_level)" ] || set_main smtpd_tls_security_level may
echo "postfix reload"
