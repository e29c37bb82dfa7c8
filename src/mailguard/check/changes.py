"""A change of a zone that repairs something, and the DNS as it would be after it."""

from __future__ import annotations

import re

from mailguard.dns import NODATA, NXDOMAIN, OK, Answer
from mailguard.dns.presentation import read, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from mailguard.dns import Question, Record, Resolver

_NAMES = frozenset({"MX", "PTR", "CNAME"})  # whose values end in a name
_STRING = 255  # RFC 1035 3.3: one string of a TXT record
_OWNER = re.compile(r"[A-Za-z0-9._-]+")
_PASTED = re.compile(r"[A-Za-z0-9._:/+=@,;~?!*%{}^ -]++")  # nothing that a shell, a zone file or a form would obey


class Change:
    """What changes in the records of one name and type; the other records there stay.

    before: those that go; after: those that come in their place.
    """

    __slots__ = ("after", "before", "name", "rdtype")

    def __init__(self, name: str, rdtype: str, before: Iterable[Record], after: Iterable[Record]) -> None:
        self.name = name
        self.rdtype = rdtype
        self.before = tuple(before)
        self.after = tuple(after)

    def over(self, records: Iterable[Record]) -> list[Record]:
        """Return the records as they are after the change."""
        kept = [record for record in records if record not in self.before]
        return [*kept, *(record for record in self.after if record not in kept)]

    def lines(self, records: Iterable[Record]) -> list[str]:
        """Return records of this name as lines of a zone file; a long text stands in several strings."""
        return [f"{self.name}. IN {self.rdtype} {self._value(record)}" for record in records]

    def _value(self, record: Record) -> str:
        if isinstance(record, bytes):
            pieces = range(0, len(record), _STRING) if record else [0]
            return " ".join(written(record[start : start + _STRING]) for start in pieces)
        text = written(record)
        return f"{text}." if self.rdtype in _NAMES and not text.endswith(".") else text

    @property
    def pasted(self) -> bool:
        """Whether what comes holds nothing but letters, digits and plain punctuation: people paste it."""
        texts = [record.decode("latin-1") if isinstance(record, bytes) else written(record) for record in self.after]
        if self.rdtype == "CAA":
            texts = [text.replace('"', "") for text in texts]
        return bool(_OWNER.fullmatch(self.name)) and all(map(_PASTED.fullmatch, texts))

    def as_dict(self) -> dict[str, Any]:
        """Return the change as it stands in a report."""
        return {
            "name": self.name,
            "type": self.rdtype,
            "before": [written(record) for record in self.before],
            "after": [written(record) for record in self.after],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Change:
        """Return the change that `as_dict` wrote; raises ValueError or the like for anything else."""
        rdtype = str(record["type"])
        before, after = ([read(str(each), rdtype) for each in record[name]] for name in ("before", "after"))
        return cls(str(record["name"]), rdtype, before, after)


class Effect:
    """What a repair did when it was tried.

    failures, warnings: how many there are fewer; solved: nothing is left to say about what it repairs; reply: whether
    the mail that we hold passes afterwards, None without one.
    """

    __slots__ = ("failures", "reply", "solved", "warnings")

    def __init__(self, failures: int, warnings: int, *, solved: bool, reply: bool | None = None) -> None:
        self.failures = failures
        self.warnings = warnings
        self.solved = solved
        self.reply = reply

    def as_dict(self) -> dict[str, Any]:
        """Return the effect as it stands in a report."""
        return {name: getattr(self, name) for name in self.__slots__}


class Repair:
    """Lines that repair something.

    changes: of the DNS; file: content of the MTA-STS policy, "" for none; helo: the name that the sending server should
    give, "" for none; effect: what it did when it was tried, None before.
    """

    __slots__ = ("changes", "effect", "file", "helo")

    def __init__(self, changes: Sequence[Change] = (), *, file: str = "", helo: str = "") -> None:
        self.changes = tuple(changes)
        self.file = file
        self.helo = helo
        self.effect: Effect | None = None

    @property
    def pasted(self) -> bool:
        """Whether it holds nothing that whoever pastes it would be sorry for."""
        texts = [*self.file.split("\n"), self.helo]
        return all(change.pasted for change in self.changes) and all(
            not text or _PASTED.fullmatch(text) for text in texts
        )

    def before(self) -> str:
        """Return the records that go, one a line."""
        return "\n".join(line for change in self.changes for line in change.lines(change.before))

    def after(self) -> str:
        """Return the records that come, one a line."""
        return "\n".join(line for change in self.changes for line in change.lines(change.after))

    def as_dict(self) -> dict[str, Any]:
        """Return the repair as it stands in a report."""
        return {
            "changes": [change.as_dict() for change in self.changes],
            "file": self.file,
            "helo": self.helo,
            "effect": self.effect and self.effect.as_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Repair:
        """Return the repair that `as_dict` wrote; raises ValueError or the like for anything else."""
        made = cls(
            [Change.from_dict(each) for each in record["changes"]],
            file=str(record["file"]),
            helo=str(record["helo"]),
        )
        effect = record["effect"]
        if effect is not None:
            reply = None if effect["reply"] is None else bool(effect["reply"])
            counts = int(effect["failures"]), int(effect["warnings"])
            made.effect = Effect(*counts, solved=bool(effect["solved"]), reply=reply)
        return made


class Changed:
    """The DNS as it would be: a `Resolver` and `Source` that knows some changes and asks another one for the rest."""

    def __init__(self, resolver: Resolver, changes: Iterable[Change]) -> None:
        self._resolver = resolver
        self._changes = {(change.name, change.rdtype): change for change in changes}

    def records(self, rdtype: str) -> dict[str, list[str]]:
        """Return the records of a type that come, as text, by name."""
        return {
            name: [written(record) for record in change.after]
            for (name, kind), change in self._changes.items()
            if kind == rdtype
        }

    def query(self, name: str, rdtype: str, *, macro: bool = False) -> Answer:
        """Answer one question."""
        answer = self._resolver.query(name, rdtype, macro=macro)
        asked = name.lower().removesuffix(".")
        change = self._changes.get((asked, rdtype))
        if change is not None and answer.status in {OK, NODATA, NXDOMAIN}:
            records = change.over(answer.records)
            status = OK if records else NODATA
            return Answer(status, records, answer.ttl, authenticated_data=answer.authenticated_data)
        if answer.status == NXDOMAIN and any(
            owner == asked or owner.endswith("." + asked) for (owner, _), each in self._changes.items() if each.after
        ):
            return Answer(NODATA, (), answer.ttl, authenticated_data=answer.authenticated_data)
        return answer

    def prefetch(self, questions: Iterable[Question]) -> None:
        """Ask ahead."""
        self._resolver.prefetch(questions)

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:  # noqa: ARG002 (the protocol's)
        """Answer one question."""
        return self.query(name, rdtype, macro=True)
