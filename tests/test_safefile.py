"""Files that are there completely or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from mailguard import safefile
from mailguard.errors import ConfigurationError, MailguardError


def leftovers(folder):
    return [entry.name for entry in folder.iterdir() if entry.name.startswith(".mailguard-")]


def test_replace_writes_all_chunks_privately(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    safefile.replace(str(path), [b"one ", b"", b"two"])
    assert path.read_bytes() == b"one two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert leftovers(tmp_path) == []


def test_a_failure_half_way_leaves_the_old_content_and_no_debris(tmp_path):
    def chunks():
        yield b"half"
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(MailguardError, match="No space left"):
        safefile.replace(str(path), chunks())
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_symbolic_link_is_replaced_and_its_target_untouched(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    safefile.replace(str(tmp_path / "link"), [b"new"])
    assert (tmp_path / "target").read_text() == "precious"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o200])
def test_a_line_that_a_killed_process_left_without_its_end_does_not_take_the_next_with_it(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"one\nha")
    path.chmod(mode)
    safefile.append(str(path), b"two\n")
    assert path.read_bytes() == (b"one\nha\ntwo\n" if os.geteuid() == 0 or mode == 0o600 else b"one\nhatwo\n")
    safefile.append(str(path), b"three\n")
    assert path.read_bytes().endswith(b"two\nthree\n")


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_create_never_overwrites(tmp_path, kind):
    path = tmp_path / "file"
    path.write_text("old") if kind == "file" else path.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        safefile.create(str(path), [b"new"])
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_not_there_is_a_failure_of_the_site(tmp_path):
    with pytest.raises(MailguardError, match="No such file"):
        safefile.replace(str(tmp_path / "no" / "file"), [b"x"])


@pytest.mark.parametrize("opened", [False, True])
def test_sweep_removes_old_leftovers_and_nothing_else(tmp_path, opened):
    for name, age in ((".mailguard-old", 90_000), (".mailguard-new", 10), ("other", 90_000)):
        (tmp_path / name).write_text("")
        moment = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (moment, moment))
    (tmp_path / ".mailguard-folder").mkdir()
    os.utime(tmp_path / ".mailguard-folder", (0, 0))
    folder = os.open(tmp_path, os.O_RDONLY)
    safefile.sweep(folder if opened else str(tmp_path))
    os.close(folder)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".mailguard-folder", ".mailguard-new", "other"]


def test_appended_lines_of_many_processes_stay_whole(tmp_path):
    path = tmp_path / "log"
    script = "import sys; from mailguard import safefile\nfor n in range(50): safefile.append(sys.argv[1], sys.argv[2].encode() * 9999 + b'\\n')"
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "abcd"]
    assert [process.wait(120) for process in processes] == [0] * 4
    lines = path.read_text().splitlines()
    assert len(lines) == 200
    assert all(len(line) == 9999 and len(set(line)) == 1 for line in lines)


def test_a_line_of_which_only_a_part_fits_is_taken_back(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"whole\n")
    script = """
import resource, sys
from mailguard import errors, safefile
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    safefile.append(sys.argv[1], b"x" * 10000 + b"\\n")
except errors.MailguardError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, check=True, timeout=120)
    assert b"File too large" in process.stdout
    assert path.read_bytes() == b"whole\n"


@pytest.mark.parametrize("kind", ["link", "fifo", "fifo with a reader", "folder", "terminal"])
def test_only_regular_files_are_appended_to_and_nothing_blocks(tmp_path, kind):
    path = tmp_path / "file"
    reader = None
    if kind == "link":
        path.symlink_to(tmp_path / "target")
    elif kind == "folder":
        path.mkdir()
    elif kind == "terminal":
        path = os.ttyname(os.openpty()[1])
    else:
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if "reader" in kind else None
    with pytest.raises(ConfigurationError):
        safefile.append(str(path), b"line\n")
    assert not (tmp_path / "target").exists()
    if reader is not None:
        os.close(reader)


def test_what_goes_to_the_null_device_is_gone():
    safefile.append(os.devnull, b"line\n")


def test_a_file_of_another_user_is_not_appended_to(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    (tmp_path / "file").write_text("")
    os.chown(tmp_path / "file", 12345, 12345)
    with pytest.raises(ConfigurationError, match=r"belongs to user 12345$"):
        safefile.append(str(tmp_path / "file"), b"line\n")


def test_many_files_are_written_with_one_sweep(tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(safefile, "sweep", swept.append)
    folder = os.open(tmp_path, os.O_RDONLY)
    safefile.replace_all(folder, [(str(number), [b"x", b"y"]) for number in range(5)])
    os.close(folder)
    assert swept == [folder]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"xy"] * 5


def test_the_owner_of_a_replaced_file_can_be_kept(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    safefile.replace(str(tmp_path / "file"), [b"x"], owner=(12345, 12346))
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 12346, 0o600)
