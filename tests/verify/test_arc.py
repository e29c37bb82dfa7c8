"""ARC chains: what they say, and what they cannot do.  The published suite is in conformance/test_arc_suite.py."""

from __future__ import annotations

import pytest
from arc_sets import KEY, seal
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_mail import MESSAGE, Zone, record

from mailguard.message.tree import parse
from mailguard.verify import arc


def chain(length):
    raw, sets = MESSAGE, []
    for instance in range(1, length + 1):
        raw, sets = seal(raw, instance, before=sets)
    return raw


def verify(raw, published=None):
    return arc.verify(parse(raw), Zone({KEY: record() if published is None else published}))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_an_intact_chain_passes_and_names_its_sealers(length):
    found = verify(chain(length))
    assert found.result == "pass"
    assert [(sealer.instance, sealer.domain, sealer.cv) for sealer in found.sealers] == [
        (instance, "lists.example", "none" if instance == 1 else "pass") for instance in range(1, length + 1)
    ]
    assert found.sealers[0].results == b"lists.example; dkim=pass header.d=example.com"
    assert found.as_result().as_dict()["properties"] == {"header.d": "lists.example"}


def test_no_chain_is_none():
    assert verify(MESSAGE).result == "none"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Subject:", b"Subject: forged", "ARC-Message-Signature does not verify"),
        (b"Hi.", b"Ho.", "body"),
        (b"dkim=pass", b"dkim=fail", "seal 2 does not verify"),
        (b"cv=pass", b"cv=none", "cv=none cannot stand in set 2"),
        (b"cv=pass", b"cv=fail", "found the chain broken"),
        (b"i=2;", b"i=3;", "missing"),
        (b"i=2;", b"i=51;", "between 1 and 50"),
        (b"i=2;", b"i=x;", "between 1 and 50"),
        (b"i=2;", b"i=1;", "two "),
        (b"rsa-sha256", b"rsa-sha1", "historic"),
        (b"d=lists.example", b"d=lists..example", "d= is not a domain name"),
    ],
)
def test_a_changed_chain_fails_with_the_reason(old, new, reason):
    found = verify(chain(2).replace(old, new))
    assert (found.result, reason in found.reason) == ("fail", True), found.reason
    assert found.as_result().properties == {}


@pytest.mark.parametrize(("published", "temporary"), [("SERVFAIL", True), ("TIMEOUT", True), (b"v=DKIM1; p=", False)])
def test_an_unanswered_question_is_no_pass_and_marked(published, temporary):
    found = verify(chain(1), published)
    assert (found.result, found.temporary) == ("fail", temporary)


@pytest.mark.parametrize("instance", [b"i=1 ;", b"i =1;", b"\r\n\ti=1;", b"i=\r\n 1\r\n ;"])
def test_blanks_around_the_instance_are_read(instance):
    raw = chain(1).replace(b"ARC-Message-Signature: i=1;", b"ARC-Message-Signature: " + instance)
    assert verify(raw).reason == "the last ARC-Message-Signature does not verify" or verify(raw).result == "pass"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_change_of_a_seal_or_of_results_keeps_a_pass(data):
    raw = chain(2)
    end = raw.index(b"From:")
    at = data.draw(st.integers(0, end - 1))
    octet = data.draw(st.integers(33, 126).filter(lambda number: bytes([number]).lower() != raw[at : at + 1].lower()))
    if raw[at : at + 1].isspace() or raw[at - 1 : at + 2].strip() != raw[at - 1 : at + 2]:
        return
    assert verify(raw[:at] + bytes([octet]) + raw[at + 1 :]).result != "pass"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"ARC-Seal:",
                b"ARC-Message-Signature:",
                b"ARC-Authentication-Results:",
                b" i=1;",
                b" a=rsa-sha256;",
                b" b=AAAA;",
                b" bh=AAAA;",
                b" cv=none;",
                b" d=x.example;",
                b" s=x;",
                b" h=from;",
                b"\r\n",
                b"\0",
                b"\xff",
                b"l=99;",
            ]
        ),
        max_size=40,
    ).map(b"".join)
)
def test_any_fields_give_a_result_and_never_crash(raw):
    assert verify(raw).result in {"none", "fail"}
    arc.keys(parse(raw))
