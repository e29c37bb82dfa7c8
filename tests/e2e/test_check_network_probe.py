"""The second level against real mail servers: what each refuses, holds, lets through, returns, or puts off."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from check_network import EXIM, EXIM_ADDRESS, OPENSMTPD, SMALL, laboratory
from mail_system import until
from probe_network import ADDRESSES, FORGED, NAIVE, OPENDMARC, PICKY, REPAIRED, SERVICE, STRICT, ProbeNetwork

from mailguard.check import control, specimens, trials
from mailguard.check.reply import handle
from mailguard.check.report import Report
from mailguard.check.service import Service
from mailguard.check.state import DAY, DONE, Exchange, State
from mailguard.dns.files import Zone
from mailguard.envelope import Envelope
from mailguard.seal import KeyRing

PROGRAM = (sys.executable, "-m", "mailguard", "check")
LAB = ("--lab", "--nameserver", "127.0.0.1")
CHECKS = specimens.names(enforce=True)
PROVED = ("strict.test", "naive.test", "picky.test", "guard.test", "late.test", "grey.test", "gone.test")
ACCEPTED = dict.fromkeys(CHECKS, "accepted")
REFUSED = dict.fromkeys(CHECKS, "refused")
BARE = "LF.LF, LF.CRLF, CRLF.LF"

SAID = {
    ("strict.test", "mx1"): ACCEPTED
    | {"in.self": "refused", "in.enforce": "refused", "in.eicar": "refused", "in.eicar.zip": "refused"}
    | {"smuggling": "good"},
    ("strict.test", "mx2"): ACCEPTED | {"smuggling": "good"},
    ("naive.test", "mx1"): ACCEPTED | {"smuggling": BARE},
    ("picky.test", "mx1"): ACCEPTED | {"smuggling": "good"},
    ("guard.test", "mx1"): REFUSED | {"in.html-smuggle": "accepted", "smuggling": "good"},
    ("late.test", "mx1"): ACCEPTED | {"smuggling": "good"},
    ("small.test", "mx1"): ACCEPTED | {"smuggling": f"{BARE}, CRLF.NUL.CRLF"},
    ("grey.test", "mx1"): dict.fromkeys((*CHECKS, "smuggling"), "declined"),
    ("gone.test", "mx1"): dict.fromkeys((*CHECKS, "smuggling"), "unreachable"),
}
"""What each server says at once; for smuggling, the false ends that it takes, or the reason."""

DELIVERED = dict.fromkeys(CHECKS, "delivered")
HELD = {"in.macro": "held", "in.exe": "held", "in.dblext": "held", "in.html-smuggle": "held"}
FOUND = SAID | {
    ("strict.test", "mx1"): SAID["strict.test", "mx1"] | HELD | {"in.encrypted-zip": "delivered"},
    ("strict.test", "mx2"): SAID["strict.test", "mx2"] | DELIVERED,
    ("naive.test", "mx1"): SAID["naive.test", "mx1"] | DELIVERED,
    ("picky.test", "mx1"): SAID["picky.test", "mx1"] | dict.fromkeys(CHECKS, "bounced"),
    ("guard.test", "mx1"): SAID["guard.test", "mx1"] | {"in.html-smuggle": "held"},
    ("late.test", "mx1"): SAID["late.test", "mx1"] | dict.fromkeys(CHECKS, "bounced"),
    ("small.test", "mx1"): SAID["small.test", "mx1"] | DELIVERED,
}
"""What is known when everything that arrived, was held or came back has been collected."""

STATES = {
    **dict.fromkeys(("refused", "held", "good"), "good"),
    **dict.fromkeys(("delivered", "taken"), "failure"),
    **dict.fromkeys(("accepted", "declined", "unreachable"), "unknown"),
    "bounced": "warning",
}


class Site:
    """The service, and its exchanges with people of the laboratory, all of which are done."""

    def __init__(self, folder, ring):
        self.folder = folder
        self.state = State(str(folder / "state"))
        self.pages = folder / "pages"
        self.pages.mkdir()
        self.names = {}
        options = {"pages": str(self.pages), "url": "https://check.test/", "source": Zone(""), "guard": None}
        self.service = Service(SERVICE, ring, self.state, scan=None, **options)
        self.now = int(time.time())

    def exchanged(self, address, report=None):
        exchange = Exchange(os.urandom(16).hex(), address, "ja", self.now)
        exchange.status, exchange.page = DONE, os.urandom(16).hex()
        exchange.report = report or Report(exchange.domain, self.now, 1.0, []).as_dict()
        self.state.save(exchange)
        self.names[exchange.domain] = exchange.name

    def page(self, domain, lang):
        return self.pages / f"{self.state.load(self.names[domain]).page}.{lang}.html"

    def outcomes(self, domain):
        return Report.from_dict(self.state.load(self.names[domain]).report).outcomes

    def known(self, domain):
        """Reasons by server and check."""
        found = {}
        for each in self.outcomes(domain):
            if each.check not in FOUND["naive.test", "mx1"]:
                continue
            server = (domain, each.subject.partition(".")[0])
            found.setdefault(server, {})[each.check] = each.values["endings"] if each.reason == "taken" else each.reason
            assert each.state == STATES[each.reason], each
        return found


@pytest.fixture(scope="module")
def network():
    with (
        laboratory(files=(EXIM, OPENSMTPD, OPENDMARC)) as (folder, key),
        ProbeNetwork(folder, {domain: control.token(domain, key) for domain in PROVED}) as made,
    ):
        made.site = Site(folder, KeyRing([key]))
        for name in ADDRESSES:
            scanned = json.loads(scan(made, "strict.test").stdout) if name == "strict" else None
            made.site.exchanged(f"{'postmaster' if name == 'small' else 'alice'}@{name}.test", scanned)
        yield made


def scan(network, domain):
    options = ["--json", "--blocklist", "bl.test", "--key-file", network.folder / "key"]
    return network.run([*PROGRAM, "scan", domain, *LAB, *options], capture_output=True)


def check(network, *words, **options):
    program = [*PROGRAM, *words, *LAB, "--address", SERVICE, "--url", "https://check.test/"]
    program += ["--state", network.folder / "state", "--www", network.site.pages, "--key-file", network.folder / "key"]
    return network.run(program, capture_output=True, **options)


def probed(network, address, *options):
    return check(network, "probe", address, "--forged-domain", FORGED, *options)


@pytest.fixture(scope="module")
def sent(network):
    """What the command says for each domain: all at once, because each mostly waits."""
    people = [f"{'postmaster' if domain == 'small.test' else 'alice'}@{domain}" for domain in (*PROVED, "small.test")]
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda address: probed(network, address), people)
    return dict(zip(people, results, strict=True))


@pytest.fixture(scope="module")
def found(network, sent):
    """Everything that the servers kept is collected."""
    site, service = network.site, network.site.service
    before = {server: reasons for domain in (*PROVED, "small.test") for server, reasons in site.known(domain).items()}

    places = [(STRICT, "strict.test"), (EXIM_ADDRESS, "strict.test"), (NAIVE, "naive.test"), (SMALL, "small.test")]
    places += [(PICKY, "service.test"), (EXIM_ADDRESS, "service.test")]
    # Of strict.test one mail and the seven with a false end arrive; picky.test refuses those with a bare line feed.
    wanted = [8, 16, 16, 16, 13, 16]

    def counts():
        return [len(network.mails(*place)) for place in places]

    until(lambda: counts() == wanted, lambda: f"{counts()}\n{network.logs()}", 20)
    boxes = [network.mails(*place) for place in places]
    mails, bounces = boxes[:4], boxes[4:]
    for raw in [raw for box in mails for raw in box]:
        trials.collect(service, raw, site.now)
    for raw in [raw for box in bounces for raw in box]:
        assert handle(service, raw, Envelope(sender=""), site.now).code in {"bounced", "no-token"}
    for raw in [raw for address in (STRICT, EXIM_ADDRESS) for raw in network.held(address)]:
        assert check(network, "collect", "--held", input=raw).returncode == 0
    return before


def test_what_a_server_says_at_once_is_the_result_until_more_is_known(sent, found):
    assert {address: result.stderr for address, result in sent.items() if result.returncode} == {}
    assert found == SAID
    line = "good\tin.self\tmx1.strict.test\tIt was refused at once: 550 5.7.1 rejected by DMARC policy for strict.test"
    assert line in sent["alice@strict.test"].stdout.decode().splitlines()


def test_what_arrived_was_held_or_came_back_is_the_result(network, found):
    known = {}
    for domain in (*PROVED, "small.test"):
        known |= network.site.known(domain)
    assert known == FOUND


@pytest.mark.parametrize("name", [*CHECKS, "smuggling"])
def test_each_mail_is_stopped_by_one_server_and_taken_by_another(name):
    reasons = {each[name] for each in FOUND.values()}
    stopped = {"good"} if name == "smuggling" else {"refused", "held"}
    assert reasons & stopped
    assert reasons & ({BARE} if name == "smuggling" else {"delivered"})
    assert reasons >= {"declined", "unreachable"}


def test_no_mails_go_out_twice_a_day_or_to_whom_does_not_ask_for_them(network, found):
    for address, reason in (("alice@naive.test", b"within the last day"), ("alice@unproved.test", b"not proved")):
        result = probed(network, address)
        assert (result.returncode, result.stdout) == (1, b"")
        assert reason in result.stderr


@pytest.mark.parametrize("lang", ["ja", "en"])
@pytest.mark.parametrize("domain", ["strict.test", "naive.test", "gone.test"])
def test_the_page_tells_it(network, found, browser, domain, lang):
    page = network.site.page(domain, lang)
    browser.open(page.as_uri())
    assert browser.requests == [page.as_uri()]
    assert browser.errors == []
    for width in (1100, 390):
        browser.shape(width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.screenshot(f"check-probe-{domain}-{lang}-{width}").stat().st_size > 10_000


def test_the_repairs_of_the_catalogue_repair_a_server(network, found):
    """At the end: it changes naive.test."""
    site = network.site
    network.repair(NAIVE, REPAIRED)
    etc = network.folder / "naive" / "etc"
    checks = network.run(["postconf", "-c", etc, "-h", "mime_header_checks"], capture_output=True, text=True).stdout
    assert checks.startswith("$header_checks regexp:")  # what was there before stays
    later = datetime.fromtimestamp(site.now + 2 * DAY, UTC).isoformat()
    assert probed(network, "alice@naive.test", "--now", later).returncode == 0
    held = until(lambda: mails if len(mails := network.held(NAIVE)) == 5 else None, network.logs, 20)
    for raw in held:
        trials.collect(site.service, raw, site.now + 2 * DAY, held=True)
    assert site.known("naive.test")["naive.test", "mx1"] == DELIVERED | HELD | {"in.eicar": "held", "smuggling": "good"}
