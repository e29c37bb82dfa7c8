"""`mailguard learn`: those to whom our users write become known senders, and what they write becomes conversations."""

from __future__ import annotations

import os
import re

import click

from mailguard.cli import options
from mailguard.commands import ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mailguard.correspondence.personal import Reason
    from mailguard.envelope import Envelope
    from mailguard.message.tree import Message

# Only what is one mailbox to everybody and no other pattern of such a list: no domain, no *, no ! and no comment.
_PLAIN = re.compile(r"[\w.$%&'+/=?^`{|}~-]{1,64}@[\w.-]{1,255}")
_SHOWN = 20
_TO = (b"to", b"cc", b"bcc")


@click.command("learn", short_help=ORDINARY["learn"])
@options.config_option
@click.option("--known", metavar="FILE", help="List of known senders to which the recipients are added.")
@click.option("--conversations", metavar="FILE", help="Conversations of the site, to which the mail is added.")
@click.option("--sender", metavar="ADDR", help="Envelope sender.")
@click.option("--recipient", metavar="ADDR", multiple=True, help="Envelope recipient; repeat for more.")
@options.key_file_option
@options.now_option
@click.option("--explain", is_flag=True, help="Tell on stderr what was learned, and why nothing was.")
@options.log_option
def command(now: int | None, **values: Any) -> None:
    """Learn from an outgoing mail whom the site knows, and which conversations are its own.

    Reads one message on stdin and writes nothing.  Without --recipient, those of To, Cc and Bcc are taken.
    Nobody becomes known by what no user wrote himself, such as receipts, automatic replies and mail without text.
    """
    from mailguard.correspondence import personal
    from mailguard.correspondence.parties import addressed
    from mailguard.envelope import Envelope
    from mailguard.message.tree import parse
    from mailguard.streams import read_message

    if not values["known"] and not values["conversations"]:
        raise click.UsageError("what is to be learned?  Name a file with --known or --conversations.")
    message = parse(read_message())
    envelope = Envelope(sender=values["sender"], recipients=values["recipient"])
    reason = personal.against(message, envelope.sender)
    learned = {}
    if values["known"]:
        addresses = envelope.recipients or addressed(message.fields, _TO)
        learned["known"] = _add(values["known"], () if reason else addresses)
    if values["conversations"]:
        learned["conversations"] = _remember(message, envelope, reason, values, now)
    _tell(message, envelope, reason, learned, values)


def _add(path: str, addresses: Iterable[str]) -> int:
    """Append the addresses about which the list says nothing yet, each in a line of its own; return how many."""
    from mailguard import safefile
    from mailguard.addresses import AddressList

    if not os.path.lexists(path):
        safefile.append(path, b"")  # the filters want to read it
    known = AddressList.read(path)
    new = dict.fromkeys(_mailbox(address) for address in addresses if not known.decides(address))
    new.pop("", None)
    if new:
        text = "".join(f"{address}\n" for address in new).encode()
        safefile.append(path, text)
    return len(new)


def _mailbox(address: str) -> str:
    """Return an address as it stands in a list, "" for what is no plain one."""
    from mailguard.addresses import parse_pattern

    try:
        return parse_pattern(address) if _PLAIN.fullmatch(address) else ""
    except ValueError:
        return ""


def _remember(
    message: Message, envelope: Envelope, reason: Reason | None, values: dict[str, Any], now: int | None
) -> int:
    """Add the mail to the conversations, if somebody can answer it; return 1 if so."""
    from time import time

    from mailguard.correspondence import conversations, learning, personal
    from mailguard.errors import ConfigurationError
    from mailguard.site import key_ring

    ring = key_ring(values["key_file"])
    if ring is None:
        raise ConfigurationError("there is no site key; make one with: mailguard init")
    now = int(time()) if now is None else now
    conversations.create(values["conversations"], ring, now)
    outgoing = learning.Outgoing(message, envelope.recipients, by_user=personal.is_of_user(reason))
    if not outgoing.begins or (reason is not None and not reason.answered):
        return 0
    conversations.learn(values["conversations"], ring, now, outgoing.marked)
    return 1


def _tell(
    message: Message, envelope: Envelope, reason: Reason | None, learned: dict[str, int], values: dict[str, Any]
) -> None:
    """Write what was learned, and why nothing was, into the log and for who asked."""
    from mailguard import log
    from mailguard.findings import joined, show

    code = f"learn.{reason.name}" if reason else ""
    facts = {
        "msgid": show(log.message_id(message.raw)),
        "from": "<>" if envelope.sender == "" else show(envelope.sender),
        "to": joined(envelope.recipients[:_SHOWN]).replace(", ", ","),
        **{f"learned-{name}": str(count) for name, count in learned.items()},
        "codes": code,
    }
    log.write(f"learn {log.keyed(facts)}", values["log"])
    if values["explain"]:
        if reason is not None:
            click.echo(f"info: {code}: no user wrote this himself. {reason.what} [{reason.reference}]", err=True)
        for name, count in learned.items():
            click.echo(f"{name}: {count} learned", err=True)
