"""One message in the spool: what must still be delivered, to whom, and what was answered so far.

The file `queue/ID` begins with one line of JSON (envelope, targets) and then holds the message byte for byte:
`tail -n +2` gives it back with no program of ours.  That file never changes.  `queue/ID.state` appears with the first
failure and then says what is still to do.
"""

from __future__ import annotations

import contextlib
import os

from mailguard import delivery
from mailguard.delivery import DELIVERED, PERMANENT, TEMPORARY, Copy
from mailguard.errors import MailguardError
from mailguard.spool import done, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.delivery import Attempt, Target
    from mailguard.spool.queue import Spool

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 3600.0
_HEADER_LIMIT = 16 << 20


class DamagedEntry(MailguardError):  # noqa: N818 (a state of a file)
    """An entry that cannot be read; it is reported and left alone."""


class Pending:
    """What is left to do at one target.

    url, recipients ([""] for a store); attempts, due (POSIX time); replies: the last answer by recipient; dialogue.
    """

    __slots__ = ("attempts", "dialogue", "due", "recipients", "replies", "url")

    def __init__(self, url: str, recipients: Sequence[str], attempts: int = 0, due: float = 0.0) -> None:
        self.url = url
        self.recipients = list(recipients)
        self.attempts = attempts
        self.due = due
        self.replies: dict[str, str] = {}
        self.dialogue: list[str] = []

    @property
    def target(self) -> Target:
        """The target of the URL."""
        return delivery.parse(self.url)

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to try; a time far ahead means that the clock was set back."""
        return not now < self.due <= now + LONGEST_PAUSE

    def postpone(self, attempt: Attempt, now: float) -> None:
        """Note a failed attempt: the next one after twice the pause, up to an hour."""
        self.attempts += 1
        self.due = now + min(FIRST_PAUSE * 2 ** min(self.attempts - 1, 20), LONGEST_PAUSE)
        self.replies = {recipient: attempt.outcomes[recipient].reply for recipient in self.recipients}
        self.dialogue = attempt.dialogue

    def as_dict(self) -> dict[str, Any]:
        """Return what is written into the state file and by --json."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, value: dict[str, Any]) -> Pending:
        """Read what `as_dict` gave; KeyError, TypeError, ValueError when it is something else."""
        pending = cls(value["url"], value["recipients"], int(value.get("attempts", 0)), float(value.get("due", 0)))
        pending.replies = dict(value.get("replies", {}))
        pending.dialogue = list(value.get("dialogue", []))
        return pending


class Entry:
    """An entry whose file is open.  Only who locked it (`Spool.put`, `Spool.take`) may change it.

    folder: "queue" or "failed"; pending: by target name; size: octets of the message; digest: of the message, for the
    done-journal.
    """

    __slots__ = (
        "_descriptor", "_offset", "_spool", "created", "digest", "folder", "identifier", "pending", "sender", "size"
    )  # fmt: skip

    def __init__(self, spool: Spool, folder: str, identifier: str, descriptor: int) -> None:
        self._spool = spool
        self._descriptor = descriptor
        self.folder = folder
        self.identifier = identifier
        header = _read_header(descriptor, identifier)
        self._offset = header[0]
        values = header[1]
        try:
            self.created = float(values["created"])
            self.sender: str | None = values["sender"]
            self.digest = bytes.fromhex(values["digest"])
            self.size = int(values["size"])
            state = files.read(spool.folder(folder), f"{identifier}.state")
            self.pending = {item.target.name: item for item in _parse_pending(state, self.created) or _work(values)}
        except (KeyError, TypeError, ValueError, AttributeError, OSError, MailguardError) as error:
            raise DamagedEntry(f"{folder}/{identifier}: the entry cannot be read: {type(error).__name__}") from None
        if os.fstat(descriptor).st_size != self._offset + self.size:
            raise DamagedEntry(f"{folder}/{identifier}: the message is not as long as it was")

    @property
    def descriptor(self) -> int:
        """The open file, which holds the lock."""
        return self._descriptor

    @property
    def written(self) -> int:
        """When the file was written, in nanoseconds: the order within one second."""
        return os.fstat(self._descriptor).st_mtime_ns

    @property
    def copy(self) -> Copy:
        """The message, for delivery."""
        return Copy(
            lambda offset, length: os.pread(self._descriptor, length, self._offset + offset),
            self.size,
            sender=self.sender,
            identifier=self.identifier,
            created=self.created,
        )

    def skip_done(self, now: float) -> list[tuple[str, str]]:
        """Drop what the done-journal knows as delivered; return it as (target name, recipient)."""
        keys = {
            (name, recipient): done.key(self.digest, name, recipient)
            for name, item in self.pending.items()
            for recipient in item.recipients
        }
        known = self._spool.done.known(keys.values(), now)
        for name, item in self.pending.items():
            item.recipients = [recipient for recipient in item.recipients if keys[name, recipient] not in known]
        return [place for place, code in keys.items() if code in known]

    def settle(self, name: str, attempt: Attempt, now: float) -> None:
        """Take over what came of an attempt at one target.

        Delivered: journal, then out of the entry.  Refused for good: to failed/.  Otherwise: again, later.
        """
        item = self.pending[name]
        delivered = [each for each in item.recipients if attempt.outcomes[each].status == DELIVERED]
        refused = [each for each in item.recipients if attempt.outcomes[each].status == PERMANENT]
        self._spool.remember((done.key(self.digest, name, each) for each in delivered), now)
        held = self._fail(item, refused, attempt) if refused else True
        item.recipients = [
            each
            for each in item.recipients
            if attempt.outcomes[each].status == TEMPORARY or (each in refused and not held)
        ]
        if item.recipients:
            item.postpone(attempt, now)
        with contextlib.suppress(OSError):  # a full disk: what was known before is still there, and tried again
            self.save()

    def save(self) -> None:
        """Write what is left to do, or remove the entry when nothing is."""
        self.pending = {name: item for name, item in self.pending.items() if item.recipients}
        folder = self._spool.folder(self.folder)
        if self.pending:
            files.replace(folder, f"{self.identifier}.state", self._state())
            return
        # Not synced: should the entry come back after a power failure, the done-journal knows it.
        files.remove(folder, f"{self.identifier}.state")
        files.remove(folder, self.identifier)

    def close(self) -> None:
        """Close the file, which ends the lock."""
        os.close(self._descriptor)

    def move_to_queue(self) -> bool:
        """Give a failed entry another chance, due at once; False when somebody is working on its twin in the queue."""
        for item in self.pending.values():
            item.attempts, item.due = 0, 0.0
        if not self._merge_into("queue"):
            return False
        self.pending = {}
        self.save()
        return True

    def _fail(self, item: Pending, recipients: Sequence[str], attempt: Attempt) -> bool:
        failed = Pending(item.url, recipients, item.attempts + 1)
        failed.replies = {recipient: attempt.outcomes[recipient].reply for recipient in recipients}
        failed.dialogue = attempt.dialogue
        twin = Entry.__new__(Entry)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.pending = {item.target.name: failed}
        return twin._merge_into("failed")  # noqa: SLF001

    def _merge_into(self, folder: str) -> bool:
        """Add what is pending here to the entry of the same name over there; the message itself is only linked.

        False when that entry is another file, and locked, or when the disk refuses.
        """
        there = self._spool.folder(folder)
        if files.same(self._descriptor, there, self.identifier):
            other = self._spool.look(folder, self.identifier)  # ours is the lock on both
        else:
            other = self._spool.take(folder, self.identifier)
            if other is None and files.exists(there, self.identifier):
                return False
        try:
            self._add([] if other is None else list(other.pending.values()))
            files.replace(there, f"{self.identifier}.state", self._state())
            self._link(there)
        except OSError:
            return False
        finally:
            if other is not None:
                other.close()
        return True

    def _add(self, items: Sequence[Pending]) -> None:
        for item in items:
            mine = self.pending.setdefault(item.target.name, item)
            mine.recipients += [each for each in item.recipients if each not in mine.recipients]
            mine.replies = item.replies | mine.replies

    def _link(self, there: int) -> None:
        """Put our file over there, in place of an older one with the same content."""
        here = self._spool.folder(self.folder)
        temporary = f".{self.identifier}.{os.urandom(8).hex()}"
        os.link(self.identifier, temporary, src_dir_fd=here, dst_dir_fd=there)
        os.rename(temporary, self.identifier, src_dir_fd=there, dst_dir_fd=there)
        files.remove(there, temporary)  # rename does nothing where both are the same file
        os.fsync(there)

    def _state(self) -> bytes:
        import json

        targets = [item.as_dict() for item in self.pending.values()]
        return json.dumps({"created": self.created, "targets": targets}).encode("ascii")


def _work(header: dict[str, Any]) -> list[Pending]:
    return [Pending.of(target) for target in header["targets"]]


def _parse_pending(state: bytes | None, created: float) -> list[Pending]:
    """Read a state file; nothing when it is missing or left over from an earlier entry of the same name."""
    import json

    if state is None:
        return []
    values = json.loads(state)
    return [Pending.of(target) for target in values["targets"]] if values["created"] == created else []


def _read_header(descriptor: int, identifier: str) -> tuple[int, dict[str, Any]]:
    import json

    line = b""
    while b"\n" not in line:
        piece = os.pread(descriptor, 1 << 16, len(line))
        if not piece or len(line) > _HEADER_LIMIT:
            raise DamagedEntry(f"{identifier}: not an entry of the spool")
        line += piece
    line = line[: line.find(b"\n") + 1]
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or values.get("mailguard-spool") != 1:
        raise DamagedEntry(f"{identifier}: not an entry of the spool")
    return len(line), values
