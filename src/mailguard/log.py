"""The one log line of a message: fixed keys, and values that cannot forge another key."""

from __future__ import annotations

from mailguard.errors import MailguardError
from mailguard.findings import joined, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailguard.findings import Result
    from mailguard.settings import Settings

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._+<>:/,-")
_HEADER_LIMIT = 1 << 16
_CODE_LIMIT = 20
_RECIPIENT_LIMIT = 20
HOLDING = frozenset({"held", "quarantined", "removed"})
CHANGING = frozenset({"converted", "disarmed"})  # delivered in another form; the original is in the capsule
"""Actions on an attachment after which it is no longer in the message."""


def line(raw: bytes, result: Result, settings: Settings) -> str:
    """Return the log line for a message, without line end."""
    envelope = settings.envelope
    codes = sorted({finding.code for finding in result.findings})
    values = {
        "queue": show(envelope.queue_id),
        "msgid": show(message_id(raw)),
        "id": show(result.quarantine_id),
        "from": "<>" if envelope.sender == "" else show(envelope.sender),
        "author": show(result.author_domain),
        "to": joined(envelope.recipients[:_RECIPIENT_LIMIT]).replace(", ", ","),
        "verdict": "authenticated" if result.authenticated else "unauthenticated",
        "action": f"none,would-be:{show(result.action)}" if settings.dry_run else show(result.action),
        "held": str(sum(attachment.get("action") in HOLDING for attachment in result.attachments)),
        "codes": ",".join(codes[:_CODE_LIMIT]),
    }
    return keyed(values)


def keyed(values: Mapping[str, str]) -> str:
    """Return shown values as a log line has them."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in values.items())


def _quoted(value: str) -> str:
    """Quote a shown value unless it is empty or plain; show() has doubled its backslashes."""
    return value if _BARE.issuperset(value) else '"' + value.replace('"', '\\"') + '"'


def message_id(raw: bytes) -> bytes:
    """Return the value of the first Message-ID field near the top, b"" without one.

    Read without `message.header`, which plain mail does not need.
    """
    start = raw.find(b"\n") + 1 if raw.startswith(b"From ") else 0
    field: list[bytes] = []
    for line in raw[start : start + _HEADER_LIMIT].split(b"\n"):
        if line[:1] in {b" ", b"\t"} and field:
            field.append(line)
            continue
        if _name(field) == b"message-id" or line in {b"", b"\r"}:
            break
        field = [line]
    return _value(field) if _name(field) == b"message-id" else b""


def _name(field: list[bytes]) -> bytes:
    name, colon, _ = b"\n".join(field).partition(b":")
    return name.strip(b" \t\r\n").lower() if colon else b""


def _value(field: list[bytes]) -> bytes:
    value = b"\n".join(field).partition(b":")[2]
    return b"".join(line.removesuffix(b"\r") for line in value.split(b"\n")).strip(b" \t")


_lost: list[bool] = []  # in this process


def write(text: str, target: str) -> None:
    """Write a log line to "syslog", "stderr" or a file; "none" is silent.

    Mail does not wait for a line that cannot be written, but stderr is told: once, not for each of a thousand messages.
    """
    try:
        _write(text, target)
    except Exception as error:  # noqa: BLE001 (not even memory may be there)
        if not _lost:
            _lost.append(True)
            _tell_lost(error)


def _tell_lost(error: Exception) -> None:
    import os

    reason = str(error) if isinstance(error, MailguardError) else getattr(error, "strerror", "") or type(error).__name__
    try:  # noqa: SIM105 (contextlib is slow to import)
        os.write(2, f"mailguard: a log line is lost: {reason}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _write(text: str, target: str) -> None:
    if target == "syslog":
        import syslog

        syslog.openlog("mailguard", syslog.LOG_PID, syslog.LOG_MAIL)
        syslog.syslog(syslog.LOG_INFO, text)
    elif target == "stderr":
        import os

        os.write(2, f"mailguard: {text}\n".encode("utf-8", "backslashreplace"))
    elif target != "none":
        from mailguard.safefile import append

        append(target, f"{text}\n".encode("utf-8", "backslashreplace"))


def explanation(result: Result) -> str:
    """Return what was found, and how, as lines for a person."""
    lines = [
        f"{finding.severity}: {finding.code}{f' (part {finding.part})' if finding.part else ''}: {finding.what}"
        + (f" {finding.why}" if finding.why else "")
        + (f" [{finding.reference}]" if finding.reference else "")
        for finding in result.findings
    ]
    return "".join(f"{text}\n" for text in (*result.trace, *lines, f"action: {result.action}"))
