"""The attack for which this is made: a stolen conversation goes on from another account, through a real Postfix."""

from __future__ import annotations

import smtplib

from documents import docm, docx
from guarded_postfix import guarded
from mail_system import RECIPIENTS
from messages import FRIEND, with_attachment
from verbs import parts

from mailguard.outcome.notice import REASONS

EVE = "eve@hacked.test"
HARMLESS = "report.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx()
POISONED = "report.docm", "application/vnd.ms-word.document.macroEnabled.12", docm()
SENT = b"""From: Bob <bob@rcpt.test>\r
To: Pat <friend@partner.test>\r
Cc: ayumi@rcpt.test\r
Subject: The contract\r
Message-ID: <u1@rcpt.test>\r
\r
Dear Pat,\r
please send me the report.\r
"""


def answer(author, attachment):
    raw = with_attachment(attachment=attachment, author=author)
    return raw.replace(b"Subject:", b"In-Reply-To: <u1@rcpt.test>\r\nReferences: <u1@rcpt.test>\r\nSubject:", 1)


def submit(port, raw):
    """Bob logs in and writes."""
    with smtplib.SMTP("127.0.0.1", port, "bob.rcpt.test", timeout=60) as session:
        session.ehlo()
        assert session.docmd("XCLIENT", "LOGIN=bob")[0] == 220
        session.ehlo()
        session.sendmail("bob@rcpt.test", RECIPIENTS[:1], raw)


def shown(raw):
    """The names of the attachments and all text that stands in a delivered mail."""
    found = parts(raw)
    text = b"".join(content for kind, _, content in found if kind == "text/plain")
    return {name for _, name, _ in found}, text.decode()


def test_the_partner_goes_on_and_who_stole_the_conversation_does_not(site):
    with (site.folder / "dns").open("a") as dns:
        dns.write("hacked.test TXT v=spf1 ip4:127.0.0.1 -all\n")
    conversations = site.home / "conversations"
    configured = site.configuration.read_text()
    switched_on = configured.replace(
        '# conversations = "/var/lib/mailguard/conversations"', f'conversations = "{conversations}"'
    )
    assert switched_on != configured
    site.configuration.write_text(switched_on)
    with guarded(site, "smtp", main="smtpd_authorized_xclient_hosts = 127.0.0.1\n") as system:
        submit(system.port, SENT)
        system.until_idle()
        assert conversations.exists()
        for author in (FRIEND, EVE):
            for attachment in (HARMLESS, POISONED):
                system.send(answer(author, attachment), author, RECIPIENTS[1:2])
        system.until_idle()
        arrived = system.delivered(RECIPIENTS[1])
    assert [b"spf=pass" in raw for raw in arrived] == [True] * 4
    of_partner, of_eve = ([shown(raw) for raw in arrived if author.encode() in raw] for author in (FRIEND, EVE))
    stolen = REASONS["reply-foreign"][0]
    assert sorted((HARMLESS[0] in names, stolen in text) for names, text in of_partner) == [
        (False, False),
        (True, False),
    ]
    assert [(HARMLESS[0] in names, stolen in text) for names, text in of_eve] == [(False, True)] * 2
    assert not any(POISONED[0] in names for names, _ in (*of_partner, *of_eve))
