"""How servers receive: fake mail servers that do one thing wrong, and some that are hostile."""

from __future__ import annotations

import shutil
import ssl
import struct
import subprocess
import threading

import pytest
from check_lab import NOW, Authority, CountingGuard, Dns, MailServer, WebServer, guard, http, settings
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from mailguard.check import (
    catalogue,
    certificate,
    dane,
    encryption,
    hello,
    https,
    logo,
    probes,
    reception,
    transport_policy,
)
from mailguard.check.dialogue import Broken, read_reply
from mailguard.check.guard import Forbidden, Guard, Late
from mailguard.check.outcome import FAILURE, GOOD, NOT_APPLICABLE, UNKNOWN, WARNING, Outcome
from mailguard.check.report import Report, Server
from mailguard.check.scan import scan
from mailguard.dns import Answer
from mailguard.dns.lookups import Lookups
from mailguard.seal.keys import new_key, parse_key

NAME = "mx.good.test"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(authority):
    return authority.issue(NAME)


def trust(authority):
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    return context


def visited(server, authority, seconds=20.0):
    visit = reception.Visit(Server(NAME, server.address), "good.test", guard(server, seconds=seconds), trust(authority))
    visit.run()
    return visit


def states(outcomes):
    for outcome in outcomes:
        assert catalogue.sentence(outcome, "ja", "good.test")
        assert "…" not in catalogue.sentence(outcome, "en", "good.test")
    return {outcome.check: (outcome.state, outcome.reason) for outcome in outcomes}


def test_a_healthy_server_is_good_in_everything(authority, leaf):
    with MailServer(tls=leaf.context()) as server:
        visit = visited(server, authority)
    assert states(visit.outcomes) == {
        "mx.reach": (GOOD, "good"),
        "auth.plain": (GOOD, "good"),
        "banner": (GOOD, "good"),
        "tls.starttls": (GOOD, "good"),
        "requiretls": (NOT_APPLICABLE, "absent"),
        "rcpt.unknown": (GOOD, "good"),
        "postmaster": (GOOD, "good"),
        "abuse": (GOOD, "good"),
    }
    assert visit.shown.chain == leaf.chain
    assert visit.shown.error is None
    assert server.connections == 1


@pytest.mark.parametrize(
    ("attributes", "check", "expected"),
    [
        ({"banner": "421 4.3.2 not now"}, "mx.reach", (UNKNOWN, "busy")),
        ({"banner": "421 4.3.2 not now"}, "tls.starttls", (UNKNOWN, "declined")),
        ({"banner": "554 5.3.2 go away"}, "mx.reach", (FAILURE, "refusing")),
        ({"banner": "250 hello"}, "mx.reach", (FAILURE, "no-smtp")),
        ({"banner": "220 mx.good.test ESMTP Exim 4.96 ready"}, "banner", (WARNING, "version")),
        ({"banner": "220 mx.good.test ESMTP Postfix (Debian/GNU)"}, "banner", (GOOD, "good")),
        ({"banner": "220 localhost ESMTP"}, "banner", (WARNING, "no-name")),
        ({"banner": "220"}, "banner", (WARNING, "no-name")),
        ({"ehlo": "other.good.test"}, "banner", (WARNING, "different")),
        ({"login": True}, "auth.plain", (FAILURE, "offered")),
        ({"extensions": ["REQUIRETLS"]}, "requiretls", (GOOD, "good")),
        ({"starttls": "454 4.7.0 TLS not available"}, "tls.starttls", (FAILURE, "refused")),
        ({"recipients": lambda _: "250 2.1.5 ok"}, "rcpt.unknown", (WARNING, "accepted")),
        ({"recipients": lambda _: "450 4.7.1 greylisted"}, "rcpt.unknown", (UNKNOWN, "temporary")),
        ({"recipients": lambda _: "450 4.7.1 greylisted"}, "postmaster", (UNKNOWN, "temporary")),
        ({"senders": lambda _: "450 4.7.1 later"}, "rcpt.unknown", (UNKNOWN, "temporary")),
        ({"recipients": lambda _: "554 5.7.1 you are listed"}, "rcpt.unknown", (UNKNOWN, "declined")),
        ({"recipients": lambda _: "554 5.7.1 you are listed"}, "postmaster", (UNKNOWN, "declined")),
        ({"senders": lambda _: "550 5.7.1 no bounces"}, "abuse", (UNKNOWN, "declined")),
        (
            {"recipients": lambda a: "250 ok" if "abuse" in a else f"550 5.1.1 {a} unknown"},
            "postmaster",
            (WARNING, "refused"),
        ),
        (
            {"recipients": lambda a: "250 ok" if "postmaster" in a else f"550 5.1.1 {a} unknown"},
            "abuse",
            (WARNING, "refused"),
        ),
    ],
)
def test_one_fault_of_a_server_is_found(authority, leaf, attributes, check, expected):
    with MailServer(tls=leaf.context(), **attributes) as server:
        found = states(visited(server, authority).outcomes)
    assert found[check] == expected


def test_no_encryption_is_found_and_the_rest_is_checked_all_the_same(authority):
    with MailServer() as server:
        visit = visited(server, authority)
    found = states(visit.outcomes)
    assert (found["tls.starttls"], found["postmaster"]) == ((FAILURE, "missing"), (GOOD, "good"))
    assert found["requiretls"] == (NOT_APPLICABLE, "no-starttls")
    assert visit.shown is None


def test_a_handshake_that_never_succeeds_is_found_and_the_rest_is_checked(authority):
    with MailServer(raw=lambda _: b"\x15\x03\x03\x00\x02\x02\x28") as server:
        found = states(visited(server, authority).outcomes)
    assert (found["tls.starttls"], found["rcpt.unknown"]) == ((FAILURE, "handshake"), (GOOD, "good"))


@pytest.mark.parametrize(
    ("issue", "enforced", "expected", "severity"),
    [
        ({}, True, {(GOOD, "good")}, "medium"),
        ({"days": -3}, False, {(WARNING, "expired")}, "medium"),
        ({"days": -3}, True, {(FAILURE, "expired")}, "critical"),
        ({"days": 5}, True, {(WARNING, "soon")}, "medium"),
        ({"own": True}, False, {(WARNING, "self-signed")}, "medium"),
        ({"own": True}, True, {(FAILURE, "self-signed")}, "high"),
        ({"bits": 1024}, False, {(WARNING, "weak-key")}, "medium"),
        ({"bits": 2048}, True, {(GOOD, "good")}, "medium"),
        ({"started": -2}, False, {(WARNING, "not-yet")}, "medium"),
        ({"names": ("other.test", "*.test")}, False, {(WARNING, "name")}, "medium"),
        ({"names": ("other.test",)}, True, {(FAILURE, "name")}, "high"),
        ({"names": ("*.good.test",)}, True, {(GOOD, "good")}, "medium"),
    ],
)
def test_a_certificate_is_judged_and_gravely_where_a_policy_promises(authority, issue, enforced, expected, severity):
    from time import time

    names = issue.pop("names", (NAME,)) if "names" in issue else (NAME,)
    made = authority.issue(*names, **issue)
    with MailServer(tls=made.context(old=True)) as server:
        visit = visited(server, authority)
    assert states(visit.outcomes)["tls.starttls"] == (GOOD, "good")
    outcomes = certificate.judge(visit.shown, NAME, time(), enforced=enforced)
    assert {(each.state, each.reason) for each in outcomes} == expected
    assert {catalogue.severity(each) for each in outcomes} == {severity}
    states(outcomes)


def test_a_certificate_of_an_unknown_authority_is_untrusted(authority, tmp_path):
    made = Authority(tmp_path).issue(NAME)
    with MailServer(tls=made.context()) as server:
        visit = visited(server, authority)
    outcomes = certificate.judge(visit.shown, NAME, visit.shown.error[0] and NOW, enforced=False)
    assert "untrusted" in {each.reason for each in outcomes}


def signed_with_sha1(authority, folder):
    """A leaf as authorities gave until 2015; cryptography no longer makes one."""
    made = authority.issue(NAME)
    key, request, extension, leaf = (folder / name for name in ("ca.key", "request", "extension", "leaf"))
    key.write_bytes(
        authority.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    extension.write_text(f"subjectAltName=DNS:{NAME}\n")
    ask = ["openssl", "req", "-new", "-key", made.path, "-subj", f"/CN={NAME}", "-out", request]
    sign = ["openssl", "x509", "-req", "-sha1", "-days", "60", "-in", request, "-CA", authority.file, "-CAkey", key]
    for command in (ask, [*sign, "-CAcreateserial", "-extfile", extension, "-out", leaf]):
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    private = made.path.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")[0]
    made.path.write_bytes(private + leaf.read_bytes() + authority.file.read_bytes())
    return made


@pytest.mark.skipif(not shutil.which("openssl"), reason="not installed: openssl")
@pytest.mark.parametrize(("enforced", "state", "severity"), [(False, WARNING, "medium"), (True, FAILURE, "high")])
def test_a_certificate_signed_with_sha1_is_weak_and_where_a_policy_promises_refused(
    authority, tmp_path, enforced, state, severity
):
    from time import time

    with MailServer(tls=signed_with_sha1(authority, tmp_path).context(old=True)) as server:
        visit = visited(server, authority)
    assert states(visit.outcomes)["tls.starttls"] == (GOOD, "good")
    [outcome] = certificate.judge(visit.shown, NAME, time(), enforced=enforced)
    assert (outcome.state, outcome.reason, outcome.values["hash"]) == (state, "weak-hash", "sha1")
    assert catalogue.severity(outcome) == severity


def test_a_certificate_that_cannot_be_read_is_unknown():
    outcomes = certificate.judge(certificate.Shown([b"0\x03nix"], None), NAME, NOW, enforced=True)
    assert states(outcomes) == {"tls.cert": (UNKNOWN, "unreadable")}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_a_value_error(der):
    try:
        read = certificate.Certificate(der)
    except ValueError:
        return
    assert isinstance(read.names, list)


def mutated(der, position, byte):
    position %= len(der)
    return der[:position] + bytes([byte]) + der[position + 1 :]


@given(position=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_damaged_certificate_is_judged_or_unreadable(leaf, position, byte):
    shown = certificate.Shown([mutated(leaf.chain[0], position, byte)], None)
    assert certificate.judge(shown, NAME, NOW, enforced=True)
    assert dane.judge(NAME, tlsa("3 1 1 00"), shown, NOW, signed=GOOD).state == FAILURE


def tlsa(*records, ad=True):
    return Answer("OK", records, authenticated_data=ad)


def test_dane_is_compared_with_the_chain_that_was_shown(leaf):
    from time import time

    shown = certificate.Shown(leaf.chain, None)
    for answer, given_chain, signed, expected in (
        (tlsa(leaf.tlsa()), shown, GOOD, (GOOD, "good")),
        (tlsa(leaf.tlsa(selector=0)), shown, GOOD, (GOOD, "good")),
        (tlsa("3 1 1 00", leaf.tlsa()), shown, GOOD, (GOOD, "good")),
        (tlsa(leaf.tlsa(2, 0, of=1)), shown, GOOD, (GOOD, "good")),
        (tlsa(leaf.tlsa(2, 1, of=0)), shown, GOOD, (FAILURE, "ta-unsent")),
        (tlsa("3 1 1 00ff"), shown, GOOD, (FAILURE, "mismatch")),
        (tlsa(leaf.tlsa(1)), shown, GOOD, (WARNING, "unusable")),
        (tlsa("3 1 9 00", "x y z"), shown, GOOD, (WARNING, "unusable")),
        (tlsa(leaf.tlsa()), None, GOOD, (FAILURE, "no-tls")),
        (tlsa(leaf.tlsa()), shown, WARNING, (WARNING, "unsigned")),
        (tlsa(leaf.tlsa(), ad=False), shown, GOOD, (WARNING, "unsigned")),
        (tlsa(leaf.tlsa()), shown, UNKNOWN, (UNKNOWN, "unvalidated")),
        (Answer("NXDOMAIN"), shown, GOOD, (NOT_APPLICABLE, "missing")),
        (Answer("SERVFAIL"), shown, GOOD, (FAILURE, "servfail")),
        (Answer("SERVFAIL"), shown, WARNING, (UNKNOWN, "dns-failed")),
        (Answer("TIMEOUT"), shown, GOOD, (UNKNOWN, "dns-failed")),
    ):
        outcome = dane.judge(NAME, answer, given_chain, time(), signed=signed)
        assert states([outcome]) == {"dane.tlsa": expected}
        assert (catalogue.severity(outcome) == "critical") is (outcome.state == FAILURE)


def test_a_trust_anchor_of_dane_wants_name_and_date_too(leaf, authority):
    from time import time

    shown = certificate.Shown(leaf.chain, None)
    record = tlsa(leaf.tlsa(2, 0, of=1))
    assert dane.judge("mx.other.test", record, shown, time(), signed=GOOD).reason == "ta-name"
    assert dane.judge(NAME, record, shown, time() + 10**9, signed=GOOD).reason == "ta-expired"


def test_a_command_from_before_encryption_must_not_be_executed(leaf):
    for inject, expected in ((False, (GOOD, "good")), (True, (FAILURE, "executed"))):
        with MailServer(tls=leaf.context(), inject=inject) as server:
            outcome = reception.injection(Server(NAME, server.address), guard(server))
        assert states([outcome]) == {"tls.injection": expected}
    with MailServer(first=lambda connection: None) as server:
        outcome = reception.injection(Server(NAME, server.address), guard(server))
    assert states([outcome]) == {"tls.injection": (UNKNOWN, "broken")}


# TLS versions and ciphers: OpenSSL where it can, and where it cannot, the bytes that such a server would send.


def server_hello(client, version, cipher, extensions=b"", *, group=None):
    if group is not None:
        extensions += struct.pack(">HHH", 43, 2, version) + struct.pack(">HHH", 51, 2, group)
    body = struct.pack(">H", min(version, 0x303)) + bytes(32) + b"\0" + struct.pack(">HB", cipher, 0)
    body += struct.pack(">H", len(extensions)) + extensions if extensions else b""
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", 22, version if version < 0x304 else 0x303, len(message)) + message


SOUND_EXTENSIONS = struct.pack(">HH", 23, 0) + struct.pack(">HHB", 0xFF01, 1, 0)
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


def offered(client):
    """Highest version and ciphers in a ClientHello."""
    version = struct.unpack(">H", client[9:11])[0]
    position = 11 + 32
    position += 1 + client[position]
    length = struct.unpack(">H", client[position : position + 2])[0]
    ciphers = struct.unpack(f">{length // 2}H", client[position + 2 : position + 2 + length])
    return (0x304 if 0x1301 in ciphers else version), ciphers


def choosing(versions, ciphers, extensions=SOUND_EXTENSIONS):
    """A server that speaks these versions and ciphers, answering as TLS libraries do."""

    def answer(client):
        version, wanted = offered(client)
        common = [cipher for cipher in wanted if cipher in ciphers]
        lower = [each for each in versions if each <= version]
        if not common or not lower:
            return ALERT
        chosen = max(lower)
        if chosen == 0x304:
            return server_hello(client, 0x304, common[0], group=29)
        return server_hello(client, chosen, common[0], b"" if chosen == 0x300 else extensions)

    return answer


MODERN_SERVER = (0x1301, 0xC02F)


@pytest.mark.parametrize(
    ("versions", "ciphers", "extensions", "check", "expected"),
    [
        ((0x303, 0x304), MODERN_SERVER, SOUND_EXTENSIONS, "tls.versions", (GOOD, "good")),
        ((0x301, 0x302, 0x303), MODERN_SERVER, SOUND_EXTENSIONS, "tls.versions", (WARNING, "old")),
        ((0x300, 0x303), MODERN_SERVER, SOUND_EXTENSIONS, "tls.versions", (FAILURE, "ssl3")),
        ((0x301,), MODERN_SERVER, SOUND_EXTENSIONS, "tls.versions", (FAILURE, "only-old")),
        ((0x303, 0x304), MODERN_SERVER, SOUND_EXTENSIONS, "tls.ciphers", (GOOD, "good")),
        ((0x303, 0x304), (*MODERN_SERVER, 0x0A), SOUND_EXTENSIONS, "tls.ciphers", (FAILURE, "weak")),
        ((0x303,), (*MODERN_SERVER, 0x03), SOUND_EXTENSIONS, "tls.ciphers", (FAILURE, "weak")),
        ((0x301,), (0x2F, 0x01), SOUND_EXTENSIONS, "tls.ciphers", (FAILURE, "weak")),
        ((0x303, 0x304), (*MODERN_SERVER, 0x9C), SOUND_EXTENSIONS, "tls.ciphers", (WARNING, "fading")),
        ((0x303, 0x304), MODERN_SERVER, SOUND_EXTENSIONS, "tls.kex", (GOOD, "post-quantum")),
        ((0x303,), MODERN_SERVER, SOUND_EXTENSIONS, "tls.kex", (GOOD, "good")),
        ((0x303,), (0x9E,), SOUND_EXTENSIONS, "tls.kex", (WARNING, "absent")),
        ((0x303,), MODERN_SERVER, SOUND_EXTENSIONS, "tls.extensions", (GOOD, "good")),
        ((0x303,), MODERN_SERVER, b"", "tls.extensions", (WARNING, "open")),
        ((0x304,), MODERN_SERVER, SOUND_EXTENSIONS, "tls.extensions", (NOT_APPLICABLE, "no-tls12")),
    ],
)
def test_what_a_server_chooses_says_what_it_accepts(versions, ciphers, extensions, check, expected):
    with MailServer(raw=choosing(versions, ciphers, extensions)) as server:
        probing = encryption.Probes(Server(NAME, server.address), guard(server))
        probing.run()
    assert states(probing.outcomes())[check] == expected


def test_openssl_with_its_defaults_and_with_everything(authority, leaf):
    found = {}
    for old in (False, True):
        with MailServer(tls=leaf.context(old=old)) as server:
            probing = encryption.Probes(Server(NAME, server.address), guard(server))
            probing.run()
        found[old] = states(probing.outcomes())
    assert found[False]["tls.versions"] == (GOOD, "good")
    assert found[False]["tls.ciphers"] == (GOOD, "good")
    assert found[True]["tls.versions"] == (WARNING, "old")
    assert found[True]["tls.extensions"] == (GOOD, "good")


def test_a_server_that_answers_garbage_instead_of_tls_is_unknown():
    with MailServer(raw=lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        probing = encryption.Probes(Server(NAME, server.address), guard(server))
        probing.run()
    assert {state for state, _ in states(probing.outcomes()).values()} == {UNKNOWN}


@given(st.binary(max_size=100))
def test_any_bytes_are_a_server_hello_or_garbage(content):
    header = b"\x16\x03\x03" + struct.pack(">H", len(content))
    try:
        if content:
            assert hello.record_length(header) == len(content)
        found = hello.answer(header, content)
    except hello.Garbage:
        return
    assert found.cipher_name


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_lines_are_a_reply_or_broken(lines):
    collected = []
    for line in lines:
        try:
            reply = read_reply(line, collected)
        except Broken:
            return
        if reply is not None:
            assert 200 <= reply.code < 600
            assert isinstance(reply.keywords(), dict)
            assert reply.text
            return


REPLIES = st.lists(
    st.one_of(st.binary(max_size=80), st.from_regex(rb"\\A[2-5][0-9]{2}[ -][ -~]{0,40}\\Z")), max_size=12
)


@settings_of(max_examples=40, deadline=None)
@given(REPLIES)
def test_whatever_a_server_replies_the_visit_ends_with_outcomes(authority, replies):
    def serve(connection):
        for reply in replies:
            connection.sendall(reply + b"\r\n")
            connection.recv(4096)

    with MailServer(first=serve) as server:
        visit = visited(server, authority)
        outcome = reception.injection(Server(NAME, server.address), guard(server))
    assert states([*visit.outcomes, outcome])


# What is tried only after proof of control.


def test_a_server_that_relays_nothing_is_good_and_gets_no_message():
    with MailServer() as server:
        outcome = probes.relay(Server(NAME, server.address), "good.test", guard(server), catch_all=False)
    assert states([outcome]) == {"relay": (GOOD, "good")}
    assert int(outcome.values["count"]) >= 15
    assert not any(command.startswith("DATA") for command in server.commands)
    accepted = [index for index, command in enumerate(server.commands) if command.startswith("RCPT")]
    assert all(server.commands[index + 1] == "RSET" for index in accepted)


@pytest.mark.parametrize(
    ("accepts", "catch_all", "expected"),
    [
        (lambda _: True, True, (FAILURE, "open")),
        (lambda a: a.startswith("<@"), False, (FAILURE, "open")),
        (lambda a: "%" in a, False, (WARNING, "suspect")),
        (lambda a: a.endswith("@good.test>"), True, (GOOD, "good")),
    ],
)
def test_relay_variants_are_told_from_recipients_of_the_domain(accepts, catch_all, expected):
    recipients = lambda a: "250 ok" if accepts(a) else "550 5.7.1 relaying denied"  # noqa: E731
    with MailServer(recipients=recipients) as server:
        outcome = probes.relay(Server(NAME, server.address), "good.test", guard(server), catch_all=catch_all)
    assert states([outcome]) == {"relay": expected}


def test_a_server_that_hangs_up_leaves_the_question_of_relaying_open():
    with MailServer(senders=lambda _: "421 4.7.0 too many errors") as server:
        outcome = probes.relay(Server(NAME, server.address), "good.test", guard(server), catch_all=False)
    assert states([outcome]) == {"relay": (UNKNOWN, "few")}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (GOOD, "good")),
        ({"vrfy": lambda _: "252 2.0.0 cannot say"}, (GOOD, "good")),
        ({"vrfy": lambda a: "250 2.1.5 root" if "postmaster" in a else "550 5.1.1 no"}, (WARNING, "leak")),
        ({"vrfy": lambda a: "252 2.1.5 root" if "postmaster" in a else "550 5.1.1 no"}, (WARNING, "leak")),
        ({"expn": lambda _: "250 2.1.5 root"}, (WARNING, "leak")),
    ],
)
def test_vrfy_and_expn_tell_nothing(attributes, expected):
    with MailServer(**attributes) as server:
        outcome = probes.names(Server(NAME, server.address), "good.test", guard(server))
    assert states([outcome]) == {"vrfy": expected}


# MTA-STS.

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"
RECORD = "_mta-sts.good.test TXT v=STSv1; id=20260101;\nmta-sts.good.test A 127.0.0.3\n"


def policy_states(authority, response, zone=RECORD, hosts=(NAME,), names=("mta-sts.good.test",)):
    with WebServer(authority.issue(*names).context(), response) as web:
        context = ssl.create_default_context(cafile=authority.file)
        found = transport_policy.check("good.test", Lookups(Dns(zone)), guard(web), context, hosts)
    return states(found.outcomes), found, web


@pytest.mark.parametrize(
    ("response", "check", "expected"),
    [
        (http(POLICY), "mtasts.policy", (GOOD, "good")),
        (http(POLICY), "mtasts.match", (GOOD, "good")),
        (http(POLICY.replace("mx.good", "*.good")), "mtasts.match", (GOOD, "good")),
        (http(POLICY.replace("mx.good.test", "*.test")), "mtasts.match", (FAILURE, "unmatched")),
        (http(POLICY.replace("enforce", "testing")), "mtasts.policy", (WARNING, "testing")),
        (http(POLICY.replace("enforce", "none")), "mtasts.policy", (NOT_APPLICABLE, "none")),
        (http(POLICY.replace("enforce", "strict")), "mtasts.policy", (FAILURE, "malformed")),
        (http(POLICY.replace("604800", "60")), "mtasts.policy", (WARNING, "short")),
        (http(POLICY.replace("604800", "-1")), "mtasts.policy", (FAILURE, "malformed")),
        (http(POLICY + "nonsense\r\n"), "mtasts.policy", (FAILURE, "malformed")),
        (http(POLICY, status="404 Not Found"), "mtasts.policy", (FAILURE, "status")),
        (http("", status="301 Moved", extra="Location: https://x.test/\r\n"), "mtasts.policy", (FAILURE, "redirect")),
        (http(POLICY, kind="text/html"), "mtasts.policy", (FAILURE, "type")),
        (http(POLICY + "x: " + "y" * 70000), "mtasts.policy", (FAILURE, "large")),
        (b"garbage\r\n\r\n", "mtasts.policy", (FAILURE, "unfetched")),
        (b"", "mtasts.policy", (FAILURE, "unfetched")),
    ],
)
def test_a_policy_is_fetched_and_judged(authority, response, check, expected):
    assert policy_states(authority, response)[0][check] == expected


def test_the_request_follows_nothing_and_names_the_host(authority):
    _, found, web = policy_states(authority, http(POLICY))
    assert found.enforced
    assert web.connections == 1
    assert web.requests[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.good.test\r\n")


def test_a_wrong_certificate_of_the_web_server_is_a_failure(authority):
    found, policy, _ = policy_states(authority, http(POLICY), names=("www.good.test",))
    assert found["mtasts.policy"] == (FAILURE, "certificate")
    assert not policy.enforced


@pytest.mark.parametrize(
    ("zone", "record", "policy"),
    [
        ("good.test A 127.0.0.3", (WARNING, "missing"), (NOT_APPLICABLE, "no-record")),
        (RECORD.replace("id=20260101", "id=2026-01"), (FAILURE, "malformed"), (NOT_APPLICABLE, "no-record")),
        (RECORD + "_mta-sts.good.test TXT v=STSv1; id=2;", (FAILURE, "multiple"), (NOT_APPLICABLE, "no-record")),
        ("_mta-sts.good.test TXT TIMEOUT", (UNKNOWN, "dns-failed"), (NOT_APPLICABLE, "no-record")),
        ("_mta-sts.good.test TXT v=STSv1; id=1", (GOOD, "good"), (FAILURE, "no-address")),
        (RECORD.replace("A 127.0.0.3", "A SERVFAIL"), (GOOD, "good"), (UNKNOWN, "dns-failed")),
    ],
)
def test_the_record_of_mta_sts_is_judged(authority, zone, record, policy):
    found, _, _ = policy_states(authority, http(POLICY), zone=zone)
    assert (found["mtasts.record"], found["mtasts.policy"]) == (record, policy)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_malformed(raw):
    try:
        policy = transport_policy.StsPolicy(raw)
    except transport_policy.MalformedPolicy:
        return
    assert policy.mode in {"enforce", "testing", "none"}


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda raw: b"HTTP/1.1 200 OK\r\n" + raw)))
def test_any_bytes_of_a_web_server_are_judged(raw):
    try:
        https._checked(https.Wanted("host", "/", "text/plain", 100), *https._response(raw, 100))
    except https.Unfetched as error:
        states([Outcome("mtasts.policy", FAILURE, error.reason, error.values)])


# BIMI.

SVG = (
    '<?xml version="1.0"?><svg version="1.2" baseProfile="tiny-ps" xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 8 8"><title>Good</title>'
    '<path id="p" d="M0 0h8v8z"/><use xlink:href="#p"/></svg>'
)
ENTITIES = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def judged_logo(authority, response, location="https://logo.test/a.svg?b", zone="logo.test A 127.0.0.3"):
    record = Outcome("bimi", GOOD, "good", {"record": f"v=BIMI1; l={location}", "location": location})
    with WebServer(authority.issue("logo.test").context(), response) as web:
        context = ssl.create_default_context(cafile=authority.file)
        outcome = logo.judge(record, Lookups(Dns(zone)), guard(web), context)
    states([outcome])
    return outcome, web


@pytest.mark.parametrize(
    ("svg", "problem"),
    [
        (SVG, None),
        (SVG.replace("tiny-ps", "tiny"), 'version="1.2" baseProfile="tiny-ps"'),
        (SVG.replace('version="1.2" ', ""), 'version="1.2" baseProfile="tiny-ps"'),
        (SVG.replace("http://www.w3.org/2000/svg", "urn:x"), "<svg>"),
        (SVG.replace("<title>Good</title>", ""), "title"),
        (SVG.replace("<path", "<script>1</script><path"), "<script>"),
        (SVG.replace("<path", '<path onload="x()"'), "onload"),
        (SVG.replace("#p", "https://evil.test/"), "href"),
        (SVG.replace("#p", "data:image/png;base64,AA"), "href"),
        (SVG.replace("?><svg", f"?>{ENTITIES}<svg").replace("Good", "&b;"), "DOCTYPE"),
        (SVG + "x", "XML"),
        *((SVG.replace('"1.0"', f'"1.0" encoding="{name}"'), "XML") for name in ("nix", "hex", "idna", "utf-7")),
        ("", "XML"),
    ],
)
def test_a_logo_is_fetched_and_must_be_inert(authority, svg, problem):
    outcome, web = judged_logo(authority, http(svg, kind="image/svg+xml"))
    assert web.requests[0].startswith(b"GET /a.svg?b HTTP/1.1\r\nHost: logo.test\r\n")
    expected = (GOOD, "good") if problem is None else (WARNING, "logo")
    assert (outcome.state, outcome.reason, outcome.values.get("problem")) == (*expected, problem)


@pytest.mark.parametrize(
    ("response", "state", "reason"),
    [
        (http(SVG, kind="text/html"), WARNING, "type"),
        (http(SVG + " " * 40000, kind="image/svg+xml"), WARNING, "large"),
        (http("", status="404 Not Found"), WARNING, "status"),
        (http("", status="302 Found", extra="Location: https://127.0.0.1/\r\n"), UNKNOWN, "redirect"),
        (b"garbage\r\n\r\n", WARNING, "unfetched"),
    ],
)
def test_a_logo_that_is_not_there_is_a_warning(authority, response, state, reason):
    outcome, web = judged_logo(authority, response)
    assert (outcome.state, outcome.reason, web.connections) == (state, reason, 1)


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.3/a.svg", "https://logo.test:8443/a.svg", "https://me@logo.test/a.svg", "https://logo/a.svg",
        "https://logo.test/a b", "https://logo.test/a\r\nX: y", "https://[::1/", "https://logo.test:x/", "https:///a.svg",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_where_no_logo_may_be(authority, location):
    outcome, web = judged_logo(authority, http(SVG), location)
    assert (outcome.state, outcome.reason, web.connections) == (WARNING, "malformed", 0)


def test_a_logo_at_a_private_address_is_not_fetched(authority):
    record = Outcome("bimi", GOOD, "good", {"record": "x", "location": "https://logo.test/"})
    for zone, expected in (("logo.test A 10.0.0.1", "not-allowed"), ("logo.test A SERVFAIL", "dns-failed")):
        outcome = logo.judge(record, Lookups(Dns(zone)), Guard(5), ssl.create_default_context())
        assert (outcome.state, outcome.reason) == (UNKNOWN, expected)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: f"<svg>{text}</svg>".encode())))
def test_any_bytes_are_a_logo_or_malformed(raw):
    with pytest.raises(logo.MalformedLogo):
        logo.check(raw)


# The guard.


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "fe80::1", "fc00::1",
        "224.0.0.1", "ff02::1", "0.0.0.0", "255.255.255.255", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "100.64.0.1", "198.51.100.1", "2001:db8::1", "fec0::1", "feff::1", "192.0.0.8", "192.0.0.170", "192.88.99.1",
        "198.19.0.1", "240.0.0.1", "3fff::1", "3fff:fff::1", "5f00::1", "100::1", "100:0:0:1::1", "64:ff9b:1::1",
        "64:ff9b::10.1.2.3", "2001::1", "2001:2::1", "2001:20::1", "2002:808:808::1", "::808:808", "::ffff:8.8.8.8",
        "fe80::1%lo", "not an address", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(Forbidden):
        Guard(5).connect(address, 25, 1)
    assert not Guard(5).allows(address)


def test_public_addresses_are_allowed_but_only_two_ports():
    assert Guard(5).allows("93.184.216.34")
    assert Guard(5).allows("2606:2800:220:1:248:1893:25c8:1946")
    assert Guard(5).allows("64:ff9b::93.184.216.34")  # NAT64 before a network with IPv6 alone
    for port in (22, 80, 465, 587, 6379):
        with pytest.raises(Forbidden):
            Guard(5, lab=True).connect("127.0.0.1", port, 1)


def test_a_private_address_is_a_fault_and_is_not_connected_to(authority):
    visit = reception.Visit(Server(NAME, "127.0.0.2"), "good.test", Guard(5), trust(authority))
    visit.run()
    assert states(visit.outcomes) == {"mx.reach": (FAILURE, "private")}


def test_cancelling_ends_a_wait_from_another_thread(authority):
    reached = threading.Event()

    def silent(connection):
        reached.set()
        connection.recv(1)

    with MailServer(first=silent) as server:
        door = guard(server, seconds=600)
        visit = reception.Visit(Server(NAME, server.address), "good.test", door, trust(authority))
        threading.Thread(target=lambda: (reached.wait(60), door.cancel())).start()
        with pytest.raises(Late):
            visit.run()


# Hostile servers: whatever they do, the diagnosis ends, and nothing that they did not show counts as a failure.


def endless(connection):
    while True:
        connection.sendall(b"220-" + b"x" * 60 + b"\r\n")


def endless_line(connection):
    while True:
        connection.sendall(b"x" * 65536)


def drip(connection):
    stopped = threading.Event()
    while not stopped.wait(0.05):
        connection.sendall(b"2")


def silent(connection):
    connection.recv(1)


def closing(connection):
    connection.sendall(b"220 hi\r\n")


def replies_early(connection):
    connection.sendall(b"220 mx.good.test\r\n" + b"250 STARTTLS\r\n220 go\r\n250 x\r\n" * 50)
    while connection.recv(4096):
        pass


def binary(connection):
    connection.sendall(bytes(range(256)) * 4 + b"\r\n")


@pytest.mark.parametrize("behaviour", [endless, endless_line, drip, silent, closing, replies_early, binary])
def test_a_hostile_server_costs_no_more_than_the_time_that_is_given(authority, behaviour):
    zone = "good.test MX 10 mx.good.test\nmx.good.test A 127.0.0.2\n"
    with MailServer(first=behaviour) as server:
        report = scan("good.test", settings(Dns(zone), server, seconds=2.0, ca_file=authority.file))
    found = {outcome.check: outcome for outcome in report.outcomes}
    assert found["rcpt.unknown"].state == UNKNOWN
    assert found["relay"].state in {UNKNOWN, NOT_APPLICABLE}
    assert set(found) >= {"mx.reach", "tls.starttls", "tls.versions", "tls.cert", "dane.tlsa", "spf", "dmarc"}
    states(report.outcomes)


# The whole.


GOOD_ZONE = f"""
good.test SOA ns1.good.test. h.good.test. 1 1 1 1 1
good.test NS ns1.good.test
good.test NS ns2.good.test
ns1.good.test A 192.0.2.1
ns2.good.test A 198.51.100.1
good.test MX 10 mx.good.test
mx.good.test A 127.0.0.2
2.0.0.127.in-addr.arpa PTR mx.good.test
good.test TXT v=spf1 mx -all
good.test CAA 0 issue "ca.example"
_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test
_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@good.test
{RECORD}"""


def test_a_good_domain_is_safe_and_a_proof_lets_everything_be_tried(authority, leaf):
    key = parse_key(new_key())
    zone = GOOD_ZONE + f"_mailguard-check.good.test TXT {catalogue_token(key)}\n"
    zone += f"_25._tcp.mx.good.test TLSA {leaf.tlsa()}\n"
    mail, web = MailServer(tls=leaf.context()), WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY))
    with mail, web:
        made = settings(Dns(zone, signed=["good.test"]), mail, web, ca_file=authority.file, key=key)
        report = scan("good.test", made)
    found = states(report.outcomes)
    assert (report.verdict.code, report.verdict.status) == ("safe", 0), report.outcomes
    assert made.guard.most == 1
    assert {check for check, (state, _) in found.items() if state != GOOD} == {"ipv6", "requiretls", "bimi"}
    assert found["relay"] == (GOOD, "good")
    assert report.servers[0].connections == mail.connections
    assert Report.from_dict(report.as_dict()).as_dict() == report.as_dict()


def test_two_addresses_of_a_server_take_turns_and_its_pauses_pass_at_the_same_time(authority, leaf):
    first, second = (MailServer(address, tls=leaf.context()) for address in ("127.0.0.2", "127.0.0.4"))
    zone = GOOD_ZONE.replace("mx.good.test A 127.0.0.2", "mx.good.test A 127.0.0.2\nmx.good.test A 127.0.0.4")
    with first, second:
        made = settings(Dns(zone.replace("_mta-sts", "x"), signed=["good.test"]), first, second, ca_file=authority.file)
        report = scan("good.test", made)
    assert (made.guard.most, made.guard.most_of_all) == (1, 1)
    assert {server.address: server.connections for server in report.servers} == {
        first.address: first.connections,
        second.address: second.connections,
    }
    assert {each.state for each in report.outcomes if each.check == "mx.reach"} == {GOOD}


def test_an_address_is_left_alone_for_a_while_and_another_of_the_machine_is_not():
    with MailServer("127.0.0.2") as first, MailServer("127.0.0.4") as second:
        ports = {(each.address, 25): each.port for each in (first, second)}
        guarded = Guard(1, lab=True, ports=ports, pause=3600)
        guarded.together(each.address for each in (first, second))
        for server in (first, second):
            guarded.close(guarded.connect(server.address, 25, 5), server.address)
        with pytest.raises(Late):
            guarded.connect(first.address, 25, 5)


def catalogue_token(key):
    from mailguard.check.control import token

    return token("good.test", key)


def test_where_all_servers_have_dane_a_missing_mta_sts_is_no_fault(authority, leaf):
    zone = GOOD_ZONE.replace("_mta-sts.good.test TXT", "none.good.test TXT")
    with MailServer(tls=leaf.context()) as mail:
        without = scan("good.test", settings(Dns(zone, signed=["good.test"]), mail, ca_file=authority.file))
        zone += f"_25._tcp.mx.good.test TLSA {leaf.tlsa()}\n"
        with_dane = scan("good.test", settings(Dns(zone, signed=["good.test"]), mail, ca_file=authority.file))
    assert states(without.outcomes)["mtasts.record"] == (WARNING, "missing")
    assert states(with_dane.outcomes)["mtasts.record"] == (NOT_APPLICABLE, "dane")
    assert (without.verdict.code, with_dane.verdict.code) == ("dns", "safe")


def test_without_proof_nothing_intrusive_is_tried(authority, leaf):
    with MailServer(tls=leaf.context()) as mail:
        made = settings(Dns(GOOD_ZONE), mail, ca_file=authority.file, key=parse_key(new_key()))
        report = scan("good.test", made)
    found = states(report.outcomes)
    assert (found["relay"], found["vrfy"]) == ((NOT_APPLICABLE, "not-proven"),) * 2
    assert not [
        command for command in mail.commands if "example.com" in command or command.startswith(("VRFY", "EXPN"))
    ]


@pytest.mark.parametrize(
    ("zone", "code", "status"),
    [
        ("v=spf1 +all", "danger", 2),
        ("v=spf1 mx", "dns", 1),
        ("v=spf1 include:gone.test -all", "dns", 2),
    ],
)
def test_the_worst_finding_decides(authority, leaf, zone, code, status):
    text = GOOD_ZONE.replace("v=spf1 mx -all", zone)
    mail, web = MailServer(tls=leaf.context()), WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY))
    with mail, web:
        made = settings(Dns(text, signed=["good.test"]), mail, web, ca_file=authority.file)
        report = scan("good.test", made)
    assert (report.verdict.code, report.verdict.status) == (code, status)


def test_an_expired_certificate_under_an_enforced_policy_is_dangerous(authority):
    mail = MailServer(tls=authority.issue(NAME, days=-2).context())
    web = WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY))
    with mail, web:
        report = scan("good.test", settings(Dns(GOOD_ZONE, signed=["good.test"]), mail, web, ca_file=authority.file))
    assert report.verdict.code == "danger"


def test_servers_beyond_a_limit_are_not_looked_at_and_the_report_says_so(authority):
    hosts = "".join(f"good.test MX 20 m{n}.good.test\n" for n in range(9))
    hosts += "".join(f"m{n}.good.test A 127.0.60.{n * 3 + k}\n" for n in range(9) for k in range(3))
    report = scan("good.test", settings(Dns(GOOD_ZONE + hosts), ca_file=authority.file))
    assert len(report.servers) == 20
    assert sum(outcome.reason == "unvisited" for outcome in report.outcomes) == 1 + 27 - 20


def test_servers_that_nobody_can_reach_are_unknown_not_failed(authority):
    report = scan("good.test", settings(Dns(GOOD_ZONE, signed=["good.test"]), seconds=5.0, ca_file=authority.file))
    found = states(report.outcomes)
    assert found["tls.starttls"][0] == UNKNOWN
    assert found["tls.cert"][0] == UNKNOWN


def test_a_server_that_takes_no_mail_now_is_unknown_and_breaks_no_dane(authority, leaf):
    zone = GOOD_ZONE + f"_25._tcp.mx.good.test TLSA {leaf.tlsa()}\n"
    with MailServer(tls=leaf.context(), banner="421 4.3.2 not now") as mail:
        report = scan("good.test", settings(Dns(zone, signed=["good.test"]), mail, ca_file=authority.file))
    found = states(report.outcomes)
    assert found["dane.tlsa"] == (UNKNOWN, "broken")
    assert {found[check][0] for check in ("mx.reach", "tls.starttls", "tls.cert", "tls.versions")} == {UNKNOWN}


def test_a_server_without_encryption_breaks_dane(authority, leaf):
    zone = GOOD_ZONE + f"_25._tcp.mx.good.test TLSA {leaf.tlsa()}\n"
    with MailServer() as mail:
        report = scan("good.test", settings(Dns(zone, signed=["good.test"]), mail, ca_file=authority.file))
    found = states(report.outcomes)
    assert (found["dane.tlsa"], found["tls.cert"]) == ((FAILURE, "no-tls"), (NOT_APPLICABLE, "no-starttls"))
    assert report.verdict.code == "danger"


def test_an_mx_name_in_another_script_is_visited_by_its_a_label(authority):
    zone = GOOD_ZONE.replace("MX 10 mx.good.test", "MX 10 m\u00fcx.good.test") + "xn--mx-xka.good.test A 127.0.0.2\n"
    source = Dns(zone)
    with MailServer() as mail:
        report = scan("good.test", settings(source, mail, ca_file=authority.file))
    assert [server.name for server in report.servers] == ["xn--mx-xka.good.test"]
    states(report.outcomes)


class WithoutSix(CountingGuard):
    """A network without IPv6."""

    def connect(self, address, port, limit):
        if ":" in address:
            raise OSError(101, "Network is unreachable")
        return super().connect(address, port, limit)


def test_a_network_without_ipv6_says_nothing_about_the_server(authority, leaf):
    zone = GOOD_ZONE + "mx.good.test AAAA 2001:db8::25\n"
    mail, web = MailServer(tls=leaf.context()), WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY))
    with mail, web:
        made = settings(Dns(zone, signed=["good.test"]), ca_file=authority.file)
        made.guard = WithoutSix(
            30, lab=True, ports={(mail.address, 25): mail.port, (web.address, 443): web.port}, pause=0
        )
        report = scan("good.test", made)
    unknown = [outcome for outcome in report.outcomes if outcome.state == UNKNOWN]
    assert [(each.check, each.values["address"]) for each in unknown] == [("mx.reach", "2001:db8::25")]
    assert (report.verdict.code, report.verdict.status) == ("safe", 0)


def test_one_server_of_two_that_does_not_answer_is_a_failure_but_no_veto(authority, leaf):
    zone = GOOD_ZONE + "good.test MX 20 mx2.good.test\nmx2.good.test A 127.0.0.9\n"
    with MailServer(tls=leaf.context()) as mail:
        report = scan("good.test", settings(Dns(zone, signed=["good.test"]), mail, ca_file=authority.file))
    (outcome,) = (each for each in report.outcomes if (each.check, each.state) == ("mx.reach", FAILURE))
    assert (outcome.subject, outcome.reason, catalogue.severity(outcome)) == ("mx2.good.test", "refused", "high")
    assert {each.state for each in report.outcomes if each.subject == "mx2.good.test" and each.check == "relay"} == {
        UNKNOWN
    }


def test_a_dns_that_never_answers_confirms_nothing(authority):
    report = scan("good.test", settings(Dns("test * TIMEOUT\ngood.test * TIMEOUT"), ca_file=authority.file))
    assert FAILURE not in {outcome.state for outcome in report.outcomes if outcome.check in {"mx.exists", "spf"}}
    assert report.verdict.code in {"unconfirmed", "dns"}


def test_a_domain_that_does_not_exist_is_neither_good_nor_bad(authority):
    report = scan("mistyped.test", settings(Dns(GOOD_ZONE), ca_file=authority.file))
    assert states(report.outcomes) == {"mx.exists": (UNKNOWN, "nonexistent")}
    assert (report.verdict.code, report.verdict.status) == ("unconfirmed", 3)


def test_a_domain_that_takes_no_mail_needs_no_server(authority):
    zone = (
        "none.test MX 0 .\nnone.test TXT v=spf1 -all\n_dmarc.none.test TXT v=DMARC1; p=reject; rua=mailto:d@none.test"
    )
    report = scan("none.test", settings(Dns(zone, signed=["none.test"]), ca_file=authority.file))
    found = states(report.outcomes)
    assert found["tls.starttls"] == (NOT_APPLICABLE, "null-mx")
    assert found["spf"] == (GOOD, "good")
