"""DMARC policy records (RFC 9989 4.7, 4.8)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

POLICIES = ("none", "quarantine", "reject")  # from the weakest to the strictest

_VERSION = re.compile(rb"[ \t]*+v[ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_NAME = re.compile(rb"[A-Za-z]++")
_VALUE = re.compile(rb"[!-~ \t]*+")
_REPORT_ADDRESS = re.compile(rb"[ \t]*+[A-Za-z][A-Za-z0-9+.-]*+:[!-~]++[ \t]*+\Z")


class DmarcRecord:
    """One record.

    p, sp, np: one of `POLICIES`, None where absent; dkim_strict, spf_strict: adkim=s, aspf=s; psd: "y", "n" or "u";
    testing: t=y; usable: whether DMARC applies at all (a record without a valid p= counts only with a report address,
    and then as p=none: RFC 9989 4.10.1).
    """

    __slots__ = ("dkim_strict", "np", "p", "psd", "sp", "spf_strict", "testing", "usable")

    def __init__(self, record: bytes) -> None:
        values = _values(record)
        wanted = {name: values.get(name, b"").lower().decode("ascii") for name in ("p", "sp", "np")}
        valid = wanted["p"] in POLICIES and all(not wanted[name] or wanted[name] in POLICIES for name in ("sp", "np"))
        self.usable = valid or any(map(_REPORT_ADDRESS.match, values.get("rua", b"").split(b",")))
        self.p = wanted["p"] if valid else "none"
        self.sp = (wanted["sp"] if valid else "") or None
        self.np = (wanted["np"] if valid else "") or None
        self.dkim_strict = values.get("adkim", b"").lower() == b"s"
        self.spf_strict = values.get("aspf", b"").lower() == b"s"
        psd = values.get("psd", b"u").lower().decode("ascii")
        self.psd = psd if psd in {"y", "n"} else "u"
        self.testing = values.get("t", b"").lower() == b"y"

    @staticmethod
    def only(texts: Iterable[bytes]) -> DmarcRecord | None:
        """Return the one DMARC record among TXT records; several cancel each other (RFC 9989 4.10)."""
        records = [text for text in texts if _VERSION.match(text)]
        return DmarcRecord(records[0]) if len(records) == 1 else None

    def for_subdomain(self, *, exists: bool) -> str:
        """Return what this record asks for a domain below its own (RFC 9989 4.10.1)."""
        return (self.sp if exists else self.np or self.sp) or self.p


def softened(policy: str) -> str:
    """Return the policy one level below, which t=y asks for (RFC 9989 4.7)."""
    return POLICIES[max(POLICIES.index(policy) - 1, 0)]


def _values(record: bytes) -> dict[str, bytes]:
    """Return the tags; what is malformed or repeated is ignored, as unknown tags are (RFC 9989 4.7)."""
    values: dict[str, bytes] = {}
    for specification in record.split(b";"):
        name, _, value = (text.strip(b" \t") for text in specification.partition(b"="))
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            values.setdefault(name.decode("ascii").lower(), value)
    return values
