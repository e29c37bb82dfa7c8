"""Detached signatures and public keys: small, of a fixed form, and nothing to open in them."""

from __future__ import annotations

import re

from mailguard.formats.disarmed import Disarmed, Refused
from mailguard.formats.signed import cms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options

PKCS7 = "application/pkcs7-signature"
PGP = {"application/pgp-signature": b"SIGNATURE", "application/pgp-keys": b"PUBLIC KEY BLOCK"}
_LARGEST = 1 << 18
# RFC 9580 6.2: armor headers, base64 and a checksum.
_ARMOR = re.compile(
    rb"\s*+-----BEGIN PGP (?P<kind>[A-Z ]++)-----[ \t]*+\r?\n"
    rb"(?:(?:Version|Comment|Hash|Charset|MessageID): [ -~]*+\r?\n)*"
    rb"[ \t]*+\r?\n"
    rb"(?:[A-Za-z0-9+/]{1,80}+={0,2}+[ \t]*+\r?\n)+"
    rb"(?:=[A-Za-z0-9+/]{4}[ \t]*+\r?\n)?"
    rb"-----END PGP (?P=kind)-----\s*+"
)


def is_pkcs7(content: bytes) -> bool:
    """Tell whether content is a detached S/MIME signature: no type detection knows it."""
    return len(content) <= _LARGEST and content[:1] == b"0" and cms.is_detached(content)


def disarm(content: bytes, mime: str, _options: Options) -> Disarmed:
    """Return a signature or public key as it is; Refused when it is anything more."""
    if len(content) > _LARGEST:
        raise Refused("over-limit")
    if mime == PKCS7:
        if not is_pkcs7(content):
            raise Refused("not-understood")
        return Disarmed(content, mime, "p7s")
    armor = _ARMOR.fullmatch(content)
    if armor is None or armor["kind"] != PGP.get(mime):
        raise Refused("not-understood")
    return Disarmed(content, mime, "asc")
