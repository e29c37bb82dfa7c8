"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import specimens  # noqa: F401 (folders of families, which stand in the path later, have a module of this name)
from hypothesis import settings
from program import PROGRAM

from mailguard import seal
from mailguard.formats import confined

settings.register_profile("busy", deadline=None)  # a machine that does other work as well makes no test fail
settings.load_profile("busy")

# Under nohup or in the background of a shell they are ignored, and would be in every program that a test starts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--accept", action="store_true", help="write what the cases give as what they must give")


@pytest.fixture(autouse=True)
def dismissed():
    """Let no child of one test work for the next, which may have changed what is done there."""
    yield
    confined.dismiss()


@pytest.fixture(scope="session")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "key"
    path.write_text(seal.new_key() + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def environment(key_file, tmp_path_factory):
    """What a mail system gives a filter: next to nothing, and nobody's configuration."""
    return {
        "PATH": os.environ["PATH"],
        "XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config")),
        "MAILGUARD_KEY_FILE": str(key_file),
    }


@pytest.fixture(scope="session")
def mailguard(environment):
    """Run the installed program: mailguard("strip", input=raw) -> CompletedProcess with bytes."""

    def run(*arguments, env=None, program=(PROGRAM,), **options):
        if "stdin" not in options:
            options.setdefault("input", b"")
        return subprocess.run(
            [*program, *map(str, arguments)],
            env=environment | (env or {}),
            check=False,
            timeout=120,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )

    return run


@pytest.fixture(scope="session")
def python():
    return sys.executable
