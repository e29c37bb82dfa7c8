"""Every way in which a DNS question can end is kept apart, and nothing hostile costs more than its limit."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading

import pytest
from dns_server import DROP, SERVFAIL, DnsServer
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard import dns
from mailguard.dns import Answer
from mailguard.dns.cache import Cached
from mailguard.dns.files import Recorded, Recording, Zone, load_file
from mailguard.dns.live import Nameservers, is_authoritative
from mailguard.dns.lookups import Lookups
from mailguard.dns.names import domain_name, macro_name
from mailguard.dns.presentation import read, written
from mailguard.dns.shared import Shared
from mailguard.dns.sources import Unopened
from mailguard.envelope import Envelope
from mailguard.errors import ConfigurationError
from mailguard.verify import spf

ZONE = {
    "example.com": [
        ("TXT", b"v=spf1 -all"),
        ("MX", (10, "mx.example.com")),
        ("MX", (5, ".")),
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
    ],
    "alias.example.com": [("CNAME", "example.com")],
    "loop.example.com": [("CNAME", "pool.example.com")],
    "pool.example.com": [("CNAME", "loop.example.com")],
    "lost.example.com": [("CNAME", "nowhere.example.com")],
    "strings.example.com": [("TXT", [b"a" * 200, b"b" * 100]), ("TXT", b"\xff\0\n")],
    "empty.example.com": [("TXT", []), ("TXT", b"v=spf1 +all"), ("TXT", [b""])],
    "alias-of-empty.example.com": [("CNAME", "only-empty.example.com")],
    "only-empty.example.com": [("TXT", [])],
    "large.example.com": [("TXT", bytes([65 + number]) * 250) for number in range(20)],
    "medium.example.com": [("TXT", b"m" * 900)],
    "broken.example.com": [("*", SERVFAIL)],
    "silent.example.com": [("*", DROP)],
    "1.2.0.192.in-addr.arpa": [("PTR", "host.example.com")],
    "user+tag=x.example.com": [("A", "192.0.2.9")],
}


class Fixed:
    """A source that answers everything alike and counts."""

    def __init__(self, answer=None):
        self.answer = answer or Answer(dns.OK, ["192.0.2.1"], 60)
        self.asked = []

    def ask(self, name, rdtype, seconds):
        self.asked.append((name, rdtype))
        return self.answer


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as running:
        yield running


@pytest.fixture
def servers(server):
    return Nameservers([server.address], timeout=3.0)


@pytest.mark.parametrize(
    ("name", "rdtype", "status", "records"),
    [
        ("example.com", "TXT", "OK", {b"v=spf1 -all"}),
        ("example.com", "A", "OK", {"192.0.2.1"}),
        ("example.com", "AAAA", "OK", {"2001:db8::1"}),
        ("example.com", "MX", "OK", {(10, "mx.example.com"), (5, "")}),
        ("example.com", "PTR", "NODATA", set()),
        ("com", "A", "NODATA", set()),
        ("1.2.0.192.in-addr.arpa", "PTR", "OK", {"host.example.com"}),
        ("alias.example.com", "A", "OK", {"192.0.2.1"}),
        ("alias.example.com", "CNAME", "OK", {"example.com"}),
        ("strings.example.com", "TXT", "OK", {b"a" * 200 + b"b" * 100, b"\xff\0\n"}),
        ("nowhere.example.com", "A", "NXDOMAIN", set()),
        ("lost.example.com", "A", "NXDOMAIN", set()),
        ("loop.example.com", "A", "NODATA", set()),
        ("broken.example.com", "A", "SERVFAIL", set()),
        ("user+tag=x.example.com", "A", "OK", {"192.0.2.9"}),
    ],
)
def test_a_name_server_is_understood(servers, name, rdtype, status, records):
    answer = servers.ask(name, rdtype, 5)
    assert (answer.status, set(answer.records)) == (status, records)


def test_ttl_and_authenticated_data_are_reported(servers):
    answer = servers.ask("example.com", "A", 5)
    assert (answer.ttl, answer.authenticated_data) == (60, True)


def test_silence_is_a_timeout(server):
    assert Nameservers([server.address], timeout=0.1).ask("silent.example.com", "A", 5).status == "TIMEOUT"


def test_the_time_left_bounds_a_question(servers):
    assert servers.ask("silent.example.com", "A", 0.05).status == "TIMEOUT"


def test_a_server_that_is_not_there_is_a_timeout():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert Nameservers([f"127.0.0.1:{port}"], timeout=0.2).ask("example.com", "A", 5).status == "TIMEOUT"


def test_a_txt_record_without_any_string_is_an_empty_text_and_hides_no_other_record(servers):
    assert sorted(servers.ask("empty.example.com", "TXT", 5).texts) == [b"", b"", b"v=spf1 +all"]
    assert servers.ask("alias-of-empty.example.com", "TXT", 5).texts == (b"",)


def test_a_large_answer_comes_over_tcp(server, servers):
    before = len(server.questions)
    assert len(servers.ask("large.example.com", "TXT", 5).texts) == 20
    assert len(server.questions) - before == 2


def test_a_medium_answer_comes_in_one_datagram_because_we_announce_its_size(server, servers):
    before = len(server.questions)
    assert servers.ask("medium.example.com", "TXT", 5).texts == (b"m" * 900,)
    assert len(server.questions) - before == 1


def test_garbled_answers_are_a_failure_not_an_answer():
    with DnsServer(ZONE, garble=True) as server:
        assert Nameservers([server.address], timeout=0.5).ask("example.com", "A", 5).status == "SERVFAIL"


def test_an_answer_to_another_question_is_not_believed():
    with DnsServer(ZONE, forge=True) as server:
        assert Nameservers([server.address], timeout=1.0).ask("example.com", "TXT", 5).texts == (b"v=spf1 -all",)


def test_a_lost_request_is_repeated():
    with DnsServer(ZONE, drop_first=1) as server:
        assert Nameservers([server.address], timeout=0.6).ask("example.com", "A", 5).status == "OK"


def test_the_second_server_is_asked_when_the_first_fails(server):
    with DnsServer({"example.com": [("*", SERVFAIL)]}) as broken:
        answer = Nameservers([broken.address, server.address], timeout=1.0).ask("example.com", "A", 5)
    assert answer.status == "OK"


def test_name_servers_may_have_ipv6_addresses():
    with DnsServer(ZONE, family=socket.AF_INET6) as server:
        assert Nameservers([server.address], timeout=1.0).ask("example.com", "A", 5).status == "OK"


@pytest.mark.parametrize("text", ["", ":53", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "[::1", "a b", "\xff:53"])
def test_what_is_no_name_server_is_a_configuration_error(text):
    with pytest.raises(ConfigurationError, match="name server"):
        Nameservers([text])


def test_prefetch_asks_everything_at_the_same_time():
    names = [f"host{number}.example.com" for number in range(8)]
    with DnsServer({name: [("A", "192.0.2.1")] for name in names}, together=8) as server:
        lookups = Lookups(Nameservers([server.address], timeout=2.0))
        lookups.prefetch((name, "A") for name in names)
        assert [lookups.query(name, "A").status for name in names] == ["OK"] * 8
    assert lookups.rounds == 1


def test_what_is_known_is_asked_of_nobody_and_needs_no_thread(tmp_path, monkeypatch):
    source = Fixed()
    names = [f"host{number}.example.com" for number in range(3)]
    shared = Cached(Shared(source, str(tmp_path / "dns"), ""))
    with Lookups(shared) as lookups:
        lookups.prefetch((name, "A") for name in names)
        assert [lookups.query(name, "A").status for name in names] == ["OK"] * 3  # what is not waited for is cancelled
    zone = Recording(Zone("".join(f"{name} A 192.0.2.1\n" for name in names)))
    before = len(source.asked)
    monkeypatch.setattr(Lookups, "_workers", None)
    for known in (shared, Unopened(lambda: shared), Cached(Shared(source, str(tmp_path / "dns"), "")), zone):
        lookups = Lookups(known)
        lookups.prefetch((name, "A") for name in names)
        assert [lookups.query(name, "A").records for name in names] == [("192.0.2.1",)] * 3
        assert (len(source.asked), lookups.rounds) == (before, 0)
        assert [one["name"] for one in lookups.trace()] == names
    assert Recorded(zone.saved()).remembered(names[0], "A") is not None


def test_only_what_is_not_known_is_asked():
    source = Fixed()
    cached = Cached(source)
    cached.ask("a.example", "A", 1)
    with Lookups(cached) as lookups:
        lookups.prefetch((name, "A") for name in ("a.example", "b.example", "c.example"))
        assert lookups.query("c.example", "A").status == "OK"
    assert sorted(source.asked) == [(name, "A") for name in ("a.example", "b.example", "c.example")]


def test_a_known_answer_counts_and_may_be_beyond_all_measure():
    records = "".join(f"a.example A 192.0.2.{number}\n" for number in range(101))
    lookups = Lookups(Zone(records + "b.example A 192.0.2.1\nc.example A 192.0.2.1\n"), questions=2)
    lookups.prefetch((name, "A") for name in ("a.example", "b.example", "c.example"))
    assert [lookups.query(f"{name}.example", "A").status for name in "abc"] == ["LIMIT", "OK", "LIMIT"]


def test_each_question_is_asked_once_whatever_its_case_and_final_dot():
    source = Fixed()
    lookups = Lookups(source)
    lookups.prefetch([("Example.COM.", "A"), ("example.com", "A")])
    lookups.query("EXAMPLE.com", "A")
    lookups.query("example.com.", "A")
    assert source.asked == [("example.com", "A")]


def test_names_that_are_none_are_never_asked():
    source = Fixed()
    lookups = Lookups(source)
    illegal = [
        "",
        ".",
        "a..b",
        "a b.example",
        "a\0.example",
        "é\n.example",
        "x" * 64 + ".example",
        "a." * 127 + "toolong",
    ]
    lookups.prefetch((name, "A") for name in illegal)
    assert {lookups.query(name, "A").status for name in illegal} == {"BADNAME"}
    assert source.asked == []


def test_a_message_may_ask_only_so_many_questions():
    source = Fixed()
    lookups = Lookups(source, questions=5)
    lookups.prefetch((f"host{number}.example", "A") for number in range(4))
    statuses = [lookups.query(f"other{number}.example", "A").status for number in range(3)]
    lookups.trace()  # waits for all of them
    assert (statuses, len(source.asked)) == (["OK", "LIMIT", "LIMIT"], 5)
    assert not Answer("LIMIT").temporary


def test_prefetch_stops_at_the_limit_and_leaves_what_it_did_not_ask():
    source = Fixed()
    lookups = Lookups(source, questions=2)
    lookups.prefetch((f"host{number}.example", "A") for number in range(4))
    lookups.trace()
    assert len(source.asked) == 2
    assert [lookups.query(f"host{number}.example", "A").status for number in range(3)] == ["OK", "OK", "LIMIT"]


def test_after_the_time_of_the_message_nothing_is_asked():
    source = Fixed()
    lookups = Lookups(source, seconds=0.0)
    assert lookups.query("example.com", "A").status == "TIMEOUT"
    assert source.asked == []


@pytest.mark.parametrize("records", [["192.0.2.1"] * 101, [b"x" * 65537]])
def test_an_answer_beyond_all_measure_is_not_taken(records):
    assert Lookups(Fixed(Answer("OK", records))).query("example.com", "A").status == "LIMIT"


def test_the_trace_holds_every_answer_in_the_order_of_the_questions():
    lookups = Lookups(Zone('b.example TXT "v=x"\na.example MX 5 m.example\n'))
    lookups.prefetch([("b.example", "TXT"), ("a.example", "MX")])
    lookups.query("c.example", "A")
    assert [(one["name"], one["type"], one["status"], one["records"]) for one in lookups.trace()] == [
        ("b.example", "TXT", "OK", ['"v=x"']),
        ("a.example", "MX", "OK", ["5 m.example"]),
        ("c.example", "A", "NXDOMAIN", []),
    ]


def test_lookups_may_be_used_from_several_threads():
    lookups = Lookups(Fixed(), questions=50)
    threads = [
        threading.Thread(target=lookups.prefetch, args=([(f"h{number}-{other}.example", "A") for other in range(20)],))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(lookups.trace()) <= 50


def test_the_cache_keeps_an_answer_for_its_ttl_and_tells_what_is_left_of_it():
    now = [0.0]
    source = Fixed(Answer("OK", ["192.0.2.1"], 60, authenticated_data=True))
    cached = Cached(source, clock=lambda: now[0])
    cached.ask("example.com", "A", 5)
    now[0] = 59
    kept = cached.ask("example.com", "A", 5)
    assert (kept.records, kept.ttl, kept.authenticated_data, len(source.asked)) == (("192.0.2.1",), 1, True, 1)
    now[0] = 60
    cached.ask("example.com", "A", 5)
    assert len(source.asked) == 2


@pytest.mark.parametrize("status", ["SERVFAIL", "TIMEOUT"])
def test_the_cache_never_keeps_a_failure(status):
    source = Fixed(Answer(status, (), 60))
    cached = Cached(source)
    cached.ask("example.com", "A", 5)
    cached.ask("example.com", "A", 5)
    assert len(source.asked) == 2


def test_the_cache_forgets_what_was_not_used_for_longest():
    source = Fixed()
    cached = Cached(source, size=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        cached.ask(name, "A", 5)
    assert [name for name, _ in source.asked] == ["a", "b", "c", "b"]


def test_a_recording_replays_every_answer_and_knows_nothing_else(servers):
    recording = Recording(servers)
    questions = [("example.com", "TXT"), ("example.com", "MX"), ("strings.example.com", "TXT"), ("no.example.com", "A")]
    answers = [recording.ask(*question, 5) for question in questions]
    replay = Recorded(recording.saved())
    assert [replay.ask(*question, 5) for question in questions] == answers
    assert replay.ask("other.example.com", "A", 5).status == "TIMEOUT"


def test_a_recording_is_the_same_bytes_whatever_the_order():
    first, second = Recording(Fixed()), Recording(Fixed())
    for name in ("a", "b"):
        first.ask(name, "A", 5)
    for name in ("b", "a"):
        second.ask(name, "A", 5)
    assert first.saved() == second.saved()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b'{"version": 2, "answers": {}}',
        b'{"version": 1, "answers": {"a.example": {}}}',
        b'{"version": 1, "answers": {"a A": {"status": "FINE", "records": [], "ttl": 1, "authenticated_data": false}}}',
        b'{"version": 1, "answers": {"a A": {"status": "OK", "records": ["x"], "ttl": 1, "authenticated_data": false}}}',
        b'{"version": 1, "answers": []}',
        b"example.com A 192.0.2.300\n",
        b"example.com LOC here\n",
        b"example.com\n",
        b"example.com * 192.0.2.1\n",
        b'example.com TXT "no end\n',
        b"example.com MX mx\n",
        b"\xff A 192.0.2.1\n",
    ],
)
def test_a_file_that_cannot_be_understood_is_a_configuration_error(tmp_path, content):
    path = tmp_path / "dns"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        load_file(str(path))


def test_the_options_choose_the_source(tmp_path, server):
    (tmp_path / "zone").write_text("example.com A 192.0.2.77\n")
    assert dns.source(load=str(tmp_path / "zone")).ask("example.com", "A", 5).names == ("192.0.2.77",)
    assert isinstance(dns.source([server.address]), Nameservers)
    before = len(server.questions)
    cached = dns.source([server.address], cache=True)
    assert {cached.ask("example.com", "A", 5).names for _ in range(3)} == {("192.0.2.1",)}
    assert len(server.questions) == before + 1


@pytest.mark.parametrize(
    ("written", "address"), [("nameserver 192.0.2.53\nsearch example.com\n", "192.0.2.53"), (None, "127.0.0.1")]
)
def test_without_options_the_name_servers_of_the_system_are_asked(monkeypatch, tmp_path, written, address):
    import dns.resolver as stub

    configuration = tmp_path / "resolv.conf"
    if written:
        configuration.write_text(written)
    original = stub.Resolver.read_resolv_conf
    monkeypatch.setattr(stub.Resolver, "read_resolv_conf", lambda self, _: original(self, str(configuration)))
    assert [server.address for server in Nameservers()._resolver.nameservers] == [address]


def test_a_missing_file_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read"):
        dns.source(load=str(tmp_path / "none"))


def test_a_zone_file_is_the_whole_dns(tmp_path):
    path = tmp_path / "zone"
    path.write_text(
        '# comment\n; comment\n\nexample.com TXT v=spf1 a \\; \\200 -all\nexample.com TXT "a" "b\\""\n'
        "alias.example.com CNAME example.com.\nloop.example.com CNAME loop.example.com\n"
        "slow.example.com * TIMEOUT\nhalf.example.com TXT SERVFAIL\nhalf.example.com A 192.0.2.1\n"
    )
    zone = load_file(str(path))
    assert zone.ask("alias.example.com", "TXT", 5).texts == (b"v=spf1 a ; \xc8 -all", b'ab"')
    statuses = [("com", "A"), ("example.com", "A"), ("no.example.com", "A"), ("slow.example.com", "MX")]
    statuses += [("half.example.com", "TXT"), ("half.example.com", "A"), ("loop.example.com", "A")]
    assert [zone.ask(*question, 5).status for question in statuses] == [
        "NODATA", "NODATA", "NXDOMAIN", "TIMEOUT", "SERVFAIL", "OK", "NODATA",
    ]  # fmt: skip


@given(st.binary(max_size=300))
def test_a_text_is_written_readably_and_read_back(text):
    shown = written(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert read(shown, "TXT") == text


@given(st.text(max_size=80))
def test_any_text_is_a_domain_name_or_none(text):
    for name in (domain_name(text), macro_name(text)):
        assert name is None or (name.isascii() and name.isprintable() and 0 < len(name) <= 253 and ".." not in name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM.", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("\u65e5\u672c\u8a9e\u3002jp", "xn--wgv71a119e.jp"),
        ("\uff45xample.com", "example.com"),
        ("a\u2024b.com", None),  # a one dot leader would become a full stop
        ("\u00e9" * 64 + ".com", None),
        ("\u00e9" * 300 + ".com", None),
        ("x.\u00e9\u0000.com", None),
        ("exa mple.com", None),
        ("example..com", None),
        ("x" * 2000, None),
    ],
)
def test_names_are_checked_and_made_ascii(text, name):
    assert domain_name(text) == name


def test_a_name_that_idna_2003_would_give_to_somebody_else_is_never_his():
    assert domain_name("fa\u00df.de") in {None, "xn--fa-hia.de"}


def test_a_local_part_may_stand_in_a_macro_name_only():
    assert (domain_name("user+tag.example"), macro_name("User+Tag.example")) == (None, "user+tag.example")


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_any_bytes_from_a_server_are_an_answer_and_never_records(noise):
    with DnsServer({}) as server:
        server.answer = lambda request: request[:2] + b"\x81\x80" + noise
        answer = Nameservers([server.address], timeout=0.02).ask("example.com", "TXT", 5)
    assert answer.status in {"TIMEOUT", "SERVFAIL", "NODATA"}


def test_asking_costs_no_import_of_dnspython_before_the_first_name_server():
    code = (
        "import sys, mailguard.dns.lookups, mailguard.dns.files as f;"
        "mailguard.dns.lookups.Lookups(f.Zone('a.example A 192.0.2.1')).query('a.example', 'A');"
        "sys.exit('dns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@pytest.fixture
def nsd(tmp_path):
    """A real NSD with one zone on a free port."""
    program = shutil.which("nsd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("nsd is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    records = "".join(f'large TXT "{chr(65 + number) * 250}"\n' for number in range(20))
    (tmp_path / "example.com.zone").write_text(
        "$ORIGIN example.com.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 120\n@ NS ns\nns A 127.0.0.1\n"
        '@ TXT "v=spf1 include:inner.example.com -all"\ninner TXT "v=spf1 mx ~all"\ninner MX 10 mx\n'
        "mx A 192.0.2.1\nmx AAAA 2001:db8::1\nalias CNAME inner\nnothing TXT \\# 0\n" + records
    )
    (tmp_path / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n username: ""\n database: ""\n zonesdir: "{tmp_path}"\n'
        f' pidfile: "{tmp_path}/nsd.pid"\n xfrdfile: "{tmp_path}/xfrd"\n zonelistfile: "{tmp_path}/list"\n'
        f" verbosity: 1\n server-count: 1\nremote-control:\n control-enable: no\n"
        'zone:\n name: "example.com"\n zonefile: "example.com.zone"\n'
    )
    process = subprocess.Popen([program, "-d", "-c", str(tmp_path / "nsd.conf")], stderr=subprocess.PIPE, text=True)
    assert any("nsd started" in line for line in process.stderr), "nsd ended before it answered"
    yield Nameservers([f"127.0.0.1:{port}"], timeout=2.0)
    process.terminate()
    process.communicate(timeout=120)


@pytest.mark.e2e
def test_a_real_name_server_is_understood(nsd):
    questions = [
        ("inner.example.com", "MX"),
        ("mx.example.com", "AAAA"),
        ("no.example.com", "A"),
        ("mx.example.com", "MX"),
    ]
    assert [nsd.ask(*question, 5).status for question in questions] == ["OK", "OK", "NXDOMAIN", "NODATA"]
    assert nsd.ask("alias.example.com", "TXT", 5).texts == (b"v=spf1 mx ~all",)
    assert nsd.ask("no.example.com", "A", 5).ttl == 120
    assert len(nsd.ask("large.example.com", "TXT", 5).texts) == 20
    assert nsd.ask("other.example", "A", 5).status == "SERVFAIL"  # refused: not its zone


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("client", "expected"), [("192.0.2.1", "pass"), ("2001:db8::1", "pass"), ("192.0.2.2", "fail")]
)
def test_spf_is_judged_through_a_real_name_server(nsd, client, expected):
    envelope = Envelope(client_address=client, client_helo="mx.example.com", sender="user@example.com")
    first, second = spf.check(envelope, Lookups(nsd), 0)
    assert (first.result, second.result) == (expected, "none")


@pytest.mark.e2e
def test_a_real_name_server_may_serve_a_txt_record_without_strings(nsd):
    assert nsd.ask("nothing.example.com", "TXT", 5).texts == (b"",)


@pytest.mark.parametrize(
    ("flags", "rcode", "expected"),
    [
        ("AA", 0, True),
        ("", 0, False),
        ("AA", 5, False),
        (None, None, None),
    ],
)
def test_who_does_not_answer_for_a_zone_itself_is_not_its_server(flags, rcode, expected):
    from dns import flags as flag
    from dns import message

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer():
            raw, sender = server.recvfrom(4096)
            response = message.make_response(message.from_wire(raw))
            response.flags |= flag.from_text(flags)
            response.set_rcode(rcode)
            server.sendto(response.to_wire(), sender)

        if flags is not None:
            threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert is_authoritative(address, "good.test", 0.3 if flags is None else 5.0) is expected
