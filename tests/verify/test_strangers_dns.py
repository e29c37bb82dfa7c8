"""A stranger's name servers decide nothing about an author, cost no more than their share of time, and delay nobody else."""

from __future__ import annotations

import threading

import pytest
from arc_sets import seal as arc_seal
from signed_mail import FIELDS, MESSAGE, SELECTOR, record, sign
from verbs import NOW, RING, output
from verified_mail import FRIEND, STRANGER, judged, methods, options, zone

from mailguard.dns import OK, SERVFAIL, TIMEOUT, Answer
from mailguard.dns.files import Zone
from mailguard.dns.lookups import Lookups
from mailguard.envelope import Envelope
from mailguard.message.tree import parse
from mailguard.seal import field
from mailguard.verify import judgement as judgements
from mailguard.verify.organization import registered_domain

JUNK = b"DKIM-Signature: v=1; a=rsa-sha256; d=%b; s=s%d; h=from; bh=AAAA; b=AAAA\r\n"


class Dns:
    """A zone beside whose names everything below some domains fails, at once or when the time given for it is over."""

    def __init__(self, broken, status=SERVFAIL, text=None):
        self.zone = Zone(zone() if text is None else text)
        self.broken = broken
        self.status = status
        self.asked = []
        self.given = []
        self.over = threading.Event()

    def ask(self, name, rdtype, seconds):
        self.asked.append((name, rdtype))
        if not f".{name}".endswith(tuple(f".{domain}" for domain in self.broken)):
            return self.zone.ask(name, rdtype, seconds)
        if self.status == TIMEOUT:
            self.given.append(seconds)
            self.over.wait(seconds)
        return Answer(self.status)


def flags(raw, envelope, source, **changed):
    out = output(judged(raw, envelope, source=source, **changed))
    return methods(out)["dmarc"], field.read(parse(out), RING, NOW).verdict.flags


@pytest.mark.parametrize("status", [SERVFAIL, TIMEOUT])
@pytest.mark.parametrize("stranger", ["attack.com", "x.attack.com", "example.com.attack.com", "attack.example"])
def test_a_signature_that_cannot_be_judged_now_does_not_save_a_forger(monkeypatch, stranger, status):
    monkeypatch.setattr(judgements, "STRANGERS_SECONDS", 0.1)
    source = Dns(["attack.com", "attack.example"], status)
    assert flags(JUNK % (stranger.encode(), 1) + MESSAGE, STRANGER, source) == (["fail"], ())
    assert not [name for name, _ in source.asked if name.startswith("_dmarc.") and "attack" in name]


def test_a_sender_domain_that_cannot_be_judged_now_does_not_save_a_forger():
    source = Dns(["attack.com"])
    envelope = STRANGER | {"sender": "eve@bounce.attack.com", "client_helo": "mail.attack.com"}
    assert flags(MESSAGE, envelope, source) == (["fail"], ())
    assert not [name for name, _ in source.asked if name.startswith("_dmarc.") and "attack" in name]


def test_neighbours_below_one_public_suffix_are_strangers():
    text = "_dmarc.legit.co.uk TXT v=DMARC1; p=reject\nlegit.co.uk A 192.0.2.1\n"
    source = Dns(["attack.co.uk"], text=text)
    raw = JUNK % (b"attack.co.uk", 1) + MESSAGE.replace(b"joe@example.com", b"joe@legit.co.uk")
    assert flags(raw, STRANGER, source) == (["fail"], ())
    assert ("_dmarc.attack.co.uk", "TXT") not in source.asked


@pytest.mark.parametrize(
    ("signer", "author", "expected"),
    [
        ("mail.example.com", "example.com", "temperror"),
        ("example.com", "mail.example.com", "temperror"),
        ("news.example.com", "mail.example.com", "temperror"),
        ("notexample.com", "example.com", "fail"),
        ("example.com.attack.example", "example.com", "fail"),
    ],
)
def test_what_can_align_still_waits_for_its_own_servers(signer, author, expected):
    raw = JUNK % (signer.encode(), 1) + MESSAGE.replace(b"joe@example.com", f"joe@{author}".encode())
    result, found = flags(raw, STRANGER, Dns([f"_domainkey.{signer}"]))
    assert (result, found) == ([expected], ("temperror",) if expected == "temperror" else ())


def test_where_the_walk_of_the_author_fails_only_his_kin_is_undecided():
    text = zone().replace(
        "_dmarc.example.com       TXT  v=DMARC1; p=reject", "_dmarc.a.example.com TXT v=DMARC1; p=reject"
    )
    raw = MESSAGE.replace(b"joe@example.com", b"joe@a.example.com")
    own = Dns(["_dmarc.example.com"], text=text)
    assert flags(sign(raw), STRANGER, own)[0] == ["temperror"]
    foreign = Dns(["_dmarc.example.com"], text=text + f"test._domainkey.attack.com TXT {record().decode()}\n")
    assert flags(sign(raw, d="attack.com"), STRANGER, foreign)[0] == ["fail"]


# Silence


def crowded(raw):
    """Fill up to twenty signatures, and add fifty ARC sets of strangers whose name servers keep silent."""
    sets = []
    for instance in range(1, 51):
        raw, sets = arc_seal(raw, instance, before=sets, domain=b"a%d.silent.example" % instance)
    return b"".join(JUNK % (b"d%d.silent%d.example" % (number, number), number) for number in range(18)) + raw


SILENT = ["silent.example", *(f"silent{number}.example" for number in range(20))]


@pytest.mark.parametrize("changed", [{}, {"chain": True}, {"trusted_sealers": ["a50.silent.example"]}])
@pytest.mark.parametrize("raw", [sign(), sign(sign(h=FIELDS), d="mail.example.com"), MESSAGE])
def test_strangers_who_keep_silent_change_nothing_about_an_honest_message(monkeypatch, raw, changed):
    monkeypatch.setattr(judgements, "STRANGERS_SECONDS", 0.5)
    text = zone(f"test._domainkey.mail.example.com TXT {record().decode()}\n")
    source = Dns(SILENT, TIMEOUT, text)
    alone = judged(raw, FRIEND, text)
    case = judgements._Case(parse(crowded(raw)), Envelope(**FRIEND), options(source=source, **changed), NOW)
    found = case.judgement()
    assert (found.authenticated, found.undecided) == (alone.authenticated, False)
    own = [result.as_dict() for result in found.reported if result.method in {"spf", "dmarc", "iprev"}]
    assert own == [result for result in alone.results if result["method"] in {"spf", "dmarc", "iprev"}]
    # Whatever strangers are asked is on its way at once, and ends when their time does.
    assert max(source.given) <= 0.5
    assert case.lookups.rounds <= 3


def test_the_keys_of_a_chain_are_asked_for_only_where_somebody_wants_to_know():
    raw, _ = arc_seal(MESSAGE, 1)
    for changed, expected in (({}, False), ({"chain": True}, True), ({"trusted_sealers": ["x.example"]}, True)):
        source = Dns([])
        found = methods(output(judged(raw, STRANGER, source=source, **changed)))
        assert (("arc._domainkey.lists.example", "TXT") in source.asked, "arc" in found) == (expected, expected)


def test_a_chain_is_undecided_only_where_a_trusted_sealer_would_vouch():
    said = b"dmarc=pass header.from=example.com"
    raw, before = arc_seal(MESSAGE, 1, domain=b"silent.example", said=said)
    text = zone(f"arc._domainkey.lists.example TXT {record().decode()}\n")

    def undecided(raw, broken="silent.example"):
        return bool(flags(raw, STRANGER, Dns([broken], SERVFAIL, text), trusted_sealers=["lists.example"])[1])

    assert not undecided(raw)
    second, _ = arc_seal(raw, 2, before=before, domain=b"lists.example", said=said)
    assert undecided(second)
    # Nobody but the trusted sealer can bring a message into this state.
    assert not undecided(second.replace(b"Hi.", b"Ho."))
    assert not undecided(second.replace(b"i=2; lists.example; dmarc=pass", b"i=2; lists.example; dmarc=fail"))
    assert not undecided(
        arc_seal(raw, 2, before=before, domain=b"lists.example", said=b"dmarc=fail header.from=example.com")[0]
    )


def test_whose_servers_kept_silent_twice_is_asked_nothing_more():
    source = Dns(["attack.co.uk"], TIMEOUT, "legit.co.uk A 192.0.2.1\n")
    lookups = Lookups(source, seconds=0.3, owner=registered_domain)
    source.over.set()
    names = [f"{label}.attack.co.uk" for label in "abcde"]
    assert {lookups.query(name, "A").status for name in names} == {TIMEOUT}
    assert len(source.asked) == 2
    assert lookups.query("legit.co.uk", "A").status == OK


def test_what_ended_only_because_strangers_have_less_time_is_asked_again_for_the_author():
    source = Dns([], text="a.example A 192.0.2.1\n")
    lookups = Lookups(source)
    assert lookups.query("b.example", "A").status != TIMEOUT  # the time runs from the first question
    hurried = lookups.hurried(0.0)
    assert hurried.query("a.example", "A").status == TIMEOUT
    hurried.prefetch([("a.example", "A"), ("c.example", "A")])
    assert lookups.query("a.example", "A").status == OK


def test_a_message_leaves_no_question_under_way():
    source = Dns(["silent.example"], TIMEOUT)
    with Lookups(source, seconds=0.2) as lookups:
        lookups.prefetch([(f"n{number}.silent.example", "A") for number in range(3)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_an_answer_is_not_waited_for_by_who_does_not_need_it():
    source = Dns(["silent.example"], TIMEOUT)
    with Lookups(source) as lookups:
        lookups.prefetch([("x.silent.example", "A"), ("example.com", "TXT"), (SELECTOR, "TXT")])
        assert lookups.query("example.com", "TXT").status == OK  # would never return
        assert not source.over.is_set()
        source.over.set()
        assert lookups.query("x.silent.example", "A").status == TIMEOUT
