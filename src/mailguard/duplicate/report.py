"""What the commands about the spool tell people and programs."""

from __future__ import annotations

from mailguard.findings import joined, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.duplicate.flush import Delivery
    from mailguard.spool.entry import Entry, Pending

_SHOWN_RECIPIENTS = 5


def is_alarming(entry: Entry, now: float, alarm_seconds: float) -> bool:
    """Tell whether somebody should look: refused for good, or waiting too long."""
    return entry.folder == "failed" or now - entry.created > alarm_seconds


def as_lines(entry: Entry, now: float, alarm_seconds: float) -> list[str]:
    """Describe an entry for a person: one line per target."""
    mark = "!" if is_alarming(entry, now, alarm_seconds) else " "
    head = f"{mark} {entry.folder:6} {entry.identifier} {span(now - entry.created):>6} {octets(entry.size):>7}"
    sender = "<>" if entry.sender == "" else show(entry.sender)
    return [f"{head} {sender} -> {_describe(name, item, now, entry.folder)}" for name, item in entry.pending.items()]


def _describe(name: str, item: Pending, now: float, folder: str) -> str:
    recipients = [recipient for recipient in item.recipients if recipient]
    more = f" and {len(recipients) - _SHOWN_RECIPIENTS} more" if len(recipients) > _SHOWN_RECIPIENTS else ""
    to = f" for {joined(recipients[:_SHOWN_RECIPIENTS])}{more}" if recipients else ""
    if folder == "failed":
        when = "refused"
    elif not item.attempts:
        when = "not tried yet"
    else:
        when = f"tried {item.attempts}x, " + ("due" if item.is_due(now) else f"again in {span(item.due - now)}")
    answer = next(iter(item.replies.values()), "")
    return f"{name}{to}: {when}" + (f": {answer}" if answer else "")


def as_dict(entry: Entry, now: float, alarm_seconds: float) -> dict[str, Any]:
    """Describe an entry for a program, format version 1; times are Unix times."""
    return {
        "version": 1,
        "id": entry.identifier,
        "folder": entry.folder,
        "created": entry.created,
        "size": entry.size,
        "sender": entry.sender,
        "alarm": is_alarming(entry, now, alarm_seconds),
        "targets": [item.as_dict() for item in entry.pending.values()],
    }


def delivery_line(delivery: Delivery) -> str:
    """Describe one delivery of a flush for the log: `id= target= status= replies`."""
    answers = "; ".join(
        f"{show(recipient) or 'all'}: {outcome.reply}" for recipient, outcome in delivery.attempt.outcomes.items()
    )
    return f"duplicate id={delivery.entry.identifier} target={delivery.name} status={delivery.status} {answers}"


def delivery_dict(delivery: Delivery) -> dict[str, Any]:
    """Describe one delivery of a flush for a program, format version 1."""
    attempt = delivery.attempt
    return {
        "version": 1,
        "id": delivery.entry.identifier,
        "target": delivery.name,
        "status": delivery.status,
        "outcomes": {to: {"status": each.status, "reply": each.reply} for to, each in attempt.outcomes.items()},
        "dialogue": attempt.dialogue,
    }


def span(seconds: float) -> str:
    """Write a time span in its two largest units."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02d}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def octets(size: int) -> str:
    """Write a size as --larger-than reads it."""
    value = float(size)
    for unit in ("", "k", "M"):
        if value < 1024:
            return f"{value:.1f}{unit}" if unit else str(size)
        value /= 1024
    return f"{value:.1f}G"
