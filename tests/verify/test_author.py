"""The author domain: every reading counts, and display names must not pretend."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.message.tree import parse
from mailguard.verify import skeleton
from mailguard.verify.author import scan
from mailguard.verify.impersonation import Acquaintances

KNOWN = [("ceo@corp.example", "Mary Boss"), ("boss@corp.example", "Mary Boss"), ("yamada@corp.example", "山田 太郎")]

KNOWN_ONES = Acquaintances(KNOWN, ["corp.example"])


def read(header, known=(), domains=()):
    raw = header.encode() if isinstance(header, str) else header
    return scan(parse(raw + b"\r\n\r\nbody"), Acquaintances(known, domains))


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
        "ceo (at) bank.example",
        "ceo[at]bank[dot]example",
        "ceo ⓐ bank.example",
        '"ceo@bank .example"',
        '"ceo@ba\ufe0fnk.example"',
        '"ceo@b\U000e0061ank.example"',
        '"ceo@ba\u180bnk.example"',
        "\u202eelpmaxe.knab@oec",
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
    "display",
    [
        '"joe@example.com"',
        '"joe@mail.example.com"',
        "Joe at example.org",
        "J. @ home. Then",
        "bank.example",
        "Joe (at home)",
        '"@joe"',
        "a@ b",
    ],
)
def test_ones_own_address_or_no_address_in_the_display_name_is_not(display):
    assert read(f"From: {display} <joe@example.com>").impersonating == []


# (as it is shown, whose name it looks like)
LOOKS_LIKE = [
    ("Mary Boss", "Mary Boss"),
    ('"Boss, Mary"', "Mary Boss"),
    ("MARY  BOSS", "Mary Boss"),
    ("Dr. Mary Boss (CEO)", "Mary Boss"),
    ("Маrу Воss", "Mary Boss"),
    ("Mary\u200b Boss", "Mary Boss"),
    ("=?utf-8?q?Mary_Boss?=", "Mary Boss"),
    ("Ｍａｒｙ Boss", "Mary Boss"),
    ("山田太郎", "山田 太郎"),
    ("山田太郎様", "山田 太郎"),
    ("株式会社 山田 太郎", "山田 太郎"),
    ("株式会社山田太郎", "山田 太郎"),
    ("営業部　山田太郎", "山田 太郎"),
    ("代表取締役社長山田太郎", "山田 太郎"),
    ("太郎 山田", "山田 太郎"),
    ("山 田 太 郎", "山田 太郎"),
    ("営業部長林一様", "林 一"),
    ("山田太郎の代理", "山田 太郎"),
    ("山田太郞", "山田 太郎"),
    ("山田\ufe00太郎", "山田 太郎"),
    ("髙橋 邊見", "高橋 辺見"),
    ("Ayumi Sat0", "Ayumi Sato"),
    ("Ayuml Sato", "Ayumi Sato"),
    ("AyumI SATO", "Ayumi Sato"),
    ("Ayurni Sato", "Ayumi Sato"),
    ("Áyumi Sató", "Ayumi Sato"),
    ("A\u0337y\u0337umi Sato", "Ayumi Sato"),
    ("AyumiSato", "Ayumi Sato"),
    ("SatoAyumi", "Ayumi Sato"),
    ("Ayumi_Sato", "Ayumi Sato"),
    ('"Ayumi.Sato"', "Ayumi Sato"),
    ("A y u m i S a t o", "Ayumi Sato"),
    ("Mr AyumiSato CEO", "Ayumi Sato"),
    ("Ayumi\u2800Sato", "Ayumi Sato"),
    ("ᴀʏᴜᴍɪ ꜱᴀᴛᴏ", "Ayumi Sato"),
    ("Ꭺyumi Ꮪato", "Ayumi Sato"),
    ("𝐀𝐲𝐮𝐦𝐢 𝐒𝐚𝐭𝐨", "Ayumi Sato"),
    ("ⒶⓎⓊⓂⒾ ⓈⒶⓉⓄ", "Ayumi Sato"),
    ("\u202eotaS imuyA", "Ayumi Sato"),
    ("Ayumi Sato via Docs", "Ayumi Sato"),
    ("Mueller Jan", "Jan Müller"),
    ("Jan Muller", "Jan Müller"),
    ("Jan Mu\u0308ller", "Jan Müller"),
    ("ΝΙΚΟΣ Παππας", "Νίκος Παππάς"),
    ("Vvilliam Clay", "William Day"),
    ("ABC Trading", "ABC Trading"),
    ("Rakuten", "Rakuten"),
]


@pytest.mark.parametrize(("display", "name"), LOOKS_LIKE)
def test_a_known_persons_name_with_a_foreign_address_is_impersonating(display, name):
    known = [(f"x{number}@corp.example", each) for number, each in enumerate({name for _, name in LOOKS_LIKE})]
    known += [("ceo@corp.example", name), ("other@corp.example", "Somebody Else")]
    author = read(f"From: {display} <mary@evil.example>", known)
    assert [finding.code for finding in author.impersonating] == ["from.impersonating-person"]
    assert f"is that of {name}" in author.impersonating[0].what
    assert "ceo@corp.example" in author.impersonating[0].what
    assert read(f"From: {display} <ceo@corp.example>", known).impersonating == []
    reply = read(f"From: Joe <joe@evil.example>\r\nReply-To: {display} <mary@attack.example>", known)
    assert [finding.code for finding in reply.impersonating] == ["reply-to.impersonating-person"]


@pytest.mark.parametrize(
    "header",
    [
        "From: Mary Boss <ceo@corp.example>",
        "From: Mary Boss <BOSS@corp.example>",
        "From: Mary Bossard <x@evil.example>",
        "From: Boss <x@evil.example>",
        "From: 山田花子 <x@evil.example>",
        "From: 山田太郎 <yamada@corp.example>",
        "From: Mary Boss <ceo+lists@corp.example>",
        "From: Joe <joe@evil.example>\r\nReply-To: Mary Boss <ceo@corp.example>",
        "From: Web <web@example.com>\r\nReply-To: Mary Boss <ticket-5@mail.example.com>",
    ],
)
def test_the_person_itself_or_another_name_is_not(header):
    assert read(header, KNOWN).impersonating == []


@pytest.mark.parametrize(
    ("name", "display"),
    [
        ("Info", "Info"),
        ("Customer Support", "Customer Support"),
        ("営業部", "営業部"),
        ("Tom", "Tom"),
        ("佐藤", "佐藤"),
        ("佐藤", "佐藤 花子"),
        ("谷川 一郎", "長谷川一郎"),
        ("森 太郎", "大森太郎"),
        ("林 一", "小林一郎"),
        ("林 一", "林一郎様"),
        ("田中 翔", "田中翔太"),
        ("田中 翔", "株式会社例 田中 翔太"),
        ("はやし たろう", "ばやし たろう"),
        ("Jan Li", "Jan Lindemann"),
        ("Ann Other", "Joann Other"),
        ("Mary Boss", "Boss"),
        ("", "Mary Boss"),
        ("...", "..."),
    ],
)
def test_a_name_that_is_nobodys_own_or_that_is_another_one_is_nobodys(name, display):
    assert read(f"From: {display} <x@evil.example>", [("a@corp.example", name)]).impersonating == []


def test_a_name_of_several_persons_is_each_ones_and_some_may_show_any_name():
    known = [
        ("mary@corp.example", "Mary Boss"),
        ("mary@other.example", "MARY BOSS"),
        ("@office.example", "Mary Boss"),
        ("mboss@corp.example", "Mary A. Boss"),
        ("notifications@forge.example", "*"),
    ]
    for address in ("mary@corp.example", "mary@other.example", "x@office.example", "notifications@forge.example"):
        assert read(f"From: Mary Boss <{address}>", known).impersonating == [], address
    assert read("From: Mary A. Boss <mary@corp.example>", known).impersonating == []
    assert read("From: Mary Boss <x@forge.example>", known).impersonating


def test_ten_thousand_persons_and_domains_are_looked_up_in_no_time():
    """Nothing is measured here: with a look at each of them for each mail this would not end."""
    persons = [(f"u{number}@d{number}.example", f"Mary{number % 70} Boss{number}") for number in range(10_000)]
    many = Acquaintances(persons, [f"company-number-{number}.example" for number in range(10_000)])
    for number in range(2000):
        header = f"From: Boss{number * 5} Mary{number * 5 % 70} <x@cornpany-number-{number * 5}.example>\r\n\r\n"
        codes = [finding.code for finding in scan(parse(header.encode()), many).impersonating]
        assert codes == ["from.impersonating-person", "from.lookalike-domain"]


def test_mail_in_ascii_reads_no_table(monkeypatch):
    def no_table(name):
        raise AssertionError(name)

    monkeypatch.setattr(skeleton, "_lines", no_table)
    skeleton._table.cache_clear()
    known = [*KNOWN, ("jan@corp.example", "Jan Müller"), ("x@corp.example", "Νίκος Παππάς")]
    for display, number in (("Mary Boss", 1), ("Jan Mueller", 1), ("Joe", 0)):
        assert len(read(f"From: {display} <x@evil.example>", known, ["corp.example"]).impersonating) == number
    with pytest.raises(AssertionError):
        read("From: 山田 <x@evil.example>", known)


SITES = [
    "legitimate.test",
    "partner.co.jp",
    "my-bank.example",
    "xn--bcher-kva.example",
    "mail.group.example",
    "gmail.com",
]


@pytest.mark.parametrize(
    ("domain", "known"),
    [
        ("legitirnate.test", "legitimate.test"),
        ("mail.legitirnate.test", "legitimate.test"),
        ("1egitimate.test", "legitimate.test"),
        ("legit-imate.test", "legitimate.test"),
        ("legitmate.test", "legitimate.test"),
        ("legitimatte.test", "legitimate.test"),
        ("legitinate.test", "legitimate.test"),
        ("leigtimate.test", "legitimate.test"),
        ("xlegitimate.test", "legitimate.test"),
        ("legitimatex.test", "legitimate.test"),
        ("legitimаte.test", "legitimate.test"),  # a Cyrillic letter
        ("gmai1.com", "gmail.com"),
        ("mybank.example", "my-bank.example"),
        ("bücher.exarnple", "xn--bcher-kva.example"),
        ("bucher.example", "xn--bcher-kva.example"),
        ("partner.co.jp.evil.test", "partner.co.jp"),
        ("partner-co-jp.evil.test", "partner.co.jp"),
        ("partner.co.jp-mail.test", "partner.co.jp"),
        ("my-bank-example.com", "my-bank.example"),
        ("rnail.qroup.exarnple", None),
        ("gr0up.example", "group.example"),
    ],
)
def test_a_domain_that_looks_like_a_known_one(domain, known):
    expected = [] if known is None else ["from.lookalike-domain"]
    author = read(f"From: Joe <joe@{domain}>", domains=SITES)
    assert [finding.code for finding in author.impersonating] == expected
    if known:
        assert f"looks like {known}" in author.impersonating[0].what
        reply = read(f"From: Joe <joe@example.com>\r\nReply-To: joe@{domain}", domains=SITES)
        assert [finding.code for finding in reply.impersonating] == ["reply-to.lookalike-domain"]


@pytest.mark.parametrize(
    "domain",
    [
        "legitimate.test",
        "mail.legitimate.test",
        "legitimate.example",
        "illegitimate-news.test",
        "partner.jp",
        "parmer-x.co.jp",
        "other.co.jp",
        "mail.com",
        "group.example",
        "mails.group.example",
        "grup.example",
        "gmail.com.au",
        "xn--bcher-kvb.example",
        "evil.test",
        "bank.example",
        "not-my-bank.example",
    ],
)
def test_a_domain_of_the_same_organization_or_of_a_mere_stranger_looks_like_nobody(domain):
    assert read(f"From: Joe <joe@{domain}>", domains=SITES).impersonating == []


def test_one_letter_is_found_wherever_it_differs():
    name = "abcdefghij"
    domains = [f"{name}.test"]
    edits = {name[:i] + letter + name[j:] for i in range(11) for j in (i, i + 1) for letter in ("", "z")} - {name}
    edits |= {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(9)}
    assert len(edits) > 35
    for each in sorted(edits):
        assert read(f"From: Joe <joe@{each}.test>", domains=domains).impersonating, each


def test_a_known_domain_in_a_display_name_is_an_address_too():
    for display in ("Support legitimate.test", "legitirnate.test", "www.legitimate.test team", "partner．co．jp"):
        author = read(f"From: {display} <joe@evil.example>", domains=SITES)
        assert [finding.code for finding in author.impersonating] == ["from.impersonating-address"], display
    assert read("From: Shop legitimate.test <joe@mail.legitimate.test>", domains=SITES).impersonating == []
    assert read("From: Shop example.org <joe@evil.example>", domains=SITES).impersonating == []


def test_an_answer_that_goes_to_a_lookalike_of_the_authors_own_domain_is_told():
    author = read("From: Joe <joe@company.example>\r\nReply-To: Joe <joe@cornpany.example>")
    assert [finding.code for finding in author.impersonating] == ["reply-to.lookalike-domain"]
    assert read("From: Joe <joe@company.example>\r\nReply-To: Joe <joe@gmail.com>").impersonating == []


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
        b"From: " + b"Mary Bos " * 100_000 + b"<a@b.example",
        b"From: " + "山田 太".encode() * 100_000 + b"<a@b.example",
        b"From: " + b"( (at) . ( dot" * 100_000 + b"<a@b.example",
        b"From: x <a@" + b"a-" * 500_000 + b".example",
        b"Reply-To: Mary Bos <a@b.example>\n" * 50_000,
    ],
    ids=range(14),
)
def test_a_megabyte_of_anything_is_read_in_linear_time(header):
    """Nothing is measured here: in quadratic time this would not end."""
    assert scan(parse(header + b"\n\n"), KNOWN_ONES).anomalies


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
    author = scan(parse(raw), KNOWN_ONES)
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
