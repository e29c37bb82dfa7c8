"""The key of `mailguard sign`, and whether others can find its public half."""

from __future__ import annotations

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_NAME = "ARC key"
_NEEDED = ("private_key", "domain", "selector")
_SECONDS = 5.0


def key(setup: Setup) -> Iterator[Row]:
    """Read the key that is configured for sign, and ask the DNS for its record; nothing without one."""
    from mailguard.verify.arc_set import SigningKey

    values = [setup.signing.get(name, "") for name in _NEEDED]
    if not any(values):
        return
    if not all(values):
        missing = next(name for name, value in zip(_NEEDED, values, strict=True) if not value)
        yield Row(_NAME, FAILURE, f"[sign] of the configuration has no {missing}", "complete the section")
        return
    try:
        signing = SigningKey.read(*values)
    except ConfigurationError as error:
        yield Row(_NAME, FAILURE, str(error), "mend the file; mail waits meanwhile")
        return
    yield _published(signing.question, signing.record, setup)


def _published(question: tuple[str, str], record: bytes, setup: Setup) -> Row:
    """Compare the record that others find with the one that belongs to the key."""
    from mailguard import dns
    from mailguard.verify import tags

    name = show(question[0])
    answer = dns.source(setup.nameservers, timeout=_SECONDS).ask(*question, _SECONDS)
    if answer.temporary:
        return Row(_NAME, WARNING, f"whether {name} is published cannot be asked now", "look again")
    repair = "publish what this prints: mailguard sign --print-record"
    if not answer.texts:
        return Row(_NAME, FAILURE, f"{name} is not published: others take every ARC set of ours for a forgery", repair)
    try:
        same = len(answer.texts) == 1 and tags.parse(answer.texts[0]).get("p") == tags.parse(record)["p"]
    except tags.TagError:
        same = False
    if not same:
        return Row(_NAME, FAILURE, f"{name} is the record of another key, or there are several", repair)
    return Row(_NAME, GOOD, f"{name} is published")
