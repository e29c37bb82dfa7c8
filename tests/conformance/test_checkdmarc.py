"""checkdmarc as another judge of the same records; where the two differ, the difference is written down with its reason.

It runs in an environment of its own (.checkdmarc, made by tests/run), because it wants other libraries.
"""

from __future__ import annotations

import json
import subprocess

import pytest
from dns_server import DnsServer
from paths import ROOT

from mailguard.check import policies, sender_policy
from mailguard.check.outcome import FAILURE
from mailguard.dns.live import Nameservers
from mailguard.dns.lookups import Lookups

PYTHON = ROOT / ".checkdmarc" / "bin" / "python"

HOSTS = {
    "mx.test": [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")],
    "inc.test": [("TXT", b"v=spf1 ip4:192.0.2.1 a:mx.test -all")],
    "deep.test": [("TXT", b"v=spf1 include:inc.test include:inc.test include:inc.test -all")],
    "open.test": [("TXT", b"v=spf1 +all")],
    "many.test": [("TXT", b"v=spf1 " + b"a:mx.test " * 8 + b"-all")],
    "plain.test": [("A", "192.0.2.1")],
}

SPF = {
    "v=spf1 mx -all": None,
    "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/48 ~all": None,
    "v=spf1 a:mx.test/24 include:inc.test -all": None,
    "v=spf1 include:deep.test -all": None,
    "v=spf1 redirect=inc.test": None,
    "v=spf1 include:many.test include:inc.test -all": None,
    "v=spf1 a:g1.test a:g2.test -all": None,
    "v=spf1 a:g1.test a:g2.test a:g3.test -all": None,
    "v=spf1 include:gone.test -all": None,
    "v=spf1 include:plain.test -all": None,
    "v=spf1 ip4:192.0.2.300 -all": None,
    "v=spf1 ipv4:192.0.2.1 -all": None,
    "v=spf1 ip4:2001:db8::1 -all": None,
    "v=spf1 foo:bar -all": None,
    "v=spf1 mx": None,
    "v=spf1 mx ?all": "checkdmarc accepts what protects nobody; here that is a warning, and a warning is no failure",
    "v=spf1 +all": "checkdmarc calls a record valid that lets everybody send; here that is a veto",
    "v=spf1 include:open.test -all": "the same, one include away",
    "v=spf1 a:g1.test a:g2.test a:g3.test +all": None,
}

DMARC = {
    "v=DMARC1; p=reject; rua=mailto:d@{domain}": None,
    "v=DMARC1; p=quarantine; sp=reject; np=reject; rua=mailto:d@{domain}": None,
    "v=DMARC1; p=none": None,
    "v=DMARC1; p=reject; t=y": None,
    "v=DMARC1; p=forbid": None,
    "v=DMARC1; p=reject; sp=forbid": None,
    "v=DMARC2; p=reject": None,
    "p=reject; v=DMARC1": None,
}

TLS_REPORTS = {
    "v=TLSRPTv1; rua=mailto:t@good.test": None,
    "v=TLSRPTv1; rua=https://good.test/r": None,
    "v=TLSRPTv1;rua=mailto:t@good.test,https://good.test/r": None,
    "v=TLSRPTv1": None,
    "v=TLSRPTv1; rua=ftp://good.test": None,
    "v=TLSRPTv2; rua=mailto:t@good.test": None,
}

PROGRAM = """
import json, sys
import dns.resolver
import checkdmarc.dmarc, checkdmarc.smtp_tls_reporting, checkdmarc.spf

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], int(sys.argv[1])
judges = {
    "spf": checkdmarc.spf.check_spf,
    "dmarc": checkdmarc.dmarc.check_dmarc,
    "tlsrpt": checkdmarc.smtp_tls_reporting.check_smtp_tls_reporting,
}
found = {}
for domain in json.load(sys.stdin):
    found[domain] = judges[domain.split("-")[0]](domain, resolver=resolver, timeout=5.0)
json.dump(found, sys.stdout, default=str)
"""


def zone():
    """Every record at a domain of its own."""
    records = dict(HOSTS)
    for number, text in enumerate(SPF):
        records[f"spf-{number}.test"] = [("TXT", text.encode()), ("MX", (10, "mx.test"))]
    for number, text in enumerate(DMARC):
        domain = f"dmarc-{number}.test"
        records[domain] = [("MX", (10, "mx.test"))]
        records[f"_dmarc.{domain}"] = [("TXT", text.format(domain=domain).encode())]
    for number, text in enumerate(TLS_REPORTS):
        records[f"tlsrpt-{number}.test"] = [("MX", (10, "mx.test"))]
        records[f"_smtp._tls.tlsrpt-{number}.test"] = [("TXT", text.encode())]
    records["good.test"] = [("MX", (10, "mx.test"))]  # takes the reports
    return records


@pytest.fixture(scope="module")
def judged():
    """What both say: {domain: (ours, theirs)}."""
    if not PYTHON.exists():
        pytest.skip(f"checkdmarc is not there: {PYTHON} (made by tests/run)")
    records = zone()
    domains = [name for name in records if name.split("-")[0] in {"spf", "dmarc", "tlsrpt"}]
    with DnsServer(records) as server:
        program = [PYTHON, "-c", PROGRAM, str(server.port)]
        result = subprocess.run(
            program, input=json.dumps(domains).encode(), capture_output=True, check=False, timeout=120
        )
        assert result.returncode == 0, result.stderr.decode()
        theirs = json.loads(result.stdout)
        resolver = Lookups(Nameservers([server.address]), questions=5000)
        judges = {
            "spf": lambda domain: sender_policy.check(domain, resolver),
            "dmarc": lambda domain: policies.dmarc(domain, resolver),
            "tlsrpt": lambda domain: [policies.tlsrpt(domain, resolver)],
        }
        return {domain: (judges[domain.split("-")[0]](domain), theirs[domain]) for domain in domains}


def failed(outcomes):
    return any(outcome.state == FAILURE for outcome in outcomes)


@pytest.mark.parametrize("number", range(len(SPF)), ids=list(SPF))
def test_spf_records_are_valid_for_both_or_for_neither(judged, number):
    ours, theirs = judged[f"spf-{number}.test"]
    difference = list(SPF.values())[number]
    if difference and failed(ours):
        assert theirs["valid"], "they agree now"
    else:
        assert failed(ours) is not theirs["valid"], theirs


@pytest.mark.parametrize("number", range(len(SPF)), ids=list(SPF))
def test_lookups_and_voids_are_counted_alike(judged, number):
    ours, theirs = judged[f"spf-{number}.test"]
    values = ours[0].values
    if theirs["valid"]:  # it stops counting at the first error
        assert int(values["lookups"]) == theirs["dns_lookups"]
        assert int(values["voids"]) == theirs["void_dns_lookups"]


@pytest.mark.parametrize("number", range(len(DMARC)), ids=list(DMARC))
def test_dmarc_records_are_valid_for_both_or_for_neither(judged, number):
    ours, theirs = judged[f"dmarc-{number}.test"]
    assert failed(ours) is not theirs["valid"], theirs


@pytest.mark.parametrize("number", range(len(TLS_REPORTS)), ids=list(TLS_REPORTS))
def test_tls_report_records_are_valid_for_both_or_for_neither(judged, number):
    ours, theirs = judged[f"tlsrpt-{number}.test"]
    asked_for = ours[0].reason == "good"
    assert asked_for is theirs["valid"], theirs
