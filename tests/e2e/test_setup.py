"""`mailguard setup` on a whole machine of its own: Debian's Postfix as it is shipped, its users, no systemd."""

from __future__ import annotations

import subprocess

import pytest
from mail_system import EXAMPLES
from messages import ATTACHMENT, STRANGER, with_attachment

# A machine in namespaces: what is written there is gone afterwards.  The network is a loopback of its own.
MACHINE = """
mount --make-rprivate / && ip link set lo up && mount -t proc proc /proc
mkdir {folder}/layers && mount -t tmpfs tmpfs {folder}/layers
for part in etc var root home usr/local; do
    mkdir -p {folder}/layers/$part/up {folder}/layers/$part/work
    mount -t overlay overlay -o lowerdir=/$part,upperdir={folder}/layers/$part/up,workdir={folder}/layers/$part/work /$part
done
mount -t tmpfs tmpfs /run && mkdir /run/lock
for part in incoming active deferred maildrop hold; do rm -rf /var/spool/postfix/$part/*; done
rm -rf /var/lib/mailguard* /etc/mailguard /var/lib/postfix/master.lock /var/spool/postfix/pid/*
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
cat /usr/share/postfix/main.cf.debian {folder}/answers >/etc/postfix/main.cf
grep -q '^postlog ' /etc/postfix/master.cf || echo 'postlog unix-dgram n - n - 1 postlogd' >>/etc/postfix/master.cf
newaliases
install -m 0755 {folder}/program /usr/local/bin/mailguard
useradd -m bob
mkdir /home/bob/Maildir && chown bob /home/bob/Maildir
touch -d @0 /etc/postfix/main.cf
cp -a /etc/postfix {folder}/layers/before
cd /
postfix start
as_bob() {{ setpriv --reuid=bob --regid=bob --clear-groups env HOME=/home/bob LOGNAME=bob USER=bob "$@"; }}
until_seen() {{ for try in $(seq 300); do "$@" && return; sleep 0.1; done; tail -n 30 /var/log/mail.log >&2; return 1; }}
send() {{ python3 - "$1" <<'PYTHON'
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=60) as session:
    session.sendmail("{sender}", [sys.argv[1]], open("{folder}/mail", "rb").read())
PYTHON
}}
"""
# As Debian's installation asks for them, and a log that a test can read.
ANSWERS = """
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mx.rcpt.test
alias_maps = hash:/etc/aliases
mydestination = $myhostname, rcpt.test, localhost
relayhost =
mynetworks = 127.0.0.0/8
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = loopback-only
inet_protocols = ipv4
maillog_file = /var/log/mail.log
maillog_file_prefixes = /var
"""


@pytest.fixture
def machine(folder, runnable):
    """Runs a script on the machine, and gives back what it wrote."""
    (folder / "answers").write_text(ANSWERS)
    (folder / "program").write_text(f'#!/bin/sh\nexec {runnable} "$@"\n')
    (folder / "mail").write_bytes(with_attachment())
    start = MACHINE.format(folder=folder, sender=STRANGER)

    def run(script):
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-e"], input=(start + script).encode(),
            capture_output=True, check=False, timeout=300, cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    return run


def test_a_postfix_is_observed_then_guarded_then_as_it_was(machine, folder):
    for name in ("procmailrc", "procmailrc.run", "sanitize/procmailrc", "maildroprc"):
        text = (EXAMPLES / name).read_text()
        text = text.replace("/opt/mailguard/bin", "/usr/local/bin").replace(" --dry-run", "")
        (folder / name.replace("/", "-")).write_text(text)
    said = machine(f"""
mailguard setup postfix --yes --recipient bob || test $? = 1  # the doctor finds no name server here
test "$(stat -c %a:%U /etc/mailguard/key)" = 600:mailguard
send bob@rcpt.test
until_seen sh -c 'test $(grep -c "local.*to=<bob" /var/log/mail.log) -ge 2'
! grep -q Mailguard- /var/mail/bob
cp /etc/postfix/master.cf /usr/local/lib/mailguard/filter.sh {folder}/layers
mailguard setup postfix --dry-run | grep -x 'nothing to change'
cmp /etc/postfix/master.cf {folder}/layers/master.cf
: ======== enforced
mailguard setup postfix --enforce --yes --recipient bob || test $? = 1
rm /var/mail/bob
send bob@rcpt.test
until_seen grep -q Mailguard- /var/mail/bob
! grep -q {ATTACHMENT[:40].decode("latin-1")!r} /var/mail/bob
runuser -u mailguard -- mailguard release </var/mail/bob >{folder}/layers/released
: ======== a user of the same machine
as_bob mailguard setup procmail --yes </dev/null || test $? = 1
for rules in procmailrc procmailrc.run sanitize-procmailrc maildroprc; do
    rm -rf /home/bob/Maildir; as_bob sh -c 'mkdir /home/bob/Maildir /home/bob/Maildir/new /home/bob/Maildir/cur /home/bob/Maildir/tmp'
    install -o bob -m 0600 {folder}/$rules /home/bob/rules
    case $rules in maildroprc) program=maildrop ;; *) program='procmail -p' ;; esac
    as_bob $program /home/bob/rules <{folder}/mail
    grep -q Mailguard- /home/bob/Maildir/new/*
done
as_bob mailguard setup procmail --undo --yes
test ! -e /home/bob/.procmailrc && test ! -e /home/bob/.forward
: ======== undone, with a mail that waits for the filter
chmod 0644 /usr/local/lib/mailguard/filter.sh
rm /var/mail/bob
send bob@rcpt.test
until_seen sh -c 'postqueue -p | grep -q Permission'
mailguard setup postfix --undo --yes
diff -r /etc/postfix {folder}/layers/before
until_seen test -s /var/mail/bob
! grep -q Mailguard- /var/mail/bob
test ! -e /usr/local/lib/mailguard && test -e /etc/mailguard/key
mailguard setup postfix --undo --yes | grep -x 'nothing to undo'
postfix stop
""")
    assert "guard: sent (delivered via guard service)" in said
    assert "local: sent (delivered to mailbox)" in said
    assert "verify says: a stranger; quarantine: quarantined" in said
    assert "1 mails that waited for the filter go on without it" in said


def test_a_milter_beside_others_without_systemd(machine):
    said = machine("""
postconf -e smtpd_milters=inet:127.0.0.1:9 non_smtpd_milters=inet:127.0.0.1:8 milter_default_action=accept
cp -a /etc/postfix /run/before
if mailguard setup milter --yes 2>/run/said; then exit 1; fi
grep -q 'there is no systemd here' /run/said
diff -r /etc/postfix /run/before
! id mailguard 2>/dev/null
adduser --system --group --quiet --home /var/lib/mailguard mailguard
install -d -o mailguard -g postfix -m 0750 /var/spool/postfix/mailguard
install -d -o mailguard /run/mailguard/milter /etc/mailguard
runuser -u mailguard -- mailguard init --key-file /etc/mailguard/key >/dev/null
(umask 077; exec setpriv --reuid=mailguard --regid=postfix --clear-groups env HOME=/var/lib/mailguard \
    mailguard milter --log none --listen unix:/var/spool/postfix/mailguard/milter.sock 'verify | quarantine | unseal') &
milter=$!
until_seen test -S /var/spool/postfix/mailguard/milter.sock
mailguard setup milter --yes --recipient bob || test $? = 1
mailguard setup milter --dry-run | grep -x 'nothing to change'
postconf -h smtpd_milters non_smtpd_milters milter_default_action
until_seen grep -q Mailguard- /var/mail/bob
mailguard setup milter --undo --yes
diff -r /etc/postfix /run/before
kill $milter
postfix stop
""")
    milter = "{ unix:mailguard/milter.sock, default_action=tempfail, content_timeout=330s }"
    assert f"inet:127.0.0.1:9 {milter}\ninet:127.0.0.1:8 {milter}\naccept\n" in said
