"""The recipes on sites that are not empty: what is set there stays, and no mail is lost or refused that was not before."""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import subprocess

import pytest
from guarded_postfix import BACK, guarded, recipe
from mail_system import EXAMPLES, READER, RECIPIENTS, USER, MailSystem, free_port, owned_folder, rendered
from messages import ATTACHMENT, FRIEND, STRANGER, with_attachment
from milters import filtered, send
from paths import ROOT

# What Debian's package writes into main.cf (12, postfix 3.7), but for names and addresses of the machine.
DEBIAN = """
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
smtp_tls_security_level = may
mailbox_size_limit = 0
recipient_delimiter = +
"""
MEGABYTES_60 = 60_000_000
MEGABYTES_100 = 104_857_600
SMALL = b"From: a@one.test\r\nSubject: hello\r\n\r\nsixty octets or so\r\n"


def accepted(port):
    """The size that a service says it accepts."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as session:
        session.ehlo()
        return int(session.esmtp_features["size"])


@BACK
@pytest.mark.parametrize("observing", [True, False])
def test_a_large_mailbox_of_debians_main_cf_goes_on_to_get_mail(site, back, observing):
    spool = site.folder / "spool"
    spool.mkdir()
    spool.chmod(0o1777)
    box = spool / READER
    box.touch()
    shutil.chown(box, READER)
    box.chmod(0o600)
    os.truncate(box, MEGABYTES_60)
    main = f"{DEBIAN}mail_spool_directory = {spool}\n"
    with guarded(site, back, observing=observing, main=main) as system:
        assert system.settings()["mailbox_size_limit"] == " 0"
        system.send(SMALL, STRANGER, [f"{READER}@local.test"])
        system.until_idle()
        assert "(delivered to mailbox)" in system.log()
        assert "status=bounced" not in system.log()
    assert box.stat().st_size > MEGABYTES_60 + len(SMALL)


@BACK
def test_what_the_site_accepts_it_goes_on_to_accept(site, back):
    own, plain = free_port(), free_port()
    main = f"{DEBIAN}message_size_limit = {MEGABYTES_100}\nvirtual_mailbox_limit = {MEGABYTES_100}\n"
    master = (
        f"127.0.0.1:{own} inet n - n - - smtpd\n  -o message_size_limit=20000000\n"
        f"127.0.0.1:{plain} inet n - n - - smtpd\n"
    )
    raw = with_attachment(38_000_000)
    assert len(raw) > 51_200_000
    with guarded(site, back, main=main, master=master) as system:
        assert [accepted(port) for port in (system.port, plain, own)] == [MEGABYTES_100, MEGABYTES_100, 20_000_000]
        system.send(raw, STRANGER, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
        settings = system.settings()
    assert int(settings["message_size_limit"]) >= MEGABYTES_100 * 5 // 4
    assert int(settings["virtual_mailbox_limit"]) >= int(settings["message_size_limit"])
    assert site.run("release", raw=message).stdout.endswith(raw.replace(b"\r\n", b"\n"))


def test_without_a_limit_there_is_none_afterwards(site):
    main = f"{DEBIAN}message_size_limit = 0\nvirtual_mailbox_limit = 0\n"
    with guarded(site, "sendmail", main=main) as system:
        settings = system.settings()
        names = ("message_size_limit", "mailbox_size_limit", "virtual_mailbox_limit")
        assert [settings[name] for name in names] == [" 0"] * 3
        assert "-o message_size_limit" not in (system.etc / "master.cf").read_text()


@BACK
def test_a_second_run_changes_nothing(site, back):
    with guarded(site, back, main=DEBIAN) as system:
        files = [system.etc / name for name in ("main.cf", "master.cf")]
        before = [file.read_text().split() for file in files]
        again = system.recipe()
        assert [line for line in again if not line.startswith("postconf -M ")] == []
        assert [sorted(file.read_text().split()) for file in files] == [sorted(words) for words in before]


@pytest.mark.parametrize("place", ["main.cf", "master.cf"])
def test_another_content_filter_is_never_put_aside(folder, place):
    port = free_port()
    other = "content_filter = amavis:[127.0.0.1]:10024\n" if place == "main.cf" else ""
    option = "" if other else "  -o content_filter=amavis:x\n"
    system = MailSystem(folder, main=other, master=f"127.0.0.1:{port} inet n - n - - smtpd\n{option}", port=port)
    done = subprocess.run(
        ["sh", "-s", "sendmail"], input=recipe(folder / "filter.sh", port, free_port()), capture_output=True, text=True,
        env=os.environ | {"MAIL_CONFIG": str(system.etc)}, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "amavis" in done.stderr


def test_mail_comes_in_behind_postscreen(folder):
    port = free_port()
    master = f"127.0.0.1:{port} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n"
    system = MailSystem(folder, main=DEBIAN, master=master, port=port)
    assert "postconf -P 'smtpd/pass/content_filter=guard:dummy'" in system.apply(
        recipe(folder / "filter.sh", port, free_port()), "sendmail"
    )


def test_the_milter_is_added_to_those_that_are_there(site):
    main = f"{DEBIAN}smtpd_milters = inet:127.0.0.1:{free_port()}\nmilter_default_action = accept\n"
    raw = with_attachment()
    with filtered(site, main=main) as (system, milter):
        settings = system.settings()
        assert settings["smtpd_milters"].count("inet:127.0.0.1:") == 1
        assert settings["milter_default_action"] == " accept"
        assert system.apply(rendered("milter/postconf.sh", {})) == []
        send(system.port, raw)
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
        assert ATTACHMENT not in message
        milter.stop()  # the other one may be away; without ours no mail comes in
        with pytest.raises(smtplib.SMTPException) as refused:
            send(system.port, raw)
        assert "451" in str(refused.value)


def test_what_serves_checks_keeps_what_is_set(folder):
    main = "smtpd_tls_security_level = encrypt\nrecipient_delimiter = -\n"
    system = MailSystem(folder, main=main, port=0)
    assert system.apply(rendered("check/postconf.sh", {})) == [
        "postconf -e 'recipient_delimiter=-+'",
        "postconf -e 'smtpd_tls_received_header=yes'",
    ]
    assert system.apply(rendered("check/postconf.sh", {})) == []
    assert system.settings()["smtpd_tls_security_level"] == " encrypt"


@pytest.mark.parametrize("name", ["procmailrc", "procmailrc.run", "sanitize/procmailrc", "maildroprc"])
def test_the_recipe_of_one_user_works_where_that_of_the_server_is_installed(folder, runnable, name):
    """README's commands, in an /etc of their own."""
    home = owned_folder(folder / "home", READER)
    for part in ("", "/new", "/cur", "/tmp"):
        owned_folder(home / f"Maildir{part}", READER)
    program = folder / "bin/mailguard"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {runnable} "$@"\n')
    program.chmod(0o755)
    rc = folder / "rc"
    rc.write_text(rendered(name, {"/opt/mailguard/bin": str(program.parent), " --dry-run": ""}))
    shutil.chown(rc, READER)
    rc.chmod(0o600)
    raw = with_attachment(author=FRIEND).replace(b"\r\n", b"\n")
    (folder / "mail").write_bytes(raw)
    commands = re.search(
        r"^(install -d -o mailguard -m 0755 .*?init --key-file.*?)$", README, re.DOTALL | re.MULTILINE
    )[1]
    commands = commands.replace("mailguard -m", f"{USER} -m").replace("runuser -u mailguard", f"runuser -u {USER}")
    commands = commands.replace("/opt/mailguard/bin", str(program.parent)).replace("examples/", f"{EXAMPLES}/")
    deliver = f"procmail -p {rc}" if "procmail" in name else f"maildrop {rc}"
    script = f"""
mkdir {folder}/layers && mount -t tmpfs tmpfs {folder}/layers && mkdir {folder}/layers/up {folder}/layers/work
mount -t overlay overlay -o lowerdir=/etc,upperdir={folder}/layers/up,workdir={folder}/layers/work /etc
sed -i 's,^\\({READER}:.*\\):[^:]*:\\([^:]*\\)$,\\1:{home}:\\2,' /etc/passwd
mount -t tmpfs tmpfs /var/spool && mount -t tmpfs tmpfs /usr/local/lib
{commands}
test "$(stat -c %a:%U /etc/mailguard/key)" = 600:{USER}
umask 022
export HOME={home} LOGNAME={READER} USER={READER}
user='setpriv --reuid={READER} --regid={READER} --clear-groups'
$user {program} init
$user {deliver} <{folder}/mail
"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e"], input=script.encode(), capture_output=True, check=False, timeout=120, cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    (file,) = (home / "Maildir/new").iterdir()
    assert b"Mailguard-" in file.read_bytes()
    assert ATTACHMENT not in file.read_bytes()


README = (ROOT / "README.md").read_text()
