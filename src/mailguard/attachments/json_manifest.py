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

_NAME = b"mailguard-manifest.json"
_LIMIT = 16 << 20


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


def is_manifest(part: Part, ring: KeyRing | None) -> bool:
    """Tell whether a part is a manifest of this site."""
    if ring is None or part.content_type != b"application/json" or part.end - part.body > _LIMIT:
        return False
    import json

    try:
        content = json.loads(part.content().whole())
        if not isinstance(content, dict) or content.keys() != {"mailguard_manifest", "removed", "key", "mac"}:
            return False
        code = content.pop("mac")
        key = ring.find(str(content["key"]))
        return key is not None and equal(_mac(content, key).encode(), str(code).encode("utf-8", "replace"))
    except (ValueError, RecursionError):  # not JSON, or nested so deeply that it cannot be read or written
        return False


def _mac(content: dict[str, Any], key: Key) -> str:
    import json

    return key.mac("manifest", json.dumps(content, sort_keys=True).encode("utf-8")).hex()
