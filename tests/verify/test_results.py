"""Authentication-Results: written so that nothing leaves its place, removed when it could be ours, trusted by place."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_of_others import EXCHANGE, GOOGLE, NASTY, OPENDKIM, OPENDMARC, RSPAMD, independent

from mailguard.message.header import fields
from mailguard.message.tree import parse as parse_message
from mailguard.verify.claims import remove
from mailguard.verify.method import MethodResult
from mailguard.verify.resinfo import UnreadableField, parse
from mailguard.verify.results import COLUMNS, MAX_RESULTS, MAX_VALUE, field
from mailguard.verify.trust import trusted

OURS = "mail.example.net"


PROPERTIES = ["header.d", "header.i", "smtp.mailfrom", "policy.dmarc"]
RESULTS = st.lists(
    st.builds(
        MethodResult,
        st.sampled_from(["spf", "dkim", "dmarc"]),
        st.sampled_from(["pass", "fail"]),
        NASTY,
        st.dictionaries(st.sampled_from(PROPERTIES), NASTY),
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(NASTY, RESULTS, st.sampled_from([b"\n", b"\r\n"]))
def test_no_value_adds_a_field_a_result_or_a_property(authserv_id, results, eol):
    raw = field(authserv_id, results, eol)
    (only,) = fields(raw + eol, 0, len(raw))
    assert only.name == b"authentication-results"
    _, found = independent(raw)
    assert [(method, result) for method, result, _ in found] == [(each.method, each.result) for each in results]
    for (_, _, pairs), each in zip(found, results, strict=True):
        names = [name for name, _ in pairs]
        assert names == [name for name in ("reason", *each.properties) if name in names]


@settings(max_examples=300, deadline=None)
@given(RESULTS)
def test_what_is_written_is_read_back_alike_by_our_reader_and_an_independent_one(results):
    raw = field(OURS, results, b"\n")
    authserv_id, read = parse(raw.partition(b":")[2])
    assert authserv_id == OURS
    expected = [
        (each.method, each.result, [("reason", each.reason)] * bool(each.reason) + list(each.properties.items()))
        for each in read
    ]
    assert independent(raw) == (OURS, expected)


@settings(max_examples=200, deadline=None)
@given(RESULTS)
def test_lines_stay_below_78_columns_where_values_have_blanks(results):
    for line in field(OURS, results, b"\n").decode().split("\n"):
        assert len(line.expandtabs()) <= COLUMNS or " " not in line.strip()


def test_the_field_reads_well():
    results = [
        MethodResult("spf", "pass", "", {"smtp.mailfrom": "joe@example.com"}),
        MethodResult("dkim", "fail", "the body has been changed", {"header.d": "example.com", "header.b": "AuUo/FEf"}),
        MethodResult("dmarc", "none", "", {"header.from": "example.com"}),
    ]
    assert field(OURS, results, b"\r\n") == (
        b"Authentication-Results: mail.example.net;\r\n"
        b"\tspf=pass smtp.mailfrom=joe@example.com;\r\n"
        b'\tdkim=fail reason="the body has been changed" header.d=example.com\r\n'
        b' header.b="AuUo/FEf";\r\n'
        b"\tdmarc=none header.from=example.com\r\n"
    )


def test_no_results_are_none():
    assert field(OURS, [], b"\n") == b"Authentication-Results: mail.example.net;\n\tnone\n"


def test_a_value_that_is_too_long_is_left_out_and_not_cut():
    raw = field(OURS, [MethodResult("dkim", "pass", "", {"header.d": "bank.example." + "x" * MAX_VALUE})], b"\n")
    assert independent(raw)[1] == [("dkim", "pass", [])]


def test_a_message_with_very_many_results_gets_a_field_of_bounded_size():
    raw = field(OURS, [MethodResult("dkim", "pass", "x" * 999)] * 1000, b"\n")
    assert len(independent(raw)[1]) == MAX_RESULTS


# Removal


def removed(header, authserv_id=OURS, **options):
    raw = header if isinstance(header, bytes) else header.encode()
    return [found.bytes for found in remove(list(fields(raw, 0, len(raw))), authserv_id, **options)]


@pytest.mark.parametrize(
    "header",
    [
        "Authentication-Results: mail.example.net; dmarc=pass",
        "AUTHENTICATION-results: MAIL.Example.NET; dmarc=pass",
        "Authentication-Results : mail.example.net; dmarc=pass",
        "Authentication-Results\r\n : mail.example.net; dmarc=pass",
        "Authenti\r\n cation-Results: mail.example.net; dmarc=pass",
        "Authentication-Results\0: mail.example.net; dmarc=pass",
        " Authentication-Results: mail.example.net; dmarc=pass",
        "Authentication-Results: mail.example.net.; dmarc=pass",
        "Authentication-Results: mail.example.net 1; dmarc=pass",
        "Authentication-Results: mail.example.net; none",
        "Authentication-Results: mail.example.net",
        "Authentication-Results:\r\n\tmail.example.net\r\n\t; dmarc=pass",
        'Authentication-Results: "mail.example.net"; dmarc=pass',
        'Authentication-Results: "mail\\.example.net"; dmarc=pass',
        'Authentication-Results: "mail.exam"ple.net; dmarc=pass',
        "Authentication-Results: (a comment) mail.example.net (b) 1; dmarc=pass",
        "Authentication-Results: (mail.example.net) other.example; dmarc=pass",
        "Authentication-Results: mail(x).example.net; dmarc=pass",
        "Authentication-Results: =?utf-8?q?mail.example.net?=; dmarc=pass",
        "Authentication-Results: ｍail.example.net; dmarc=pass",
        "Authentication-Results: mail。example.net; dmarc=pass",
        "Authentication-Results: dmarc=pass header.from=bank.example",
        "Authentication-Results: ; dmarc=pass",
        "Authentication-Results:",
        "Authentication-Results: other.example mail.example.net; dmarc=pass",
        "Authentication-Results: other.example, mail.example.net; dmarc=pass",
        "Authentication-Results: other.example; nonsense; mail.example.net; dmarc=pass",
        "Authentication-Results: other.example; dmarc=pass (",
        "Authentication-Results: other.example; dmarc=pass\rAuthentication-Results: mail.example.net; dmarc=pass",
        "Authentication-Results: other.example\0; dmarc=pass",
        "Authentication-Results: other.example 2; dmarc=pass",
        "Authentication-Results: other.example; dmarc=pass header.from=a header.from=b",
    ],
)
def test_our_own_name_in_any_disguise_and_what_cannot_be_read_is_removed(header):
    assert removed(header) == [header.encode()]


@pytest.mark.parametrize(
    "header",
    [
        "Authentication-Results: other.example; dmarc=pass header.from=example.com",
        (
            "Authentication-Results: mx.google.com;\r\n dkim=pass header.i=@a.example header.s=x header.b=ab/cd+e=;\r\n"
            " spf=pass (google.com: domain of a@b designates 192.0.2.1 as permitted sender) smtp.mailfrom=a@b"
        ),
        "Authentication-Results: notmail.example.net; dmarc=pass",
        "Authentication-Results: mail.example.net.evil.example; dmarc=pass",
        "Authentication-Results: other.example (comment) 1; none",
        'Authentication-Results: "other.example"; none;',
        "X-Authentication-Results: mail.example.net; dmarc=pass",
        "ARC-Authentication-Results: i=1; mail.example.net; dmarc=pass",
        "Received-SPF: pass (mail.example.net: x)",
        "Subject: Authentication-Results: mail.example.net; dmarc=pass",
    ],
)
def test_fields_of_others_stay(header):
    assert removed(header) == []


@pytest.mark.parametrize("own", ["mail.例え.example", "MAIL.xn--r8jz45g.example."])
def test_an_internationalized_name_is_ours_in_both_forms(own):
    assert (
        len(
            removed(
                "Authentication-Results: mail.xn--r8jz45g.example; none\r\nAuthentication-Results: mail.例え.example; none",
                own,
            )
        )
        == 2
    )


def test_other_fields_go_only_where_the_operator_asks():
    header = "X-Authentication-Results: mail.example.net; none\nX-Authentication-Results: other.example; none\nReceived-SPF: pass\n"
    assert removed(header, x_authentication_results=True) == [b"X-Authentication-Results: mail.example.net; none\n"]
    assert removed(header, received_spf=True) == [b"Received-SPF: pass\n"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                " ",
                "\t",
                "\r\n ",
                "(",
                ")",
                "(x)",
                '"',
                "\\",
                "mail.example.net",
                "MAIL.example.net.",
                "other.example",
                "mail",
                ".example.net",
                ";",
                "=",
                "dmarc=pass",
                " 1",
                "\0",
                "é",
                "none",
            ]
        ),
        max_size=10,
    ).map("".join)
)
def test_a_field_stays_only_when_a_naive_search_does_not_find_our_name_first(value):
    if not removed("Authentication-Results:" + value):
        head = re.sub(r'\([^()]*\)|[\s"\\]', "", value.partition(";")[0]).lower()
        assert head.rstrip(".") != OURS
        assert not re.match(r"\W*mail\.example\.net\W*$", value.partition(";")[0].lower())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_field_is_judged(value):
    removed(b"Authentication-Results:" + value)
    with contextlib.suppress(UnreadableField):
        parse(value)


@pytest.mark.parametrize(
    "value", [b"(" * 16000, b'"' * 16001, b'"\\' * 8000, b"a=b;" * 4000, b" " * 16000, b"=" * 16000, b"x" * 1_000_000]
)
def test_a_long_value_is_refused_in_reasonable_time(value):
    with pytest.raises(UnreadableField):
        parse(value)


# Other verifiers

ENTRY = b"Received: from client.example by mx.example.net; x\r\n"
REST = b"From: joe@example.com\r\n\r\n"


def ask(above, name, *, below=b"", author="example.com"):
    message = parse_message(above + ENTRY + below + REST)
    boundary = next(index for index, each in enumerate(message.fields) if each.name == b"received")
    result = trusted(message.fields, boundary, [name], author)
    return None if result is None else result.result


@pytest.mark.parametrize(
    ("above", "name", "expected"),
    [
        (EXCHANGE, "exchange-online", "pass"),
        (GOOGLE, "google", "pass"),
        (RSPAMD, "mx.example.net", "pass"),
        (RSPAMD, "MX.example.net.", "pass"),
        (OPENDKIM + OPENDMARC, "mx.example.net", "pass"),
        (OPENDKIM, "mx.example.net", None),
        (EXCHANGE, "google", None),
        (GOOGLE, "exchange-online", None),
        (GOOGLE, "mx.example.net", None),
        (EXCHANGE.replace(b"dmarc=pass", b"dmarc=fail"), "exchange-online", "fail"),
        (EXCHANGE.replace(b"dmarc=pass", b"dmarc=bestguesspass"), "exchange-online", None),
        (OPENDMARC + OPENDMARC, "mx.example.net", "pass"),
        (OPENDMARC + OPENDMARC.replace(b"pass", b"fail"), "mx.example.net", None),
        (OPENDMARC + OPENDMARC.replace(b"example.com", b"evil.example"), "mx.example.net", None),
        (OPENDMARC + b"Authentication-Results: mx.example.net; (\r\n", "mx.example.net", None),
    ],
)
def test_a_result_above_the_boundary_counts(above, name, expected):
    assert ask(above, name) == expected


@pytest.mark.parametrize(
    ("field_", "name"), [(EXCHANGE, "exchange-online"), (GOOGLE, "google"), (RSPAMD, "mx.example.net")]
)
def test_a_field_below_the_boundary_or_for_another_author_counts_for_nothing(field_, name):
    assert ask(b"", name, below=field_) is None
    assert ask(field_, name, author="bank.example") is None
