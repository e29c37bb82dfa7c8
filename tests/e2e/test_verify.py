"""The verdict on its way through a real Postfix: who connected, and a seal that survives."""

from __future__ import annotations

import json
import shutil
import subprocess

import dkim
import pytest
from guarded_postfix import BACK, guarded
from mail_system import READER, RECIPIENTS, MailSystem, free_port, rendered, run_as
from messages import FRIEND, STRANGER, TEXT, with_attachment
from signed_mail import Zone, record, write_key

from mailguard.message.tree import parse
from mailguard.verify import arc


@BACK
def test_the_seal_survives_the_way_back_into_postfix_and_breaks_on_a_change(site, back):
    raw = with_attachment(attachment=TEXT, author=FRIEND)
    with guarded(site, back) as system:
        system.send(raw, FRIEND, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert message.startswith(b"Return-Path: <")
    assert again(site, message) == (True, ["seal.valid"])
    for changed in (
        message.replace(b"Body text", b"Other text"),
        message.replace(b"Subject:", b"Subject: forged"),
        b"From: boss@bank.example\n" + message,
    ):
        assert changed != message
        assert "seal.valid" not in again(site, changed)[1]


@BACK
def test_the_seal_of_a_message_that_was_changed_survives_too(site, back):
    with guarded(site, back) as system:
        system.send(with_attachment(attachment=TEXT, author=FRIEND), STRANGER, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert again(site, message) == (False, ["seal.valid"])


def again(site, message):
    """What a second verify says: (authenticated, codes of its findings)."""
    record = site.home / "record"
    record.unlink(missing_ok=True)
    process = site.run("verify", "--log", "none", "--json", str(record), raw=message)
    assert process.returncode == 0, process.stderr
    (found,) = map(json.loads, record.read_text().splitlines())
    return found["authenticated"], [finding["code"] for finding in found["findings"]]


def test_what_our_own_user_sends_is_authenticated_and_makes_its_recipients_known(site):
    raw = with_attachment(attachment=TEXT, author=RECIPIENTS[2]).replace(b"\r\n", b"\n")
    with guarded(site, "sendmail") as system:
        facts = ["sendmail", FRIEND, "198.51.100.9", "laptop.example", "4cX9", "friend"]
        script = site.folder / "filter.sh"
        environment = {"MAIL_CONFIG": str(site.folder / "etc")}
        process = run_as(site.user, [script, *facts, *RECIPIENTS[:2]], input=raw, env=environment)
        assert process.returncode == 0, process.stderr
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert b"; a=yes;\n\td=rcpt.test; " in message
    assert b"\tauth=pass smtp.auth=friend;\n" in message
    assert message.endswith(raw)
    assert (site.home / "known").read_text() == "".join(f"{address}\n" for address in RECIPIENTS[:2])


def test_what_goes_to_others_leaves_without_a_seal(site):
    raw = with_attachment(attachment=TEXT, author=RECIPIENTS[2]).replace(b"\r\n", b"\n")
    with guarded(site, "sendmail"):
        injected = site.folder / "injected"
        script = site.folder / "filter.sh"
        command = script.read_text().replace(
            "sendmail) sendmail -G", f'sendmail) cat <"$result" >{injected}; exit; sendmail -G'
        )
        script.write_text(command)
        injected.touch()
        injected.chmod(0o666)
        for recipient, sealed in ((RECIPIENTS[0], True), ("partner@partner.test", False)):
            facts = ["sendmail", FRIEND, "198.51.100.9", "laptop.example", "4cX9", "friend", recipient]
            process = run_as(site.user, [script, *facts], input=raw, env={})
            assert process.returncode == 0, process.stderr
            assert (b"\nMailguard-Seal: " in b"\n" + injected.read_bytes()) is sealed
            assert injected.read_bytes().endswith(raw)


@pytest.mark.parametrize("sender", [FRIEND, ""])
def test_local_delivery_says_who_connected(reader_site, sender):
    record = reader_site.home / "record"
    port = free_port()
    command = f"{reader_site.program} verify --client-from environment --json {record} >{reader_site.home}/mail"
    smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    with MailSystem(reader_site.folder, main=f"mailbox_command = {command}\n", master=smtpd, port=port) as system:
        system.send(with_attachment(attachment=TEXT, author=FRIEND), sender, [f"{READER}@local.test"])
        system.until_idle()
    (found,) = map(json.loads, record.read_text().splitlines())
    assert found["client"]["client_address"] == {"value": "127.0.0.1", "source": "environment"}
    assert found["client"]["sender"] == {"value": sender, "source": "environment"}
    assert found["client"]["client_helo"]["source"] == "environment"
    assert found["authenticated"] is bool(sender)


@pytest.mark.parametrize("broken", [False, True])
def test_an_alias_archives_verified_mail_and_a_failure_keeps_it_waiting(reader_site, broken):
    replaced = {
        "/opt/mailguard/bin/mailguard": str(reader_site.program),
        "/var/mail/archive": str(reader_site.home / "archive"),
        "/var/spool/mailguard": str(reader_site.home / "spool"),
    }
    aliases = reader_site.folder / "aliases"
    aliases.write_text(rendered("postfix/aliases", replaced))
    if broken:
        reader_site.key.write_text("no key\n")
    port = free_port()
    subprocess.run(["postalias", f"hash:{aliases}"], check=True, timeout=120)
    main = f"alias_maps = hash:{aliases}\ndefault_privs = {READER}\n"
    smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    raw = with_attachment(attachment=TEXT, author=FRIEND)
    with MailSystem(reader_site.folder, main=main, master=smtpd, port=port) as system:
        system.send(raw, FRIEND, ["archive@local.test"])
        if broken:
            system.until_deferred()
            assert not (reader_site.home / "archive").exists()
            return
        system.until_idle()
    (message,) = (file.read_bytes() for file in (reader_site.home / "archive" / "new").iterdir())
    assert raw.replace(b"\r\n", b"\n") in message
    assert b'\tspf=pass reason="127.0.0.1 is permitted by ' in message


def test_what_a_gateway_has_changed_reaches_the_server_behind_it_with_an_arc_set_that_others_accept(site):
    name = "arc1._domainkey.example.com"
    key = write_key(site.home / "arc.pem")
    shutil.chown(key, site.user)
    section = f'[sign]\narc = true\ndomain = "example.com"\nselector = "arc1"\nprivate_key = "{key}"\n'
    site.configuration.write_text(f"{site.configuration.read_text()}\n{section}")
    raw = with_attachment(author=FRIEND)
    with guarded(site, "sendmail", switched_on=["arc"]) as system:
        system.send(raw, FRIEND, RECIPIENTS[:1])
        system.until_idle()
        (message,) = system.delivered(RECIPIENTS[0])
    assert b"quarantine" in message
    assert arc.verify(parse(message), Zone({name: record()})).result == "pass"
    result, _, _ = dkim.arc_verify(message, dnsfunc=lambda asked, timeout=5: {f"{name}.".encode(): record()}.get(asked))
    assert result == dkim.CV_Pass
    assert b"spf=pass" in next(field.value for field in parse(message).fields if field.name == arc.RESULTS)
