"""What a service of checks remembers, how often it lets itself be used, and what it forgets."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailguard.check import state as states
from mailguard.check import token as tokens
from mailguard.check.state import Denied, Exchange, State
from mailguard.errors import MailguardError
from mailguard.seal import keys

NOW = 1_760_000_000  # in the past: files never seem older than what they hold


@pytest.fixture(scope="module")
def ring():
    return keys.KeyRing([keys.parse_key(keys.new_key())])


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


def exchange(ring, address="alice@example.com", created=NOW, *, client="", servers=()):
    made = Exchange(tokens.name(tokens.make(ring.active, address, created)), address, "ja", created)
    made.client, made.servers = client, list(servers)
    return made


def begin(state, ring, *arguments, **options):
    made = exchange(ring, *arguments, **options)
    state.begin(ring, made, made.created)
    return made


def denied(state, ring, *arguments, **options):
    with pytest.raises(Denied) as found:
        begin(state, ring, *arguments, **options)
    return found.value.reason


def test_an_exchange_comes_back_as_it_was_written(state, ring):
    made = exchange(ring, client="192.0.2.0/24", servers=["192.0.2.1"])
    made.status, made.reply, made.page = states.DONE, "a" * 64, "b" * 32
    made.report, made.sent_by, made.dialogue = {"x": 1}, {"tls": None}, ["S: 220 \u202e"]
    made.answered, made.results, made.postponed = NOW + 1, 2, True
    state.save(made)
    read = state.load(made.name)
    assert {name: getattr(read, name) for name in Exchange.__slots__} == {
        name: getattr(made, name) for name in Exchange.__slots__
    }


def test_files_are_private_and_hold_no_token(state, ring, tmp_path):
    token = tokens.make(ring.active, "alice@example.com", NOW)
    state.begin(ring, Exchange(tokens.name(token), "alice@example.com", "ja", NOW), NOW)
    [file] = (tmp_path / "state" / "tokens").iterdir()
    assert token not in file.name + file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"version": 1}', b'{"version": 2}\n', b"\xff", b"null"])
def test_a_damaged_file_is_no_exchange(state, ring, tmp_path, content):
    made = begin(state, ring)
    (tmp_path / "state" / "tokens" / f"{made.name}.json").write_bytes(content)
    assert state.load(made.name) is None
    assert state.previous(exchange(ring)) is None


def test_an_address_gets_one_mail_in_ten_minutes_and_five_a_day_whatever_its_tag(state, ring):
    begin(state, ring, "alice@example.com")
    assert denied(state, ring, "Alice+1@example.com", NOW + 599) == "address"
    for number in range(1, 5):
        begin(state, ring, f"alice+{number}@example.com", NOW + 600 * number)
    assert denied(state, ring, "alice@example.com", NOW + 6000) == "address"
    begin(state, ring, "alice@example.com", NOW + 86400)


def confirm(state, ring, *arguments, **options):
    made = begin(state, ring, *arguments, **options)
    assert state.claim(made, "1" * 64, made.created)
    return made


def test_asking_does_not_use_up_the_diagnoses_of_a_domain_its_servers_or_everybody(state, ring):
    """Who asks has proved nothing: else two clients with a form would close a domain, and twelve a large provider."""
    for number in range(49):
        begin(state, ring, f"user{number}@example.com", client=f"10.0.{number}.0/24", servers=["192.0.2.1"])
    confirm(state, ring, "ann@example.com", client="198.51.100.0/24", servers=["192.0.2.1"])


def test_mails_that_nobody_confirms_end_too(state, ring):
    """Or the form would send to every address of a domain."""
    for number in range(50):
        begin(state, ring, f"user{number}@example.com")
    assert denied(state, ring, "another@example.com") == "domain"
    begin(state, ring, "another@example.org")
    begin(state, ring, "another@example.com", NOW + 86400)


def test_a_domain_gets_ten_diagnoses_a_day(state, ring):
    for number in range(10):
        confirm(state, ring, f"user{number}@example.com")
    assert denied(state, ring, "another@example.com") == "domain"
    confirm(state, ring, "another@example.org")
    confirm(state, ring, "another@example.com", NOW + 86400)


def test_who_asked_before_the_limit_was_reached_may_answer_later(state, ring):
    waiting = begin(state, ring, "ann@example.com")
    for number in range(10):
        confirm(state, ring, f"user{number}@example.com")
    with pytest.raises(Denied, match="domain"):
        state.claim(waiting, "2" * 64, NOW + 60)
    assert [state.postpone(waiting) for _ in range(3)] == [True, False, False]
    assert state.load(waiting.name).reply == ""
    assert state.claim(waiting, "2" * 64, NOW + 86460)


def test_what_is_claimed_stays_claimed_whatever_the_limits(state, ring):
    first = confirm(state, ring, "ann@example.com")
    for number in range(9):
        confirm(state, ring, f"user{number}@example.com")
    assert state.claim(first, "1" * 64, NOW + 60)


def test_a_result_is_told_three_times_and_what_could_not_be_sent_does_not_count(state, ring):
    made = confirm(state, ring)
    assert state.tell(made.name)
    state.untold(made.name)
    assert [state.tell(made.name) for _ in range(5)] == [True] * 3 + [False] * 2
    state.untold(made.name)
    assert state.tell(made.name)
    assert not state.tell("0" * 32)


def test_nothing_begins_when_the_disk_is_nearly_full(state, ring, monkeypatch):
    monkeypatch.setattr(states, "_room", lambda _: 1 << 20)
    assert denied(state, ring) == "room"


def test_a_client_begins_five_an_hour(state, ring):
    for number in range(5):
        begin(state, ring, f"a@example{number}.com", client="198.51.100.0/24")
    assert denied(state, ring, "a@example9.com", client="198.51.100.0/24") == "client"
    begin(state, ring, "a@example9.com", client="203.0.113.0/24")
    begin(state, ring, "a@example9.org", NOW + 3600, client="198.51.100.0/24")


def test_a_mail_server_and_its_network_get_only_so_many_whatever_the_domains(state, ring):
    for number in range(30):
        confirm(state, ring, f"a@example{number}.com", servers=["192.0.2.1"])
    assert denied(state, ring, "a@example99.com", servers=["192.0.2.1"]) == "server"
    for number in range(30):
        confirm(state, ring, f"a@other{number}.com", servers=[f"192.0.2.{number + 2}"])
    assert denied(state, ring, "a@example99.com", servers=["192.0.2.77"]) == "network"
    begin(state, ring, "a@example99.com", servers=["192.0.3.1", "2001:db8::1"])


def test_there_is_a_limit_for_all_together(tmp_path, ring):
    state = State(str(tmp_path), {"all": ((86400, 3),)})
    for number in range(3):
        begin(state, ring, f"a@example{number}.com")
    assert denied(state, ring, "a@example9.com") == "all"


def test_of_many_at_once_no_more_than_the_limit_begin(tmp_path, ring):
    state = State(str(tmp_path), {"all": ((86400, 5),)})

    def attempt(number):
        try:
            begin(state, ring, f"a@example{number}.com")
        except Denied:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) == 5


def test_who_stopped_gets_no_mail_ever_again(state, ring):
    state.stop(tokens.stopped_name(ring, tokens.stop_code(ring.active, "alice@example.com")))
    assert denied(state, ring, "ALICE+x@example.com", NOW + 10 * 365 * 86400) == "stopped"
    state.sweep(2 * NOW, "/nonexistent")
    assert state.is_stopped(ring, "alice@example.com")
    begin(state, ring, "bob@example.com")


def test_the_first_reply_counts_and_only_it_may_come_again(state, ring):
    made = begin(state, ring)
    assert state.claim(made, "1" * 64, NOW)
    assert state.claim(state.load(made.name), "1" * 64, NOW)
    assert not state.claim(state.load(made.name), "2" * 64, NOW)
    assert state.load(made.name).status == states.ANSWERED


def test_a_forgotten_exchange_cannot_be_claimed(state, ring):
    assert not state.claim(exchange(ring), "1" * 64, NOW)


def test_the_last_report_about_the_same_address_is_found(state, ring):
    for created, address, report in (
        (NOW, "alice@example.com", {"n": 1}),
        (NOW + 1, "alice+x@example.com", {"n": 2}),
        (NOW + 2, "bob@example.com", {"n": 3}),
        (NOW + 3, "alice@example.com", None),
        (NOW + 9, "alice@example.com", {"n": 4}),
    ):
        made = exchange(ring, address, created)
        made.report, made.status = report, states.DONE if report else states.SENT
        state.save(made)
    assert state.previous(exchange(ring, created=NOW + 5)) == {"n": 2}
    assert state.previous(exchange(ring, "carol@example.com", NOW + 5)) is None


def test_exchanges_and_pages_go_after_thirty_days(state, ring, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    made = confirm(state, ring)
    kept = ["index.html", "style.css", f"{'a' * 31}.ja.html"]
    for name in (f"{'a' * 32}.ja.html", f"{'a' * 32}.en.html", *kept):
        (pages / name).write_text("x")
    last = int((pages / "index.html").stat().st_mtime)
    state.sweep(last + states.KEEP - 7200, str(pages))
    assert len(list(pages.iterdir())) == 5
    assert state.load(made.name)
    state.sweep(last + states.KEEP + 60, str(pages))
    assert sorted(file.name for file in pages.iterdir()) == sorted(kept)
    assert state.load(made.name) is None


def test_what_nobody_answered_goes_when_its_token_is_of_no_use_any_longer(state, ring, tmp_path):
    asked, answered = begin(state, ring), confirm(state, ring, "bob@example.com")
    state.sweep(NOW + tokens.LIFETIME, str(tmp_path))
    assert state.load(asked.name)
    state.sweep(NOW + tokens.LIFETIME + 86401, str(tmp_path))
    assert (state.load(asked.name), bool(state.load(answered.name))) == (None, True)


def test_the_files_are_looked_through_once_in_an_hour(state, ring, tmp_path):
    late = NOW + 10 * states.DAY
    state.sweep(late, str(tmp_path))
    made = begin(state, ring)
    state.sweep(late + 3599, str(tmp_path))
    assert state.load(made.name)
    state.sweep(late + 3600, str(tmp_path))
    assert state.load(made.name) is None


def test_counting_reads_no_report_and_no_file_twice(state, ring, tmp_path, monkeypatch):
    """A report has 100 kB: with a thousand a day each use of the form would read all of them."""
    for number in range(20):
        made = confirm(state, ring, f"a@example{number}.com")
        made.report = {"long": "x" * 100_000}
        state.save(made)
    read = []
    original = State._read
    monkeypatch.setattr(State, "_read", lambda *values, **options: read.append(options) or original(*values, **options))
    begin(state, ring, "a@example.org")
    assert {options["whole"] for options in read} <= {False}
    before = len(read)
    begin(state, ring, "b@example.org")
    assert len(read) - before <= 2


def test_a_directory_that_cannot_be_made_is_a_failure_of_the_site(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MailguardError, match="file"):
        State(str(tmp_path / "file"))


def test_no_body_of_a_mail_has_a_place_in_a_record(state, ring, tmp_path):
    made = begin(state, ring)
    lines = (tmp_path / "state" / "tokens" / f"{made.name}.json").read_text().splitlines()
    record, report = map(json.loads, lines)
    assert {*record, "report"} == {"version", *Exchange.__slots__}
    assert report is None
    assert not os.listdir(tmp_path / "state" / "stopped")


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("nonsense", ""), ("", "")],
)
def test_networks_of_one_owner(address, network):
    assert states.network(address) == network
