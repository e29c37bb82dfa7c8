"""What an outgoing mail says about its conversation: that its Message-ID is ours, and who has a part in it.

Whoever breaks into a conversation does not get a part in it because somebody answers him.  An answer names the mails
of ours that it continues; so those of its recipients have a part in it who have one in each of these, and strangers
only when somebody who got all of it himself gets the mail too, or when our user forwards it.
"""

from __future__ import annotations

import re

from mailguard.correspondence import identifiers
from mailguard.correspondence.parties import Party, addressed, parties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailguard.correspondence.conversations import Batch, Conversations
    from mailguard.message.tree import Message

MOST_CONTINUED = 50
"""Mails of ours that an answer may continue, the latest ones."""
MOST_RECIPIENTS = 100
"""Recipients of a mail that begins a conversation; what goes to more is an announcement."""

# What mail programs put before the subject of what they forward, in the languages of Thunderbird and Outlook.
_FORWARDED = re.compile(
    r"\s*(?:fwd?|wg|tr|rv|enc|i|vs|vb|vl|doorst|pd|továbbítás|ynt|πρθ|転送|【転送】|轉寄|转发|전달)\s*[:：\]】]",
    re.IGNORECASE,
)


class Outgoing:
    """An outgoing mail as a part of a conversation: what it is called, what it continues, from whom and to whom.

    by_user: whether no program wrote it; vacation programs repeat the subject of whoever wrote to them.
    """

    __slots__ = ("author", "forwards", "identifiers", "named", "recipients")

    def __init__(self, message: Message, recipients: Iterable[str], *, by_user: bool = True) -> None:
        fields = message.fields
        self.identifiers = identifiers.own(fields)
        self.named = identifiers.named(fields)
        self.author = next(parties(addressed(fields, (b"from",))), None)
        self.recipients = list(parties([*recipients, *addressed(fields, (b"to", b"cc", b"bcc"))]))
        self.forwards = by_user and _is_forwarded(message)

    @property
    def begins(self) -> bool:
        """Whether the mail can be answered as a part of a conversation."""
        return bool(self.identifiers) and len(self.recipients) <= MOST_RECIPIENTS

    def marked(self, known: Conversations) -> Iterator[Batch]:
        """Yield what is to be written into the file of conversations, as `conversations.learn` wants it."""
        continued = [identifier for identifier in self.named if known.has(identifier)][-MOST_CONTINUED:]
        within = [one for one in self.recipients if self._has_part(one, continued, known)]
        if any(self._vouches(one, continued, known) for one in within):
            within = self.recipients
        marks = {mark for one in within for mark in one.marks}
        if self.author is not None:
            marks.update(self.author.marks)
        every = [*self.identifiers, *continued]
        yield [(identifier, mark) for identifier in every for mark in sorted(marks)]
        yield [(identifier,) for identifier in self.identifiers]

    def _has_part(self, recipient: Party, continued: Sequence[bytes], known: Conversations) -> bool:
        return not continued or self.forwards or _belongs(recipient.marks, continued, known)

    def _vouches(self, one: Party, continued: Sequence[bytes], known: Conversations) -> bool:
        """Tell whether whoever else gets the mail is brought in before the eyes of somebody who got all of it himself.

        An organization has no eyes: a stranger could put an address of it that does not exist into Cc.
        """
        is_author = self.author is not None and one.address == self.author.address
        return not is_author and _belongs(one.marks[:1], continued, known)


def _belongs(marks: Sequence[bytes], continued: Iterable[bytes], known: Conversations) -> bool:
    return all(any(known.has(identifier, mark) for mark in marks) for identifier in continued)


def _is_forwarded(message: Message) -> bool:
    from mailguard.message.words import texts

    subject = next((field.unfolded[:1000] for field in message.fields if field.name == b"subject"), b"")
    return any(_FORWARDED.match(text) for text in texts(subject))
