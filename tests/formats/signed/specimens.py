"""S/MIME: messages and files that are signed with their content."""

from __future__ import annotations

import base64
import zlib

from cms_messages import ber, compressed, enveloped, signed
from mails import attachment, mixed
from specimens import Specimen

TEXT = b"Content-Type: text/plain\r\n\r\nHello.\r\n"
PROGRAM = b"MZ" + bytes(200)
WITH_PROGRAM = mixed(TEXT, attachment(PROGRAM, b"invoice.exe", b"application/octet-stream"))
SCRIPT = mixed(TEXT, attachment(b"WScript.Echo(1)", b"invoice.js", b"text/plain"))
ORDINARY = mixed(TEXT, attachment(b"Hello", b"note.txt", b"text/plain"))


def armored(data):
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(data) + b"-----END PKCS7-----\n"


def acts():
    mime = "application/pkcs7-mime"
    return {
        "signed message with a program": Specimen(signed(WITH_PROGRAM), "smime.p7m", mime),
        "signed message with a script, without name": Specimen(signed(SCRIPT), "a.bin"),
        "BER in pieces": Specimen(ber(WITH_PROGRAM), "smime.p7m", mime),
        "base64": Specimen(base64.encodebytes(signed(WITH_PROGRAM)), "smime.p7m", mime),
        "armor": Specimen(armored(signed(WITH_PROGRAM)), "a.txt", "text/plain"),
        "compressed": Specimen(compressed(zlib.compress(WITH_PROGRAM)), "smime.p7z", mime),
        "compressed, with a second stream": Specimen(
            compressed(zlib.compress(TEXT) + zlib.compress(SCRIPT)), "a.p7z", mime
        ),
        "signed file": Specimen(signed(PROGRAM), "invoice.pdf.p7m", mime),
        "something behind it": Specimen(signed(TEXT) + b"\0", "smime.p7m", mime),
        "cut": Specimen(signed(TEXT)[:-1], "smime.p7m", mime),
        "signed twice": Specimen(signed(signed(WITH_PROGRAM)), "smime.p7m", mime),
        "signed message in a signed message": Specimen(
            signed(mixed(TEXT, attachment(signed(WITH_PROGRAM), b"smime.p7m", mime.encode()))), "smime.p7m", mime
        ),
        "encrypted for the recipient": Specimen(enveloped(WITH_PROGRAM), "smime.p7m", mime),
        "signed ordinary message": Specimen(signed(ORDINARY), "smime.p7m", mime),
    }


def ordinary():
    return {}


OUTSIDE = {
    "encrypted for the recipient": "nobody on the way can open it; sanitize cannot vouch for it, and holds it",
    "signed ordinary message": "sanitize cannot write it anew without breaking the signature, and holds it",
}
