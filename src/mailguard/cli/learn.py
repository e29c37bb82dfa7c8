"""`mailguard learn`: those to whom our users write become known senders."""

from __future__ import annotations

import os
import re

import click

from mailguard.cli.options import config_option
from mailguard.commands import ORDINARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailguard.message.tree import Message

_MOST = 1000  # addresses of one mail
# Only what is one mailbox to everybody and no other pattern of such a list: no domain, no *, no ! and no comment.
_PLAIN = re.compile(r"[\w.$%&'+/=?^`{|}~-]{1,64}@[\w.-]{1,255}")
_TO = (b"to", b"cc", b"bcc")


@click.command("learn", short_help=ORDINARY["learn"])
@config_option
@click.option("--known", metavar="FILE", required=True, help="List of known senders to which they are added.")
@click.option("--recipient", metavar="ADDR", multiple=True, help="Envelope recipient; repeat for more.")
def command(known: str, recipient: tuple[str, ...]) -> None:
    """Add the recipients of an outgoing mail to the senders that the site knows.

    Reads one message on stdin and writes nothing.  Without --recipient, those of To, Cc and Bcc are taken.
    Nothing is learned from automatic replies.
    """
    from mailguard.message.tree import parse
    from mailguard.streams import read_message

    message = parse(read_message())
    if not _is_automatic(message):
        _add(known, recipient or _addressed(message))


def _is_automatic(message: Message) -> bool:
    """Tell whether a program wrote the message (RFC 3834): who gets one has not been written to by anybody."""
    return any(field.name == b"auto-submitted" and field.unfolded.lower() != b"no" for field in message.fields)


def _addressed(message: Message) -> Iterator[str]:
    from email.utils import getaddresses

    values = [field.unfolded.decode("utf-8", "replace") for field in message.fields if field.name in _TO]
    yield from (address for _, address in getaddresses(values)[:_MOST])


def _add(path: str, addresses: Iterable[str]) -> None:
    """Append the addresses about which the list says nothing yet, each in a line of its own."""
    from mailguard import safefile
    from mailguard.addresses import AddressList

    known = AddressList.read(path) if os.path.lexists(path) else AddressList({})
    new = dict.fromkeys(_mailbox(address) for address in addresses if not known.decides(address))
    new.pop("", None)
    if new:
        text = "".join(f"{address}\n" for address in new).encode()
        safefile.append(path, text)


def _mailbox(address: str) -> str:
    """Return an address as it stands in a list, "" for what is no plain one."""
    from mailguard.addresses import parse_pattern

    try:
        return parse_pattern(address) if _PLAIN.fullmatch(address) else ""
    except ValueError:
        return ""
