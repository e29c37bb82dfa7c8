"""What holds for every message: nothing is lost, nothing changes that need not, nothing happens twice."""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import io
import quopri
import re
import zipfile

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from japanese_corpus import mails
from message_generators import TEXTS, anything, conforming
from mime_tricks import tricks
from paths import SUITES
from verbs import (
    NOW,
    capsules,
    output,
    parts,
    quarantine,
    quarantined,
    release,
    rules,
    sealed,
    site,
    strip,
    stripped,
    verdict,
)

from mailguard import capsule
from mailguard.message.grammar import check
from mailguard.message.tree import parse

SUITE_FILES = sorted(path for path in (SUITES / "mime").rglob("*") if path.is_file())
CORPUS = [mail.raw for mail in mails(160)]
TRICKS = [trick.raw for trick in tricks(b"MZ this is the hidden program")]
VERBS = {"quarantine": quarantine, "strip": strip}
some = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
verb = pytest.mark.parametrize("verb", list(VERBS))


def needs_suites(test):
    return pytest.mark.skipif(not SUITE_FILES, reason="the published MIME suites are not here: set MAILGUARD_SUITES")(
        test
    )


def assert_sound(raw, name):
    """What holds for a verb on any message whatever."""
    result = {"quarantine": quarantined, "strip": stripped}[name](raw)
    out = output(result)
    assert result.changed or out == raw
    assert check(parse(out)) == []
    again = {"quarantine": quarantined, "strip": stripped}[name](out)
    assert not again.changed
    assert output(again) == out
    if result.quarantine_id:
        assert release(out) == raw
    return out


# Every message


@verb
@some
@given(anything())
def test_any_bytes_give_a_sound_message_that_a_second_run_leaves_alone(verb, raw):
    assert_sound(raw, verb)


@verb
def test_ordinary_mail_and_tricks_too(verb):
    for raw in (*CORPUS[:60], *TRICKS[::5]):
        assert_sound(raw, verb)


@needs_suites
@verb
def test_published_messages_too(verb):
    for path in SUITE_FILES[::3]:
        assert_sound(path.read_bytes(), verb)


@verb
@some
@given(anything())
def test_a_verb_with_nothing_to_do_is_cat(verb, raw):
    raw = raw if parse(raw).root.fields else b"Subject: x\n" + raw
    assume(check(parse(raw)) == [])
    assert VERBS[verb](raw, rules(types=["application/x-nothing"])) == raw


@needs_suites
@verb
def test_published_messages_pass_unchanged_when_there_is_nothing_to_do(verb):
    for path in SUITE_FILES:
        raw = path.read_bytes()
        if not check(parse(raw)):
            assert VERBS[verb](raw, rules(types=["application/x-nothing"])) == raw, path


@some
@given(conforming(), st.permutations(["quarantine", "strip", "quarantine pdf", "strip exe"]), st.integers(1, 4))
def test_whatever_verbs_come_in_whatever_order_there_is_one_capsule_and_a_way_back(made, order, count):
    raw, expected = made.raw, None
    for step in order[:count]:
        name, _, glob = step.partition(" ")
        before = raw
        selection = rules(names=[f"*.{glob}"]) if glob else rules()
        raw = VERBS[name](before, selection)
        assert VERBS[name](raw, selection) == raw
        if expected is None and capsules(raw):
            expected = before
    assert len(capsules(raw)) == (expected is not None)
    if expected is not None:
        assert release(raw) == expected


@some
@given(conforming())
def test_strip_without_a_key_happens_once_too(made):
    keyless = site(ring=None)
    out = strip(made.raw, rules(), keyless)
    assert strip(out, rules(), keyless) == out
    assert check(parse(out)) == []
    assert b"Mailguard-" not in out


# What stays and what goes


@some
@given(conforming())
def test_the_body_text_keeps_its_bytes_and_no_attachment_is_left(made):
    message = parse(made.raw)
    out = quarantine(made.raw)
    found = {(kind, content.replace(b"\r\n", b"\n")) for kind, _, content in parts(out)}
    from mailguard.parts.body import layout

    roles = layout(message.root)
    for part in roles.body:
        if roles.attachments and part is not message.root:
            assert made.raw[part.start : part.end] in out
    for part in roles.attachments:
        content = part.content().whole()
        if len(content) > 20 and not any(content in other.content().whole() for other in roles.body):
            assert (part.content_type.decode(), content.replace(b"\r\n", b"\n")) not in found


@some
@given(conforming())
def test_no_byte_and_no_name_of_an_attachment_is_visible(made):
    secret = b"\x00\x01secret-content-of-a-file\xfe" * 4
    name = b"very-secret-name.xlsx"
    fields = b'Content-Type: application/x-secret; name="' + name + b'"\n'
    part = fields + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(secret)
    raw = (
        b"Subject: x\nContent-Type: multipart/mixed; boundary=outermost\n\n--outermost\n"
        + made.raw[parse(made.raw).start :]
        + b"\n--outermost\n"
        + part
        + b"--outermost--\n"
    )
    assume(check(parse(raw)) == [])
    out = quarantine(raw)
    (container,) = capsules(out)
    visible = out.replace(base64.encodebytes(container).rstrip(), b"")
    assert base64.encodebytes(secret)[:60] not in visible
    for _, shown_name, content in parts(out):
        assert secret not in content
        assert name.decode() not in shown_name
    assert b"secret" not in visible
    assert zipfile.ZipFile(io.BytesIO(container)).namelist() == ["attachments.zip"]


@some
@given(conforming())
def test_other_readers_see_text_notice_and_capsule(made):
    result = quarantined(made.raw)
    assume(result.changed)
    out = output(result)
    names = [name for _, name, _ in parts(out)]
    assert names[-2] == "添付ファイル隔離のお知らせ.txt"
    assert re.fullmatch(r"quarantine-[a-z2-9]{4}-[a-z2-9]{4}\.zip", names[-1])
    strict = email.message_from_bytes(out, policy=email.policy.default)
    assert not [defect for part in strict.walk() for defect in part.defects]
    first = next(part for part in strict.walk() if part.get_content_maintype() == "text")
    assert first.get_filename() is None


# The way back


def _transports():
    footer = b"\n_______________________________________________\nlist mailing list\n"

    def wrapped(out):
        """A list that puts a multipart around the message and a footer below it."""
        message = parse(out)
        content = b"".join(f.bytes for f in message.fields if f.name.startswith(b"content-"))
        other = b"".join(f.bytes for f in message.fields if not f.name.startswith(b"content-"))
        return (
            other
            + b'Content-Type: multipart/mixed; boundary="===list"\n\n--===list\n'
            + content
            + b"\n"
            + out[message.root.body :]
            + b"\n--===list\nContent-Type: text/plain\n\n"
            + footer
            + b"--===list--\n"
        )

    def reencoded(out, recode):
        """A gateway that encodes the ZIP in another way."""
        (data,) = capsules(out)
        body = base64.encodebytes(data).rstrip(b"\n")
        eol = parse(out).eol
        body = body.replace(b"\n", eol)
        assert body in out
        return recode(out, body, data, eol)

    def quoted_printable(out, body, data, eol):
        place = out.index(body)
        head = out[:place].rpartition(b"Content-Transfer-Encoding: base64")
        return (
            head[0]
            + b"Content-Transfer-Encoding: quoted-printable"
            + head[2]
            + quopri.encodestring(data)
            + out[place + len(body) :]
        )

    def attached(out):
        outer = email.message.EmailMessage()
        outer["Subject"] = "Fwd"
        outer.set_content("see below")
        outer.add_attachment(email.message_from_bytes(out, policy=email.policy.compat32.clone(raise_on_defect=False)))
        return outer.as_bytes()

    def as_file(out):
        outer = email.message.EmailMessage()
        outer["Subject"] = "Fwd"
        outer.set_content("see below")
        outer.add_attachment(out, maintype="application", subtype="octet-stream", filename="mail.eml")
        return outer.as_bytes()

    return {
        "nothing": lambda out: out,
        "return path removed": lambda out: re.sub(rb"(?m)\AReturn-Path:[^\n]*\n", b"", out),
        "LF": lambda out: out.replace(b"\r\n", b"\n"),
        "CRLF": lambda out: re.sub(rb"\r?\n", b"\r\n", out),
        "From quoting": lambda out: re.sub(rb"(?m)^(>*From )", rb">\1", out),
        "blanks at the end": lambda out: out + b"\n\n",
        "footer": lambda out: out + footer,
        "wrapped by a list": wrapped,
        "other line length": lambda out: reencoded(
            out, lambda o, body, data, eol: o.replace(body, eol.join(re.findall(rb".{1,60}", base64.b64encode(data))))
        ),
        "one line": lambda out: reencoded(out, lambda o, body, data, eol: o.replace(body, base64.b64encode(data))),
        "quoted-printable": lambda out: reencoded(out, quoted_printable),
        "binary": lambda out: capsules(out)[0],
        "binary with junk": lambda out: b"junk" + capsules(out)[0] + b"\r\n",
        "attached": attached,
        "attached as a file": as_file,
        "quoted in a text": lambda out: (
            b"Subject: Re: x\n\nYou wrote:\n" + re.sub(rb"(?m)^", b"> ", out) + b"hello a\n"
        ),
        "pasted before words": lambda out: (
            b"Subject: x\n\n" + base64.encodebytes(capsules(out)[0]) + b"Best regards from me\n"
        ),
        "second in an mbox": lambda out: b"From x\nSubject: other\n\ntext\n\nFrom y\n" + out,
        "text downgraded": lambda out: re.sub(rb"8bit(\r?\n(?:[^\r\n]+\r?\n)*\r?\n)", rb"quoted-printable\1", out),
    }


TRANSPORTS = _transports()
ORIGINALS = [
    b"Subject: x\nContent-Type: application/octet-stream; name=a.bin\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes(bytes(range(256)) * size)
    for size in (1, 2, 3, 40)
] + [
    raw.replace(b"\n", eol)
    for eol in (b"\n", b"\r\n")
    for raw in (
        (
            b"Return-Path: <a@a.example>\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n"
            b"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nFrom here\n\xe3\x81\x82\n"
            b"--b\nContent-Type: application/pdf; name=a.pdf\n\nnot encoded\n--b--\nepilogue"
        ),
        b"From a b\nSubject: broken\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nno end \0\r",
    )
]


@pytest.mark.parametrize("transport", list(TRANSPORTS))
def test_release_gives_the_first_bytes_whatever_transport_did(transport):
    for raw in ORIGINALS:
        assert release(TRANSPORTS[transport](quarantine(raw))) == raw


@some
@given(
    anything(), st.sampled_from(["LF", "CRLF", "footer", "wrapped by a list", "attached as a file", "quoted in a text"])
)
def test_release_gives_back_any_message_after_transport(raw, transport):
    result = quarantined(raw)
    if result.changed:
        assert release(TRANSPORTS[transport](output(result))) == raw


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.sampled_from(TEXTS))
def test_every_octet_of_a_held_message_comes_back(junk, text):
    raw = b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + text + junk
    out = quarantine(raw)
    assert release(out) == raw
    assert capsule.find(capsules(out)[0])


# Two runs


@some
@given(conforming())
def test_same_message_key_and_time_give_same_bytes(made):
    assert quarantine(made.raw) == quarantine(made.raw)
    assert strip(made.raw) == strip(made.raw)


@some
@given(conforming())
def test_a_verdict_survives_the_verbs(made):
    raw = made.raw if parse(made.raw).root.fields else b"Subject: x\n" + made.raw
    signed = sealed(raw, verdict())
    result = quarantined(signed, rules("suspicious"))
    assert result.authenticated
    later = quarantined(output(result), rules("suspicious"), site(now=NOW + 8 * 86400))
    assert not later.authenticated
