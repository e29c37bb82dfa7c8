"""mailguard verify as a process, and what the filters behind it make of its verdict."""

from __future__ import annotations

import json
import os
import sys

import pytest
from dns_server import DnsServer
from program import PROGRAM
from results_of_others import independent
from signed_mail import MESSAGE, SELECTOR, record, sign
from verified_mail import FRIEND, STRANGER, US, header_fields, methods, zone

from mailguard.seal import new_key

NOW = "2026-09-21T13:33:20Z"
LATER = "2026-09-29T14:00:00Z"
ATTACHED = (
    b"From: Joe <joe@example.com>\r\nTo: suzie@example.net\r\nSubject: report\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    b'--xx\r\nContent-Type: text/csv; name="figures.csv"\r\nContent-Disposition: attachment; filename="figures.csv"'
    b"\r\n\r\na,b\r\n1,2\r\n--xx--\r\n"
)
DANGEROUS = ATTACHED.replace(b"figures.csv", b"figures.js")


def facts(envelope):
    return [f"--{name.replace('_', '-')}={value}" for name, value in envelope.items()]


@pytest.fixture
def verify(mailguard, tmp_path):
    """Run verify with a zone file and a fixed clock; return its output."""
    (tmp_path / "zone").write_text(zone())

    def run(raw=MESSAGE, envelope=FRIEND, *arguments, status=0, key=True, env=None, now=NOW, load=True):
        common = ["--log", "none", "--authserv-id", US, "--now", now]
        common += ["--dns-load", tmp_path / "zone"] if load else []
        variables = {} if key else {"MAILGUARD_KEY_FILE": ""}
        process = mailguard("verify", *common, *facts(envelope), *arguments, input=raw, env=variables | (env or {}))
        assert process.returncode == status, process.stderr
        run.stderr = process.stderr.decode()
        return process.stdout

    return run


# The process


def test_one_field_and_a_seal_on_top(verify):
    out = verify()
    assert out.endswith(b"\r\n" + MESSAGE)
    assert [each.name for each in header_fields(out)[:2]] == [b"mailguard-seal", b"authentication-results"]
    assert verify(out, {"client_address": "127.0.0.1"}) == out
    assert verify(out, STRANGER) != out


def test_by_default_the_name_is_that_of_the_host(mailguard):
    out = mailguard("verify", "--log", "none", input=MESSAGE).stdout
    assert independent(header_fields(out)[1].bytes)[0] == os.uname().nodename


def test_json_and_explain_tell_how_it_came_about(verify, tmp_path):
    verify(sign(), FRIEND, "--json", tmp_path / "json", "--explain")
    (found,) = map(json.loads, (tmp_path / "json").read_text().splitlines())
    assert (found["verb"], found["authenticated"], found["author_domain"]) == ("verify", True, "example.com")
    assert [(one["method"], one["result"]) for one in found["results"]] == [
        ("spf", "pass"), ("spf", "none"), ("dkim", "pass"), ("dmarc", "pass"), ("iprev", "pass"),
    ]  # fmt: skip
    assert found["client"]["client_address"] == {"value": "192.0.2.1", "source": "option"}
    asked = {(one["name"], one["type"]): one for one in found["dns"]}
    assert asked["example.com", "TXT"]["records"] == ['"v=spf1 a:mail.example.com -all"']
    assert {(SELECTOR, "TXT"), ("_dmarc.example.com", "TXT"), ("_dmarc.com", "TXT")} <= set(asked)
    assert found["walks"][0]["organizational_domain"] == "example.com"
    assert found["results"][0]["evaluated"][0]["matched"] == "a:mail.example.com"
    for line in (
        "client: client_address 192.0.2.1 (option)\n",
        'dns: example.com TXT: OK "v=spf1 a:mail.example.com -all"\n',
        "dns: _dmarc.com TXT: NXDOMAIN\n",
        "spf: pass smtp.mailfrom=joe@example.com (192.0.2.1 is permitted by a:mail.example.com of example.com)\n",
        "    pass by a:mail.example.com\n",
        "dkim: pass header.d=example.com",
        "walk: example.com publishes p=reject psd=u\n",
        "walk: from example.com, organizational domain example.com\n",
        "info: verdict.authenticated: DMARC pass for example.com.",
    ):
        assert line in verify.stderr


def test_a_recording_of_the_dns_gives_the_same_again(mailguard, tmp_path):
    zone_of_server = {
        "example.com": [("TXT", b"v=spf1 ip4:192.0.2.1 -all")],
        "_dmarc.example.com": [("TXT", b"v=DMARC1; p=reject")],
        SELECTOR: [("TXT", record())],
    }
    common = ["verify", "--log", "none", "--authserv-id", US, "--now", NOW, *facts(FRIEND)]
    with DnsServer(zone_of_server) as server:
        asked = ["--nameserver", server.address, "--dns-save", tmp_path / "answers"]
        live = mailguard(*common, *asked, input=sign())
    assert (live.returncode, live.stderr) == (0, b"")
    assert methods(live.stdout)["dmarc"] == ["pass"]
    again = mailguard(*common, "--dns-load", tmp_path / "answers", input=sign())
    assert again.stdout == live.stdout


def test_the_environment_of_local_delivery_counts_only_when_asked(verify):
    environment = {"CLIENT_ADDRESS": "192.0.2.1", "CLIENT_HELO": "mail.example.com", "SENDER": "joe@example.com"}
    assert methods(verify(MESSAGE, {}, env=environment))["spf"] == ["none"]
    out = verify(MESSAGE, {}, "--client-from", "environment", env=environment)
    assert out == verify(MESSAGE, FRIEND)


def test_the_client_is_found_behind_our_own_relay(verify):
    received = (
        b"Received: from mail.example.com (mail.example.com [192.0.2.1])\r\n\tby front.example.net (Postfix); now\r\n"
    )
    raw = b"Return-Path: <joe@example.com>\r\n" + received + MESSAGE
    assert methods(verify(raw, {}))["spf"] == ["none"]
    assert methods(verify(raw, {}, "--trusted-relay", "127.0.0.0/8"))["spf"] == ["pass", "none"]


def test_a_dns_that_is_down_is_no_failure_unless_the_operator_says_so(verify, tmp_path):
    (tmp_path / "down").write_text(
        "".join(f"{name} * SERVFAIL\n" for name in ("example.com", "_dmarc.example.com", "_dmarc.com", SELECTOR))
    )
    options = ["--dns-load", tmp_path / "down"]
    assert methods(verify(sign(), FRIEND, *options, load=False))["dmarc"] == ["temperror"]
    assert verify(sign(), FRIEND, *options, "--on-temperror", "defer", load=False, status=75) == b""
    assert verify.stderr == "4.3.0 mailguard: the DNS does not answer, so the sender cannot be judged now\n"
    assert verify(sign(), FRIEND, *options, "--on-temperror", "defer", "--dry-run", load=False) == sign()
    # Where the answer would change nothing, nothing is deferred.
    odd = b"From: x@other.example\r\n" + MESSAGE
    verify(odd, FRIEND, *options, "--on-temperror", "defer", load=False)


def test_old_mail_is_judged_at_its_time(verify):
    raw = sign(x="1790000100")
    assert methods(verify(raw, STRANGER))["dkim"] == ["pass"]
    assert methods(verify(raw, STRANGER, now=LATER))["dkim"] == ["policy"]


def test_the_organization_may_be_found_by_the_public_suffix_list(verify, tmp_path):
    (tmp_path / "zone").write_text(zone("_dmarc.com TXT v=DMARC1; p=reject; psd=n"))
    raw = MESSAGE.replace(b"joe@example.com", b"joe@other.com")
    assert methods(verify(raw, FRIEND))["dmarc"] == ["pass"]  # the whole of com would be one organization
    assert methods(verify(raw, FRIEND, "--dmarc", "rfc7489"))["dmarc"] == ["none"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trusted-relay", "10.0.0.1/8"],
        ["--trusted-client", "everybody"],
        ["--trust-results", "google"],
        ["--trust-results", "a b", "--trusted-relay", "10.0.0.0/8"],
        ["--trusted-sealer", "a;b"],
        ["--authserv-id", "a b"],
        ["--authserv-id", ""],
        ["--nameserver", "127.0.0.1:x"],
        ["--nameserver", "127.0.0.1:99999", "--client-address", "192.0.2.1", "--client-helo", "a.example"],
        ["--dns-load", "/nonexistent"],
        ["--dns-load", "x", "--dns-save", "y"],
        ["--client-from", "header"],
        ["--on-temperror", "bounce"],
        ["--dmarc", "rfc0"],
        ["--remove", "subject"],
        ["--known", "/nonexistent"],
        ["--key-file", "/nonexistent"],
    ],
)
def test_a_wrong_option_keeps_the_mail_waiting_with_one_line(mailguard, arguments):
    process = mailguard("verify", "--log", "none", *arguments, input=MESSAGE)
    assert (process.returncode, process.stdout) == (75, b"")
    assert process.stderr.decode().startswith("4.3.5 mailguard: ")
    assert process.stderr.count(b"\n") == 1


LOADED = """
import os, sys
sys.argv = {arguments!r}
def tell(status):
    os.write(2, " ".join(sorted(sys.modules)).encode())
    real(status)
real, os._exit = os._exit, tell
from mailguard.__main__ import main
main()
"""


def loaded(mailguard, raw, *arguments):
    code = LOADED.format(arguments=["mailguard", "verify", "--log", "none", *map(str, arguments)])
    process = mailguard("-I", "-c", code, program=(sys.executable,), input=raw)
    assert process.returncode == 0
    return set(process.stderr.decode().split())


def test_mail_without_signature_and_client_loads_no_library_for_either(mailguard, tmp_path):
    assert not loaded(mailguard, MESSAGE) & {"dkim", "spf", "dns", "cryptography", "ipaddress", "socket", "json"}
    (tmp_path / "zone").write_text(zone())
    options = ["--dns-load", tmp_path / "zone"]
    assert "spf" not in loaded(mailguard, sign(), *options)
    assert not loaded(mailguard, MESSAGE, *options, *facts(FRIEND)) & {"dkim", "cryptography"}


# The filters behind it


@pytest.fixture
def chain(verify, mailguard):
    """Run verify and then a filter; return its JSON record."""

    def run(filter_, raw, envelope=FRIEND, *arguments, known=None, change=lambda raw: raw, now=NOW, tmp_path):
        (tmp_path / "json").unlink(missing_ok=True)
        out = change(verify(raw, envelope, *(["--known", known] if known else [])))
        common = [filter_, "--log", "none", "--now", now, "--json", tmp_path / "json"]
        process = mailguard(*common, *(["--known", known] if known else []), *arguments, input=out)
        assert (process.returncode, process.stderr) == (0, b"")
        record = json.loads((tmp_path / "json").read_text())
        assert record["changed"] is (process.stdout != out)
        return record

    return run


FILTERS = pytest.mark.parametrize("filter_", ["quarantine", "strip"])


@FILTERS
@pytest.mark.parametrize(
    ("raw", "envelope", "held"),
    [
        (ATTACHED, FRIEND, False),
        (DANGEROUS, FRIEND, True),
        (ATTACHED, STRANGER, True),
        (DANGEROUS, STRANGER, True),
        (ATTACHED.replace(b"Joe <", b'"boss@bank.example" <'), FRIEND, True),
        (b"From: x@other.example\r\n" + ATTACHED, FRIEND, True),
    ],
)
def test_the_authenticated_lose_only_what_is_dangerous_and_the_others_all(
    chain, filter_, raw, envelope, held, tmp_path
):
    assert chain(filter_, raw, envelope, tmp_path=tmp_path)["changed"] is held


@FILTERS
def test_a_filter_acts_only_on_the_unauthenticated_when_told_so(chain, filter_, tmp_path):
    only = ["--when", "unauthenticated"]
    assert chain(filter_, DANGEROUS, FRIEND, *only, tmp_path=tmp_path)["changed"] is False
    assert chain(filter_, ATTACHED, STRANGER, *only, tmp_path=tmp_path)["changed"] is True


@FILTERS
def test_with_a_list_of_known_senders_others_are_suspicious(chain, filter_, tmp_path):
    known = tmp_path / "known"
    known.write_text("Ayumi Sato <ayumi@rcpt.test>\njoe@example.com\n")
    assert chain(filter_, ATTACHED, known=known, tmp_path=tmp_path)["changed"] is False
    persons = ATTACHED.replace(b"Joe <", b"Ayumi Sato <")
    assert chain(filter_, persons, known=known, tmp_path=tmp_path)["changed"] is True
    known.write_text("jane@example.com\n")
    assert chain(filter_, ATTACHED, known=known, tmp_path=tmp_path)["changed"] is True
    # It looks like a domain on the list, so it is nobody's whom the site knows.
    known.write_text("jane@examp1e.com\n")
    assert chain(filter_, ATTACHED, known=known, tmp_path=tmp_path)["changed"] is True
    # An address on the list helps nobody who is not authenticated.
    known.write_text("joe@example.com\n")
    assert chain(filter_, ATTACHED, STRANGER, known=known, tmp_path=tmp_path)["changed"] is True


@FILTERS
@pytest.mark.parametrize(
    ("change", "now"),
    [
        (lambda raw: raw, LATER),
        (lambda raw: raw.replace(b"Subject: report", b"Subject: other"), NOW),
        (lambda raw: raw[raw.index(b"Authentication-Results:") :], NOW),
        (lambda raw: raw.replace(b"k=", b"k=a"), NOW),
        (lambda raw: b"Content-Language: en\r\n" + raw, NOW),
    ],
)
def test_a_seal_that_is_old_forged_or_gone_makes_nobody_authenticated(chain, filter_, change, now, tmp_path):
    record = chain(filter_, ATTACHED, FRIEND, change=change, now=now, tmp_path=tmp_path)
    assert (record["changed"], record["authenticated"]) == (True, False)


@FILTERS
def test_without_a_key_of_its_own_nobody_can_write_a_verdict(verify, mailguard, filter_, tmp_path):
    (tmp_path / "key").write_text(new_key() + "\n")
    (tmp_path / "key").chmod(0o600)
    out = verify(ATTACHED, FRIEND, "--key-file", tmp_path / "key")
    process = mailguard(filter_, "--log", "none", "--now", NOW, input=out)
    assert (process.returncode, process.stdout != out) == (0, True)


def test_the_shell_runs_the_chain(mailguard, tmp_path):
    (tmp_path / "zone").write_text(zone())
    script = (
        f'"$1" verify --log none --now {NOW} --dns-load {tmp_path}/zone {" ".join(facts(FRIEND))}'
        f' | "$1" quarantine --log none --now {NOW}'
    )
    process = mailguard("-c", script, "sh", PROGRAM, program=("/bin/sh",), input=ATTACHED)
    assert process.returncode == 0
    assert process.stdout.endswith(ATTACHED)
