"""Processes share the answers of the DNS, and none outlives its time."""

from __future__ import annotations

import pytest
from dns_server import DnsServer

from mailguard.dns import NODATA, NXDOMAIN, OK, SERVFAIL, TIMEOUT, Answer
from mailguard.dns.shared import Shared


class Counting:
    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def ask(self, name, rdtype, seconds):
        self.asked += 1
        return self.answer


ANSWERS = [
    ("A", Answer(OK, ["192.0.2.1"], 60, authenticated_data=True)),
    ("TXT", Answer(OK, [b'v=spf1 "\\ \xff -all', b""], 60)),
    ("MX", Answer(OK, [(10, "mx.example.com")], 60)),
    ("A", Answer(NODATA, ttl=60)),
    ("A", Answer(NXDOMAIN, ttl=60)),
]


@pytest.mark.parametrize(("rdtype", "answer"), ANSWERS)
def test_an_answer_serves_all_processes_until_its_time_is_over(tmp_path, rdtype, answer):
    path = str(tmp_path / "dns")
    now = [1000.0]
    first, second = Counting(answer), Counting(answer)
    assert Shared(first, path, "", lambda: now[0]).ask("example.com", rdtype, 1) == answer
    now[0] += 20
    found = Shared(second, path, "", lambda: now[0]).ask("example.com", rdtype, 1)
    assert (found.status, found.records, found.ttl) == (answer.status, answer.records, 40)
    assert found.authenticated_data == answer.authenticated_data
    assert second.asked == 0
    now[0] += 40
    Shared(second, path, "", lambda: now[0]).ask("example.com", rdtype, 1)
    assert second.asked == 1


def test_failures_other_servers_and_other_types_are_asked_again(tmp_path):
    path = str(tmp_path / "dns")
    for status in (SERVFAIL, TIMEOUT):
        source = Counting(Answer(status, ttl=60))
        for _ in range(2):
            Shared(source, path, "").ask("example.com", "A", 1)
        assert source.asked == 2
    source = Counting(Answer(OK, ["192.0.2.1"], 60))
    Shared(source, path, "").ask("example.com", "A", 1)
    Shared(source, path, "192.0.2.53").ask("example.com", "A", 1)
    assert source.asked == 2


def test_a_file_that_cannot_be_used_only_costs_questions(tmp_path):
    (tmp_path / "dns").write_bytes(b"no database" * 100)
    for path in (tmp_path / "dns", tmp_path / "missing" / "dns"):
        source = Counting(Answer(OK, ["192.0.2.1"], 60))
        assert Shared(source, str(path), "").ask("example.com", "A", 1).records == ("192.0.2.1",)
        assert source.asked == 1


def test_the_workers_of_a_batch_share_them_and_find_the_client_of_each_mail(mailguard, tmp_path):
    """With one chunk after the other for two workers, each name is asked for at most twice: by both at the same time."""
    filler = b"x" * 70 + b"\n"
    message = (
        b"From a@example.com Mon Jan  1 10:00:00 2024\nReturn-Path: <a@example.com>\n"
        b"Received: from mx.example.com (mx.example.com [198.51.100.7]) by mail.example.org; Mon, 1 Jan 2024 10:00:00 +0000\n"
        b"From: a@example.com\nSubject: x\n\n" + filler * 1500 + b"\n"
    )
    (tmp_path / "box").write_bytes(message * 30)
    zone = {
        "example.com": [("TXT", b"v=spf1 ip4:198.51.100.7 -all")],
        "_dmarc.example.com": [("TXT", b"v=DMARC1; p=reject")],
    }
    with DnsServer(zone) as server:
        chain = f"verify --log none --authserv-id me --trusted-relay 192.0.2.0/24 --nameserver {server.address}"
        process = mailguard("batch", chain, tmp_path / "box", "--output", tmp_path / "out", "--jobs", "2")
        asked = [question for question in server.questions if "_dmarc.example.com" in str(question).lower()]
    assert (process.returncode, process.stderr) == (0, b"")
    assert (tmp_path / "out").read_bytes().count(b"spf=pass") == 30
    assert 1 <= len(asked) <= 2
