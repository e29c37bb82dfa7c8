"""Answers from a file: a recording (--dns-save, --dns-load) or a zone written by hand.

A recording is JSON and knows only what was asked: another question is answered with TIMEOUT, because nobody can say
what the DNS would have said, and a temperror never becomes a pass.  A zone is text and claims to be the whole DNS:

    # name TYPE value; the value is the rest of the line
    example.com        TXT   v=spf1 mx -all
    example.com        MX    10 mail.example.com
    mail.example.com   A     192.0.2.1
    broken.example     TXT   SERVFAIL
    slow.example       *     TIMEOUT

A name that is neither there nor above another one does not exist (NXDOMAIN).  SERVFAIL, TIMEOUT, NODATA and NXDOMAIN
as a value, and * as a type, mean what they say; a TXT value in quotes is read as in master files (RFC 1035 5.1).
"""

from __future__ import annotations

from mailguard.dns.answer import NODATA, NXDOMAIN, OK, SERVFAIL, STATUSES, TIMEOUT, TYPES, Answer, remembered
from mailguard.dns.names import domain_name, macro_name
from mailguard.dns.presentation import read
from mailguard.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.dns.answer import Question, Record, Source

_VERSION = 1
_LONGEST_CHAIN = 10
_TTL = 300


def load_file(path: str) -> Source:
    """Return the `Source` in the file, a recording when it begins with a brace; raises ConfigurationError."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    try:
        return Recorded(raw) if raw.lstrip().startswith(b"{") else Zone(raw.decode())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


class Zone:
    """A `Source` of what a text says.  Raises ValueError with the number of the wrong line."""

    def __init__(self, text: str) -> None:
        self._records: dict[str, dict[str, list[Record]]] = {}
        self._failures: dict[Question, str] = {}
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and not line.lstrip().startswith(("#", ";")):
                try:
                    self._add(*line.split(None, 2))
                except (ValueError, TypeError) as error:
                    raise ValueError(f"line {number}: {error}") from None

    def _add(self, name: str, rdtype: str, value: str = "") -> None:
        owner, value = macro_name(name), value.strip(" \t\r")
        if owner is None or rdtype not in {*TYPES, "*"}:
            raise ValueError("expected: name TYPE value")
        types = self._records.setdefault(owner, {})
        if value in {SERVFAIL, TIMEOUT, NODATA, NXDOMAIN}:
            self._failures[owner, rdtype] = value
        elif rdtype == "*":
            raise ValueError("* needs SERVFAIL, TIMEOUT, NODATA or NXDOMAIN")
        else:
            types.setdefault(rdtype, []).append(read(value, rdtype))

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:  # noqa: ARG002 (the protocol's)
        """Answer from the text, following CNAMEs; a chain without end is no data."""
        for _ in range(_LONGEST_CHAIN):
            failure = self._failures.get((name, rdtype)) or self._failures.get((name, "*"))
            if failure:
                return Answer(failure)
            types = self._records.get(name)
            if types is None:
                below = any(owner.endswith("." + name) for owner in self._records)
                return Answer(NODATA if below else NXDOMAIN, (), _TTL)
            if rdtype in types or "CNAME" not in types:
                return Answer(OK if rdtype in types else NODATA, types.get(rdtype, ()), _TTL)
            name = domain_name(str(types["CNAME"][0])) or ""
        return Answer(NODATA, (), _TTL)

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer from the text, which needs no time."""
        return self.ask(name, rdtype, 0)


class Recorded:
    """A `Source` of the answers in a recording; what is not in it is TIMEOUT.  Raises ValueError and the like."""

    def __init__(self, raw: bytes) -> None:
        import json

        document = json.loads(raw)
        if document.get("version") != _VERSION:
            raise ValueError(f"not a DNS recording of version {_VERSION}")
        self._answers = {tuple(key.rsplit(" ", 1)): restored(key, value) for key, value in document["answers"].items()}

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:  # noqa: ARG002 (the protocol's)
        """Answer as recorded."""
        return self._answers.get((name, rdtype)) or Answer(TIMEOUT)

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer as recorded, which needs no time."""
        return self.ask(name, rdtype, 0)


def restored(key: str, value: dict[str, Any]) -> Answer:
    """Return the answer of which `value` is the dictionary; key: name and type.  Raises ValueError and the like."""
    _, rdtype = key.rsplit(" ", 1)
    if rdtype not in TYPES or value["status"] not in STATUSES:
        raise ValueError(f"unknown type or status: {key}")
    records = [read(str(record), rdtype) for record in value["records"]]
    return Answer(value["status"], records, int(value["ttl"]), authenticated_data=value["authenticated_data"] is True)


class Recording:
    """A `Source` that passes on the answers of another one and remembers them for --dns-save."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._answers: dict[Question, Answer] = {}

    def ask(self, name: str, rdtype: str, seconds: float) -> Answer:
        """Answer as the source does."""
        answer = self._source.ask(name, rdtype, seconds)
        self._answers[name, rdtype] = answer
        return answer

    def remembered(self, name: str, rdtype: str) -> Answer | None:
        """Answer as the source does without asking anybody."""
        answer = remembered(self._source, name, rdtype)
        if answer is not None:
            self._answers[name, rdtype] = answer
        return answer

    def saved(self) -> bytes:
        """Return the recording as a JSON file, the same bytes for the same answers."""
        import json

        answers = {" ".join(question): answer.as_dict() for question, answer in self._answers.items()}
        document = {"version": _VERSION, "answers": answers}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"
