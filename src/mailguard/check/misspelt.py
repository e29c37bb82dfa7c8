"""Records that are there, but not as readers want them: who sees his own record does not believe that it is missing."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MARKS = " \t\r\n\"'`\\\ufeff\xa0\u3000\u200b\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb\uff02"
_SIGNS = {
    "spf": re.compile(
        r"v\s*[=:＝]?\s*spf\s*v?[0-9]?|spf[12]\b|spf\s*[=:]|(?:include|ip4|mx|a):?\S*\s.*[-~?+]all\Z", re.IGNORECASE
    ),
    "dmarc": re.compile(
        r"v\s*[=:＝]?\s*dmarc|dmarc\s*[0-9]?\s*[;=:]|p\s*=\s*(?:none|quarantine|reject)\b", re.IGNORECASE
    ),
    "tlsrpt": re.compile(r"v\s*[=:]?\s*tls-?rpt|tlsrpt", re.IGNORECASE),
    "mtasts": re.compile(r"v\s*[=:]?\s*(?:mta-?)?sts", re.IGNORECASE),
}
_LONGEST = 2000


def find(kind: str, records: Iterable[bytes]) -> list[str]:
    """Return those texts that are surely meant as records of a kind ("spf", "dmarc", "tlsrpt", "mtasts").

    records: TXT records of which none is a right one.
    """
    sign = _SIGNS[kind]
    texts = [raw[:_LONGEST].decode("utf-8", "backslashreplace") for raw in records]
    return [text for text in texts if sign.match(text.strip(_MARKS))]
