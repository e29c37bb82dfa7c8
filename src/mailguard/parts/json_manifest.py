"""The record of removed attachments as a part of the message, bound by a MAC so that a later run knows it again."""

from __future__ import annotations

from mailguard.message import encoding as transfer
from mailguard.seal.keys import equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mailguard.message.tree import Part
    from mailguard.seal import Key, KeyRing
    from mailguard.seal.field import Reading

_NAME = b"mailguard-manifest.json"
_LIMIT = 4 << 20


def entity(records: Sequence[dict[str, Any]], key: Key, eol: bytes) -> bytes:
    """Return the manifest as an entity: `{"mailguard_manifest": 1, "removed": [...], "key": name, "mac": hex}`."""
    import json

    content = {"mailguard_manifest": 1, "removed": list(records), "key": key.name}
    text = json.dumps(content | {"mac": _mac(content, key)}, ensure_ascii=False, sort_keys=True, indent=1)
    head = (
        b'Content-Type: application/json; name="' + _NAME + b'"',
        b"Content-Transfer-Encoding: base64",
        b'Content-Disposition: attachment; filename="' + _NAME + b'"',
        b"",
        b"",
    )
    return eol.join(head) + transfer.base64(text.encode("utf-8"), eol=eol, trailing=0)


def is_manifest(part: Part, ring: KeyRing | None, reading: Reading) -> bool:
    """Tell whether a part is a manifest that this site put into this message: byte for byte what we write.

    Only in a message that `strip` has sealed; a genuine manifest of another message is an attachment like any other.
    """
    if ring is None or reading.seal is None or "strip" not in reading.seal.verbs:
        return False
    if part.content_type != b"application/json" or part.end - part.body > _LIMIT:
        return False
    import json

    try:
        content = json.loads(part.content().whole())
        key = ring.find(str(content["key"]))
        if key is None or not isinstance(content["removed"], list):
            return False
        ours = entity(content["removed"], key, part.message.eol)
    except (ValueError, TypeError, LookupError, RecursionError):  # not JSON, not of this form, or nested too deeply
        return False
    return equal(ours, part.message.raw[part.start : part.end])


def _mac(content: dict[str, Any], key: Key) -> str:
    import json

    return key.mac("manifest", json.dumps(content, sort_keys=True).encode("utf-8")).hex()
