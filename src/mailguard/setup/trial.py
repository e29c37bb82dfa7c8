"""A test mail through what was set up, and what became of it."""

from __future__ import annotations

import os
import re
import smtplib
import time

from mailguard.findings import show
from mailguard.setup import places
from mailguard.setup.content_filter import TRANSPORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailguard.setup.places import Places
    from mailguard.setup.postconf import PostfixFiles

_SECONDS = 60.0
_LOGS = ("/var/log/mail.log", "/var/log/maillog")
_STATUS = re.compile(r": ([0-9A-Za-z]+): to=<.*? relay=([^,]*),.*\bstatus=(([a-z]+) .*)")
_TEXT = """\
mailguard setup からの試験メールです。読み終えたら削除してください。
This is a test mail of mailguard setup; you may delete it.
"""


class Trial:
    """A test mail: raw, its octets; identifier: what stands between <> in its Message-ID."""

    def __init__(self, host: str, recipient: str) -> None:
        from email.message import EmailMessage
        from email.utils import formatdate, make_msgid

        mail = EmailMessage()
        mail["From"] = f"mailguard setup <postmaster@{host}>"
        mail["To"] = recipient
        mail["Subject"] = "mailguard: test"
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain=host)
        mail.set_content(_TEXT)
        mail.add_attachment("A harmless attachment of a stranger.\n", filename="mailguard-test.txt")
        self.recipient = recipient
        self.identifier = str(mail["Message-ID"]).strip("<>")
        self.raw = mail.as_bytes()

    def judged(self, site: Places) -> Iterator[str]:
        """Yield what the filters themselves say about it."""
        command = ["run", "--dry-run", "--explain", "--log", "none", "--client-address", "127.0.0.1", "--sender", "<>"]
        done = places.attempt(
            places.as_user(site.user, [site.program, *command, "verify | quarantine"]), text=self.raw.decode("ascii")
        )
        actions = re.findall(r"^action: (.*)$", done.stderr, re.MULTILINE)
        yield f"verify says: {_verdict(done.stderr)}; quarantine: {show(actions[-1] if actions else done.stderr, 200)}"


def _verdict(text: str) -> str:
    return "authenticated" if re.search(r"^verdict: authenticated", text, re.MULTILINE) else "a stranger"


class Log:
    """What the mail server writes from now on: into a file, or into the journal of systemd."""

    def __init__(self, configured: str) -> None:
        files = [configured, *_LOGS]
        self._path = next((path for path in files if path and os.path.isfile(path)), configured)
        self._start = os.path.getsize(self._path) if os.path.isfile(self._path) else 0
        self._since = time.time()

    def text(self) -> str:
        """Return it; "" where nothing can be read."""
        if self._path:
            try:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    file.seek(self._start)
                    return file.read()
            except OSError:
                return ""
        if not places.find("journalctl"):
            return ""
        return places.attempt(["journalctl", "-q", "--no-pager", f"--since=@{self._since - 1:.0f}"]).stdout


def by_smtp(site: Places, copy: PostfixFiles, entrance: str, recipient: str) -> Iterator[tuple[bool, str]]:
    """Send a test mail to a Postfix that runs: lines of what became of it, each with whether all is well so far."""
    if places.attempt(["postfix", "-c", copy.folder, "status"]).returncode:
        yield True, "Postfix does not run, so no test mail was sent: postfix start, then this once more"
        return
    trial = Trial(copy.value("myhostname"), recipient)
    log = Log(copy.value("maillog_file"))
    try:
        _send(trial, *_address(copy, entrance), must_encrypt=copy.value("smtpd_tls_security_level") == "encrypt")
    except (OSError, smtplib.SMTPException) as error:
        yield False, f"test mail to {show(recipient)}: refused: {show(str(error), 300)}"
        return
    yield True, f"test mail to {show(recipient)}: accepted; Message-ID {trial.identifier}"
    yield from _followed(log, trial, copy.folder)
    yield from ((True, line) for line in trial.judged(site))


def _address(copy: PostfixFiles, entrance: str) -> tuple[str, int]:
    host, _, service = entrance.partition("/")[0].rpartition(":")
    interfaces = copy.value("inet_interfaces").replace(",", " ").split() or ["all"]
    first = "127.0.0.1" if interfaces[0] in {"all", "loopback-only", "localhost"} else interfaces[0].strip("[]")
    return host.strip("[]") or first, int(service) if service.isdigit() else 25


def _send(trial: Trial, host: str, port: int, *, must_encrypt: bool) -> None:
    with smtplib.SMTP(host, port, timeout=_SECONDS) as session:
        if must_encrypt:
            session.starttls()
        session.sendmail("", [trial.recipient], trial.raw)


def _followed(log: Log, trial: Trial, folder: str) -> Iterator[tuple[bool, str]]:
    """Yield the log lines of all that became of the mail, until it has arrived or waits."""
    found: list[tuple[str, str]] = []

    def ended() -> bool:
        found[:] = _lines(log.text(), trial.identifier)
        return any(not line.startswith(f"{TRANSPORT}:") or state != "sent" for state, line in found)

    until(ended)
    for state, line in found:
        yield state == "sent", f"  {show(line, 300)}"
    if not found:
        waits = places.attempt(["postqueue", "-c", folder, "-p"]).stdout.strip().splitlines()[-1:]
        yield True, f"  the log of Postfix cannot be read here; its queue: {show(' '.join(waits))}"


def _lines(text: str, identifier: str) -> list[tuple[str, str]]:
    """Return state and text of each delivery of a message, under all its queue ids."""
    names = re.findall(rf": ([0-9A-Za-z]+): message-id=<{re.escape(identifier)}>", text)
    return [(match[4], f"{match[2]}: {match[3]}") for match in _STATUS.finditer(text) if match[1] in names]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, or until the time for it is over."""
    deadline = time.monotonic() + _SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)


def by_program(name: str, site: Places) -> Iterator[tuple[bool, str]]:
    """Let procmail or maildrop deliver a test mail to its user, as the mail server would."""
    trial = Trial(os.uname().nodename, site.user)
    words = {"procmail": ["procmail", "-p", "VERBOSE=off", "LOGABSTRACT=all"], "maildrop": ["maildrop", "-V", "1"]}[
        name
    ]
    done = places.attempt(words, text=trial.raw.decode("ascii"))
    if done.returncode:
        yield False, f"{name} cannot deliver the test mail, status {done.returncode}: {show(done.stderr.strip(), 400)}"
        return
    folder = re.search(r"^ *Folder: (\S+)", done.stderr, re.MULTILINE)
    yield True, f"{name} delivered a test mail" + (f" to {show(folder[1])}" if folder else "")
    yield from ((True, line) for line in trial.judged(site))
