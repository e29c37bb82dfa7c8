"""DKIM: what verifies, what does not, and what verifies but protects nobody."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_mail import (
    FIELDS,
    MESSAGE,
    NOW,
    SELECTOR,
    Zone,
    canonical_body,
    canonical_field,
    ed25519_key,
    ed25519_record,
    record,
    rsa_key,
    sign,
    zone,
)

from mailguard.dns import LIMIT, SERVFAIL, TIMEOUT
from mailguard.message.header import fields
from mailguard.message.tree import parse
from mailguard.verify import canonicalization, dkim, tags
from mailguard.verify.publickey import PublicKey, UnusableKey

FORMS = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]

RFC8463 = b"""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""
RFC6376 = b"""DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
"""
RFC_KEYS = {
    "brisbane._domainkey.football.example.com": b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test._domainkey.football.example.com": b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
    b"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hs"
    b"tT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
    "brisbane._domainkey.example.com": b"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkM"
    b"oGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9"
    b"tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
}


def judge(raw, resolver=None, now=NOW):
    return dkim.verify(parse(raw), zone() if resolver is None else resolver, now)


def only(raw, resolver=None, now=NOW):
    (result,) = judge(raw, resolver, now)
    return result.result, result.reason


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("raw", "passes"), [(RFC8463, 2), (RFC6376, 1)], ids=["RFC 8463 A", "RFC 6376 A"])
def test_the_examples_of_the_standards_pass(raw, passes, eol):
    results = judge(raw.replace(b"\n", eol), Zone(RFC_KEYS))
    assert [result.result for result in results] == ["pass"] * passes


def test_a_result_carries_the_properties_of_its_signature():
    (first, second) = judge(RFC8463, Zone(RFC_KEYS))
    assert first.properties == {
        "header.d": "football.example.com",
        "header.i": "@football.example.com",
        "header.s": "brisbane",
        "header.a": "ed25519-sha256",
        "header.b": "/gCrinpc",
    }
    assert second.properties["header.b"] == "F45dVWDf"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_what_another_implementation_signed_passes(form, algorithm):
    key, published = (ed25519_key(), ed25519_record()) if algorithm == "ed25519" else (rsa_key(1024), record())
    assert only(sign(c=form, key=key), zone(published)) == ("pass", "")


@pytest.mark.parametrize("form", FORMS)
def test_lf_crlf_and_a_from_line_verify_alike(form):
    signed = sign(c=form)
    assert only(signed.replace(b"\r\n", b"\n"))[0] == "pass"
    assert only(signed.replace(b"\r\n", b"\n", 4))[0] == "pass"
    assert only(b"From joe@example.com Fri Jul 11 21:00:37 2003\n" + signed)[0] == "pass"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n \t\r\n", b"no line end", b"x \r", b"\r\r\n\r\n", b" "])
def test_bodies_at_the_edge_verify(form, body):
    raw = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    assert only(sign(raw, c=form))[0] == "pass"


def test_a_message_without_body_or_empty_line_verifies():
    raw = MESSAGE.partition(b"\r\n\r\n")[0]
    assert only(sign(raw + b"\r\n\r\n").removesuffix(b"\r\n"))[0] == "pass"


@pytest.mark.parametrize(
    "line",
    [b"\xe5\xb1\xb1: x\r\n", b"no colon here\r\n", b"X y: z\r\n", b">From joe Fri\r\n", b"X\0: y\r\n", b"From x\r\n"],
)
def test_an_odd_line_in_the_header_does_not_make_the_message_unverifiable(line):
    assert only(sign().replace(b"To:", line + b"To:", 1))[0] == "pass"


def test_a_continuation_as_first_line_does_not_crash():
    assert only(b" folded: nothing\r\n" + sign())[0] == "pass"


def test_no_signature_is_none():
    assert only(MESSAGE) == ("none", "not signed")


def test_every_signature_is_judged():
    raw = sign(sign(), s="other")
    results = judge(raw)
    assert [(result.result, result.properties["header.s"]) for result in results] == [
        ("permerror", "other"),
        ("pass", "test"),
    ]


def test_signatures_beyond_the_limit_are_not_judged():
    resolver = zone()
    raw = b"DKIM-Signature: v=1; d=example.org; s=x\r\n" * dkim.MAX_SIGNATURES + sign(sign())
    results = judge(raw, resolver)
    assert [result.result for result in results] == ["permerror"] * dkim.MAX_SIGNATURES + ["policy"]
    assert "2 further" in results[-1].reason
    assert resolver.asked == []


@pytest.mark.parametrize(
    ("tags_", "result", "reason"),
    [
        ({"h": FIELDS.replace("from", "sender")}, "permerror", "From is not signed"),
        ({"v": "2"}, "permerror", "v= is not 1"),
        ({"v": None}, "permerror", "v= is missing"),
        ({"a": "rsa-sha1"}, "policy", "SHA-1"),
        ({"a": "rsa-md5"}, "permerror", "a="),
        ({"a": "ed25519-sha256"}, "permerror", "does not fit"),
        ({"d": "com"}, "policy", "top-level"),
        ({"d": None}, "permerror", "d= is missing"),
        ({"d": "exa mple.com"}, "permerror", "d= is not a domain name"),
        ({"d": "example.com."}, "permerror", "d= is not a domain name"),
        ({"d": "-x.example.com"}, "permerror", "d= is not a domain name"),
        ({"d": "a_b.example.com"}, "permerror", "d= is not a domain name"),
        ({"s": "te/st"}, "permerror", "s= is not a domain name"),
        ({"s": "x" * 64}, "permerror", "s= is not a domain name"),
        ({"i": "joe@example.org"}, "permerror", "i= is not within d="),
        ({"i": "joe@notexample.com"}, "permerror", "i= is not within d="),
        ({"i": "example.com"}, "permerror", "i= is not within d="),
        ({"i": "a=zz@example.com"}, "permerror", "i= is malformed"),
        ({"q": "dns/ptr"}, "permerror", "q="),
        ({"x": str(NOW - 1)}, "policy", "expired"),
        ({"t": str(NOW + 1000)}, "policy", "future"),
        ({"t": "9" * 76}, "policy", "future"),
        ({"t": "5", "x": "5"}, "permerror", "x= is not later"),
        ({"t": "9" * 5000}, "permerror", "t= is"),
        ({"x": "-1"}, "permerror", "x= is"),
        ({"l": "x"}, "permerror", "l= is"),
        ({"l": "99999"}, "permerror", "longer than the body"),
        ({"l": "3"}, "policy", "not signed (l=)"),
        ({"c": "nofws/simple"}, "permerror", "c="),
        ({"c": "relaxed/"}, "permerror", "c="),
        ({"bh": "a"}, "permerror", "bh= is not base64"),
        ({"bh": base64.b64encode(b"x" * 32).decode()}, "fail", "body"),
        ({"h": FIELDS.replace(":content-type", "")}, "pass", "content-type is not signed"),
        ({"h": "from:content-type"}, "pass", ""),
        ({"s": "_te-st"}, "permerror", "not published"),
    ],
)
def test_a_signature_that_is_not_right_is_refused_with_its_reason(tags_, result, reason):
    found, why = only(sign(**tags_))
    assert (found, reason in why) == (result, True), why


@pytest.mark.parametrize(
    "tags_",
    [
        {"q": "dns/other:dns/txt"},
        {"i": "joe=20x@sub.example.com"},
        {"i": "@EXAMPLE.com"},
        {"x": str(NOW + 10), "t": str(NOW)},
        {"x": "9" * 76},
        {"t": str(NOW + 100)},
        {"l": str(len(canonical_body(MESSAGE.partition(b"\r\n\r\n")[2], "relaxed")))},
        {"c": "relaxed"},
        {"unknown": "tag"},
        {"h": FIELDS.upper().replace(":", " : ")},
        {"h": FIELDS + ":from:x-not-there"},
        {"d": "EXAMPLE.com"},
    ],
)
def test_a_signature_that_is_unusual_but_right_passes(tags_):
    assert only(sign(**tags_)) == ("pass", "")


@pytest.mark.parametrize(
    ("published", "result", "reason"),
    [
        (record(tags=b"v=DKIM1; t=y; "), "neutral", "tested"),
        (record(tags=b"v=DKIM1; h=sha1; "), "permerror", "SHA-256"),
        (record(tags=b"v=DKIM1; h=sha1:sha256; "), "pass", ""),
        (record(tags=b"v=DKIM1; s=tlsrpt; "), "permerror", "e-mail"),
        (record(tags=b"v=DKIM1; s=tlsrpt : email; "), "pass", ""),
        (record(tags=b"k=rsa; v=DKIM1; "), "permerror", "first place"),
        (record(tags=b"v=DKIM2; "), "permerror", "v="),
        (record(tags=b"k=ed25519; "), "permerror", "32 octets"),
        (record(tags=b"k=dsa; "), "permerror", "unknown key type"),
        (record(tags=b"p=x; "), "permerror", "duplicate"),
        (record(tags=b""), "pass", ""),
        pytest.param(ed25519_record(), "permerror", "does not fit", id="ed25519"),
        (b"v=DKIM1; p=", "permerror", "revoked"),
        (b"v=DKIM1", "permerror", "no p="),
        (b"v=DKIM1; p=!!!!", "permerror", "not base64"),
        (b"v=DKIM1; p=" + base64.b64encode(b"\x30\x82\xff\xff" + b"\x02" * 40), "permerror", "RSA key"),
        (b"", "permerror", "no p="),
        (b"garbage", "permerror", "malformed"),
        ([record(), record()], "permerror", "several"),
        ([], "permerror", "not published"),
        (SERVFAIL, "temperror", "SERVFAIL"),
        (TIMEOUT, "temperror", "TIMEOUT"),
        (LIMIT, "permerror", "LIMIT"),
    ],
)
def test_the_key_record_decides_too(published, result, reason):
    found, why = only(sign(), zone(published))
    assert (found, reason in why) == (result, True), why


def test_a_key_that_is_not_published_is_a_permerror():
    assert only(sign(), Zone()) == ("permerror", "the key is not published (any longer)")


def test_the_strict_key_flag_demands_the_domain_itself():
    strict = zone(record(tags=b"v=DKIM1; t=s; "))
    assert only(sign(i="@sub.example.com"), strict)[0] == "permerror"
    assert only(sign(i="@example.com"), strict)[0] == "pass"


def der(*numbers):
    def element(tag, content):
        length = len(content)
        head = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
        return bytes([tag]) + head + content

    integers = [number.to_bytes(number.bit_length() // 8 + 1, "big") for number in numbers]
    return element(0x30, b"".join(element(2, integer) for integer in integers))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (((1 << 8200) + 1, 65537), "longer than 8192 bits"),
        (((1 << 40000) + 1, 65537), "longer than 8192 bits"),
        (((1 << 2047) + 1, (1 << 2000) + 1), "impossible"),
        ((1 << 2047, 65537), "impossible"),
        (((1 << 2047) + 1, 1), "impossible"),
    ],
)
def test_keys_that_would_cost_too_much_are_refused(numbers, reason):
    with pytest.raises(UnusableKey, match=reason):
        PublicKey(b"p=" + base64.b64encode(der(*numbers)))


def test_a_short_key_is_refused_by_policy():
    short = b"p=" + base64.b64encode(der((1 << 511) + 1, 65537))
    assert only(sign(), zone(short)) == ("policy", "a key of 512 bits is too short")


def test_a_signature_of_another_length_than_the_modulus_fails():
    raw = re.sub(rb"; b=", b"; b=AAAA", sign(), count=1)
    assert only(raw) == ("fail", "the signature does not verify")


def test_duplicate_tags_are_a_permerror():
    assert only(sign().replace(b"s=test", b"s=test; s=test"))[1] == "duplicate tag s="


def test_nothing_illegal_reaches_the_dns():
    for tag, value in [
        ("d", "a b"),
        ("d", "x..y"),
        ("d", "com"),
        ("s", "a b"),
        ("s", ""),
        ("d", "\x01.example.com"),
        ("s", "x" * 300),
    ]:
        resolver = Zone()
        judge(sign(**{tag: value}), resolver)
        assert resolver.asked == []


@pytest.mark.parametrize("domain", ["co.uk", "xn--55qx5d.cn"])
def test_a_public_suffix_signs_for_nobody(domain):
    assert only(sign(d=domain), Zone({f"test._domainkey.{domain}": record()})) == ("policy", "d= is a public suffix")


@pytest.mark.parametrize("name", [b"From", b"Subject", b"To", b"Date", b"Reply-To"])
def test_a_second_field_of_a_signed_name_is_not_covered(name):
    raw = sign(b"Reply-To: a@example.com\r\n" + MESSAGE, h=FIELDS + ":reply-to")
    result, reason = only(name + b": forged\r\n" + raw)
    assert result == "policy"
    assert name.decode().lower() in reason


def test_a_field_signed_once_more_than_present_cannot_be_added():
    assert only(b"Subject: forged\r\n" + sign(h=FIELDS + ":subject"))[0] == "fail"


def test_unsigned_mime_fields_pass_as_the_rfc_says_and_the_reason_says_so():
    result, reason = only(b"Content-Transfer-Encoding: base64\r\n" + sign())
    assert (result, reason.partition(",")[0]) == ("pass", "content-transfer-encoding is not signed")
    assert only(sign(h=FIELDS.replace(":content-type", ""))) == ("pass", "content-type is not signed")


def test_prefetch_names_exactly_the_questions_that_follow():
    raw = sign(sign(sign(sign(), s="other"), d="com"), a="rsa-sha1")
    resolver = zone()
    judge(raw, resolver)
    assert dkim.keys(parse(raw)) == resolver.asked == [("other._domainkey.example.com", "TXT"), (SELECTOR, "TXT")]


def test_a_u_label_domain_is_asked_for_as_a_label():
    resolver = Zone({"test._domainkey.xn--bcher-kva.example": record()})
    assert only(sign(d="bücher.example"), resolver)[0] == "pass"


# Properties


def ignored(raw, form):
    """What a canonicalization makes equal, by the plain implementation of the tests."""
    header_form, _, body_form = form.partition("/")
    head, _, body = raw.partition(b"\r\n\r\n")
    unfolded = re.split(rb"\r\n(?![ \t])", head)
    return [canonical_field(field, header_form) for field in unfolded], canonical_body(body, body_form)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_change_of_signed_content_keeps_a_pass_unless_the_canonicalization_ignores_it(data):
    form = data.draw(st.sampled_from(FORMS))
    own, _, rest = sign(c=form, h=FIELDS + ":from:to:subject:date:message-id:content-type").partition(b"\r\n")
    at = data.draw(st.integers(0, len(rest)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(
        st.one_of(st.binary(max_size=3), st.sampled_from([b" ", b"\t", b"\r\n", b"\r\n ", b"  ", b":", b"X: y\r\n"]))
    )
    changed = rest[:at] + put + rest[at + cut :]
    result = only(own + b"\r\n" + changed)[0]
    before, after = ignored(rest, form), ignored(re.sub(b"\r?\n", b"\r\n", changed), form)
    covered = {b"from", b"to", b"subject", b"date", b"message-id", b"content-type"}
    kept = [
        [line for line in side[0] if line.partition(b":")[0].strip(b" \t").lower() in covered]
        for side in (before, after)
    ]
    if kept[0] != kept[1] or before[1] != after[1]:
        assert result != "pass"
    elif (
        before == after
        and not changed.startswith((b" ", b"\t"))
        and changed.partition(b"\r\n\r\n")[0].count(b"\r\n") >= 5
    ):
        assert result == "pass"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300).map(lambda junk: junk.replace(b"x", b"DKIM-Signature: v=1; a=rsa-sha256; ")))
def test_any_bytes_give_results_and_never_crash(raw):
    for result in judge(raw):
        assert result.result in {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=100), st.binary(max_size=60).map(lambda key: b"v=DKIM1; p=" + base64.b64encode(key)))
)
def test_any_key_record_gives_a_result(published):
    assert only(sign(), zone(published))[0] in {"permerror", "fail", "policy", "neutral"}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\n", b"\r", b"b c"]), max_size=30).map(b"".join))
def test_canonical_bodies_are_those_of_the_plain_implementation(body):
    for form in ("simple", "relaxed"):
        for size in (1, 1 << 18):
            canonicalization._PIECE, before = size, canonicalization._PIECE
            try:
                pieces = b"".join(canonicalization.body_pieces(body, 0, form.encode()))
            finally:
                canonicalization._PIECE = before
            assert pieces == canonical_body(body, form)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\n\t", b"\r", b":"]), max_size=20).map(b"".join))
def test_canonical_fields_are_those_of_the_plain_implementation(value):
    raw = b"Subject\t :" + value + b"\r\n"
    (field,) = fields(raw, 0, len(raw))
    assert canonicalization.simple_field(field) == canonical_field(raw, "simple")
    assert canonicalization.relaxed_field(field) == canonical_field(raw, "relaxed")


@given(st.binary(max_size=100))
def test_tag_lists_are_read_or_refused(value):
    try:
        found = tags.parse(value)
    except tags.TagError:
        return
    assert all(re.fullmatch(rb"[!-:<-~\x80-\xff \t]*", content) for content in found.values())
