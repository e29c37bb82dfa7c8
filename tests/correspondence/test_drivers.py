"""A stolen conversation is held whatever driver brings the mail: filter, chain, archive, daemon, milter, duplicate."""

from __future__ import annotations

import time

import pytest
from daemons import Daemon
from verbs import sealed, verdict

from mailguard.seal import keys

SENT = b"From: joe@rcpt.test\nTo: pat@partner.test\nSubject: Contract\nMessage-ID: <u1@rcpt.test>\n\nHello Pat,\nsee below.\n"
FIELDS = b"In-Reply-To: <u1@rcpt.test>\nSubject: Re: Contract\nContent-Type: text/plain; name=notes.txt\n"
HARMLESS = FIELDS + b"Content-Disposition: attachment; filename=notes.txt\n\nnotes\n"


@pytest.fixture
def site(mailguard, key_file, tmp_path):
    """A folder with conversations, a configuration that names them, and (author) -> an authenticated answer."""
    process = mailguard("learn", "--conversations", tmp_path / "conversations", "--log=none", input=SENT)
    assert process.returncode == 0, process.stderr
    (tmp_path / "config").write_text(
        f'log = "none"\n[quarantine]\nconversations = "{tmp_path}/conversations"\n[strip]\nconversations = "{tmp_path}/conversations"\n'
    )
    key = keys.load(str(key_file)).active

    def answer(author):
        seal = verdict(author_domain=author.rpartition("@")[2], time=int(time.time()))
        return sealed(b"From: " + author.encode() + b"\n" + HARMLESS, seal, key)

    return tmp_path, {author: answer(f"{author}.test") for author in ("pat@partner", "eve@hacked")}


def is_held(process, raw):
    assert process.returncode == 0, process.stderr
    return process.stdout != raw


@pytest.mark.parametrize("driver", ["filter", "configuration", "chain", "daemon"])
def test_each_way_in_which_a_message_comes_alone(driver, mailguard, site, environment):
    folder, answers = site
    option = ("--conversations", folder / "conversations", "--log=none")
    command = {
        "filter": ("quarantine", *option),
        "configuration": ("strip", "--config", folder / "config"),
        "chain": ("run", "quarantine", "--config", folder / "config"),
        "daemon": ("quarantine", *option),
    }[driver]
    daemon = Daemon(folder / "own", environment) if driver == "daemon" else None
    try:
        held = {
            author: is_held(
                mailguard(*command, input=raw, env={"MAILGUARD_DAEMON": daemon.path} if daemon else {}), raw
            )
            for author, raw in answers.items()
        }
    finally:
        if daemon:
            assert daemon.refusals() == []
            daemon.kill()
    assert held == {"pat@partner": False, "eve@hacked": True}


def test_an_archive(mailguard, site):
    folder, answers = site
    box = b"".join(b"From x@y Tue Nov 24 10:00:00 2026\n" + raw + b"\n" for raw in answers.values())
    (folder / "box").write_bytes(box)
    process = mailguard(
        "batch", "quarantine", folder / "box", "--output", folder / "out", "--config", folder / "config"
    )
    assert process.returncode == 0, process.stderr
    filtered = (folder / "out").read_bytes()
    assert filtered.startswith(box[: box.index(b"From: eve@hacked.test")].rpartition(b"From x@y")[0])
    assert filtered.count(b"quarantine-notice") == 1


def test_a_copy(mailguard, site):
    folder, answers = site
    for name in ("", "cur", "new", "tmp"):
        (folder / "copies" / name).mkdir(mode=0o700)
    for raw in answers.values():
        process = mailguard(
            "duplicate", "--to", f"maildir:{folder}/copies", "--spool", folder / "spool", "--when", "suspicious",
            "--conversations", folder / "conversations", "--log=none", input=raw,
        )  # fmt: skip
        assert (process.returncode, process.stdout) == (0, raw), process.stderr
    [copy] = (folder / "copies" / "new").iterdir()
    assert b"From: eve@hacked.test" in copy.read_bytes()
