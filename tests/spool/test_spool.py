"""The spool: nothing is in it by halves, nothing leaves it without an answer, and nobody else gets in."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import sys
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.delivery import DELIVERED, PERMANENT, TEMPORARY, Attempt, parse
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.spool import files
from mailguard.spool.breaker import Breakers
from mailguard.spool.done import Done, key
from mailguard.spool.entry import LONGEST_PAUSE, DamagedEntry, Pending
from mailguard.spool.queue import Spool, UnavailableError

NOW = 1_800_000_000.0
RAW = b"From a@b\r\nSubject: x\n\nbytes \x00\xff\r\n\nno newline"
SERVER = parse("smtp://127.0.0.1:1")
STORE = parse("maildir:/nowhere/copies")
WORK = [(SERVER, ["b@two.test", "c@two.test"]), (STORE, [""])]


@pytest.fixture
def spool(tmp_path):
    with Spool(str(tmp_path / "spool"), reserve=0) as spool:
        yield spool


def put(spool, raw=RAW, digest=b"d" * 32, work=WORK, now=NOW, sender=""):
    return spool.put([raw], sender=sender, work=work, digest=digest, now=now)


def attempt(**statuses) -> Attempt:
    result = Attempt()
    for recipient, status in statuses.items():
        result.settle([{"b": "b@two.test", "c": "c@two.test", "store": ""}[recipient]], status, f"reply {status}")
    result.note("> a line of the dialogue")
    return result


def content(entry) -> bytes:
    return b"".join(entry.copy.chunks(0))


def names(spool, folder="queue"):
    return list(spool.identifiers(folder))


def reopened(spool, folder="queue"):
    (name,) = names(spool, folder)
    entry = spool.take(folder, name)
    assert entry is not None
    return entry


# --- entries ---


def test_an_entry_holds_message_and_envelope_and_survives_the_process(spool):
    put(spool).close()
    entry = reopened(spool)
    assert content(entry) == RAW
    assert (entry.sender, entry.created, entry.size) == ("", NOW, len(RAW))
    assert {name: item.recipients for name, item in entry.pending.items()} == {
        SERVER.name: ["b@two.test", "c@two.test"],
        STORE.name: [""],
    }


def test_an_entry_can_be_read_with_tail(spool, tmp_path):
    entry = put(spool)
    whole = (tmp_path / "spool/queue" / entry.identifier).read_bytes()
    assert whole.split(b"\n", 1)[1] == RAW


@given(st.binary(min_size=1, max_size=300), st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3))
@settings(deadline=None, max_examples=50)
def test_any_message_with_any_envelope_comes_back_as_it_went_in(tmp_path_factory, raw, sender, recipients):
    with Spool(str(tmp_path_factory.mktemp("any") / "spool"), reserve=0) as spool:
        if any(character in "\r\n\x00" for character in "".join([sender, *recipients])):
            with pytest.raises(MailguardError):
                put(spool, raw, work=[(SERVER, recipients)], sender=sender)
            assert not names(spool)
            return
        entry = put(spool, raw, work=[(SERVER, recipients)], sender=sender)
        assert (content(entry), entry.sender, entry.pending[SERVER.name].recipients) == (raw, sender, recipients)
        entry.close()


def test_the_same_message_is_stored_once(spool):
    first = put(spool)
    assert put(spool) is None
    first.close()
    assert put(spool) is None
    assert len(names(spool)) == 1


@pytest.mark.parametrize(
    "change",
    [{"digest": b"e" * 32}, {"sender": "x@one.test"}, {"work": [(SERVER, ["b@two.test"])]}, {"work": WORK[:1]}],
)
def test_another_message_envelope_or_target_is_another_entry(spool, change):
    put(spool).close()
    put(spool, **change).close()
    assert len(names(spool)) == 2


def test_what_is_delivered_leaves_the_entry_and_the_last_one_removes_it(spool, tmp_path):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=DELIVERED, c=TEMPORARY), NOW)
    entry.close()
    entry = reopened(spool)
    assert entry.pending[SERVER.name].recipients == ["c@two.test"]
    assert entry.pending[SERVER.name].replies == {"c@two.test": "reply temporary"}
    entry.settle(STORE.name, attempt(store=DELIVERED), NOW)
    entry.settle(SERVER.name, attempt(c=DELIVERED), NOW)
    assert not list((tmp_path / "spool/queue").iterdir())


def test_every_failure_doubles_the_pause_up_to_an_hour(spool):
    entry = put(spool)
    pauses = []
    for _ in range(10):
        entry.settle(SERVER.name, attempt(b=TEMPORARY, c=TEMPORARY), NOW)
        pauses.append(entry.pending[SERVER.name].due - NOW)
    assert pauses[:4] == [60, 120, 240, 480]
    assert max(pauses) == LONGEST_PAUSE


def test_a_refusal_moves_to_failed_with_the_dialogue_and_the_rest_stays_in_the_queue(spool):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    assert entry.pending[SERVER.name].recipients == ["c@two.test"]
    failed = spool.look("failed", entry.identifier)
    assert content(failed) == RAW
    assert failed.pending[SERVER.name].recipients == ["b@two.test"]
    assert failed.pending[SERVER.name].replies == {"b@two.test": "reply permanent"}
    assert failed.pending[SERVER.name].dialogue == ["> a line of the dialogue"]
    assert STORE.name not in failed.pending


def test_a_second_refusal_joins_the_first(spool):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    entry.settle(SERVER.name, attempt(c=PERMANENT), NOW)
    entry.settle(STORE.name, attempt(store=PERMANENT), NOW)
    entry.close()
    assert not names(spool)
    failed = reopened(spool, "failed")
    assert sorted(failed.pending[SERVER.name].recipients) == ["b@two.test", "c@two.test"]
    assert failed.pending[STORE.name].recipients == [""]


@pytest.mark.parametrize("queue", ["empty", "same file", "put again"])
def test_a_failed_entry_gets_another_chance_together_with_what_waits(spool, queue):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    if queue != "same file":
        entry.settle(SERVER.name, attempt(c=DELIVERED), NOW)
        entry.settle(STORE.name, attempt(store=DELIVERED), NOW)
    entry.close()
    if queue == "put again":
        put(spool, now=NOW + 9).close()
    failed = reopened(spool, "failed")
    assert failed.move_to_queue()
    failed.close()
    assert not names(spool, "failed")
    back = reopened(spool)
    expected = {"empty": ["b@two.test"], "same file": ["b@two.test", "c@two.test"]}
    assert sorted(back.pending[SERVER.name].recipients) == expected.get(queue, ["b@two.test", "c@two.test"])
    assert back.pending[SERVER.name].is_due(NOW) or queue == "same file"
    assert content(back) == RAW


def test_nothing_is_forgotten_when_the_process_died_between_the_two_folders(spool, tmp_path):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    entry.close()
    (tmp_path / "spool/queue" / f"{entry.identifier}.state").unlink()
    failed = reopened(spool, "failed")
    assert failed.move_to_queue()
    failed.close()
    pending = reopened(spool).pending
    assert sorted(pending[SERVER.name].recipients) == ["b@two.test", "c@two.test"]
    assert pending[STORE.name].recipients == [""]


def test_a_failed_entry_stays_while_somebody_works_on_its_twin(spool):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    assert spool.take("failed", entry.identifier) is None
    entry.close()
    assert spool.take("failed", entry.identifier) is not None


def test_a_state_file_of_an_earlier_entry_of_the_same_name_does_not_count(spool, tmp_path):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=DELIVERED, c=TEMPORARY), NOW)
    entry.close()
    (tmp_path / "spool/queue" / entry.identifier).unlink()
    again = put(spool, now=NOW + 1)
    assert again.pending[SERVER.name].recipients == ["b@two.test", "c@two.test"]


# --- locks ---


def test_a_new_entry_is_locked_until_it_is_closed(spool):
    entry = put(spool)
    assert spool.take("queue", entry.identifier) is None
    entry.close()
    taken = spool.take("queue", entry.identifier)
    assert taken is not None
    assert spool.take("queue", entry.identifier) is None
    taken.close()


def test_an_entry_can_be_looked_at_while_it_is_locked(spool):
    entry = put(spool)
    assert content(spool.look("queue", entry.identifier)) == RAW


def test_an_entry_that_was_finished_between_opening_and_locking_is_gone(spool):
    entry = put(spool)
    name = entry.identifier
    for target, result in ((SERVER, attempt(b=DELIVERED, c=DELIVERED)), (STORE, attempt(store=DELIVERED))):
        entry.settle(target.name, result, NOW)
    entry.close()
    assert spool.take("queue", name) is None
    assert spool.look("queue", name) is None


def test_a_second_try_does_not_trust_an_entry_that_cannot_be_read(spool, tmp_path):
    entry = put(spool)
    entry.close()
    os.truncate(tmp_path / "spool/queue" / entry.identifier, 40)
    with pytest.raises(UnavailableError, match="same message"):
        put(spool)


@pytest.mark.parametrize("folder", ["queue", "failed", "targets"])
def test_half_written_states_are_swept_and_everything_else_stays(spool, tmp_path, folder):
    put(spool).close()
    place = tmp_path / "spool" / folder
    before = sorted(place.iterdir())
    for name, age in ((".x.state.1", 3600), (".y.state.2", 0)):
        (place / name).write_bytes(b"x")
        os.utime(place / name, (NOW - age, NOW - age))
    spool.sweep(NOW)
    assert sorted(place.iterdir()) == sorted([*before, place / ".y.state.2"])


def test_leftovers_of_killed_writers_are_swept_and_files_in_work_are_not(spool, tmp_path):
    tmp = tmp_path / "spool/tmp"
    for name in ("old", "new", "locked"):
        (tmp / name).write_bytes(b"x")
    os.utime(tmp / "old", (NOW - 3600, NOW - 3600))
    os.utime(tmp / "new", (NOW, NOW))
    os.utime(tmp / "locked", (NOW - 3600, NOW - 3600))
    import fcntl

    with (tmp / "locked").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        spool.sweep(NOW)
    assert sorted(path.name for path in tmp.iterdir()) == ["locked", "new"]


# --- clock ---


@pytest.mark.parametrize(("due", "now", "expected"), [(100, 99, False), (100, 100, True), (9e9, 100, True)])
def test_a_time_far_ahead_means_that_the_clock_was_set_back(due, now, expected):
    assert Pending("smtp://x", [], 1, due).is_due(now) is expected


def test_a_breaker_pauses_lets_one_try_and_pauses_longer(spool):
    breakers = spool.breakers
    assert not breakers.is_open("t", NOW)
    breakers.trip("t", NOW)
    assert breakers.is_open("t", NOW + 29)
    assert not breakers.is_open("t", NOW + 30)
    assert breakers.is_open("t", NOW + 30)
    breakers.trip("t", NOW + 31)
    assert breakers.is_open("t", NOW + 31 + 59)
    assert not breakers.is_open("other", NOW)
    breakers.reset("t")
    assert not breakers.is_open("t", NOW + 32)


def test_a_breaker_forgets_when_the_clock_is_set_back_and_never_pauses_for_long(spool):
    for _ in range(50):
        spool.breakers.trip("t", NOW)
    assert spool.breakers.is_open("t", NOW + 899)
    assert not spool.breakers.is_open("t", NOW - 5000)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"1 2 3", b"\xff\xfe x"])
def test_a_damaged_breaker_counts_as_closed(tmp_path, text):
    folder = os.open(tmp_path, os.O_RDONLY)
    breakers = Breakers(folder)
    breakers.trip("t", NOW)
    (file,) = tmp_path.iterdir()
    file.write_bytes(text)
    assert not breakers.is_open("t", NOW)
    os.close(folder)


# --- the done-journal ---


@pytest.fixture
def done(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    yield Done(folder)
    os.close(folder)


KEY = key(b"d" * 32, "smtp://x:25", "b@two.test")


def test_a_delivery_is_known_for_seven_days(done):
    done.add([KEY], NOW)
    for days in range(8):
        assert done.known([KEY], NOW + days * 86400)
    assert not done.known([KEY], NOW + 8 * 86400)


def test_a_delivery_is_known_after_the_clock_was_set_back_a_day(done):
    done.add([KEY], NOW)
    assert done.known([KEY], NOW - 86400)


@pytest.mark.parametrize("other", [(b"e" * 32, "smtp://x:25", "b@two.test"), (b"d" * 32, "smtp://x:2", "5b@two.test")])
def test_another_message_target_or_recipient_is_not_known(done, other):
    done.add([KEY], NOW)
    assert not done.known([key(*other)], NOW)


def test_a_key_is_found_only_at_its_place(done):
    first, second = b"cc" + b"x" * 14, b"c" + b"y" * 15
    straddling = first[1:] + second[:1]
    done.add([first, second], NOW)
    assert done.known([first, second, straddling], NOW) == {first, second}
    done.add([straddling], NOW)
    assert straddling in done.known([straddling], NOW)


def test_the_journal_does_not_outgrow_its_limit(done, tmp_path):
    keys = [bytes([7]) + number.to_bytes(15, "big") for number in range(30)]
    file = tmp_path / f"{int(NOW // 86400)}.07"
    for start in range(3):
        file.write_bytes(bytes([7]) * 16 * 8190)
        done.add(keys[start * 2 : start * 2 + 2], NOW)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 16 * 8192
    assert done.known([keys[5]], NOW)


def test_old_pages_are_removed_and_strange_files_left(done, tmp_path):
    done.add([KEY], NOW - 9 * 86400)
    done.add([KEY], NOW)
    (tmp_path / "note").write_text("")
    done.prune(NOW)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_record_that_was_cut_off_does_not_shift_the_next(done, tmp_path):
    (tmp_path / f"{int(NOW // 86400)}.{KEY[0]:02x}").write_bytes(b"x" * 21)
    done.add([KEY], NOW)
    assert done.known([KEY], NOW)


def test_deliveries_are_journalled_and_skipped(spool):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=DELIVERED, c=TEMPORARY), NOW)
    other = put(spool, work=[(SERVER, ["b@two.test", "x@two.test"])])
    assert other.skip_done(NOW) == [(SERVER.name, "b@two.test")]
    assert other.pending[SERVER.name].recipients == ["x@two.test"]


# --- the place ---


def test_everything_is_private(spool, tmp_path):
    entry = put(spool)
    entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
    spool.breakers.trip("t", NOW)
    spool.done.add([KEY], NOW)
    for path in (tmp_path / "spool").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777])
def test_a_spool_that_lets_others_in_is_refused(tmp_path, mode):
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        Spool(str(folder))


@pytest.mark.parametrize("inner", ["", "queue", "tmp", "failed", "done", "targets"])
def test_a_symbolic_link_in_the_place_of_a_folder_is_refused(tmp_path, inner):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if inner:
        (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / inner if inner else tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="symbolic links"):
        Spool(str(tmp_path / "spool"))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_spool_of_somebody_else_is_refused(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    (tmp_path / "spool").mkdir(mode=0o700)
    os.chown(tmp_path / "spool", 12345, 12345)
    with pytest.raises(ConfigurationError, match="belongs to user 12345"):
        Spool(str(tmp_path / "spool"))


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "text", "short"])
def test_what_is_no_entry_is_reported_and_left_alone(spool, tmp_path, kind):
    name = "0" * 32
    place = tmp_path / "spool/queue" / name
    (tmp_path / "victim").write_bytes(b'{"mailguard-spool": 1}\n')
    if kind == "link":
        place.symlink_to(tmp_path / "victim")
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "text":
        place.write_bytes(b"\x00 nonsense")
    else:
        entry = put(spool)
        entry.close()
        os.rename(tmp_path / "spool/queue" / entry.identifier, place)
        os.truncate(place, place.stat().st_size - 1)
    for open_entry in (spool.take, spool.look):
        with pytest.raises(DamagedEntry):
            open_entry("queue", name)
    assert os.path.lexists(place)


# --- room ---


def test_a_full_quota_takes_nothing_more(tmp_path):
    with Spool(str(tmp_path / "spool"), reserve=0, quota=2000) as spool:
        put(spool, b"x" * 1000).close()
        with pytest.raises(UnavailableError, match="quota"):
            put(spool, b"y" * 1000, digest=b"e" * 32)
        assert len(names(spool)) == 1


def test_the_reserve_of_the_disk_is_not_touched(tmp_path):
    with Spool(str(tmp_path / "spool"), reserve=1 << 60) as spool:
        with pytest.raises(UnavailableError, match="would stay free"):
            put(spool)
        assert not names(spool)


def in_child(work) -> int:
    """Run work() in a process of its own, because its limits could not be taken back."""
    process = os.fork()
    if not process:
        status = 99
        sys.dont_write_bytecode = True  # with a limit on files, half of it could be written
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_disk_that_is_full_in_the_middle_leaves_nothing_behind(tmp_path):
    def work() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        with Spool(str(tmp_path / "spool"), reserve=0) as spool:
            try:
                put(spool, b"x" * (1 << 20))
            except UnavailableError:
                return len(list((tmp_path / "spool/tmp").iterdir())) + len(names(spool))
        return 98

    assert in_child(work) == 0


def test_a_full_disk_does_not_stop_the_work_on_the_spool(tmp_path):
    def work() -> int:
        with Spool(str(tmp_path / "spool"), reserve=0) as spool:
            entry = put(spool, b"x")
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            entry.settle(SERVER.name, attempt(b=PERMANENT, c=TEMPORARY), NOW)
            entry.close()
            left = reopened(spool).pending[SERVER.name].recipients
            return 0 if left == ["b@two.test", "c@two.test"] and not names(spool, "failed") else 97

    assert in_child(work) == 0


@pytest.mark.parametrize("call", ["fsync", "pread"])
def test_what_the_spool_refused_does_not_stand_in_the_queue(spool, monkeypatch, call):
    """It is delivered without the spool then; in the queue it would be delivered again by the next flush."""
    works = getattr(os, call)

    def fails(descriptor, *more):
        if call == "pread" or stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        return works(descriptor, *more)

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(UnavailableError):
        put(spool)
    assert not names(spool)
    monkeypatch.undo()
    put(spool).close()


def test_an_entry_that_can_be_neither_kept_nor_taken_back_is_found_by_the_next_try(spool, monkeypatch):
    def fails(*_arguments, **_options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "remove", fails)
    works = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: fails() if stat.S_ISDIR(os.fstat(file).st_mode) else works(file))
    with pytest.raises(MailguardError) as raised:
        put(spool)
    assert not isinstance(raised.value, UnavailableError)  # nothing may be delivered past the entry
    monkeypatch.undo()
    assert put(spool) is None
    assert len(names(spool)) == 1


def test_a_spool_that_cannot_be_written_is_unavailable():
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        with Spool(f"{name}/spool", reserve=0):
            pass
        for folder in [f"{name}/spool", *(f"{name}/spool/{inner}" for inner in os.listdir(f"{name}/spool"))]:
            os.chown(folder, 12345, 12345)
        os.chmod(f"{name}/spool/tmp", 0o500)

        def work() -> int:
            os.setuid(12345)
            with Spool(f"{name}/spool", reserve=0) as spool:
                try:
                    put(spool)
                except UnavailableError:
                    return 0
            return 98

        assert in_child(work) == 0


def test_a_missing_spool_is_made_only_where_messages_come_in(tmp_path):
    with pytest.raises(ConfigurationError):
        Spool(str(tmp_path / "spool"), create=False)
    Spool(str(tmp_path / "spool")).close()
    Spool(str(tmp_path / "spool"), create=False).close()
    with pytest.raises(UnavailableError):
        Spool(str(tmp_path / "no/such/place"))
