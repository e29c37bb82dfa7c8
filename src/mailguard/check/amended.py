"""Records with one thing changed: what stands there stays, term by term, because we do not know who else sends."""

from __future__ import annotations

import re

from mailguard.check.sender_policy import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BEGINNING = re.compile(r"v?\s*=?\s*spf\s*v?[0-9]?[\s;,:]*", re.IGNORECASE)
_END = re.compile(r"[-~?+]?all\Z|redirect=", re.IGNORECASE)
_MARKS = " \t\"'\ufeff\xa0\u201c\u201d\u2018\u2019"


def spf(reason: str, records: Sequence[str], terms: Sequence[str] = ()) -> str:
    """Return an SPF record in the place of those that stand there, "" where no change is sure to be right.

    reason: of the outcome; terms: what is complained about.  A record that lets nobody send is no repair.
    """
    if reason == "missing":
        return "v=spf1 mx ~all"
    if reason == "misspelt":
        return _readable(_BEGINNING.sub("v=spf1 ", records[0].strip(_MARKS), count=1))
    return _edited(reason, records, terms)


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
        Record(text.encode("ascii"))
    except ValueError:
        return ""
    return text


def dmarc(record: str, policy: str) -> str:
    """Return a DMARC record with another policy; every other tag stays, and where it stands."""
    parts = [part.strip() for part in record.split(";") if part.strip()]
    changed = [f"p={policy}" if part.partition("=")[0].strip().lower() == "p" else part for part in parts]
    if changed == parts and f"p={policy}" not in parts:
        changed.insert(1, f"p={policy}")
    return "; ".join(changed)
