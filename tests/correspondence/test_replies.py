"""Who continues a conversation of ours has a part in it, or is somebody else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_generators import anything
from verbs import NOW, RING, output, parts, quarantined, rules, sealed, site, stripped, verdict

from mailguard.correspondence import conversations, identifiers, learning, personal
from mailguard.correspondence.parties import party
from mailguard.correspondence.replies import Watch
from mailguard.envelope import Envelope
from mailguard.message.tree import parse
from mailguard.outcome import notice

OURS = verdict(author_domain="rcpt.test", authserv_id="mx.rcpt.test")
BODY = (
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nAs we agreed.\n--b\n"
    b"Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment; filename=notes.txt\n\nharmless\n--b--\n"
)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "conversations")
    conversations.create(path, RING, NOW)
    return path


def write(path, name, *to, sender="joe@rcpt.test", subject="Contract", envelope=(), more="", names=()):
    """Our user writes a mail, which is learned."""
    fields = [f"From: {sender}", f"To: {', '.join(to)}", f"Subject: {subject}", f"Message-ID: <{name}@rcpt.test>"]
    fields += [f"References: {' '.join(names)}"] if names else []
    raw = "\n".join((*fields, more + "", "Hello", "")).replace("\n\n\n", "\n\n").encode()
    outgoing = learning.Outgoing(parse(raw), envelope)
    if outgoing.begins:
        conversations.learn(path, RING, NOW, outgoing.marked)


def answer(path, author, *names, seal=None, fields=b"", body=BODY, may_answer=(), when="suspicious", **envelope):
    """Somebody answers; return (the code of the finding, whether the harmless attachment is held)."""
    domain = author.rpartition("@")[2]
    named = b"In-Reply-To: %b\nReferences: %b\n" % (names[-1].encode(), " ".join(names).encode()) if names else b""
    raw = b"From: %b\nTo: joe@rcpt.test\nSubject: Re: Contract\nMessage-ID: <1@a.test>\n" % author.encode()
    raw = sealed(raw + named + fields + body, seal or verdict(author_domain=domain, authserv_id="mx.rcpt.test"))
    result = quarantined(
        raw,
        rules(when, watch=Watch(path, may_answer)),
        site(envelope=Envelope(**{"recipients": ("joe@rcpt.test",), "sender": author} | envelope)),
    )
    codes = [finding.code for finding in result.findings if finding.code.startswith("reply.")]
    return (codes[0] if codes else None), result.changed


FOREIGN = ("reply.foreign", True)
WITHIN = ("reply.ours", False)


def test_the_partner_and_his_colleagues_continue_and_nobody_else_does(path):
    write(path, "u1", "Pat <pat@partner.test>")
    assert answer(path, "pat@partner.test", "<u1@rcpt.test>") == WITHIN
    assert answer(path, "boss@hq.partner.test", "<u1@rcpt.test>") == WITHIN
    assert answer(path, "eve@hacked.test", "<u1@rcpt.test>") == FOREIGN
    assert answer(path, "eve@hacked.test", "<other@rcpt.test>") == (None, False)
    assert answer(path, "eve@hacked.test") == (None, False)


def test_the_notice_says_it_in_both_languages(path):
    write(path, "u1", "pat@partner.test")
    raw = b"From: eve@hacked.test\nReferences: <u1@rcpt.test>\n" + BODY
    for verb in (quarantined, stripped):
        held = verb(sealed(raw, verdict(author_domain="hacked.test")), rules("suspicious", watch=Watch(path)))
        assert held.changed
        finding = next(each for each in held.findings if each.code == "reply.foreign")
        assert finding.severity == "danger"
        assert "hacked.test" in finding.what
    held = quarantined(sealed(raw, verdict(author_domain="hacked.test")), rules("suspicious", watch=Watch(path)))
    text = parts(output(held))[-2][2].decode()
    assert all(sentence in text for sentence in notice.REASONS["reply-foreign"])
    held = quarantined(sealed(raw, verdict(author_domain="hacked.test")), rules("always", watch=Watch(path)))
    assert notice.REASONS["reply-foreign"][0] in parts(output(held))[-2][2].decode()


def test_unauthenticated_mail_is_held_for_that_and_called_neither(path):
    write(path, "u1", "pat@partner.test")
    for seal in (verdict(authenticated=False, author_domain="partner.test"), verdict(time=1)):
        assert answer(path, "pat@partner.test", "<u1@rcpt.test>", seal=seal) == ("reply.unproven", True)
    assert answer(path, "eve@hacked.test", "<u1@rcpt.test>", when="unauthenticated") == ("reply.foreign", False)


@pytest.mark.parametrize(
    "named",
    [
        "In-Reply-To: <U1@RCPT.test>",
        "In-Reply-To: u1@rcpt.test",
        "In-Reply-To: Your message of Monday <u1@rcpt.test>",
        "References: <a@b> <u1@rcpt.test> <c@d>",
        "References: <a@b>,<u1@rcpt.test>",
        "References: <a@b>\n\t<u1@\n rcpt.test>",
        "References: =?us-ascii?Q?=3Cu1=40rcpt=2Etest=3E?=",
        "References: <x@y>\nReferences: <u1@rcpt.test>",
        "references:<u1@rcpt.test>",
        "References: " + "".join(f"<{number}@e.test>\n " for number in range(900)) + "<u1@rcpt.test>",
        "References: <u1@rcpt.test>" + "".join(f"\n <{number}@e.test>" for number in range(900)),
    ],
)
def test_a_mail_is_named_in_every_way_in_which_readers_find_it(path, named):
    write(path, "u1", "pat@partner.test")
    assert answer(path, "eve@hacked.test", fields=named.encode() + b"\n")[0] == "reply.foreign"


def test_who_names_too_many_is_suspicious_and_costs_little(path):
    write(path, "u1", "pat@partner.test")
    names = "".join(f"\n <{number}@e.test>" for number in range(20_000)).encode()
    assert answer(path, "eve@hacked.test", fields=b"References:" + names + b"\n") == ("reply.many", True)
    assert len(identifiers.named(parse(b"References:" + names + b"\n\n").fields)) == identifiers.MOST + 1


def test_a_stranger_who_names_his_own_conversation_too_stays_one(path):
    write(path, "u1", "pat@partner.test")
    write(path, "e1", "eve@hacked.test")
    assert answer(path, "eve@hacked.test", "<e1@rcpt.test>") == WITHIN
    assert answer(path, "eve@hacked.test", "<u1@rcpt.test>", "<e1@rcpt.test>") == FOREIGN
    assert answer(path, "eve@hacked.test", "<e1@rcpt.test>", "<u1@rcpt.test>") == FOREIGN


def test_a_stranger_who_is_answered_stays_one(path):
    write(path, "u1", "pat@partner.test")
    write(path, "u2", "eve@hacked.test", subject="Re: Contract", names=["<u1@rcpt.test>", "<1@hacked.test>"])
    write(path, "u3", "joe@rcpt.test, eve@hacked.test", subject="Re: Contract", names=["<u1@rcpt.test>"])
    for named in (["<u2@rcpt.test>"], ["<u1@rcpt.test>", "<u2@rcpt.test>"], ["<u3@rcpt.test>"]):
        assert answer(path, "eve@hacked.test", *named) == FOREIGN
    assert answer(path, "pat@partner.test", "<u1@rcpt.test>", "<u2@rcpt.test>")[0] == "reply.foreign"


def test_who_is_brought_in_before_the_eyes_of_the_others_has_a_part(path):
    write(path, "u1", "pat@partner.test")
    write(path, "u2", "pat@partner.test", "law@lawyer.test", subject="Re: Contract", names=["<u1@rcpt.test>", "<p1@p>"])
    for sender in ("pat@partner.test", "law@lawyer.test"):
        assert answer(path, sender, "<u1@rcpt.test>", "<u2@rcpt.test>") == WITHIN
    write(path, "u3", "pat@partner.test", "tax@adviser.test", envelope=["boss@rcpt.test"], names=["<u2@rcpt.test>"])
    assert answer(path, "tax@adviser.test", "<u2@rcpt.test>", "<u3@rcpt.test>") == WITHIN


@pytest.mark.parametrize(
    "subject", ["Fwd: Contract", "FW: Contract", "WG: Vertrag", "=?utf-8?B?6Lui6YCBOiDlpZHntIQ=?="]
)
def test_to_whom_our_user_forwards_it_has_a_part(path, subject):
    write(path, "u1", "pat@partner.test")
    write(path, "f1", "law@lawyer.test", subject=subject, names=["<u1@rcpt.test>"])
    assert answer(path, "law@lawyer.test", "<u1@rcpt.test>", "<f1@rcpt.test>") == WITHIN


def test_an_address_that_does_not_exist_vouches_for_nobody(path):
    """Eve writes with a copy to nobody@partner.test, and our user answers all."""
    write(path, "u1", "pat@partner.test")
    write(path, "u2", "eve@hacked.test", "nobody@partner.test", subject="Re: Contract", names=["<u1@rcpt.test>"])
    write(path, "u3", "eve@hacked.test", "joe@rcpt.test", subject="Re: Contract", names=["<u1@rcpt.test>"])
    for named in ("<u1@rcpt.test>", "<u2@rcpt.test>", "<u3@rcpt.test>"):
        assert answer(path, "eve@hacked.test", named) == FOREIGN
    assert answer(path, "nobody@partner.test", "<u2@rcpt.test>") == WITHIN


def test_a_program_that_repeats_the_subject_forwards_nothing(path):
    write(path, "u1", "pat@partner.test")
    raw = b"From: joe@rcpt.test\nTo: eve@hacked.test\nSubject: Fwd: Contract\nMessage-ID: <v1@rcpt.test>\n"
    raw += b"References: <u1@rcpt.test> <e1@hacked.test>\nAuto-Submitted: auto-replied\n\nI am away.\n"
    automatic = learning.Outgoing(parse(raw), (), by_user=personal.is_of_user(personal.against(parse(raw), None)))
    conversations.learn(path, RING, NOW, automatic.marked)
    for named in ("<u1@rcpt.test>", "<v1@rcpt.test>"):
        assert answer(path, "eve@hacked.test", named) == FOREIGN
    forwarded = raw.replace(b"Auto-Submitted: auto-replied\n\nI am away.\n", b"\n")
    assert personal.is_of_user(personal.against(parse(forwarded), None))  # without a word of his own


def test_our_own_people_are_never_foreign(path):
    write(path, "u1", "pat@partner.test", sender="joe@rcpt.test")
    write(path, "u2", "pat@partner.test", sender="joe@second.test")
    assert answer(path, "ann@rcpt.test", "<u1@rcpt.test>", seal=OURS) == WITHIN
    assert answer(path, "ann@rcpt.test", "<u2@rcpt.test>", seal=OURS) == WITHIN
    assert answer(path, "ann@second.test", "<u2@rcpt.test>") == WITHIN
    assert answer(path, "ann@third.test", "<u1@rcpt.test>", sasl_username="ann") == WITHIN
    assert answer(path, "ann@third.test", "<u1@rcpt.test>") == FOREIGN
    assert answer(path, "ann@x.third.test", "<u1@rcpt.test>", may_answer=("third.test",)) == WITHIN
    assert answer(path, "ann@xthird.test", "<u1@rcpt.test>", may_answer=("third.test",)) == FOREIGN


def test_an_internal_conversation_goes_out_when_our_people_take_somebody_in(path):
    write(path, "i1", "ann@rcpt.test", "tom@rcpt.test")
    write(
        path,
        "i2",
        "joe@rcpt.test",
        "tom@rcpt.test",
        "pat@partner.test",
        sender="ann@rcpt.test",
        names=["<i1@rcpt.test>"],
    )
    assert answer(path, "pat@partner.test", "<i1@rcpt.test>", "<i2@rcpt.test>") == WITHIN
    assert answer(path, "eve@hacked.test", "<i1@rcpt.test>") == FOREIGN


def test_where_everybody_gets_an_address_it_is_the_address_that_counts(path):
    write(path, "u1", "Pat.Partner@gmail.com", "taro@docomo.ne.jp", "x@tenant.onmicrosoft.com")
    assert answer(path, "patpartner+x@googlemail.com", "<u1@rcpt.test>") == WITHIN
    assert answer(path, "taro@docomo.ne.jp", "<u1@rcpt.test>") == WITHIN
    for stranger in ("eve@gmail.com", "hanako@docomo.ne.jp", "eve@other.onmicrosoft.com", "x@evil.onmicrosoft.com"):
        assert answer(path, stranger, "<u1@rcpt.test>") == FOREIGN


RESULTS = b'Authentication-Results: mx.rcpt.test;\n\tspf=pass reason="; dkim=pass header.d=x.test"%b;\n\tdkim=fail header.d=partner.test\n'
LIST_POST = b"List-Post: <mailto:users@lists.club.test>\n"


@pytest.mark.parametrize("fields", [LIST_POST, b"List-Id: The users <users.lists.club.test>\n"])
def test_a_list_to_which_we_wrote_brings_the_answers_of_its_subscribers(path, fields):
    write(path, "u1", "users@lists.club.test")
    proven = RESULTS % b" smtp.mailfrom=users-bounces@lists.club.test"
    assert answer(path, "sub@scriber.test", "<u1@rcpt.test>", fields=proven + fields) == WITHIN
    assert answer(path, "sub@scriber.test", "<u1@rcpt.test>", fields=fields) == FOREIGN
    forged = RESULTS % b" smtp.mailfrom=eve@hacked.test"
    assert answer(path, "sub@scriber.test", "<u1@rcpt.test>", fields=forged + fields) == FOREIGN
    assert answer(path, "sub@scriber.test", "<u1@rcpt.test>", fields=proven) == FOREIGN  # past the list
    assert answer(path, "users@lists.club.test", "<u1@rcpt.test>", fields=forged) == WITHIN  # the list writes From anew


def test_what_a_message_says_about_its_list_counts_for_that_list_only(path):
    write(path, "u1", "pat@partner.test")
    proven = RESULTS % b" smtp.mailfrom=users-bounces@lists.club.test"
    for said in (LIST_POST, b"List-Post: <mailto:pat@partner.test>\nList-Id: <pat.partner.test>\n"):
        assert answer(path, "eve@hacked.test", "<u1@rcpt.test>", fields=proven + said) == FOREIGN
    foreign = proven.replace(b"mx.rcpt.test", b"mx.hacked.test").replace(b"lists.club.test", b"partner.test")
    said = b"List-Post: <mailto:pat@partner.test>\n"
    assert answer(path, "eve@hacked.test", "<u1@rcpt.test>", fields=foreign + said) == FOREIGN


REPORT = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\nFailed.\n"
    b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n--b\n"
    b"Content-Type: message/rfc822\n\nFrom: joe@rcpt.test\nSubject: x\n\ntext\n--b--\n"
)


def test_a_report_of_a_server_on_the_way_is_no_answer(path):
    write(path, "u1", "pat@partner.test")
    assert answer(path, "mailer-daemon@relay.test", "<u1@rcpt.test>", body=REPORT, sender="")[0] is None
    assert answer(path, "mailer-daemon@relay.test", "<u1@rcpt.test>", body=REPORT, sender="eve@relay.test") == FOREIGN
    poisoned = REPORT.replace(b"message/rfc822\n", b"application/pdf; name=a.pdf\n")
    assert answer(path, "mailer-daemon@relay.test", "<u1@rcpt.test>", body=poisoned, sender="") == FOREIGN


def test_announcements_and_mail_without_a_name_begin_no_conversation(path):
    write(path, "u1", *(f"a{number}@p{number}.test" for number in range(101)))
    assert answer(path, "eve@hacked.test", "<u1@rcpt.test>") == (None, False)
    write(path, "u2", *(f"a{number}@p{number}.test" for number in range(100)))
    assert answer(path, "a99@p99.test", "<u2@rcpt.test>") == WITHIN
    assert not learning.Outgoing(parse(b"From: joe@rcpt.test\nTo: a@b.test\n\nHello\n"), ()).begins


def test_an_odd_author_has_the_part_of_his_domain(path):
    write(path, "u1", "pat@partner.test", "pat@gmail.com")
    seal = verdict(author_domain="partner.test")
    raw = b"From: group: pat@partner.test;\nReferences: <u1@rcpt.test>\n" + BODY
    assert not quarantined(sealed(raw, seal), rules("suspicious", watch=Watch(path))).changed
    odd = raw.replace(b"partner.test", b"gmail.com")
    assert quarantined(sealed(odd, verdict(author_domain="gmail.com")), rules("suspicious", watch=Watch(path))).changed


@pytest.mark.parametrize(
    ("address", "known_as", "organization"),
    [
        ("A.B+c@GoogleMail.com", "ab@gmail.com", None),
        ("a.b+c@partner.co.jp", "a.b+c@partner.co.jp", "partner.co.jp"),
        ("x@mail.partner.co.jp", "x@mail.partner.co.jp", "partner.co.jp"),
        ("ayumi@例え.jp", "ayumi@xn--r8jz45g.jp", "xn--r8jz45g.jp"),
        ("x@sub.ocn.ne.jp", "x@sub.ocn.ne.jp", None),
        ("x", None, None),
        ("@x.test", None, None),
        ("x@[192.0.2.1]", None, None),
        ("a\0b@x.test", None, None),
    ],
)
def test_whose_an_address_is(address, known_as, organization):
    found = party(address)
    assert (found and found.address) == known_as
    assert (found and found.organization) == organization


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    anything(),
    st.sampled_from([b"References: <u1@rcpt.test>\n", b"In-Reply-To: =?utf-8?q?<u1@?=\n\t<", b"List-Id: <.@>\n"]),
)
def test_every_message_has_an_answer(tmp_path_factory, raw, field):
    path = str(tmp_path_factory.getbasetemp() / "conversations")
    conversations.create(path, RING, NOW)
    write(path, "u1", "pat@partner.test")
    for message in (field + raw, sealed(field + raw) if parse(field + raw).root.fields else raw):
        quarantined(message, rules("suspicious", watch=Watch(path)))
        outgoing = learning.Outgoing(parse(message), ())
        conversations.learn(path, RING, NOW, outgoing.marked)
