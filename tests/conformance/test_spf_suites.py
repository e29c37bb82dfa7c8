"""The openspf suites for RFC 7208 and RFC 4408: from memory, over DNS on loopback, and with faults on the way."""

from __future__ import annotations

import pytest
from dns_server import DROP, SERVFAIL, DnsServer
from paths import SUITES

from mailguard.dns import NODATA, NXDOMAIN, OK, TIMEOUT, Answer
from mailguard.dns.live import Nameservers
from mailguard.dns.lookups import Lookups
from mailguard.envelope import Envelope
from mailguard.verify import spf

yaml = pytest.importorskip("yaml")
SPF = SUITES / "spf"
NUMBER = {"rfc7208": 203, "rfc4408": 191}


def scenarios(suite):
    path = SPF / f"{suite}-tests.yml"
    if not path.exists():
        pytest.skip(f"the published suite is not here: {path} (set MAILGUARD_SUITES)")
    return list(yaml.safe_load_all(path.read_bytes()))


def zone_of(scenario, *, timeout=DROP):
    """Return the zone data in the form of `DnsServer`; SPF records stand for TXT where a name has no TXT entry."""
    zone = {}
    for name, entries in (scenario.get("zonedata") or {}).items():
        has_text = any(isinstance(entry, dict) and "TXT" in entry for entry in entries)
        records = zone.setdefault(name.lower().rstrip("."), [])
        for entry in entries:
            if isinstance(entry, str):
                records.append(("*", timeout))
                continue
            ((kind, value),) = entry.items()
            if (kind == "SPF" and has_text) or value == "NONE":
                continue
            kind = "TXT" if kind == "SPF" else kind
            records.append((kind, timeout if value == "TIMEOUT" else _value(kind, value)))
    return zone


def _value(kind, value):
    if kind != "TXT":
        return tuple(value) if kind == "MX" else value
    strings = [value] if isinstance(value, str) else value
    return [string.encode("latin-1") for string in strings]


class Memory:
    """A source of the answers that a `DnsServer` with this zone would give."""

    def __init__(self, zone):
        self.server = DnsServer(zone)

    def ask(self, name, rdtype, seconds):
        rcode, records = self.server._records(name.encode("latin-1"), rdtype)
        if rcode is None:
            return Answer(TIMEOUT)
        values = [self._record(kind, value) for _, kind, value in records if kind == rdtype]
        if rcode == 3:
            return Answer(NXDOMAIN)
        return Answer(OK, values, 60) if values else Answer(NODATA)

    @staticmethod
    def _record(kind, value):
        return (
            b"".join(value)
            if kind == "TXT"
            else (value[0], value[1].rstrip("."))
            if kind == "MX"
            else value.rstrip(".")
        )


def differences(scenario, source, expect=lambda case: case):
    """Return a line for every case whose result or explanation is not the suite's."""
    found = []
    for name, case in scenario["tests"].items():
        envelope = Envelope(client_address=case["host"], client_helo=case["helo"], sender=case["mailfrom"])
        result = spf.check(envelope, Lookups(source, seconds=60), 1e9, seconds=60)[0]
        expected = case["result"] if isinstance(case["result"], list) else [case["result"]]
        if result.result not in expected:
            found.append(f"{name}: {result} instead of {expected}")
        if case.get("explanation") not in {None, result.explanation or "DEFAULT"}:
            found.append(f"{name}: explanation {result.explanation!r} instead of {case['explanation']!r}")
    return found


@pytest.mark.parametrize("suite", NUMBER)
def test_every_case_of_the_suite_is_judged_as_published(suite):
    every = scenarios(suite)
    assert sum(len(scenario["tests"]) for scenario in every) == NUMBER[suite]
    assert [line for scenario in every for line in differences(scenario, Memory(zone_of(scenario)))] == []


@pytest.mark.e2e
@pytest.mark.parametrize("fault", [DROP, SERVFAIL])
@pytest.mark.parametrize("suite", NUMBER)
def test_every_case_is_judged_as_published_over_dns_whether_timeouts_are_silence_or_failures(suite, fault):
    found = []
    for scenario in scenarios(suite):
        with DnsServer(zone_of(scenario, timeout=fault)) as server:
            found += differences(scenario, Nameservers([server.address], timeout=0.5 if fault == DROP else 3.0))
    assert found == []


@pytest.mark.e2e
@pytest.mark.parametrize("fault", [{"drop_first": 1}, {"truncate": True}, {"forge": True}])
def test_every_case_is_judged_as_published_through_losses_truncation_and_forged_answers(fault):
    found = []
    for scenario in scenarios("rfc7208"):
        with DnsServer(zone_of(scenario, timeout=SERVFAIL), **fault) as server:
            found += differences(scenario, Nameservers([server.address], timeout=0.9))
    assert found == []


@pytest.mark.e2e
@pytest.mark.parametrize("fault", [DROP, SERVFAIL])
def test_without_a_working_dns_the_result_is_temperror_and_never_anything_else_for_a_domain_name(fault):
    with DnsServer({}) as server:
        server._records = lambda *_: (None if fault == DROP else 2, [])
        source = Nameservers([server.address], timeout=0.05)
        for scenario in scenarios("rfc7208")[:: 7 if fault == DROP else 1]:
            for case in scenario["tests"].values():
                envelope = Envelope(client_address=case["host"], client_helo=case["helo"], sender=case["mailfrom"])
                for result in spf.check(envelope, Lookups(source), 1e9):
                    assert result.result == ("temperror" if result.domain else "none"), result
