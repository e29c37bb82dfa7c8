"""Our own proof of DNSSEC: every state has its name, and nothing that is not proved is secure."""

from __future__ import annotations

import dns.rdatatype
import dns.rrset
import pytest
from check_lab import Dns
from check_signed import Signed

from mailguard.check import chain, repairs, zones
from mailguard.check.changes import Changed
from mailguard.check.outcome import Outcome
from mailguard.check.scene import Scene
from mailguard.dns.lookups import Lookups

NOW = 1_790_000_000
SOA = "{} SOA ns.{} h.{} 1 1 1 1 1\n{} NS ns.test.\n"


def zone(name, text=""):
    return "$TTL 300\n" + SOA.replace("{}", name) + text


ZONES = {
    ".": "$TTL 300\n. SOA ns. h. 1 1 1 1 1\n. NS ns.test.\ntest. NS ns.test.\n",
    "test": zone("test.", "good.test. NS ns.test.\nplain.test. NS ns.test.\nns.test. A 192.0.2.1\n"),
    "good.test": zone(
        "good.test.",
        "good.test. MX 10 mx.good.test.\nmx.good.test. A 192.0.2.2\nalias.good.test. CNAME mx.good.test.\n"
        "*.wild.good.test. TXT w\na.b.c.good.test. TXT x\nout.good.test. CNAME x.plain.test.\n",
    ),
    "plain.test": zone("plain.test.", "plain.test. MX 10 mx.plain.test.\nx.plain.test. A 192.0.2.9\n"),
}


def made(**options):
    return Signed(ZONES, NOW, **({"unsigned": ("plain.test",)} | options))


_MADE = {}


def proof(name, rdtype, **options):
    signed = _MADE.setdefault(repr(options), None) or made(**options)
    _MADE[repr(options)] = signed
    return chain.Validator(signed, NOW, signed.anchors).prove(name, rdtype)


HASHED = [(), ("test", "good.test"), (".", "test", "good.test")]


@pytest.mark.parametrize("hashed", HASHED, ids=["NSEC", "NSEC3", "NSEC3 from the root"])
@pytest.mark.parametrize(
    ("name", "rdtype", "state"),
    [
        ("good.test", "MX", "secure"),
        ("mx.good.test", "A", "secure"),
        ("mx.good.test", "AAAA", "secure"),  # there is none
        ("alias.good.test", "A", "secure"),
        ("_25._tcp.mx.good.test", "TLSA", "secure"),
        ("gone.good.test", "A", "secure"),
        ("x.y.gone.good.test", "A", "secure"),
        ("b.c.good.test", "A", "secure"),  # only because something is below it
        ("any.wild.good.test", "TXT", "secure"),
        ("x.any.wild.good.test", "TXT", "secure"),
        ("any.wild.good.test", "A", "secure"),
        ("wild.good.test", "A", "secure"),
        ("plain.test", "MX", "insecure"),
        ("mx.plain.test", "A", "insecure"),
        ("out.good.test", "A", "insecure"),
        ("gone.test", "MX", "secure"),
        ("gone", "MX", "secure"),
    ],
)
def test_what_is_signed_is_secure_also_that_there_is_nothing(name, rdtype, state, hashed):
    found = proof(name, rdtype, hashed=hashed)
    assert (found.state, found.reason) == (state, "" if state == "secure" else "unsigned"), found.detail
    assert (found.ends == NOW + 10 * 86400) == (state == "secure")


def test_with_opt_out_a_zone_without_ds_is_insecure():
    found = proof("plain.test", "MX", hashed=("test",), optout=("test",))
    assert (found.state, found.reason) == ("insecure", "unsigned")
    assert proof("good.test", "MX", hashed=("test",), optout=("test",)).state == "secure"


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ({"lifetimes": {"good.test": (NOW - 90 * 86400, NOW - 2 * 86400)}}, "bogus", "expired"),
        ({"lifetimes": {"good.test": (NOW + 86400, NOW + 9 * 86400)}}, "bogus", "early"),
        ({"lifetimes": {"test": (NOW - 90 * 86400, NOW - 2 * 86400)}}, "bogus", "expired"),
        ({"other_ds": ("good.test",)}, "bogus", "keys"),
        ({"unsigned": ("good.test", "plain.test")}, "insecure", "unsigned"),
        ({"undelegated": ("good.test",)}, "insecure", "no-ds"),
        ({"lifetimes": {".": (NOW - 90 * 86400, NOW - 2 * 86400)}}, "bogus", "expired"),
    ],
)
def test_each_fault_of_a_chain_has_a_name(options, state, reason):
    found = proof("good.test", "MX", **options)
    assert (found.state, found.reason) == (state, reason)


def test_of_a_zone_without_ds_it_is_said_which_and_that_makes_it_secure():
    signed = made(undelegated=("good.test",))
    validator = chain.Validator(signed, NOW, signed.anchors)
    found = validator.prove("good.test", "MX")
    assert (found.zone, found.ds) == ("good.test", [signed.ds("good.test")])
    assert validator.prove("good.test", "MX", {"good.test": found.ds}).state == "secure"
    assert validator.prove("good.test", "MX", {"good.test": ["1 13 2 " + "00" * 32]}).state == "bogus"


def changed(edit):
    signed = made()
    signed.change = lambda response: edit(response) or response
    return chain.Validator(signed, NOW, signed.anchors)


def without(kind):
    def edit(response):
        for section in (response.answer, response.authority):
            section[:] = [each for each in section if each.rdtype != kind]

    return edit


def asked_for(response, name):
    return response.question[0].name.to_text() == name


def test_who_takes_signatures_away_hides_the_state_and_makes_no_fault():
    assert changed(without(dns.rdatatype.RRSIG)).prove("good.test", "MX").state == "unknown"
    assert changed(lambda _: None).prove("good.test", "MX").state == "secure"
    nobody = chain.Validator(lambda *_: None, NOW, made().anchors)
    assert nobody.prove("good.test", "MX").state == "unknown"


def test_records_that_lost_their_signature_or_were_changed_are_bogus():
    def stripped(response):
        if asked_for(response, "good.test."):
            response.answer[:] = [each for each in response.answer if each.covers != dns.rdatatype.MX]

    def forged(response):
        for number, each in enumerate(response.answer):
            if each.rdtype == dns.rdatatype.MX:
                response.answer[number] = dns.rrset.from_text("good.test.", 300, "IN", "MX", "5 evil.test.")

    def undenied(response):
        if asked_for(response, "plain.test."):
            without(dns.rdatatype.NSEC)(response)

    def denied(response):  # a forged "there is none" with a proof about other names
        if asked_for(response, "mx.good.test.") and response.question[0].rdtype == dns.rdatatype.A:
            response.answer.clear()
            other = made()("gone.good.test", "A")
            response.authority[:] = other.authority

    assert changed(stripped).prove("good.test", "MX").reason == "unsigned-records"
    assert changed(forged).prove("good.test", "MX").reason == "signature"
    assert changed(undenied).prove("plain.test", "MX").reason == "denial"
    assert changed(denied).prove("mx.good.test", "A").reason == "denial"


def test_a_wildcard_does_not_stand_for_a_name_that_is_there():
    """RFC 4035 5.3.4: the records of a wildcard under another name, without proof that this one does not exist."""

    def replayed(response):
        if asked_for(response, "any.wild.good.test."):
            response.authority.clear()

    assert changed(replayed).prove("any.wild.good.test", "TXT").reason == "denial"


@pytest.mark.parametrize("kind", [dns.rdatatype.DNSKEY, dns.rdatatype.NSEC, dns.rdatatype.DS])
def test_nothing_that_is_left_out_makes_anything_secure(kind):
    states = {
        changed(without(kind)).prove(name, rdtype).state
        for name, rdtype in (("plain.test", "MX"), ("gone.good.test", "A"))
    }
    assert states <= {"bogus", "unknown", "insecure"}


def test_the_anchors_of_the_root_are_shipped():
    assert {text.split()[0] for text in chain.root_anchors()} == {"20326", "38696"}


def test_what_is_asked_is_bounded_and_asked_once():
    signed = made()
    validator = chain.Validator(signed, NOW, signed.anchors)
    for number in range(300):
        validator.prove(f"x{number}.good.test", "A")
    assert len(signed.asked) == len(set(signed.asked)) <= 120
    assert validator.prove("y.good.test", "A").state == "unknown"


SAID = {
    "good": Outcome("dnssec.domain", "good", "good"),
    "bogus": Outcome("dnssec.domain", "failure", "bogus"),
    "unvalidated": Outcome("dnssec.domain", "unknown", "unvalidated"),
    "unsigned": Outcome("dnssec.domain", "warning", "unsigned"),
}


@pytest.mark.parametrize(
    ("options", "said", "expected"),
    [
        ({}, "unvalidated", ("good", "good")),
        ({}, "good", ("good", "good")),
        ({}, "bogus", ("failure", "bogus")),  # the stricter counts
        ({"lifetimes": {"good.test": (NOW - 86400, NOW + 3 * 3600)}}, "good", ("warning", "ending")),
        ({"lifetimes": {"good.test": (NOW - 86400, NOW + 86400)}}, "good", ("good", "good")),
        ({"lifetimes": {"good.test": (NOW - 9 * 86400, NOW - 86400)}}, "bogus", ("failure", "bogus-expired")),
        ({"undelegated": ("good.test",)}, "unsigned", ("warning", "no-ds")),
        ({"other_ds": ("good.test",)}, "unvalidated", ("failure", "bogus-keys")),
        ({"change": without(dns.rdatatype.RRSIG)}, "unvalidated", ("unknown", "unvalidated")),
    ],
)
def test_our_proof_and_the_word_of_the_name_server(options, said, expected):
    edit = options.pop("change", None)
    signed = made(**options)
    if edit:
        signed.change = lambda response: edit(response) or response
    found = zones.proved(SAID[said], chain.Validator(signed, NOW, signed.anchors).prove("good.test", "MX"), NOW)
    assert (found.state, found.reason) == expected


def test_the_ds_record_is_a_repair_that_is_tried():
    signed = made(undelegated=("good.test",))
    validator = chain.Validator(signed, NOW, signed.anchors)
    outcome = zones.proved(SAID["unsigned"], validator.prove("good.test", "MX"), NOW)
    scene = Scene("good.test", Lookups(Dns("good.test MX 10 mx.good.test")), [outcome], NOW)
    [repair] = repairs.candidates(outcome, scene)
    assert repair.after() == f"good.test. IN DS {signed.ds('good.test')}"
    changed_dns = Changed(scene.resolver, repair.changes)
    assert validator.prove("good.test", "MX", changed_dns.records("DS")).state == "secure"
