"""Records with one thing changed: what stands there stays, term by term, because we do not know who else sends."""

from __future__ import annotations

import re

from mailguard.check.sender_policy import SpfRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BEGINNING = re.compile(r"v?\s*=?\s*spf\s*v?[0-9]?[\s;,:]*", re.IGNORECASE)
_STRAY = "\\,;"
_END = re.compile(r"[-~?+]?all\Z|redirect=", re.IGNORECASE)
_TYPOS = {
    re.compile(r"[,;]+\Z"): "",
    re.compile(r"^([-~?+]?)ipv([46])[:=]", re.IGNORECASE): r"\1ip\2:",
    re.compile(r"^([-~?+]?)(ip4|ip6|include|a|mx|exists)=", re.IGNORECASE): r"\1\2:",
    re.compile(r"^[\u2013\u2014]all\Z"): "-all",
    re.compile(r"^([-~?+]?all)\.\Z", re.IGNORECASE): r"\1",
}
_BORDER = re.compile(
    r"[;,\s]+(?=(?:v|p|sp|np|rua|ruf|adkim|aspf|fo|t|psd|pct|rf|ri|id|mode)\s*[=:])|[;\s]*;\s*", re.IGNORECASE
)
_EQUALS = re.compile(r"\s*[=:]\s*")
_MARKS = " \t\"'\ufeff\xa0\u201c\u201d\u2018\u2019"


def spf(reason: str, records: Sequence[str], terms: Sequence[str] = ()) -> str:
    """Return an SPF record in the place of those that stand there, "" where no change is sure to be right.

    reason: of the outcome; terms: what is complained about.  A record that lets nobody send is no repair.
    """
    if reason == "misspelt":
        text = records[0].strip(_MARKS)
        return _readable(_BEGINNING.sub("v=spf1 ", text, count=1) if _BEGINNING.match(text) else f"v=spf1 {text}")
    if reason == "syntax":
        return _readable(" ".join(_spelt(word) for word in records[0].split(" ") if word))
    return _edited(reason, records, terms)


def _spelt(word: str) -> str:
    """Return a term as it was meant: what people write most often for it (checkdmarc, Kitterman's list of errors)."""
    for wrong, right in _TYPOS.items():
        word = wrong.sub(right, word)
    return word


def _edited(reason: str, records: Sequence[str], terms: Sequence[str]) -> str:
    words = list(dict.fromkeys(word for record in records for word in record.split(" ")[1:] if word))
    ends = [word for word in words if word.lower().lstrip("+-~?") == "all"]
    kept = [word for word in words if word not in ends]
    if reason in {"pass-all", "include", "loop"}:
        if not {*terms} <= {*words}:
            return ""  # it stands in the record of somebody else
        kept = [word for word in kept if word not in terms]
    elif reason not in {"pass-all", "neutral-all", "open-ended", "after-all", "multiple"}:
        return ""
    if not kept:
        return ""
    end = next((word for word in ends if word[0] in "-~"), "~all")
    if any(word.lower().startswith("redirect=") for word in kept):
        return _readable(" ".join(["v=spf1", *kept])) if not ends else ""
    return _readable(" ".join(["v=spf1", *kept, end]))


def with_mechanism(record: str, mechanism: str) -> str:
    """Return an SPF record that lets one more server send, before what ends it."""
    words = [word for word in record.split(" ") if word]
    ends = [number for number, word in enumerate(words) if _END.match(word)]
    place = ends[0] if ends else len(words)
    return _readable(" ".join([*words[:place], mechanism, *words[place:]]))


def _readable(text: str) -> str:
    try:
        SpfRecord(text.encode("ascii"))
    except ValueError:
        return ""
    return text


class Tags:
    """A record of tags, as DMARC and TLS-RPT have: each stays where it stands unless it is set or dropped."""

    def __init__(self, record: str) -> None:
        self._parts = [part.strip() for part in record.split(";") if part.strip()]

    @staticmethod
    def _name(part: str) -> str:
        return part.partition("=")[0].strip().lower()

    def get(self, name: str) -> str:
        """Return the value of a tag, "" without one."""
        return next((part.partition("=")[2].strip() for part in self._parts if self._name(part) == name), "")

    def set(self, name: str, value: str) -> Tags:
        """Give a tag another value; a new `p` comes behind the version, any other at the end."""
        place = next((number for number, part in enumerate(self._parts) if self._name(part) == name), None)
        if place is not None:
            self._parts[place] = f"{name}={value}"
        else:
            self._parts.insert(1 if name == "p" else len(self._parts), f"{name}={value}")
        return self

    def drop(self, name: str) -> Tags:
        """Take a tag out."""
        self._parts = [part for part in self._parts if self._name(part) != name]
        return self

    def __str__(self) -> str:
        return "; ".join(self._parts)


def respelt(record: str, version: str) -> str:
    """Return a misspelt record of tags as it was meant: its version first, semicolons between the tags."""
    pieces = [_EQUALS.split(piece, maxsplit=1) for piece in _BORDER.split(record.strip(_MARKS + "\\;"))]
    tags = [f"{pair[0].lower()}={pair[1].strip(_MARKS + _STRAY)}" for pair in pieces if len(pair) == 2]
    return "; ".join([f"v={version}", *dict.fromkeys(tag for tag in tags if not tag.startswith("v="))])


def without_report(record: str, target: str) -> str:
    """Return a record without those places for reports that name a target."""
    kept = [uri.strip() for uri in Tags(record).get("rua").split(",") if uri.strip() and target not in uri]
    return str(Tags(record).set("rua", ",".join(kept))) if kept else ""
