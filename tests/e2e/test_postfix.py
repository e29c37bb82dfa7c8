"""mailguard behind a real Postfix, as `mailguard setup postfix` puts it there."""

from __future__ import annotations

import email.policy
import json
import smtplib

import pytest
from failures import FAILURES
from guarded_postfix import BACK, guarded
from mail_system import RECIPIENTS
from messages import ATTACHMENT, FRIEND, STRANGER, TEXT, with_attachment


@BACK
@pytest.mark.parametrize("runs", [3, 1])
def test_three_recipients_get_the_notice_and_release_gives_back_what_the_filter_read(site, back, runs):
    together = ["guard_destination_recipient_limit=50"] if runs == 1 else []
    raw = with_attachment()
    with guarded(site, back, settings=together) as system:
        system.send(raw, STRANGER, RECIPIENTS)
        system.until_idle()
        arrived = [system.delivered(recipient) for recipient in RECIPIENTS]
    assert [len(messages) for messages in arrived] == [1, 1, 1], system.log()
    for (message,) in arrived:
        assert b"Body text \xe3\x81\x93\xe3\x82\x93\n" in message
        assert ATTACHMENT not in message
        released = site.run("release", raw=message)
        assert (released.returncode, released.stderr) == (0, b"")
        assert released.stdout.endswith(raw.replace(b"\r\n", b"\n"))
        assert released.stdout in site.read()
        assert "the help desk, extension 1234" in notice(message)
    records = [json.loads(line) for line in site.journal.read_text().splitlines()]
    journal = [record for record in records if record["verb"] == "quarantine"]
    assert len(records) - len(journal) == len(arrived)  # each release is on record
    together = [RECIPIENTS] if runs == 1 else [(recipient,) for recipient in RECIPIENTS]
    assert sorted(tuple(record["recipients"]) for record in journal) == together
    assert {record["sender"] for record in journal} == {STRANGER}
    assert all(record["queue_id"] in system.log() for record in journal)


def notice(message):
    """The last text of a message, as a mail reader shows it."""
    return [part.get_content() for part in walk(message) if part.get_content_type() == "text/plain"][-1]


def walk(message):
    return email.message_from_bytes(message, policy=email.policy.default).walk()


def test_a_mail_of_almost_the_largest_size_comes_back_and_a_larger_one_is_refused_at_once(site):
    allowed = 40_000_000
    largest = with_attachment(allowed * 72 // 100)
    assert allowed * 98 // 100 < len(largest) < allowed
    with guarded(site, "sendmail", main=f"message_size_limit = {allowed}\n") as system:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            system.send(with_attachment(allowed), STRANGER, RECIPIENTS[:1])
        assert refused.value.smtp_code == 552
        system.send(largest, STRANGER, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert site.run("release", raw=message).stdout.endswith(largest.replace(b"\r\n", b"\n"))


@BACK
def test_a_harmless_attachment_of_a_partner_arrives_and_that_of_a_forger_does_not(site, back):
    raw = with_attachment(attachment=TEXT, author=FRIEND)
    with guarded(site, back) as system:
        system.send(raw, FRIEND, RECIPIENTS[:1])
        system.send(raw, STRANGER, RECIPIENTS[1:2])
        system.until_idle()
        ((arrived,), (held,)) = map(system.delivered, RECIPIENTS[:2])
    assert b"\nAuthentication-Results: mx.rcpt.test;" in arrived
    assert arrived.endswith(raw.replace(b"\r\n", b"\n"))
    assert b"report.txt" not in held
    assert site.run("release", raw=held).stdout.endswith(raw.replace(b"\r\n", b"\n"))


@BACK
def test_a_page_of_a_partner_arrives_without_its_script_and_can_be_released(site, back):
    page = "page.html", "text/html", b"<p onclick='x()'>Hello</p><script>x()</script>"
    raw = with_attachment(attachment=page, author=FRIEND)
    with guarded(site, back, switched_on=["sanitize"]) as system:
        system.send(raw, FRIEND, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    found = [part.get_content() for part in walk(message) if part.get_content_type() == "text/html"]
    assert [("Hello" in text, "script" in text, "onclick" in text) for text in found] == [(True, False, False)]
    assert "page.html" in notice(message)
    released = site.run("release", raw=message)
    assert released.stdout.endswith(raw.replace(b"\r\n", b"\n"))


@BACK
def test_an_observed_mail_is_not_changed(site, back):
    raw = with_attachment()
    with guarded(site, back, observing=True) as system:
        system.send(raw, STRANGER, RECIPIENTS)
        system.until_idle()
        for recipient in RECIPIENTS:
            (message,) = system.delivered(recipient)
            assert message.endswith(raw.replace(b"\r\n", b"\n"))
            assert b"Mailguard-" not in message


@BACK
def test_a_bounce_keeps_its_null_sender(site, back):
    with guarded(site, back) as system:
        system.send(with_attachment(), "", RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert message.startswith(b"Return-Path: <>\n")


@BACK
@FAILURES
def test_a_failing_filter_defers_the_mail_which_arrives_after_the_repair(site, back, damage, repair):
    raw = with_attachment()
    with guarded(site, back) as system:
        damage(site)
        system.send(raw, STRANGER, RECIPIENTS)
        (entry,) = system.until_deferred()
        assert {recipient["address"] for recipient in entry["recipients"]} == set(RECIPIENTS)
        assert not any(map(system.delivered, RECIPIENTS))
        repair(site)
        system.flush()
        system.until_idle()
        arrived = [system.delivered(recipient) for recipient in RECIPIENTS]
    assert [len(messages) for messages in arrived] == [1, 1, 1], system.log()
    for (message,) in arrived:
        assert ATTACHMENT not in message
        assert site.run("release", raw=message).stdout.endswith(raw.replace(b"\r\n", b"\n"))
