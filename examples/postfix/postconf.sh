#!/bin/sh
# Prints the commands that put mailguard before all mail that comes into this Postfix by SMTP, and changes nothing:
#   sh postconf.sh sendmail          mail comes back by Postfix's sendmail command
#   sh postconf.sh smtp              mail comes back over SMTP, to a port of its own on loopback
#   sh postconf.sh sendmail | sh -e  does it
# What is set already stays: no limit becomes smaller, no line stands twice, other options of a service are kept.
# A second run prints only what is missing.
set -eu
back=${1:-sendmail}
filter=/usr/local/lib/mailguard/filter.sh
port=127.0.0.1:10026
user=mailguard

case $back in
    sendmail) result=sendmail ;;
    smtp) result=$port ;;
    *) echo "usage: postconf.sh sendmail|smtp" >&2; exit 64 ;;
esac

# value NAME: of main.cf, with what its $names stand for; option SERVICE NAME: of a service, empty without one.
value() { postconf -xh "$1" 2>/dev/null; }
option() { postconf -Pxh "$1/$2" 2>/dev/null || true; }
# services COMMAND: those of master.cf that run it.
services() { postconf -M 2>/dev/null | awk -v command="$1" '$8 == command && !/^#/ { print $1 "/" $2 }'; }
# set_main NAME VALUE, set_option SERVICE NAME VALUE: print the command where the value is another one now.
set_main() { [ "$(value "$1")" = "$2" ] || printf "postconf -e '%s=%s'\n" "$1" "$2"; }
set_option() { [ "$(option "$1" "$2")" = "$3" ] || printf "postconf -P '%s/%s=%s'\n" "$1" "$2" "$3"; }

# Where mail comes in; behind postscreen(8) that is the service smtpd.
entrance=smtp/inet
services smtpd | grep -qx "$entrance" || entrance=smtpd/pass
services smtpd | grep -qx "$entrance" || { echo "postconf.sh: no service smtp runs smtpd" >&2; exit 1; }

# Another filter stands here: which of the two comes first is for you to say.
for other in "$(value content_filter)" "$(option "$entrance" content_filter)"; do
    case $other in
        '' | guard:*) ;;
        *) echo "postconf.sh: mail goes through $other already; write the lines by hand" >&2; exit 1 ;;
    esac
done

# A mail grows in the filter, and what comes back must not be too large: a quarter and a megabyte more than comes in.
# Each service keeps the limit that it has now; 0 is no limit.
largest=$(value message_size_limit)
room=$largest
if [ "$largest" -ne 0 ]; then
    accepted=$(option "$entrance" message_size_limit)
    [ "${accepted:-0}" -gt 0 ] && [ "$accepted" -lt "$largest" ] || accepted=$largest
    needed=$((accepted + accepted / 4 + 1048576))
    [ "$room" -ge "$needed" ] || room=$needed
fi
# A mailbox that is smaller than the largest message stops all mail to it.
for name in mailbox_size_limit virtual_mailbox_limit; do
    now=$(value "$name")
    [ "$now" -eq 0 ] || [ "$room" -ne 0 ] || set_main "$name" 0
    [ "$now" -eq 0 ] || [ "$now" -ge "$room" ] || set_main "$name" "$room"
done
if [ "$room" -ne "$largest" ]; then
    for service in $(services smtpd); do
        [ "$service" = "$port/inet" ] || [ -n "$(option "$service" message_size_limit)" ] ||
            set_option "$service" message_size_limit "$largest"
    done
    set_main message_size_limit "$room"
fi

# One filter run per recipient, so that each gets the policy and the password of his own.  Without this line all
# recipients of a mail share one run, and the strictest policy of all holds for it.
set_main guard_destination_recipient_limit 1

# No flag R, D or F: mailguard reads the mail as it came.
facts='${sender} ${client_address} ${client_helo} ${queue_id} ${sasl_username} ${recipient}'
printf '%s\n' "postconf -M 'guard/unix=guard unix - n n - 10 pipe flags=q user=$user null_sender= argv=$filter $result $facts'"
# What comes back was checked when it arrived; it is neither filtered nor refused again.  By sendmail it comes in
# through pickup(8), which has no content_filter.
if [ "$back" = smtp ]; then
    checks=no_unknown_recipient_checks,no_header_body_checks,no_milters
    echo "postconf -M '$port/inet=$port inet n - y - 10 smtpd -o content_filter=" \
        "-o receive_override_options=$checks" \
        "-o smtpd_client_restrictions= -o smtpd_helo_restrictions= -o smtpd_sender_restrictions=" \
        "-o smtpd_relay_restrictions=permit_mynetworks,reject" \
        "-o smtpd_recipient_restrictions=permit_mynetworks,reject" \
        "-o smtpd_data_restrictions= -o mynetworks=127.0.0.0/8'"
fi
set_option "$entrance" content_filter guard:dummy
echo "postfix reload"
