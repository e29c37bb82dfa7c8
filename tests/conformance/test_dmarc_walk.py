"""The tree walk by the examples of RFC 9989 (4.10, appendix B.4) and by its rules."""

from __future__ import annotations

import pytest
from signed_mail import Zone

from mailguard.verify.organization import walk, walk_questions, walk_targets

ELEVEN = "a.b.c.d.e.f.g.h.i.j.k.example.com"
PLAIN = b"v=DMARC1; p=reject"
BANK = {"_dmarc.bank.example": b"v=DMARC1; p=reject; psd=y", "_dmarc.giant.bank.example": b"v=DMARC1; p=quarantine"}
SIGNING = {"_dmarc.example.com": PLAIN, "_dmarc.signing.example.com": b"v=DMARC1; p=none"}


@pytest.mark.parametrize(
    ("domain", "zone", "organization", "place"),
    [
        ("example.com", SIGNING, "example.com", "example.com"),  # B.4.1
        ("signing.example.com", SIGNING, "example.com", "signing.example.com"),
        (ELEVEN, SIGNING, "example.com", "example.com"),  # B.4.2
        ("giant.bank.example", BANK, "giant.bank.example", "giant.bank.example"),  # B.4.3
        ("mail.giant.bank.example", BANK, "giant.bank.example", "giant.bank.example"),
        ("mail.mega.bank.example", BANK, "mega.bank.example", "bank.example"),
        ("bank.example", BANK, "bank.example", "bank.example"),
        ("a.mail.example.com", {"_dmarc.mail.example.com": PLAIN, **SIGNING}, "example.com", "example.com"),  # 4.10.2
        (
            "a.mail.example.com",
            {**SIGNING, "_dmarc.mail.example.com": b"v=DMARC1; p=none; psd=n"},
            "mail.example.com",
            "mail.example.com",
        ),
        ("a.mail.example.com", {"_dmarc.com": b"v=DMARC1; p=none; psd=y"}, "example.com", "com"),
        ("a.mail.example.com", {}, "a.mail.example.com", None),
        ("example.com", {"_dmarc.example.com": [PLAIN, PLAIN + b";"]}, "example.com", None),
        (
            "a.example.com",
            {"_dmarc.a.example.com": [PLAIN, PLAIN + b";"], "_dmarc.example.com": PLAIN},
            "example.com",
            "example.com",
        ),
        ("example.com", {"_dmarc.example.com": [b"v=spf1 -all", PLAIN]}, "example.com", "example.com"),
        ("example.com", {"_dmarc.example.com": b"v=DMARC2; p=reject"}, "example.com", None),
        ("example.com", {"_dmarc.example.com": b"v=DMARC1x; p=reject"}, "example.com", None),
        ("example.com", {"_dmarc.example.com": b"v=dmarc1; p=reject"}, "example.com", None),
    ],
)
def test_the_organization_and_the_place_of_the_policy(domain, zone, organization, place):
    found = walk(domain, Zone(zone))
    assert found.organizational_domain == organization
    assert (found.applicable[0] if found.applicable else None) == place


@pytest.mark.parametrize(
    ("domain", "targets"),
    [
        (
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            "g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
        ),
        (
            ELEVEN,
            "g.h.i.j.k.example.com h.i.j.k.example.com i.j.k.example.com j.k.example.com k.example.com example.com com",
        ),
        ("a.b.c.d.e.f.g.com", "b.c.d.e.f.g.com c.d.e.f.g.com d.e.f.g.com e.f.g.com f.g.com g.com com"),
        ("a.b.c.d.e.f.com", "b.c.d.e.f.com c.d.e.f.com d.e.f.com e.f.com f.com com"),
        ("example.com", "com"),
        ("com", ""),
    ],
)
def test_the_questions_in_their_order(domain, targets):
    resolver = Zone()
    walk(domain, resolver)
    expected = [(f"_dmarc.{name}", "TXT") for name in (domain, *targets.split())]
    assert resolver.asked == walk_questions(domain) == expected
    assert len(walk_targets(domain)) <= 8


def test_a_psd_tag_ends_the_walk():
    resolver = Zone({**BANK, "_dmarc.example": PLAIN})
    walk("mail.giant.bank.example", resolver)
    assert [name for name, _ in resolver.asked][-1] == "_dmarc.bank.example"


@pytest.mark.parametrize("status", ["SERVFAIL", "TIMEOUT"])
def test_a_failing_question_ends_the_walk_undecided(status):
    found = walk("a.example.com", Zone({"_dmarc.example.com": status, "_dmarc.com": PLAIN}))
    assert found.failed == "_dmarc.example.com"
    assert found.policies == []
