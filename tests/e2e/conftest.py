"""Real mail systems on loopback: they need root, Debian's packages, and a mailguard that every user can run."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest
from browser import Browser
from mail_system import READER, USER, owned_folder, public_folder, rendered, run_as
from messages import FRIEND

import mailguard

NEEDED = ("postfix", "procmail", "maildrop")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.xdist_group("mail system"))


@pytest.fixture(scope="session")
def runnable():
    """The start of a shell command that runs mailguard as any user, even where this checkout is private to root."""
    if os.geteuid() != 0:
        pytest.skip("a mail system of one's own needs root")
    missing = [name for name in NEEDED if not shutil.which(name, path="/usr/sbin:/usr/bin")]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    interpreter = _interpreter()
    modules = [Path(mailguard.__file__).parents[1], Path(sysconfig.get_path("purelib"))]
    folder = public_folder()
    if not _readable(interpreter, modules):
        modules = [_copied(path, folder / str(number)) for number, path in enumerate(modules)]
        assert _readable(interpreter, modules)
    program = f"import sys; sys.path[:0] = {[str(path) for path in modules]}; import mailguard.__main__ as program; "
    yield f'{interpreter} -I -c "{program}sys.exit(program.main())"'
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser():
    if not shutil.which("chromium"):
        pytest.skip("not installed: chromium")
    with Browser() as browser:
        yield browser


def _interpreter() -> str:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for candidate in (os.path.realpath(sys.executable), f"/usr/bin/{version}"):
        try:
            if run_as(USER, [candidate, "-c", ""]).returncode == 0:
                return candidate
        except PermissionError:
            continue
    return pytest.skip(f"no {version} that every user may run")


def _readable(interpreter: str, modules: list[Path]) -> bool:
    program = f"import sys; sys.path[:0] = {[str(path) for path in modules]}; import mailguard, cryptography, click"
    return run_as(USER, [interpreter, "-I", "-c", program]).returncode == 0


def _copied(path: Path, target: Path) -> Path:
    ignored = shutil.ignore_patterns("mypy*", "ruff*", "pip", "hypothesis", "__pycache__", "*.whl")
    return Path(shutil.copytree(path, target, ignore=ignored))


class Site:
    """The folders of one installation: mailguard for users, its configuration and key, and what it has read."""

    def __init__(self, folder: Path, runnable: str, user: str) -> None:
        self.folder = folder
        self.user = user
        self.runnable = runnable
        self.seen = owned_folder(folder / "seen", user)
        self.work = owned_folder(folder / "work", user)
        self.home = owned_folder(folder / "home", user, 0o755)
        self.key = self.home / "key"
        self.journal = self.home / "journal"
        self.configuration = self.home / "mailguard.toml"
        self.program = folder / "mailguard"
        self.program.write_text(
            "#!/bin/sh\n"
            f"export MAILGUARD_CONFIG={self.configuration}\n"
            f'read=$(mktemp {self.seen}/XXXXXXXX) && cat >"$read" || exit 75\n'
            f'exec {runnable} "$@" <"$read"\n'
        )
        self.program.chmod(0o755)

    def run(self, *arguments: str, raw: bytes = b""):
        return run_as(self.user, [self.program, *arguments], input=raw)

    def read(self) -> list[bytes]:
        """All messages that mailguard has read so far."""
        return [raw for file in self.seen.iterdir() if (raw := file.read_bytes())]


@pytest.fixture
def folder():
    folder = public_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def site(folder, runnable):
    """An installation of the dedicated user of the mail server, with a key of its own."""
    return _initialised(Site(folder, runnable, USER))


@pytest.fixture
def reader_site(folder, runnable):
    """An installation of an ordinary user for his own mail."""
    return _initialised(Site(folder, runnable, READER))


def _initialised(site: Site) -> Site:
    """Give a site the shipped configuration and notice, and a key."""
    dns = site.folder / "dns"
    dns.write_text(f"{FRIEND.partition('@')[2]} TXT v=spf1 ip4:127.0.0.1 -all\n")
    notice = site.folder / "notice.txt"
    notice.write_text(rendered("notice.txt", {}))
    paths = {
        "/etc/mailguard/key": str(site.key),
        "/etc/mailguard/notice.txt": str(notice),
        "/var/lib/mailguard/journal": str(site.journal),
        'own_domain = ["example.com"]': 'own_domain = ["rcpt.test"]',
        'authserv_id = "mx.example.com"': f'authserv_id = "mx.rcpt.test"\ndns_load = "{dns}"',
    }
    site.configuration.write_text(rendered("mailguard.toml", paths))
    result = site.run("init", "--key-file", str(site.key))
    assert result.returncode == 0, result.stderr
    return site
