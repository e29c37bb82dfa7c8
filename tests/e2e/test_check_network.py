"""The whole diagnosis against real servers, with every expected result."""

from __future__ import annotations

import json
import sys

import pytest
from check_network import EXIM, OPENSMTPD, Network, laboratory, settings

from mailguard.check import catalogue, control
from mailguard.check.report import Report


@pytest.fixture(scope="module")
def network():
    with laboratory(files=(EXIM, OPENSMTPD)) as (folder, key):
        proofs = {name: control.token(name, key) for name in ("good.test", "bad.test", "small.test")}
        with Network(folder, proofs) as made:
            yield made


def scanned(network, domain, *options):
    program = [sys.executable, "-m", "mailguard", "check", "scan", domain, "--lab", "--nameserver", "127.0.0.1"]
    program += ["--ca-file", network.authority.file, "--key-file", network.folder / "key", "--timeout", "120"]
    result = network.run([*program, "--blocklist", "bl.test", "--json", *options], capture_output=True, text=True)
    assert result.stderr == ""
    report = Report.from_dict(json.loads(result.stdout))
    assert result.returncode == report.verdict.status
    return report


def found(report, *, host=None):
    """State and reason by check, of the outcomes that are not good; of one host, or of all."""
    return {
        (outcome.check, outcome.state, outcome.reason)
        for outcome in report.outcomes
        if outcome.state != "good" and host in {None, outcome.subject}
    }


def test_a_good_domain_is_safe_in_everything_that_can_be_checked(network):
    report = scanned(network, "good.test")
    assert found(report) == {
        ("ipv6", "warning", "missing"),  # Exim has no IPv6 address here
        ("requiretls", "not-applicable", "absent"),
    }, [outcome for outcome in report.outcomes if outcome.state != "good"]
    assert (report.verdict.code, report.verdict.status) == ("safe", 0)
    assert {server.tls for server in report.servers} == {"TLSv1.3"}
    reachable = {(outcome.subject, outcome.state) for outcome in report.outcomes if outcome.check == "mx.reach"}
    assert reachable == {("mx.good.test", "good"), ("mx2.good.test", "good")}
    assert {outcome.check for outcome in report.outcomes} >= set(network_checks())


def network_checks():
    """Every check that a scan can make."""
    from mailguard.check.visits import SERVER_CHECKS

    return (
        *SERVER_CHECKS, "mx.exists", "ipv6", "mtasts.record", "mtasts.policy", "mtasts.match", "tlsrpt", "spf", "dmarc",
        "bimi", "dnssec.domain", "dnssec.mx", "ns", "caa", "mx.ptr", "dnsbl.ip",
    )  # fmt: skip


def test_a_bad_domain_is_dangerous_and_every_fault_is_named(network):
    report = scanned(network, "bad.test")
    assert found(report) == {
        ("mx.exists", "failure", "unresolved"),
        ("ipv6", "warning", "missing"),
        ("tls.versions", "warning", "old"),
        ("tls.ciphers", "warning", "short-prime"),
        ("tls.cert", "warning", "expired"),
        ("tls.cert", "warning", "self-signed"),
        ("tls.cert", "warning", "name"),
        ("tls.cert", "warning", "weak-key"),
        ("mtasts.policy", "failure", "unfetched"),
        ("mtasts.match", "not-applicable", "no-policy"),
        ("tlsrpt", "warning", "missing"),
        ("dane.tlsa", "warning", "unsigned"),
        ("requiretls", "not-applicable", "absent"),
        ("relay", "failure", "open"),
        ("vrfy", "warning", "leak"),
        ("banner", "warning", "version"),
        ("spf", "failure", "pass-all"),
        ("spf", "failure", "voids"),
        ("dmarc", "warning", "none"),
        ("dmarc", "warning", "foreign-reports"),
        ("bimi", "not-applicable", "absent"),
        ("dnssec.domain", "warning", "unsigned"),
        ("dnssec.mx", "warning", "unsigned"),
        ("ns", "warning", "single"),
        ("caa", "warning", "missing"),
        ("mx.ptr", "warning", "mismatch"),
        ("dnsbl.ip", "failure", "listed"),
    }
    assert (report.verdict.code, report.verdict.status) == ("danger", 2)
    assert {server.software for server in report.servers} == {"postfix"}


def test_the_repairs_of_the_catalogue_repair_the_bad_server(network):
    report = scanned(network, "bad.test")
    before = found(report, host="mx.bad.test")
    repaired = {"tls.versions", "tls.ciphers", "vrfy", "banner", "relay"}
    assert repaired <= {check for check, _, _ in before}
    for outcome in report.outcomes:
        if outcome.check in repaired:
            line = catalogue.repair_lines(outcome, "bad.test", "postfix")["postfix"]
            for setting in settings(line):
                assert network.run(["postconf", "-c", network.bad, "-e", setting]).returncode == 0
    # Who asks is no longer one of its own.
    assert network.run(["postconf", "-c", network.bad, "-e", "mynetworks=127.0.0.99/32"]).returncode == 0
    network.postfix(network.bad, "reload")
    after = found(scanned(network, "bad.test"), host="mx.bad.test")
    assert before - after == {each for each in before if each[0] in repaired}
    assert after < before


def test_a_wrong_tlsa_record_in_a_signed_zone_is_dangerous(network):
    report = scanned(network, "wrong.test")
    assert found(report) == {
        ("ipv6", "warning", "missing"),
        ("tls.cert", "warning", "name"),
        ("mtasts.record", "warning", "missing"),
        ("mtasts.policy", "not-applicable", "no-record"),
        ("mtasts.match", "not-applicable", "no-policy"),
        ("tlsrpt", "warning", "missing"),
        ("dane.tlsa", "failure", "mismatch"),
        ("requiretls", "not-applicable", "absent"),
        ("relay", "not-applicable", "not-proven"),
        ("vrfy", "not-applicable", "not-proven"),
        ("rcpt.unknown", "warning", "accepted"),
        ("postmaster", "warning", "refused"),
        ("abuse", "warning", "refused"),
        ("spf", "failure", "missing"),
        ("dmarc", "failure", "missing"),
        ("bimi", "not-applicable", "absent"),
        ("caa", "warning", "missing"),
    }
    assert (report.verdict.code, report.verdict.status) == ("danger", 2)


def test_a_server_that_offers_encryption_but_cannot_do_it_is_found(network):
    """OpenSMTPD of Debian 12 fails in each handshake that goes to its end: its private key is in another process."""
    report = scanned(network, "small.test")
    assert found(report, host="mx.small.test") == {
        ("ipv6", "warning", "missing"),
        ("tls.starttls", "failure", "handshake"),
        ("tls.ciphers", "warning", "fading"),
        ("tls.cert", "unknown", "broken"),
        ("dane.tlsa", "not-applicable", "missing"),
        ("requiretls", "not-applicable", "no-starttls"),
        ("dnssec.mx", "warning", "unsigned"),
        ("caa", "warning", "missing"),
    }
    assert (report.verdict.code, report.verdict.status) == ("mail-system", 2)
    assert {server.software for server in report.servers} == {"opensmtpd"}


def test_damaged_signatures_are_told_from_a_server_that_fails(network):
    outcomes = found(scanned(network, "bogus.test"))
    assert outcomes >= {("dnssec.domain", "failure", "bogus"), ("mx.exists", "unknown", "dns-failed")}


def test_a_list_that_refuses_us_is_unknown(network):
    report = scanned(network, "bad.test", "--blocklist", "dead.test")
    (outcome,) = (each for each in report.outcomes if each.check == "dnsbl.ip")
    assert "dead.test: silent" in outcome.evidence
    assert "bl.test: listed" in outcome.evidence


def test_without_the_laboratory_option_no_address_of_ones_own_is_connected_to(network):
    program = [sys.executable, "-m", "mailguard", "check", "scan", "good.test", "--nameserver", "127.0.0.1", "--json"]
    result = network.run([*program, "--blocklist", "bl.test"], capture_output=True, text=True)
    report = Report.from_dict(json.loads(result.stdout))
    assert {outcome.reason for outcome in report.outcomes if outcome.check == "mx.reach"} == {"private"}
    assert [server.banner for server in report.servers] == [""] * len(report.servers)
