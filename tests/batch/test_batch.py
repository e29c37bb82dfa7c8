"""Archives go through a pipeline: nothing is lost, nothing is doubled, whatever is killed."""

from __future__ import annotations

import errno
import gzip
import os
import pickle
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from mailboxes import FROM, NOW, STRIP, failing, mail, mailbox, subjects
from paths import EXAMPLES
from program import PROGRAM

from mailguard import batch
from mailguard.archives import mbox
from mailguard.batch import archive, files, job, tree, worker
from mailguard.batch.driver import Workers, pool
from mailguard.errors import MailguardError

KILLS = int(os.environ.get("MAILGUARD_KILLS", "12"))
SEED = int(os.environ.get("MAILGUARD_SEED", "5"))


@pytest.fixture
def box(tmp_path):
    path = tmp_path / "box"
    path.write_bytes(mailbox(60))
    return path


def test_every_message_goes_through_the_pipeline_as_through_the_filter(mailguard, box, tmp_path):
    output = tmp_path / "out"
    process = mailguard("batch", STRIP, box, "--output", output, "--now", NOW)
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    data = box.read_bytes()
    first = next(mbox.split(data, mbox.MBOX))
    alone = mailguard(*STRIP.split(), "--now", NOW, input=mbox.message(data[: first.stop], mbox.MBOX)).stdout
    assert output.read_bytes().startswith(alone.replace(b"\nFrom me", b"\n>From me") + b"\n" + FROM)
    assert subjects(output.read_bytes()) == subjects(data)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["box", "out"]


def test_what_no_filter_changes_stays_byte_for_byte(mailguard, tmp_path):
    data = mailbox(3).replace(b"\n", b"\r\n") + b"From x Mon Jan  1 10:00:00 2024\nSubject: no end\n\n>>From here"
    (tmp_path / "box").write_bytes(data)
    process = mailguard("batch", "strip --dry-run --log none", tmp_path / "box", "--output", tmp_path / "out")
    assert (process.returncode, process.stderr) == (0, b"")
    assert (tmp_path / "out").read_bytes() == data


def test_lengths_are_made_new_where_messages_have_them(mailguard, tmp_path):
    messages = [mail(number, line=b"From here\n") for number in range(3)]
    sized = [b"Content-Length: %d\n" % len(each.partition(b"\n\n")[2]) + each for each in messages]
    (tmp_path / "box").write_bytes(b"".join(FROM + each + b"\n" for each in sized))
    assert mailguard("batch", STRIP, tmp_path / "box", "--output", tmp_path / "out").returncode == 0
    data = (tmp_path / "out").read_bytes()
    assert mbox.recognise(data) == mbox.MBOXCL2
    assert data.count(b"\nFrom here\n") == 3
    assert subjects(data) == [b"Subject: %d" % number for number in range(3)]


def test_a_compressed_archive_becomes_a_compressed_archive(mailguard, box, tmp_path):
    (tmp_path / "box.gz").write_bytes(gzip.compress(box.read_bytes()[:50000]) + gzip.compress(box.read_bytes()[50000:]))
    for name, output in ((box, "plain"), (tmp_path / "box.gz", "out.gz")):
        assert mailguard("batch", STRIP, name, "--output", tmp_path / output, "--now", NOW).returncode == 0
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == (tmp_path / "plain").read_bytes()


def test_a_damaged_compressed_archive_gives_no_output(mailguard, box, tmp_path):
    (tmp_path / "box.gz").write_bytes(gzip.compress(box.read_bytes())[:-100])
    process = mailguard("batch", STRIP, tmp_path / "box.gz", "--output", tmp_path / "out")
    assert process.returncode == 1
    assert b"is damaged" in process.stderr
    assert not (tmp_path / "out").exists()


def test_an_archive_can_come_from_standard_input(mailguard, box, tmp_path):
    process = mailguard("batch", STRIP, "-", "--output", tmp_path / "out", input=box.read_bytes())
    assert (process.returncode, process.stderr) == (0, b"")
    assert subjects((tmp_path / "out").read_bytes()) == subjects(box.read_bytes())
    assert mailguard("batch", STRIP, "-", "--output", tmp_path / "none").returncode == 1


def test_several_inputs_go_into_a_folder(mailguard, box, tmp_path):
    (tmp_path / "other").write_bytes(mailbox(2))
    process = mailguard("batch", STRIP, box, tmp_path / "other", "--output", tmp_path / "out")
    assert (process.returncode, process.stderr) == (0, b"")
    assert len(subjects((tmp_path / "out" / "other").read_bytes())) == 2
    assert len(subjects((tmp_path / "out" / "box").read_bytes())) == 60


@pytest.mark.parametrize("fault", ["link", "open", "foreign"])
def test_a_job_works_only_in_a_folder_of_its_own(mailguard, box, tmp_path, fault):
    """Another user of the machine may have made it before, with an `output` in it that would become the archive."""
    if fault == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    work = tmp_path / ".out.mailguard-batch"
    if fault == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        work.symlink_to(tmp_path / "elsewhere")
    else:
        work.mkdir()
        work.chmod(0o777 if fault == "open" else 0o700)
        (work / "output").touch()
        if fault == "foreign":
            os.chown(work, 12345, 12345)
    process = mailguard("batch", STRIP, box, "--output", tmp_path / "out")
    assert (process.returncode, process.stderr.count(b"\n")) == (1, 1)
    assert {"link": b"symbolic", "open": b"chmod 700", "foreign": b"12345"}[fault] in process.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8])
def test_without_processes_or_threads_a_job_ends_with_an_error(environment, box, number):
    """It hung for ever where the last thread of the pool was refused."""
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without processes")
    user = 40_000 + os.getpid() % 10_000 + number  # who has none yet
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, user, user)
        shutil.copy(box, f"{name}/box")
        os.chmod(f"{name}/box", 0o644)

        def become():
            resource.setrlimit(resource.RLIMIT_NPROC, (number, number))
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)

        process = subprocess.run(
            [PROGRAM, "batch", "strip --log none --dry-run", "box", "--output", "out", "--jobs", "3"],
            env={key: value for key, value in environment.items() if key == "PATH"} | {"HOME": name},
            cwd=name,
            preexec_fn=become,
            stderr=subprocess.PIPE,
            timeout=100,
            check=False,
        )
        assert (process.returncode, process.stderr.count(b"\n")) == (1, 1)
        assert b"ulimit -u" in process.stderr
        assert not os.path.exists(f"{name}/out")
        process = subprocess.run(
            [PROGRAM, "batch", "strip --log none --dry-run", "box", "--output", "out", "--resume"],
            env={"PATH": environment["PATH"], "HOME": name},
            cwd=name,
            user=user,
            group=user,
            extra_groups=[],
            timeout=100,
            check=False,
        )
        assert process.returncode == 0
        assert Path(name, "out").read_bytes() == box.read_bytes()


def test_a_full_standard_error_changes_no_status(python):
    script = (
        "import os, sys\nfrom mailguard.batch.archive import ArchiveSummary\nfrom mailguard.cli.batch import _tell\n"
        "from mailguard.errors import DataError\nsummary = ArchiveSummary()\n"
        "summary.failed = [{'number': 1, 'where': 'octet 0', 'reason': 'none', 'held': False}]\n"
        "try:\n    _tell([('box', summary)])\nexcept DataError:\n    os._exit(42)"
    )
    with open("/dev/full", "wb") as full:
        assert subprocess.run([python, "-c", script], stderr=full, timeout=60, check=False).returncode == 42


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_disk_that_fails_when_the_output_is_put_into_its_place_removes_nothing(box, tmp_path, monkeypatch, kind):
    """To ask os.path whether the result is there gives no for an error, and the job removed it, with status 0."""
    source = box
    if kind == "folder":
        source = tmp_path / "mails"
        source.mkdir()
        (source / "1.eml").write_bytes(mail(1))
    name = {"file": "output", "folder": "tree"}[kind]
    order = job.Order(list, [], 0)
    workers = Workers(partial(pool, 1, list), worker.process, 1)
    result = files.FileOutput if kind == "file" else tree.TreeOutput
    finish = result.finish

    def failing_stat(path, *arguments, works=os.stat, **options):
        if str(path).endswith(f"batch/{name}"):
            raise OSError(errno.EIO, "Input/output error")
        return works(path, *arguments, **options)

    def finished(self):
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", failing_stat)
            patch.setattr(os, "lstat", failing_stat)
            finish(self)

    monkeypatch.setattr(result, "finish", finished)
    try:
        archive.run(str(source), str(tmp_path / "out"), order, workers, lambda *_: None, lambda _: None)
    except OSError:
        assert (tmp_path / ".out.mailguard-batch" / name).exists()
    else:
        assert (tmp_path / "out").exists()
    finally:
        workers.stop()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EIO, errno.ENOSPC])
def test_an_output_is_renamed_only_where_there_are_no_hard_links(tmp_path, monkeypatch, number):
    """Unlike link, rename would replace what somebody put there meanwhile."""

    def refused(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    (tmp_path / "output").write_bytes(b"new")
    monkeypatch.setattr(os, "link", refused)
    if number in {errno.EIO, errno.ENOSPC}:
        with pytest.raises(OSError, match=os.strerror(number)):
            files._link(str(tmp_path / "output"), str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()
        return
    files._link(str(tmp_path / "output"), str(tmp_path / "out"))
    (tmp_path / "output").write_bytes(b"newer")
    with pytest.raises(OSError, match=os.strerror(number)):
        files._link(str(tmp_path / "output"), str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"new"


def test_an_output_that_exists_is_never_overwritten(mailguard, box, tmp_path):
    (tmp_path / "out").write_bytes(b"precious")
    for options in ([], ["--resume"]):
        process = mailguard("batch", STRIP, box, "--output", tmp_path / "out", *options)
        assert process.returncode == 1
        assert b"exists already" in process.stderr
    assert (tmp_path / "out").read_bytes() == b"precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["box", "out"]


@pytest.mark.parametrize("text", ["strip | nonsense", "strip --nonsense", "verify |", "quarantine --key-file /none"])
def test_a_wrong_pipeline_or_setting_ends_the_job_before_there_is_an_output(mailguard, box, tmp_path, text):
    process = mailguard("batch", text, box, "--output", tmp_path / "out")
    assert process.returncode in {1, 2}
    assert process.stderr.count(b"\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_time_of_a_message_can_be_the_present_one(mailguard, tmp_path):
    (tmp_path / "box").write_bytes(mailbox(2))
    process = mailguard(
        "batch", "quarantine --when always --log none", tmp_path / "box", "--output", tmp_path / "out", "--now", "date"
    )
    assert (process.returncode, process.stderr) == (0, b"")
    data = (tmp_path / "out").read_bytes()
    moment = 1704070800  # 2024-01-01 10:00:00 +0900
    assert b"t=%d" % moment in data
    assert b"t=%d" % (moment + 1) in data


# --- failures


def test_messages_that_fail_keep_their_places_held_and_are_listed(box, tmp_path, key_file):
    make = partial(failing, str(key_file))
    workers = Workers(partial(pool, 2, make), worker.process, 2)
    order = job.Order(make, ["test"], 0)
    summary = archive.run(str(box), str(tmp_path / "out"), order, workers, lambda *_: None, lambda _: None)
    workers.stop()
    assert [(failure["number"], failure["held"]) for failure in summary.failed] == [(8, True), (10, True), (12, True)]
    assert [failure["reason"].partition(" (")[0] for failure in summary.failed] == [
        "worker processes died on it",
        "internal error: ZeroDivisionError: nine",
        "the disk is full",
    ]
    data = (tmp_path / "out").read_bytes()
    assert subjects(data) == subjects(box.read_bytes())
    assert data.count(b"seen\n") == 57
    assert data.count(b"\nMailguard-Seal:") == 3


def test_a_failed_message_makes_the_status_and_stays_where_nothing_holds(mailguard, box, tmp_path):
    rules = tmp_path / "full"
    rules.mkdir()
    process = mailguard("batch", "duplicate --to exec:/bin/false", box, "--output", tmp_path / "out")
    assert process.returncode in {1, 65}
    if process.returncode == 65:
        assert process.stderr.count(b"left as it was") == 60
        assert (tmp_path / "out").read_bytes() == box.read_bytes()


# --- what is shown


def on_terminal(environment, *arguments):
    """Status and what a terminal on stderr got."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mailguard", "batch", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:  # EIO: the last program has closed it
            pass
    assert process.communicate(timeout=120)[0] == b""
    return process.returncode, shown.decode()


def test_a_terminal_shows_a_bar_with_rate_and_time_and_its_control_characters_are_not_those_of_a_name(
    environment, tmp_path
):
    box = tmp_path / "box\x1b]0;evil\x07[red]"
    box.write_bytes(mailbox(400, 9000))
    shown_on = environment | {"TERM": "xterm", "COLUMNS": "80"}
    status, shown = on_terminal(shown_on, STRIP, box, "--output", tmp_path / "out", "--jobs", "1")
    assert status == 0
    size = box.stat().st_size / 1e6
    assert f"{size:.1f}/{size:.1f} MB" in shown  # done
    assert "400 messages" in shown
    assert re.search(r"\d/s", shown)
    assert re.search(r"\d:\d\d:\d\d", shown)
    assert "[red]" in shown
    assert "\x1b]0" not in shown
    assert len(set(re.findall(r"([\d,]+) messages", shown))) > 2  # it moves
    box.write_bytes(mailbox(2))
    status, shown = on_terminal(shown_on | {"TERM": "dumb"}, STRIP, box, "--output", tmp_path / "other")
    assert (status, "\x1b" in shown) == (0, False)


def test_elsewhere_there_is_no_bar(environment, box, tmp_path):
    process = started(environment | {"TERM": "xterm"}, STRIP, box, "--output", tmp_path / "out")
    assert process.communicate(timeout=120) == (b"", b"")


# --- kills


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    (folder / "box").write_bytes(mailbox(400, 9000))
    return folder / "box"


def started(environment, *arguments):
    command = [sys.executable, "-m", "mailguard", "batch", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def children(process):
    try:
        return [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def reference(mailguard, large, tmp_path_factory):
    output = tmp_path_factory.mktemp("reference") / "out"
    began = time.monotonic()
    process = mailguard("batch", STRIP, large, "--output", output, "--now", NOW)
    assert process.returncode == 0, process.stderr
    return output.read_bytes(), time.monotonic() - began


def test_a_parent_killed_at_any_moment_loses_and_doubles_nothing(environment, large, reference, tmp_path):
    expected, seconds = reference
    source = random.Random(SEED)
    output = tmp_path / "out"
    arguments = (STRIP, large, "--output", output, "--now", NOW, "--resume")
    for _ in range(KILLS):
        process = started(environment, *arguments)
        try:
            process.communicate(timeout=source.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=120)
        if output.exists():
            assert output.read_bytes() == expected
            break
    process = started(environment, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 or b"exists already" in errors
    assert output.read_bytes() == expected
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out"]


def test_killed_workers_lose_and_double_nothing(environment, large, reference, tmp_path):
    expected, seconds = reference
    source = random.Random(SEED)
    process = started(environment, STRIP, large, "--output", tmp_path / "out", "--now", NOW)
    killed = 0
    while process.poll() is None and killed < 6:
        try:
            process.wait(source.uniform(0, seconds / 3))
        except subprocess.TimeoutExpired:
            for child in children(process)[:1]:
                os.kill(child, signal.SIGKILL)
                killed += 1
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "out").read_bytes() == expected


def lines(path):
    return path.read_bytes().splitlines() if path.exists() else []


def test_after_kills_each_message_has_its_records_and_a_second_one_is_the_same(environment, key_file, tmp_path):
    (tmp_path / "box").write_bytes(mailbox(100, 9000))
    records = {}
    for name, kills in (("reference", 0), ("killed", 3)):
        folder = tmp_path / name
        folder.mkdir()
        journal, found, log = (folder / each for each in ("journal", "json", "log"))
        pipeline = f"quarantine --when always --json {found} --log {log}"
        options = ("--output", folder / "out", "--now", NOW, "--journal", journal, "--resume")
        arguments = (pipeline, tmp_path / "box", *options)
        for kill in range(1, kills + 1):
            process = started(environment, *arguments)
            while process.poll() is None and len(lines(journal)) < 25 * kill:
                pass
            process.kill()
            process.communicate(timeout=120)
        process = started(environment, *arguments)
        assert process.communicate(timeout=120)[1] == b""
        records[name] = [lines(each) for each in (journal, found, log)]
    for expected, got in zip(records["reference"], records["killed"], strict=True):
        assert len(expected) == len(set(expected)) == 100
        assert set(got) == set(expected)
    assert len(records["killed"][0]) >= 100
    assert len(journal_entries(tmp_path / "killed" / "journal")) == 100


def journal_entries(path):
    from mailguard import journal

    return journal.entries(str(path), pytest.fail)


def test_workers_end_with_a_parent_that_is_killed(environment, large, tmp_path):
    process = started(environment, STRIP, large, "--output", tmp_path / "out", "--jobs", "2")
    workers = []
    while process.poll() is None and len(workers) < 2:
        workers = children(process)
    process.kill()
    process.communicate(timeout=120)  # returns when the last worker has closed stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_job_cleanly_and_it_can_go_on(environment, large, reference, tmp_path, number):
    arguments = (STRIP, large, "--output", tmp_path / "out", "--now", NOW)
    process = started(environment, *arguments)
    while process.poll() is None and not list(tmp_path.glob(".out.mailguard-batch/*.part")):
        pass
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    if process.returncode:
        assert errors.count(b"\n") == 1
        assert b"--resume" in errors
        assert not (tmp_path / "out").exists()
        again = started(environment, *arguments)
        assert b"--resume" in again.communicate(timeout=120)[1]
        assert again.returncode == 1
        process = started(environment, *arguments, "--resume")
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (tmp_path / "out").read_bytes() == reference[0]


def test_only_the_same_job_can_be_resumed(environment, large, tmp_path, mailguard):
    process = started(environment, STRIP, large, "--output", tmp_path / "out")
    while process.poll() is None and not (tmp_path / ".out.mailguard-batch" / "job.json").exists():
        pass
    process.kill()
    process.communicate(timeout=120)
    assert not (tmp_path / "out").exists()
    again = mailguard("batch", "strip --log none", large, "--output", tmp_path / "out", "--resume")
    assert again.returncode == 1
    assert b"another pipeline, input or version" in again.stderr


def test_after_a_crash_of_the_machine_parts_are_made_again(tmp_path):
    from mailguard.batch.work import Work

    work = Work(str(tmp_path / "out"))
    with work.locked():
        work.begin({"identity": [1]}, resume=False)
        work.place.write("00000000.part", [b"perhaps damaged"])
        work.write("job.json", {"identity": [1], "boot": "another"})
        work.begin({"identity": [1]}, resume=True)
        assert not work.place.exists("00000000.part")


def test_an_archive_that_changes_meanwhile_gives_no_output(box, tmp_path):
    make = partial(failing, None)
    workers = Workers(partial(pool, 1, make), worker.process, 1)
    box.write_bytes(FROM + mail(1) + b"\n")

    def seen(*_):
        with box.open("ab") as file:
            file.write(FROM + mail(2) + b"\n")

    with pytest.raises(MailguardError, match="changed meanwhile"):
        archive.run(str(box), str(tmp_path / "out"), job.Order(make, [], 0), workers, seen, lambda _: None)
    workers.stop()
    assert not (tmp_path / "out").exists()


def test_a_task_carries_no_content_and_no_secret(box, tmp_path, key_file, monkeypatch):
    seen = []

    class Recording(Workers):
        def submit(self, task):
            seen.append(pickle.dumps(task))
            return super().submit(task)

    make = partial(failing, str(key_file))
    workers = Recording(partial(pool, 1, make), worker.process, 1)
    archive.run(str(box), str(tmp_path / "out"), job.Order(make, [], 0), workers, lambda *_: None, lambda _: None)
    workers.stop()
    secret = key_file.read_bytes().split()[-1]
    assert seen
    for task in seen:
        assert secret[:20] not in task
        assert b"example" not in task
        assert len(task) < 1000


def test_chunks_are_neither_tiny_nor_large():
    assert files.chunk_size(0, 4) == 1 << 18
    assert files.chunk_size(20 << 30, 4) == 1 << 24
    assert batch.__doc__


# --- folders


@pytest.fixture
def maildir(tmp_path):
    root = tmp_path / "Maildir"
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (root / name).mkdir(parents=True)
    files = {
        "cur/1700000000.M1P1.host,S=20,W=30:2,FS": mail(1),
        "new/1700000001.M2P1.host": mail(2),
        ".Sent/cur/1700000002.M3P1.host:2,": b"Subject: plain\n\ntext\n",
        "tmp/1700000003.half": b"half",
        "dovecot-keywords": b"0 Junk\n",
        "dovecot.index.cache": b"cached",
        ".Sent/maildirfolder": b"",
    }
    for number, (name, content) in enumerate(files.items()):
        (root / name).write_bytes(content)
        (root / name).chmod(0o640)
        os.utime(root / name, ns=(1_600_000_000_000_000_000 + number, 1_500_000_000_123_456_789 + number))
    return root


def tree_of(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_maildir_keeps_flags_times_and_folders(mailguard, maildir, tmp_path):
    output = tmp_path / "out"
    process = mailguard("batch", STRIP, maildir, "--output", output, "--now", NOW)
    assert (process.returncode, process.stderr) == (0, b"")
    (changed,) = (output / "cur").iterdir()
    size = changed.stat().st_size
    lines = changed.read_bytes().count(b"\n")
    assert changed.name == f"1700000000.M1P1.host,S={size},W={size + lines}:2,FS"
    assert changed.read_bytes() == mailguard(*STRIP.split(), "--now", NOW, input=mail(1)).stdout
    assert (changed.stat().st_mode & 0o777, changed.stat().st_mtime_ns) == (0o640, 1_500_000_000_123_456_789)
    expected = [name for name in tree_of(maildir) if name not in {"tmp/1700000003.half", "dovecot.index.cache"}]
    assert [name.partition(",")[0] for name in tree_of(output)] == [name.partition(",")[0] for name in expected]
    sent = ".Sent/cur/1700000002.M3P1.host:2,"
    assert (output / sent).read_bytes() == (maildir / sent).read_bytes()
    assert (output / sent).stat().st_mtime_ns == (maildir / sent).stat().st_mtime_ns
    assert not (tmp_path / ".out.mailguard-batch").exists()


def test_mh_and_eml_folders_stay_such_folders(mailguard, tmp_path):
    root = tmp_path / "in"
    (root / "inbox").mkdir(parents=True)
    (root / "inbox" / "1").write_bytes(mail(1))
    (root / "inbox" / ",2").write_bytes(mail(2))
    (root / "inbox" / ".mh_sequences").write_bytes(b"unseen: 1\n")
    (root / "A \u6f22.EML").write_bytes(mail(3))
    output = tmp_path / "out"
    process = mailguard("batch", STRIP, root, "--output", output, "--now", NOW)
    assert (process.returncode, process.stderr) == (0, b"")
    assert tree_of(output) == tree_of(root)
    for name, number in (("inbox/1", 1), ("A \u6f22.EML", 3)):
        assert (output / name).read_bytes() == mailguard(*STRIP.split(), "--now", NOW, input=mail(number)).stdout
    assert (output / "inbox/,2").read_bytes() == mail(2)


@pytest.mark.parametrize("problem", ["mbox", "link", "compressed", "inside"])
def test_a_folder_with_what_would_pass_unseen_is_refused(mailguard, maildir, tmp_path, problem):
    output = tmp_path / "out"
    if problem == "mbox":
        (maildir / "old").write_bytes(mailbox(1))
    elif problem == "link":
        (maildir / "cur" / "x:2,").symlink_to("/etc/passwd")
    elif problem == "compressed":
        (maildir / "cur" / "x:2,").write_bytes(gzip.compress(mail(1)))
    else:
        output = maildir / "out"
    process = mailguard("batch", STRIP, maildir, "--output", output)
    assert process.returncode == 1
    assert process.stderr.count(b"\n") == 1
    assert not output.exists()
    if problem != "compressed":
        assert not list(output.parent.glob(".out.*"))


def test_a_folder_whose_run_was_killed_becomes_the_same_folder(environment, mailguard, tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for number in range(900):
        (root / f"{number}.eml").write_bytes(mail(number))
    arguments = ("batch", STRIP, root, "--now", NOW, "--output")
    began = time.monotonic()
    assert mailguard(*arguments, tmp_path / "whole").returncode == 0
    seconds = time.monotonic() - began
    source = random.Random(SEED)
    for _ in range(KILLS // 2):
        process = started(environment, *arguments[1:], tmp_path / "out", "--resume")
        try:
            process.communicate(timeout=source.uniform(0, seconds))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=120)
    mailguard(*arguments, tmp_path / "out", "--resume")
    assert tree_of(tmp_path / "out") == tree_of(tmp_path / "whole")
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_a_message_whose_flags_change_meanwhile_is_found(maildir):
    from mailguard.archives import folders

    root = os.fsencode(maildir)
    os.rename(maildir / "new/1700000001.M2P1.host", maildir / "cur/1700000001.M2P1.host:2,S")
    assert folders.present(root, b"new/1700000001.M2P1.host") == b"cur/1700000001.M2P1.host:2,S"
    assert folders.present(root, b"new/nobody") is None


def test_the_example_does_all_archives_of_a_folder_once(environment, mailguard, maildir, box, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    maildir.rename(old / "Maildir")
    box.rename(old / "box")
    script = EXAMPLES / "batch/reprocess.sh"
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for _ in range(2):
        process = subprocess.run(
            ["sh", script, old, new], env=environment | {"PATH": path}, capture_output=True, check=False, timeout=120
        )
        assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    assert subjects((new / "box").read_bytes()) == subjects((old / "box").read_bytes())
    assert (new / "Maildir" / "cur").is_dir()
