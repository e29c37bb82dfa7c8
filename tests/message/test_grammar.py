"""The strict grammar: every known trick is reported, ordinary mail is not, and who passes is read alike by others."""

from __future__ import annotations

import base64
import email
import email.policy
import random
import re
import tracemalloc

import japanese_corpus
import mime_tricks
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import SUITES

from mailguard.message import anomalies, bodies, grammar, parameters, tree
from mailguard.message.plain import is_plain

SUITE = SUITES / "mime"
MARKER = b"".join((b"a marker ", b"that no message ", b"holds by chance: ", bytes(range(33, 48))))
TRICKS = {trick.id: trick for trick in mime_tricks.tricks(MARKER, b"\n")}
TRICKS_CRLF = {trick.id: trick for trick in mime_tricks.tricks(MARKER, b"\r\n")}
M = b"From: a@example.com\nMIME-Version: 1.0\n"
MIXED = M + b"Content-Type: multipart/mixed; boundary=x1\n\n"
TEXT = b"Content-Type: text/plain\n\nhello\n"


def codes(raw):
    return {finding.code for finding in grammar.check(tree.parse(raw))}


def names(message):
    found = []
    for part in message.parts():
        types = [field.value for field in part.field(b"content-type")]
        found += parameters.names(types, [field.value for field in part.field(b"content-disposition")])
    return found


def body(*parts):
    return b"".join(b"--x1\n" + part for part in parts) + b"--x1--\n"


# What is reported


@pytest.mark.parametrize("tricks", [TRICKS, TRICKS_CRLF], ids=["LF", "CRLF"])
@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_hides_a_part_or_a_name(trick, tricks):
    message = tree.parse(tricks[trick].raw)
    hidden = tricks[trick].hidden
    if hidden is None:
        assert grammar.check(message)
    else:
        assert hidden in names(message)


def test_the_tricks_are_many_and_have_names_of_their_own():
    assert len(TRICKS) > 280
    assert len({trick.raw for trick in TRICKS.values()}) == len(TRICKS)


SAMPLES = {
    "header.bare-cr": M + b"X-A: a\rb\n\n",
    "header.blank-before-name": b" X-A: b\n" + M + b"\n",
    "header.blank-continuation": b"X-A: b\n \t\n" + M + b"\n",
    "header.control": M + b"X-A: a\x0bb\n\n",
    "header.name": M + b"X A: b\n\n",
    "header.no-colon": M + b"X-A\n\n",
    "header.no-end": MIXED + b"--x1\nContent-Type: text/plain\n" + body(TEXT),
    "header.nul": M + b"X-A: \0\n\n",
    "header.overlong": M + b"X-A: " + b"a" * 33000 + b"\n\n",
    "mime.after-close": MIXED + body(TEXT) + body(TEXT),
    "mime.ambiguous-boundary": M + b"Content-Type: multipart/mixed; boundary=x1; boundary=x2\n\n" + body(TEXT),
    "mime.base64-in-text": M + b"\nhello\n" + base64.encodebytes(MARKER * 20) + b"\n",
    "mime.base64-syntax": M + b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\nAAAA=AAA\n",
    "mime.boundary-characters": M + b'Content-Type: multipart/mixed; boundary="' + b"x" * 71 + b'"\n\n',
    "mime.boundary-prefix": MIXED + body(TEXT + b"--x1a\n"),
    "mime.boundary-unused": MIXED + b"hello\n",
    "mime.conflicting-names": M
    + b'Content-Type: a/b; name="a.txt"\nContent-Disposition: attachment; filename=a.exe\n\n',
    "mime.content-type-syntax": M + b"Content-Type: multipart / mixed; boundary=x1\n\n" + body(TEXT),
    "mime.control-in-text": M + b"\nhello\0\n",
    "mime.delimiter-inside-line": MIXED + body(TEXT + b" --x1\n"),
    "mime.duplicate-content-disposition": M + b"Content-Disposition: inline\nContent-Disposition: attachment\n\n",
    "mime.duplicate-content-transfer-encoding": M
    + b"Content-Transfer-Encoding: 7bit\n" * 1
    + b"Content-Transfer-Encoding: base64\n\n",
    "mime.duplicate-content-type": M + b"Content-Type: a/b\nContent-Type: c/d\n\n",
    "mime.duplicate-mime-version": M + b"MIME-Version: 1.0 (x)\n\n",
    "mime.duplicate-parameter": M + b"Content-Type: a/b; c=d; c=e\n\n",
    "mime.empty-multipart": MIXED + b"--x1--\n",
    "mime.encoded-message": M
    + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: =41\n\n",
    "mime.encoded-multipart": MIXED.replace(b"Content-Type", b"Content-Transfer-Encoding: base64\nContent-Type")
    + body(TEXT),
    "mime.external-body": M + b"Content-Type: message/external-body; access-type=x\n\n",
    "mime.fields-in-body": M + b"\nContent-Type: text/html\n\n",
    "mime.file-in-text": M + b"\nbegin 644 a.exe\n",
    "mime.folded-encoding": M + b"Content-Transfer-Encoding:\n 7bit\n\n",
    "mime.missing-boundary": M + b"Content-Type: multipart/mixed\n\n",
    "mime.missing-close": MIXED + b"--x1\n" + TEXT,
    "mime.parameter-sections": M + b"Content-Type: a/b; name*0=c; name*2=d\n\n",
    "mime.partial": M + b"Content-Type: message/partial; id=a; number=1\n\n",
    "mime.parts-in-text": M + b"\n" + body(TEXT),
    "mime.quoted-printable-syntax": M + b"Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\n=x\n",
    "mime.reused-boundary": MIXED + body(b"Content-Type: multipart/mixed; boundary=x1\n\n", TEXT),
    "mime.too-many-boundaries": None,
    "mime.undeclared-delimiter": M + b"Content-Type: text/plain; boundary=x1\n\n" + body(TEXT),
    "mime.unknown-encoding": M + b"Content-Transfer-Encoding: base 64\n\n",
    "mime.version": b"MIME-Version: 2.0\n\n",
}


def test_every_rule_has_a_sample():
    assert SAMPLES.keys() == anomalies.RULES.keys()


@pytest.mark.parametrize("code", sorted(code for code, raw in SAMPLES.items() if raw is not None))
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_each_anomaly_is_reported_by_its_own_code(code, eol):
    assert code in codes(SAMPLES[code].replace(b"\n", eol))


def test_a_message_with_more_boundaries_than_can_be_looked_for_is_reported():
    parts = [b"Content-Type: multipart/mixed; boundary=y%02d\n\n--y%02d\n\n--y%02d--\n" % (n, n, n) for n in range(20)]
    raw = MIXED + body(*parts) + b" " * (1 << 24)
    assert "mime.too-many-boundaries" in codes(raw)
    assert codes(raw[: 1 << 20]) == set()


def test_a_finding_says_what_was_seen_and_cannot_harm_a_terminal():
    finding = grammar.check(tree.parse(MIXED + body(TEXT + b"--x1\x1b[2J\n")))[0]
    assert finding.code == "mime.boundary-prefix"
    assert finding.what.endswith("--x1\\x1b[2J")
    assert finding.why
    assert finding.reference
    assert finding.severity == "warning"


def test_anomalies_in_encoded_messages_are_found_and_have_a_path():
    inner = MIXED + body(TEXT + b"--x1a\n")
    part = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(inner)
    outer = M + b"Content-Type: multipart/mixed; boundary=o1\n\n--o1\n" + TEXT + b"--o1\n" + part + b"--o1--\n"
    assert [(finding.code, finding.part) for finding in grammar.check(tree.parse(outer))] == [
        ("mime.boundary-prefix", "2.TEXT")
    ]


def test_there_are_never_more_than_a_hundred_findings():
    raw = MIXED + b"--x1\nX A: b\nContent-Transfer-Encoding: x\n\n" * 500
    assert len(grammar.check(tree.parse(raw))) == grammar.MAX_FINDINGS


def test_a_message_over_a_limit_is_no_conforming_one():
    assert "limit.parts" in codes(MIXED + b"--x1\n\n" * 10_001 + b"--x1--\n")


@given(raw=st.binary(max_size=300))
def test_any_octets_can_be_checked(raw):
    for finding in grammar.check(tree.parse(raw)):
        assert finding.code in anomalies.RULES


# What is not reported


@pytest.mark.parametrize("seed", range(3))
def test_ordinary_japanese_mail_is_conforming_and_keeps_its_names(seed):
    for mail in japanese_corpus.mails(400, seed):
        message = tree.parse(mail.raw)
        assert grammar.check(message) == [], mail.kind
        assert set(mail.names) <= set(names(message)), mail.kind


def test_the_corpus_is_the_same_every_time():
    assert [mail.raw for mail in japanese_corpus.mails(100)] == [mail.raw for mail in japanese_corpus.mails(100)]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"X: y",
        b"Subject: \xe5\xb1\xb1 \x1b$B;qNA\x1b(B\n\nhello",
        b"From a@b Tue\n" + (MIXED + body(TEXT)).replace(b"\n", b"\r\n"),
        MIXED + body(TEXT).replace(b"--x1\n", b"--x1 \t\n"),
        MIXED + b"This is a multi-part message.\n" + body(TEXT) + b"\n--\nlist footer\nhttps://example.com/\n",
        MIXED + body(b"\nno header\n"),
        MIXED.replace(b"MIME-Version: 1.0\n", b"") + body(TEXT),
        M.replace(b"1.0", b"1.0 (Apple Message framework v929.2)") + b"\n",
        M + b"MIME-Version: 1.0\n\nthe same field twice\n",
        M + b"Content-Type: text/plain; charset=\n\nhello\n",
        M
        + b'Content-Type: a/b; name="a.pdf"\nContent-Disposition: attachment; filename="a.pdf"; filename*=utf-8\'\'a.pdf\n\n',
        M
        + b"Content-Type: a/b; name=\"=?utf-8?Q?=C3=A9.pdf?=\"\nContent-Disposition: attachment; filename*=utf-8''%C3%A9.pdf\n\n",
        M + b'Content-Type: a/b; name="a"\nContent-Disposition: attachment; filename="a.pdf"\n\n',
        M + b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nhello =e9\n-- \nfooter ?a=b\n",
        M + b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n\0\r\0",
        M + b"\n-----BEGIN PGP MESSAGE-----\n\n" + base64.encodebytes(MARKER * 20) + b"-----END PGP MESSAGE-----\n",
        M + b"\nbegin with 644 words\nbegin 1\nend\n",
        M + b"Content-Type: text/rfc822-headers\n\nSubject: x\nContent-Type: multipart/mixed; boundary=x1\n",
    ],
)
def test_what_all_readers_read_alike_is_conforming(raw):
    assert codes(raw) == set()


def test_a_nested_message_in_clean_base64_is_conforming_and_looked_into():
    inner = MIXED + body(TEXT)
    message = tree.parse(
        M + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(inner)
    )
    assert grammar.check(message) == []
    assert message.root.embedded is not None


# Base64


@given(data=st.binary(max_size=400), groups=st.integers(1, 25), crlf=st.booleans(), blank=st.integers(0, 2))
def test_base64_in_lines_of_whole_groups_conforms(data, groups, crlf, blank):
    text = base64.b64encode(data)
    eol = b"\r\n" if crlf else b"\n"
    lines = eol.join(text[at : at + 4 * groups] for at in range(0, len(text), 4 * groups)) + eol * blank
    assert bodies.base64_conforms(b"x\n" + lines + b"--", 2, 2 + len(lines))


@given(text=st.text("AB=\n\r -", max_size=24).map(str.encode))
def test_base64_conforms_exactly_when_the_plain_rule_says_so(text):
    assert bodies.base64_conforms(text, 0, len(text)) == _plain_rule(text)


def _plain_rule(text):
    text = text.rstrip(b"\r\n \t")
    lines = text.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in lines[:-1]] + lines[-1:]
    if lines == [b""]:
        return True
    last = lines[-1].removesuffix(b"=").removesuffix(b"=")
    return (
        all(line and len(line) % 4 == 0 and line.isalnum() for line in lines[:-1])
        and last.isalnum()
        and len(lines[-1]) % 4 == 0
    )


@given(
    lines=st.lists(st.integers(0, 30), max_size=12),
    at=st.integers(0, 400),
    junk=st.sampled_from([b"-", b"=", b"\0", b"\r", b" ", b"A"]),
)
def test_one_foreign_character_in_base64_is_found(lines, at, junk):
    text = b"".join(b"AAAA" * (count + 1) + b"\n" for count in lines) + b"AAAA"
    at %= len(text)
    assert bodies.base64_conforms(text, 0, len(text))
    broken = text[:at] + junk + text[at:]
    assert not bodies.base64_conforms(broken, 0, len(broken)) or (junk == b"\r" and broken[at + 1 : at + 2] == b"\n")


def test_a_line_of_base64_longer_than_mail_allows_is_found():
    assert bodies.base64_conforms(b"A" * 996, 0, 996)
    assert not bodies.base64_conforms(b"A" * 1000, 0, 1000)
    assert not bodies.base64_conforms(b"A" * 1000 + b"\n" + b"A" * 4, 0, 1005)


UU = b"#0V%T\n`\nend\n"
UU_BEGINS = [
    b"begin 644 evil.exe",
    b"begin 6 evil.exe",
    b"begin 66",
    b"begin 00644",
    b"begin 644",
    b"BEGIN 644",
    b"begin\t66",
    b"begin 644evil.exe",
    b"begin 888 evil.exe",
    b"begin rw evil.exe",
    b"begin-base64 66 evil.exe",
]


@pytest.mark.parametrize("begin", UU_BEGINS)
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    "around",
    [
        M + b"\n%b",
        M + b"\nhello\n%b",
        M + b"Content-Type: text/html\n\n<p>hello\n%b",
        M + b"Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n%bEND:VCALENDAR\n",
        MIXED + b"hello\n%b" + body(TEXT),
        MIXED + body(TEXT) + b"hello\n%b",
        MIXED + body(b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n%b"),
        MIXED + body(b"Content-Type: message/global-delivery-status\n\n%b"),
        MIXED + body(b"Content-Type: message/disposition-notification\n\nX: y\n\n%b"),
    ],
)
def test_a_uuencoded_file_of_any_mode_is_found_in_any_text(begin, eol, around):
    raw = around.replace(b"%b", begin + b"\n" + UU).replace(b"\n", eol)
    assert "mime.file-in-text" in codes(raw)
    assert not is_plain(raw)


def test_a_uuencoded_file_whose_first_line_is_broken_is_found_by_its_end():
    assert "mime.file-in-text" in codes(M + b"\nbegin 66 evil.exe\nnoise\n" + UU)
    assert "mime.file-in-text" in codes(M + b"\nbegin-base64 66 evil.exe\nbm8=\n====\n")


@pytest.mark.parametrize("kind", [b"delivery-status", b"disposition-notification"])
def test_yenc_and_base64_are_found_in_reports(kind):
    report = b"Content-Type: message/" + kind + b"\n\nX: y\n\n"
    assert "mime.file-in-text" in codes(MIXED + body(report + b"=ybegin line=128 size=3 name=evil.exe\nabc\n"))
    assert "mime.base64-in-text" in codes(MIXED + body(report + (b"A" * 76 + b"\n") * 7))
    assert codes(MIXED + body(report + b"Final-Recipient: rfc822; a@example.com\nStatus: 5.0.0\n")) == set()


@pytest.mark.parametrize(
    "text",
    [
        b"begin 1 of the lines\nand more text\n",
        b"We will\nbegin 10 minutes late.\nTHE MANAGEMENT\n",
        b"begin 10 AM\n10:30 BREAK\nEND OF DAY\n",
        b"Begin with 5 apples.\n\nThis is the\nend\n",
        b"begin the day\nWITH JOY\n",
        b"BEGIN TRANSACTION;\nUPDATE X;\nEND\n",
        b"begin\n  x := 1;\nend\n",
        b"begin : block\n x = 1;\nend\n",
        b"begin 2026-05-01\n- 1\n",
        b"He said: begin 66 evil.exe\nagain.\n",
    ],
)
def test_text_with_lines_that_begin_with_begin_is_ordinary(text):
    assert codes(M + b"\n" + text) == set()


MIME_LINES = [
    b"a:",
    b"b: c",
    b" d",
    b"\te",
    b"Content-Type: x",
    b"MIME-Version :1",
    b"no field",
    b"",
    b" Content-Type: x",
]


@given(lines=st.lists(st.sampled_from(MIME_LINES), max_size=8), crlf=st.booleans())
def test_a_header_begins_exactly_where_only_fields_stand_before_a_mime_field(lines, crlf):
    text = b"".join(line + (b"\r\n" if crlf else b"\n") for line in lines)
    assert bodies.begins_with_header(b"x\n" + text, 2, 2 + len(text)) == _plain_header(text)


def _plain_header(text):
    for count, line in enumerate(text.lstrip().splitlines()):
        if re.match(rb"(?i)(?:content-type|mime-version)[ \t]*:", line):
            return True
        if not re.match(rb"[!-9;-~]+:", line) and not (count and line[:1] in {b" ", b"\t"}):
            return False
    return False


@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 15)), max_size=4),
    quote=st.sampled_from([b"", b"> "]),
)
def test_six_lines_of_base64_are_found_unless_armor_announces_them(runs, quote):
    text = b"x\n"
    for armor, lines in runs:
        text += b"-----BEGIN X-----\n" * armor + (quote + b"A" * 64 + b"\n") * lines + b"." * 500 + b"\n"
    expected = any(not armor and lines >= 6 for armor, lines in runs)
    assert bodies.holds_base64(text, 0, len(text)) == expected


def test_base64_beside_armor_is_found_however_long_the_armor_is():
    armored = b"-----BEGIN X-----\n" + (b"A" * 64 + b"\n") * 100
    assert not bodies.holds_base64(armored, 0, len(armored))
    both = armored + b"-----END X-----\n" + b"." * 500 + b"\n" + (b"B" * 64 + b"\n") * 6
    assert bodies.holds_base64(both, 0, len(both))


@pytest.mark.parametrize(("octets", "found"), [(32768, False), (32769, True)])
@pytest.mark.parametrize("before", [b"", b"a\n ", b"a\n b\n "])
def test_only_a_field_with_an_overlong_line_is_overlong(octets, found, before):
    line = b"X:" + before
    line += b"a" * (octets - len(line.rpartition(b"\n")[2])) + b"\n"
    assert ("header.overlong" in codes(line + b" c\n" + M + b"\nx")) == found
    assert "header.overlong" not in codes(b"X:" + b" a\n" * 20_000 + M + b"\nx")


@pytest.mark.parametrize(
    "raw",
    [
        M + b"\n" + b"a:\n" * 700_000,
        M + b"\n" + b"a:\n b\n" * 300_000 + b"Content-Type: x\n",
        M + b"X: a" + b"\n b" * 700_000 + b"\n\nx",
        M + b"Content-Transfer-Encoding: base64\n\nAAAA\nAAAAAAAA\n" + b"AAAA\n" * 400_000,
        M + b"\n" + b"-----BEGIN X\n" + (b"A" * 48 + b"\n") * 40_000,
    ],
    ids=["fields", "folded fields", "continuations", "short base64", "armor"],
)
def test_two_megabytes_of_short_lines_need_few_megabytes(raw):
    tracemalloc.start()
    try:
        message = tree.parse(raw)
        grammar.check(message)
        for field in message.root.fields:
            assert field.unfolded.count(b"\n") == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(raw)


# Others

PIECES = [
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b'"',
    b";",
    b"--",
    b":",
    b"=",
    b"\\",
    b"(",
    b")",
    b"\x0b",
    b"\x1b$B",
    b"\n\n",
    b"\n ",
    b"*0=",
    b"''",
]
PIECES += [
    b"boundary=",
    b"Content-Type: text/plain\n",
    b"Content-Transfer-Encoding: base64\n",
    b"\x0c",
    b"\x1c",
    b"\x85",
    b",",
    b"AAAA\n",
]
BASE = [mail.raw for mail in japanese_corpus.mails(160)] + [raw.raw for raw in TRICKS.values() if len(raw.raw) < 5000]


def mutated(seed):
    """Damage a mail where its structure is told: one or two lines doubled, dropped, exchanged or cut by a piece."""
    draw = random.Random(seed)
    lines = draw.choice(BASE).split(b"\n")
    for _ in range(draw.randint(1, 2)):
        telling = [at for at, line in enumerate(lines) if not line or line.startswith(b"--") or b"ontent-" in line]
        at = draw.choice(telling or [0])
        other = draw.randrange(len(lines))
        action = draw.randrange(6)
        if action == 0:
            lines.insert(at, lines[other])
        elif action == 1:
            lines[at:other] = lines[at + 1 : other]
        elif action == 2:
            lines[at], lines[other] = lines[other], lines[at]
        else:
            cut = draw.randint(0, len(lines[at]))
            lines[at] = lines[at][:cut] + draw.choice(PIECES) + lines[at][cut:]
    return b"\n".join(lines)


def our_parts(message):
    return [
        (part.content_type.decode(), part.content().whole().strip(b"\r\n"))
        for part in message.parts()
        if not (part.is_multipart or part.children or part.embedded)
    ]


def other_parts(part):
    """What Python's email package reads; it takes every message/* for a message, which we do not."""
    kind = part.get_content_type()
    if kind.startswith("message/") and kind != "message/rfc822":
        return [(kind, None)]
    if part.is_multipart():
        return [leaf for child in part.get_payload() for leaf in other_parts(child)]
    return [(kind, (part.get_payload(decode=True) or b"").strip(b"\r\n"))]


@pytest.mark.parametrize("policy", [email.policy.compat32, email.policy.default], ids=["compat32", "default"])
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_what_is_conforming_has_the_same_parts_for_the_email_package(policy, seed):
    message = tree.parse(mutated(seed))
    if grammar.check(message) or any(part.embedded for part in message.parts()):
        return
    ours = our_parts(message)
    theirs = other_parts(email.message_from_bytes(message.raw[message.start :], policy=policy))
    assert [kind.replace("text", "text/plain") if kind == "text" else kind for kind, _ in ours] == [
        kind for kind, _ in theirs
    ]
    for (_, our), (_, other) in zip(ours, theirs, strict=True):
        assert other is None or our.replace(b"\r\n", b"\n") == other.replace(b"\r\n", b"\n")


EXPECTED = {
    "cpython/msg_15.txt": {"mime.reused-boundary", "mime.base64-syntax"},
    "cpython/msg_17.txt": {"mime.boundary-unused"},
    "cpython/msg_25.txt": {"mime.content-type-syntax", "mime.missing-boundary"},
    "cpython/msg_26.txt": {"mime.conflicting-names"},
    "cpython/msg_41.txt": {"mime.missing-boundary"},
    "mime4j/badbound.msg": {"mime.ambiguous-boundary", "mime.boundary-unused"},
    "mime4j/boundary-name-clash.msg": {"mime.boundary-prefix"},
    "mime4j/missing-inner-boundary.msg": {"mime.boundary-unused"},
    "mime4j/multi-bad.msg": {"mime.duplicate-content-type", "mime.missing-close"},
    "mime4j/uu-zeegee.msg": {"mime.file-in-text"},
    "mime4j/x-gzip64.msg": {"mime.unknown-encoding"},
    "mime4j/simple.msg": set(),
    "mime4j/multi-nested3.msg": set(),
    "mime4j/base64encoded-rfc822message-nested.msg": set(),
    "mime4j/russian-headers.msg": set(),
    "cpython/msg_43.txt": set(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_messages_of_published_suites_are_judged_as_read_by_hand(name):
    if not SUITE.exists():
        pytest.skip(f"the published suite is not here: {SUITE} (set MAILGUARD_SUITES)")
    assert codes((SUITE / name).read_bytes()) == EXPECTED[name]


@pytest.mark.parametrize("value", [b"filename=file;.hta", b"filename=file\\;.hta", b"name=a;b.exe; size=3"])
def test_an_unquoted_name_that_runs_on_behind_a_semicolon_is_an_anomaly(value):
    """munpack saves fileX.hta, mailparser reads `file;.hta`, others `file`."""
    raw = b"From: a@a.example\nMIME-Version: 1.0\nContent-Type: application/pdf\nContent-Disposition: attachment; %s\n\nx\n"
    assert "mime.conflicting-names" in {anomaly.code for anomaly in grammar.check(tree.parse(raw % value))}


@pytest.mark.parametrize(
    "value", [b"filename=my report.pdf", b"filename=my report.pdf; size=3", b"filename=a.pdf;", b'filename="a;b.pdf"']
)
def test_an_unquoted_name_with_blanks_is_none(value):
    raw = b"From: a@a.example\nMIME-Version: 1.0\nContent-Type: application/pdf\nContent-Disposition: attachment; %s\n\nx\n"
    assert "mime.conflicting-names" not in {anomaly.code for anomaly in grammar.check(tree.parse(raw % value))}
