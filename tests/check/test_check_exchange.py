"""The exchange of mails: who gets what, what counts as an answer, and everything that must not happen."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from check_service import ADDRESS, BOX, NOW, RECEIVED, Bench, kept, reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailguard.check import state as states
from mailguard.check import token as tokens
from mailguard.check.reply import DONE, IGNORED, LARGEST, STOPPED, handle
from mailguard.check.start import Unreachable, begin
from mailguard.check.state import Denied
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.verify.client import networks

BY_JOE = Envelope(sender=ADDRESS)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def read(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


def started(bench, address=ADDRESS, lang="en", now=NOW, client=""):
    return begin(bench.service, address, lang, now, client)


def answered(bench, raw, now=NOW + 60, envelope=BY_JOE):
    return handle(bench.service, raw, envelope, now)


def record(bench, begun):
    return kept(bench.folder / "state" / "tokens" / f"{begun.exchange.name}.json")


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_the_confirmation_asks_for_a_reply_and_says_what_it_is(bench, lang):
    begun = started(bench, lang=lang)
    assert b"\r" not in begun.mail
    assert begun.mail.isascii()
    mail = read(begun.mail)
    assert mail["To"] == ADDRESS
    assert mail["From"].addresses[0].addr_spec == f"check+{begun.token}@checker.example.net"
    assert mail["Reply-To"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert begun.token in mail["Message-ID"]  # a reply names it, whatever happens to the address
    text = mail.get_content()
    assert "example.com" in text
    assert {"ja": "返信してください", "en": "Please reply"}[lang] in text
    assert bench.scanned == []
    assert begun.sender == f"check+{begun.token}@checker.example.net"


def test_every_mail_says_how_to_stop_all_of_them(bench):
    begun = started(bench)
    done = answered(bench, reply(begun.token))
    for raw in (begun.mail, done.mail):
        mail = read(raw)
        web, box = re.fullmatch(r"<(https://[^>]+)>,\s*<mailto:([^>]+)>", mail["List-Unsubscribe"]).groups()
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert web in mail.get_content()
        assert tokens.stopped_name(bench.service.ring, web.rpartition("/")[2])
        assert box.startswith("check+stop-")


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_a_reply_leads_to_pages_and_a_mail_with_their_links(bench, lang):
    begun = started(bench, lang=lang)
    done = answered(bench, reply(begun.token))
    assert (done.code, done.recipient) == (DONE, ADDRESS)
    assert bench.scanned == [("example.com", False)]
    mail = read(done.mail)
    assert mail["To"] == ADDRESS
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["In-Reply-To"] == "<1@example.com>"
    links = re.findall(r"https://check\.example\.net/([0-9a-f]{32}\.(?:ja|en)\.html)", mail.get_content())
    assert [link[33:35] for link in links] == ([lang, "en"] if lang == "ja" else [lang, "ja"])
    assert sorted(links) == sorted(file.name for file in bench.pages.iterdir())
    page = (bench.pages / links[0]).read_text()
    assert "j…@example.com" in page
    assert ADDRESS not in page
    assert "TLSv1.3" in page
    assert begun.token not in page + done.mail.decode()


def test_the_page_holds_what_the_reply_showed(bench):
    begun = started(bench)
    answered(bench, reply(begun.token))
    found = {each["check"]: each["state"] for each in record(bench, begun)["report"]["outcomes"]}
    assert {found[name] for name in ("spf.result", "dkim", "align", "fcrdns", "helo", "tls.out")} == {"good"}


def test_the_verdict_and_three_repairs_stand_in_the_mail(bench):
    text = read(answered(bench, reply(started(bench).token)).mail).get_content()
    assert "Result for example.com: " in text
    assert "What to repair first:" in text
    assert "1. Too little is done against mail forged in your name (DMARC)\n     Found: p=none: it watches" in text
    assert "\n     Repair: Begin with p=none and rua" in text
    assert "4. " not in text


def test_the_page_is_attached_only_by_option(tmp_path):
    attaching = Bench(tmp_path, attach=True, url="")
    mail = read(answered(attaching, reply(started(attaching).token)).mail)
    [page] = mail.iter_attachments()
    assert page.get_content_type() == "text/html"
    assert "https://" not in mail.get_body().get_content()
    (tmp_path / "b").mkdir()
    linking = Bench(tmp_path / "b")
    assert not read(answered(linking, reply(started(linking).token)).mail).is_multipart()
    with pytest.raises(ConfigurationError, match="place"):
        Bench(tmp_path, url="")


# Guards


def test_the_result_goes_to_the_registered_address_and_nobody_else(bench):
    begun = started(bench)
    extra = b"Reply-To: victim@example.org\r\nSender: victim@example.org\r\nReturn-Path: <victim@example.org>\r\n"
    done = answered(bench, reply(begun.token, extra=extra), envelope=Envelope(sender="victim@example.org"))
    assert done.recipient == ADDRESS
    mail = read(done.mail)
    assert [mail[name] for name in ("To", "Cc", "Bcc", "Reply-To")] == [ADDRESS, None, None, None]
    assert b"victim" not in done.mail


def test_nothing_is_checked_before_a_person_has_answered(bench):
    begun = started(bench)
    assert bench.scanned == []
    answered(bench, reply(begun.token, extra=b"Auto-Submitted: auto-replied\r\n"))
    assert bench.scanned == []


@pytest.mark.parametrize(
    "extra",
    [
        b"Auto-Submitted: auto-replied\r\n",
        b"Auto-Submitted: auto-generated; x=y\r\n",
        b"auto-submitted: AUTO-NOTIFIED\r\n",
        b"Precedence: bulk\r\n",
        b"Precedence: auto_reply\r\n",
        b"List-Id: <list.example.org>\r\n",
        b"X-Autoreply: yes\r\n",
    ],
)
def test_a_program_is_no_person(bench, extra):
    begun = started(bench)
    assert answered(bench, reply(begun.token, extra=extra)).code == "automatic"
    assert record(bench, begun)["status"] == states.AUTOMATIC
    assert answered(bench, reply(begun.token)).code == DONE  # the person may still answer


def test_our_own_mails_are_never_answered(bench):
    begun = started(bench)
    done = answered(bench, reply(begun.token))
    for raw in (begun.mail, done.mail):
        assert answered(bench, raw, envelope=Envelope(sender="")).mail is None
        assert answered(bench, raw).mail is None


@pytest.mark.parametrize(
    ("envelope", "extra"),
    [(Envelope(sender=""), b""), (BY_JOE, b"Content-Type: multipart/report; boundary=x\r\n")],
)
def test_a_bounce_is_kept_as_undeliverable(bench, envelope, extra):
    begun = started(bench)
    raw = reply(begun.token)
    raw = re.sub(rb"Content-Type: [^\r]*\r\n", extra, raw) if extra else raw
    assert answered(bench, raw, envelope=envelope).code == "undeliverable"
    assert record(bench, begun)["status"] == states.UNDELIVERABLE
    assert bench.scanned == []


def test_auto_submitted_no_is_a_person(bench):
    assert answered(bench, reply(started(bench).token, extra=b"Auto-Submitted: no\r\n")).code == DONE


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "eve@example.org"},
        {"sender": "joe@example.com.example.org"},
        {"extra": b"From: eve@example.org\r\n"},
        {"name": b'"joe@example.com"'},
    ],
)
def test_only_the_registered_author_counts(bench, change):
    begun = started(bench)
    done = answered(bench, reply(begun.token, **change))
    if "name" in change:  # a display name is no author, and here it is even the right one
        assert done.code == DONE
    else:
        assert (done.code, bench.scanned) == ("author", [])


def test_a_tag_or_other_case_in_the_author_is_the_same_mailbox(bench):
    assert answered(bench, reply(started(bench, "Joe+tag@example.com").token, sender="joe@EXAMPLE.com")).code == DONE


def test_a_token_expires(bench):
    begun = started(bench)
    assert answered(bench, reply(begun.token), NOW + tokens.LIFETIME + 1).code == "expired"
    assert bench.scanned == []


def test_a_token_of_somebody_else_is_none(bench):
    mine = started(bench)
    started(bench, "ann@example.com")
    assert answered(bench, reply(mine.token, sender="ann@example.com")).code == "author"
    other = tokens.make(bench.service.ring.active, "x@example.org", NOW)
    assert answered(bench, reply(other)).code == "no-token"


@pytest.mark.parametrize("field", [b"In-Reply-To", b"References", b"Delivered-To", b"X-Original-To"])
def test_the_token_may_stand_in_other_fields(bench, field):
    begun = started(bench)
    extra = field + b": <" + begun.token.upper().encode() + b"@checker.example.net>\r\n"
    assert answered(bench, reply(begun.token, to=BOX, extra=extra)).code == DONE


def test_the_envelope_recipient_is_looked_at(bench):
    begun = started(bench)
    envelope = Envelope(sender=ADDRESS, recipients=[f"check+{begun.token}@checker.example.net"])
    assert answered(bench, reply(begun.token, to=BOX), envelope=envelope).code == DONE


def test_a_token_in_the_body_or_subject_is_none(bench):
    begun = started(bench)
    extra = b"X-Other: " + begun.token.encode() + b"\r\n"
    assert answered(bench, reply(begun.token, to=BOX, body=begun.token.encode(), extra=extra)).code == "no-token"


def test_the_first_reply_counts(bench):
    begun = started(bench)
    assert answered(bench, reply(begun.token)).code == DONE
    assert answered(bench, reply(begun.token, body=b"again")).code == "not-first"
    assert len(bench.scanned) == 1


def test_the_same_reply_once_more_gets_the_same_answer_without_another_diagnosis(bench):
    begun = started(bench)
    raw = reply(begun.token)
    first = answered(bench, raw)
    assert answered(bench, raw, NOW + 60).mail == first.mail
    assert len(bench.scanned) == 1


def test_a_failure_of_the_site_lets_the_same_reply_try_again(bench):
    begun = started(bench)
    bench.failing = MailguardError("disk full")
    raw = reply(begun.token)
    with pytest.raises(MailguardError):
        answered(bench, raw)
    assert answered(bench, raw).code == DONE


def test_a_signature_that_leaves_the_content_type_open_is_valid_as_others_see_it(bench):
    """opendkim and Gmail sign like that; what a filter may trust is another question."""
    begun = started(bench)
    raw = reply(begun.token, h="from:to:subject:date:message-id")
    assert answered(bench, raw, envelope=Envelope(sender="joe@example.org")).code == DONE
    found = {each["check"]: each["state"] for each in record(bench, begun)["report"]["outcomes"]}
    assert (found["spf.result"], found["dkim"], found["align"]) == ("failure", "good", "good")


def test_the_time_of_an_attempt_makes_no_other_reply(bench):
    """local(8) of Postfix writes it on top of what a command reads."""
    begun = started(bench)
    raw = reply(begun.token)
    bench.failing = MailguardError("disk full")
    with pytest.raises(MailguardError):
        answered(bench, b"From joe@example.com  Tue Nov 24 14:50:45 2026\r\n" + raw)
    assert answered(bench, b"From joe@example.com  Tue Nov 24 14:55:46 2026\r\n" + raw).code == DONE


def test_a_stop_by_mail_is_for_ever_and_needs_no_author(bench):
    begun = started(bench)
    box = read(begun.mail)["List-Unsubscribe"].partition("mailto:")[2].rstrip(">")
    done = answered(bench, b"From: <>\r\nTo: " + box.encode() + b"\r\n\r\n", envelope=Envelope(sender="x@example.org"))
    assert (done.code, done.mail) == (STOPPED, None)
    assert answered(bench, reply(begun.token)).code == "stopped-before"
    with pytest.raises(Denied, match="stopped"):
        started(bench, now=NOW + 10 * 86400)


def test_a_false_stop_code_stops_nobody(bench):
    raw = b"To: check+stop-" + b"a" * 39 + b"@checker.example.net\r\n\r\n"
    assert answered(bench, raw).code == "no-token"
    assert list((bench.folder / "state" / "stopped").iterdir()) == []


def test_limits_hold_for_starts(bench):
    started(bench, client="198.51.100.1")
    with pytest.raises(Denied, match="address"):
        started(bench, "joe+x@example.com", now=NOW + 1)
    for number in range(4):
        started(bench, f"user{number}@example.com", client="198.51.100.2")
    with pytest.raises(Denied, match="client"):
        started(bench, "user9@example.com", client="198.51.100.3")


def test_the_servers_that_a_start_counts_against_are_those_of_the_domain(bench):
    begun = started(bench, client="2001:db8:1:2::3")
    assert record(bench, begun)["servers"] == ["192.0.2.1"]
    assert record(bench, begun)["client"] == "2001:db8:1::/48"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense", "address"),
        ("a@b.example\nBcc: c@d.example", "address"),
        (BOX, "address"),
        ("check+x@checker.example.net", "address"),
        ("joe@null.example.com", "domain"),
        ("joe@nowhere.example.com", "domain"),
        ("joe@down.example.com", "dns"),
    ],
)
def test_addresses_that_get_no_mail(bench, address, reason):
    with pytest.raises(Unreachable, match=reason):
        started(bench, address)
    assert list((bench.folder / "state" / "tokens").iterdir()) == []


@pytest.mark.parametrize("address", ["joe@private.example.com", "joe@example.com"])
def test_private_and_reserved_addresses_get_no_mail(tmp_path, address):
    """192.0.2.1 is for documentation, 10.1.2.3 private, ::1 loopback."""
    with pytest.raises(Unreachable, match="forbidden"):
        started(Bench(tmp_path, lab=False), address)


def test_postmaster_proves_control_of_the_domain(bench):
    begun = started(bench, "Postmaster@example.com")
    assert answered(bench, reply(begun.token, sender="postmaster@example.com")).code == DONE
    assert bench.scanned == [("example.com", True)]


def test_no_body_and_no_header_of_a_reply_is_kept(bench):
    begun = started(bench)
    answered(bench, reply(begun.token, body=b"a secret\r\n", extra=b"X-Secret: xyzzy\r\nSubject: private\r\n"))
    kept = b"".join(file.read_bytes() for file in bench.folder.rglob("*") if file.is_file())
    for word in (b"a secret", b"xyzzy", b"Is  dinner"):
        assert word not in kept


def test_the_page_compares_with_the_last_run(bench):
    first = started(bench)
    answered(bench, reply(first.token))
    second = started(bench, now=NOW + 86400)
    done = answered(bench, reply(second.token), NOW + 86460)
    link = re.search(r"[0-9a-f]{32}\.en\.html", read(done.mail).get_content())[0]
    assert "What changed since" in (bench.pages / link).read_text()
    assert link.partition(".")[0] != record(bench, first)["page"]


def test_pages_go_when_they_are_old(bench):
    answered(bench, reply(started(bench).token))
    assert len(list(bench.pages.iterdir())) == 2
    last = int(next(bench.pages.iterdir()).stat().st_mtime)
    started(bench, "ann@example.com", now=last + states.KEEP + 60)
    assert list(bench.pages.iterdir()) == []


# Hostile mail


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 100,
        b"\r\n",
        b"To: " + b"a" * 42 + b"\r\n\r\n",
        b"To: check+" + b"a2" * 21 + b"@checker.example.net\r\n" * 2000,
        b"".join(b"X-%d: y\r\n" % number for number in range(20000)),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 20000,
        b"To: " + b"check+" * 100000,
        b"\xff\xfe From: joe@example.com\r\n\r\n",
    ],
    ids=range(9),
)
def test_no_content_is_a_failure(bench, raw):
    done = answered(bench, raw)
    assert done.code in IGNORED
    assert done.mail is None


def test_what_is_too_large_is_not_read(bench):
    assert answered(bench, reply(started(bench).token) + b"x" * LARGEST).code == "too-large"


HOSTILE = [
    b"Message-ID: <a@b>\r\n\tBcc: victim@example.org\r\n",
    b"Message-ID: <x y@b>\r\n",
    b"Message-ID: <a@b>, <c@d>\r\n",
    b"Message-ID: " + b"<" + b"a" * 3000 + b"@b>\r\n",
    b"Message-ID: <\xff@b>\r\n",
]


@pytest.mark.parametrize("field", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_id_is_left_out(bench, field):
    raw = re.sub(rb"Message-ID: [^\r]*\r\n", field, reply(started(bench).token))
    mail = read(answered(bench, raw).mail)
    assert mail["In-Reply-To"] is None
    assert mail["Bcc"] is None


def test_hostile_names_of_the_client_are_text_on_the_page(bench):
    begun = started(bench)
    envelope = Envelope(sender=ADDRESS, client_address="192.0.2.1", client_helo="<script>alert(1)</script>\u202e")
    assert answered(bench, reply(begun.token, received=b""), envelope=envelope).code == DONE
    for file in bench.pages.iterdir():
        text = file.read_text()
        assert "<script>" not in text
        assert "\u202e" not in text
        assert "&lt;script&gt;" in text


@given(st.binary(max_size=200), st.sampled_from([b"To: ", b"From: ", b"Received: ", b"Precedence: ", b""]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_message_is_handled(bench, value, name):
    assert answered(bench, name + value).code in {*IGNORED, DONE}


@given(value=st.binary(max_size=120))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_field_in_a_good_reply_is_handled(tmp_path_factory, value):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    value = value.replace(b"\n", b"").replace(b"\r", b"")
    extra = b"Authentication-Results: " + value + b"\r\nX-Mailer: " + value + b"\r\n"
    done = answered(bench, reply(started(bench).token, extra=extra))
    assert done.code == DONE
    assert done.recipient == ADDRESS


def test_relays_of_our_own_are_walked_through(tmp_path):
    bench = Bench(tmp_path, trusted_relays=networks(["10.0.0.0/8"]))
    begun = started(bench)
    inner = b"Received: from gate (gate [10.0.0.9]) by store.example.net (Postfix) with ESMTP id 2; date\r\n"
    answered(bench, reply(begun.token, received=inner + RECEIVED))
    assert record(bench, begun)["sent_by"] == {
        "server": "mail.example.com [192.0.2.1]",
        "tls": "TLSv1.3",
        "written": str(NOW + 60),
    }


def test_the_mailbox_of_the_service_is_short_and_plain(tmp_path):
    from mailguard.check.service import Service

    for address in ("x", "a-very-long-mailbox@example.net", "a b@example.net"):
        with pytest.raises(ConfigurationError, match="mailbox"):
            Service(address, None, None, pages="", source=None, scan=None, guard=None, url="https://x/")
