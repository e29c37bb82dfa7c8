"""The recipes on sites that are not empty: what is set there stays, and no mail is lost or refused that was not before."""

from __future__ import annotations

import os
import shutil
import smtplib

import pytest
from guarded_postfix import BACK, guarded
from mail_system import READER, RECIPIENTS, MailSystem, free_port, rendered
from messages import ATTACHMENT, STRANGER, with_attachment
from milters import filtered, send

from mailguard.setup import milter as milter_setup

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
        files = [*system.etc.glob("m*.cf"), *site.folder.glob("*.sh"), *site.folder.glob("*.py")]
        before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
        assert len(before) == 4
        assert system.setup().is_empty
        assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before


def test_the_milter_is_added_to_those_that_are_there(site):
    main = f"{DEBIAN}smtpd_milters = inet:127.0.0.1:{free_port()}\nmilter_default_action = accept\n"
    raw = with_attachment()
    with filtered(site, main=main) as (system, milter):
        settings = system.settings()
        assert settings["smtpd_milters"].count("inet:127.0.0.1:") == 1
        assert settings["milter_default_action"] == " accept"
        assert system.edit(milter_setup.add) == []
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
