"""Which fields of an incoming message claim to be ours and have to go (RFC 8601 5).

Whoever reads our results looks for our name, some with a strict parser and most with a regular expression.  So a field
stays only when it can be read in one way, under another name.
"""

from __future__ import annotations

import re

from mailguard.dns.names import domain_name
from mailguard.verify import resinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailguard.message.header import Field

_NOT_IN_NAMES = re.compile(rb"[\x00-\x20\x7f-\xff]++")
_AUTHSERV_ID = re.compile(r"[0-9A-Za-z._-]++")
_NOT_IN_IDS = re.compile(rb"[^0-9a-z._-]++")


def remove(
    fields: Iterable[Field],
    authserv_id: str,
    *,
    x_authentication_results: bool = False,
    received_spf: bool = False,
) -> list[Field]:
    """Return the fields to remove, in order.

    Of the Authentication-Results fields: those of `authserv_id` in any disguise and those that cannot be read; others
    stay.  x_authentication_results: X-Authentication-Results fields are judged in the same way; received_spf: every
    Received-SPF field, which names nobody reliably.
    """
    judged = {b"authentication-results"} | ({b"x-authentication-results"} if x_authentication_results else set())
    claiming = []
    for field in fields:
        name = _NOT_IN_NAMES.sub(b"", field.name)
        if (name in judged and claims(field, authserv_id)) or (received_spf and name == b"received-spf"):
            claiming.append(field)
    return claiming


def claims(field: Field, authserv_id: str) -> bool:
    """Whether somebody could take this field for one written under `authserv_id`."""
    own = comparable(authserv_id)
    try:
        written, _ = resinfo.parse(field.value)
    except resinfo.UnreadableField:
        return True
    if written is None or not _AUTHSERV_ID.fullmatch(written) or comparable(written) == own:
        return True
    head = field.value.partition(b";")[0].lower()
    return own.encode() in _NOT_IN_IDS.sub(b"", head) if b"(" in head or b'"' in head else False


def comparable(authserv_id: str) -> str:
    """Return an authserv-id in the form in which equal ones are equal: lower-case A-labels without final dot."""
    return domain_name(authserv_id) or authserv_id.lower().rstrip(".")
