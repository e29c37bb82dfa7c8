"""The author domain: every reading counts, and display names must not pretend."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.message.tree import parse
from mailguard.verify.author import scan

KNOWN = [("ceo@corp.example", "Mary Boss"), ("boss@corp.example", "Mary Boss"), ("yamada@corp.example", "山田 太郎")]


def read(header, known=()):
    raw = header.encode() if isinstance(header, str) else header
    return scan(parse(raw + b"\r\n\r\nbody"), known)


def codes(author):
    return [finding.code for finding in author.anomalies]


@pytest.mark.parametrize(
    ("header", "address", "display"),
    [
        ("From: joe@example.com", "joe@example.com", ""),
        ("From: <joe@example.com>", "joe@example.com", ""),
        ("FROM:Joe <joe@EXAMPLE.com>", "joe@example.com", "Joe"),
        ('From: "Doe, Joe" <joe@example.com>', "joe@example.com", "Doe, Joe"),
        ("From: J. Q. Doe <joe@example.com>", "joe@example.com", "J. Q. Doe"),
        ("From: joe@example.com (Joe Doe)", "joe@example.com", "(Joe Doe)"),
        ("From: Joe\r\n Doe\r\n <joe@example.com>", "joe@example.com", "Joe Doe"),
        ('From: "joe doe"@example.com', '"joe doe"@example.com', ""),
        ("From: =?utf-8?b?5bGx55Sw?= <joe@example.com>", "joe@example.com", "山田"),
        ("From: 山田 <joe@example.com>", "joe@example.com", "山田"),
        ("From: joe <joe@bücher.example>", "joe@xn--bcher-kva.example", "joe"),
        (b"From: " + "山田".encode("iso-2022-jp") + b" <joe@example.com>", "joe@example.com", "山田"),
        (b'From: "' + "代表＠営業".encode("iso-2022-jp") + b'" <joe@example.com>', "joe@example.com", "代表＠営業"),
        (
            "DKIM-Signature: v=1; h=\r\n From:To:Subject; z=\r\n From:joe@example.net|\r\nFrom: joe@example.com",
            "joe@example.com",
            "",
        ),
        ("Subject: mail from: ann@example.net\r\nFrom: joe@example.com", "joe@example.com", ""),
    ],
)
def test_a_plain_author_is_read(header, address, display):
    author = read(header)
    assert codes(author) == []
    assert (author.address, author.display) == (address, display)
    assert author.domain == address.rpartition("@")[2]
    assert author.impersonating == []


@pytest.mark.parametrize(
    ("header", "domains", "code"),
    [
        ("To: x", [], "from.missing"),
        ("From:", [], "from.no-address"),
        ("From: undisclosed", [], "from.no-address"),
        ("From: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.several-fields"),
        ("From: a@b.example\r\nfrom: a@b.example", ["b.example"], "from.several-fields"),
        ("To: x\r\nFrom : a@b.example", ["b.example"], "from.name"),
        ("From : a@b.example", ["b.example"], "from.name"),
        ("To: x\r\nFrom\t: a@b.example", ["b.example"], "from.name"),
        ("To: x\r\nFrom\r\n : a@b.example", ["b.example"], "from.name"),
        ("To: x\r\nFr\r\n om: a@b.example", ["b.example"], "from.name"),
        (b"To: x\r\nFrom\0: a@b.example", ["b.example"], "from.name"),
        (b"To: x\r\n\xef\xbb\xbfFrom: a@b.example", ["b.example"], "from.name"),
        (b"To: x\r\nFrom\xa0: a@b.example", ["b.example"], "from.name"),
        (" From: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.name"),
        ("Received: x\r\n From: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.hidden"),
        ("Subject: x\rFrom: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.hidden"),
        ("Subject: x\r \rfrom\t: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.hidden"),
        ("Subject: x\0From: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.hidden"),
        (b"From x\rFrom: a@b.example\r\nFrom: c@d.example", ["b.example", "d.example"], "from.hidden"),
        ("To: x\r\nFrom joe Fri 12:00\r\nFrom: c@d.example", ["d.example"], "from.envelope"),
        ("From: a@b.example, c@d.example", ["b.example", "d.example"], "from.several-addresses"),
        ("From: a@b.example <c@d.example>", ["b.example", "d.example"], "from.several-addresses"),
        ("From: <a@b.example> <c@d.example>", ["b.example", "d.example"], "from.several-addresses"),
        ("From: <@b.example,@c.example:a@d.example>", ["b.example", "c.example", "d.example"], "from.route"),
        ("From: Group: a@b.example;", ["b.example"], "from.group"),
        ("From: a@b.example trailing", ["b.example"], "from.syntax"),
        ("From: Doe, Joe <a@b.example>", ["b.example"], "from.syntax"),
        ("From: <a@b.example", ["b.example"], "from.syntax"),
        ("From: a@b(c).example", ["b.example"], "from.syntax"),
        ("From: a@b .example", ["b.example"], "from.syntax"),
        ("From: (a@b.example) c@d.example (", ["b.example", "d.example"], "from.syntax"),
        ('From: "a@b.example"@d.example', ["d.example", "b.example"], "from.quoted-address"),
        ("From: =?utf-8?q?a=40b.example?=", ["b.example"], "from.no-address"),
        ("From: =?utf-8?q?=3Ca=40b.example=3E=2C?= <c@d.example>", ["d.example", "b.example"], "from.encoded-address"),
        ("From: =?utf-8?q?a?=@d.example", ["d.example"], "from.encoded-address"),
        (b"From: a@b.example\0@d.example", ["b.example", "d.example"], "from.control"),
        (b"From: <a@b.example\0.d.example>", ["b.example", "b.example.d.example"], "from.control"),
        (b"From: a\x1b@d.example", ["d.example"], "from.control"),
        (b"From: \x83\x40 <c@d.example>", ["d.example"], "from.8bit"),
        (b"From: a@d\xff.example", ["xn--d-kha.example"], "from.8bit"),
        ("From: a@localhost", [], "from.domain"),
        ("From: a@[192.0.2.1]", [], "from.domain"),
        ("From: a@_d.example", [], "from.domain"),
        ("From: a@-d.example", [], "from.domain"),
        ("From: a@b。example", ["b.example"], "from.domain"),
        ("From: a@ｂ.example", ["b.example"], "from.domain"),
        ("From: a＠b.example", ["b.example"], "from.no-address"),
        ("From: " + "x" * 3000 + " <a@b.example>", ["b.example"], "from.length"),
    ],
)
def test_an_odd_author_is_marked_and_every_domain_is_a_candidate(header, domains, code):
    author = read(header)
    assert code in codes(author)
    assert sorted(author.domains) == sorted(domains)
    assert author.domain == (domains[0] if len(domains) == 1 else None)


@pytest.mark.parametrize(
    "display",
    [
        '"ceo@bank.example"',
        "ceo＠bank.example",
        "=?utf-8?q?ceo=40bank.example?=",
        "=?utf-8?b?Y2Vv77ygYmFuay5leGFtcGxl?=",
        "ceo＠bank．example",
        "ceo＠bank。example",
        "ceo＠bank․example",
        "ceo＠ba\u200bnk.example",
        "﹫bank.example",
        '"Joe (ceo@bank.example)"',
        '"ceo@bank.example via list"',
        b'"' + "ceo＠bank.example".encode("iso-2022-jp") + b'"',
    ],
)
def test_a_display_name_with_the_address_of_another_domain_is_impersonating(display):
    raw = display if isinstance(display, bytes) else display.encode()
    author = read(b"From: " + raw + b" <joe@evil.example>")
    assert [finding.code for finding in author.impersonating] == ["from.impersonating-address"]
    assert "bank.example" in author.impersonating[0].what


@pytest.mark.parametrize(
    "display", ['"joe@example.com"', '"joe@mail.example.com"', "Joe at example.org", '"@joe"', "a@ b"]
)
def test_ones_own_address_or_no_address_in_the_display_name_is_not(display):
    assert read(f"From: {display} <joe@example.com>").impersonating == []


@pytest.mark.parametrize(
    "display",
    [
        "Mary Boss",
        '"Boss, Mary"',
        "MARY  BOSS",
        "Dr. Mary Boss (CEO)",
        "Маrу Воss",
        "Mary\u200b Boss",
        "=?utf-8?q?Mary_Boss?=",
        "Ｍａｒｙ Boss",
        "山田太郎",
        "山田太郎様",
        "株式会社 山田 太郎",
    ],
)
def test_a_known_persons_name_with_a_foreign_address_is_impersonating(display):
    author = read(f"From: {display} <mary@evil.example>", KNOWN)
    assert [finding.code for finding in author.impersonating] == ["from.impersonating-person"]


@pytest.mark.parametrize(
    "header",
    [
        "From: Mary Boss <ceo@corp.example>",
        "From: Mary Boss <BOSS@corp.example>",
        "From: Mary Bossard <x@evil.example>",
        "From: Boss <x@evil.example>",
        "From: 山田花子 <x@evil.example>",
        "From: 山田太郎 <yamada@corp.example>",
    ],
)
def test_the_person_itself_or_another_name_is_not(header):
    assert read(header, KNOWN).impersonating == []


def test_at_most_twenty_readings_are_judged():
    author = read(b"\r\n".join(b"From: a@b%d.example" % number for number in range(1000)))
    assert len(author.domains) == 20


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: " + b" " * 1_000_000 + b"from" + b"\r\r" * 100_000,
        b"Subject: " + b"from:" * 200_000,
        b"Subject: " + b"\rfrom " * 200_000,
        b"From: " + b"(" * 1_000_000,
        b"From: " + b'"\\' * 500_000,
        b"From: " + b"@" * 1_000_000,
        b"From: " + b"=?a?q?" * 100_000,
        b"From: " + b"\x1b$B" * 300_000,
        b"From: " + b" " * 1_000_000 + b"@ .",
    ],
    ids=range(9),
)
def test_a_megabyte_of_anything_is_read_in_linear_time(header):
    """Nothing is measured here: in quadratic time this would not end."""
    assert scan(parse(header + b"\n\n"), KNOWN).anomalies


HEADERS = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.sampled_from(
            [
                b"From",
                b":",
                b" ",
                b"\r\n",
                b"\r",
                b"\0",
                b"<",
                b">",
                b"@",
                b"a.example",
                b"(",
                b")",
                b'"',
                b"\\",
                b",",
                b";",
                b"=?utf-8?q?=40?=",
                b"\xff",
                b"\x1b$B",
                b"\x1b(B",
            ]
        ),
        max_size=30,
    ).map(b"".join),
)


@settings(max_examples=300, deadline=None)
@given(HEADERS)
def test_any_header_gives_an_author_and_never_crashes(raw):
    author = scan(parse(raw), KNOWN)
    assert (author.domain is None) == (len(author.domains) != 1)
    if not author.anomalies:
        assert author.address is not None
        assert author.address.rpartition("@")[2] == author.domain


@settings(max_examples=300, deadline=None)
@given(HEADERS)
def test_no_addition_makes_an_author_plain_under_another_domain(raw):
    """Whatever stands above a plain From field: the author is not plain any more, or still the same."""
    author = scan(
        parse(b"X: y\r\n" + raw.replace(b"\n\r\n", b"").replace(b"\n\n", b"") + b"\r\nFrom: joe@example.com\r\n\r\n")
    )
    if not author.anomalies:
        assert author.domain == "example.com"
