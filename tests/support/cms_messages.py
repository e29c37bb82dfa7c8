"""CMS (RFC 5652), made with keys of our own: signed, compressed, and encrypted messages."""

from __future__ import annotations

import datetime as dt
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from mailguard.formats.signed import cms


@functools.cache
def signer():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a@a.example")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin.replace(year=2036))
    return builder.sign(key, hashes.SHA256()), key


def signed(content, *options):
    """Return SignedData in DER with its content."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(*signer(), hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, *options])


def enveloped(content):
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).add_recipient(signer()[0])
    return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def element(tag, *content):
    data = b"".join(content)
    if len(data) < 128:
        return bytes((tag, len(data))) + data
    size = (len(data).bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + len(data).to_bytes(size, "big") + data


def indefinite(tag, *content):
    return bytes((tag, 0x80)) + b"".join(content) + b"\0\0"


def oid(text):
    return element(6, bytes.fromhex(text))


DATA, SIGNED, COMPRESSED = oid("2a864886f70d010701"), oid("2a864886f70d010702"), oid("2a864886f70d0109100109")


def ber(content, size=100):
    """Return SignedData in BER: lengths left open, the content in pieces, as `openssl cms -stream` writes it."""
    data = signed(content)
    _, explicit = cms._children(data, 0)
    (value,) = cms._children(data, explicit)
    version, algorithms, _, *rest = (data[at : cms._end(data, at)] for at in cms._children(data, value))
    pieces = [element(4, content[start : start + size]) for start in range(0, len(content), size)]
    inner = indefinite(0x30, DATA, indefinite(0xA0, indefinite(0x24, *pieces)))
    return indefinite(0x30, SIGNED, indefinite(0xA0, indefinite(0x30, version, algorithms, inner, *rest)))


def compressed(data):
    """Return CompressedData (RFC 3274) around octets of ZLIB."""
    algorithm = element(0x30, oid("2a864886f70d0109100308"))
    inner = element(0x30, DATA, element(0xA0, element(4, data)))
    return element(0x30, COMPRESSED, element(0xA0, element(0x30, element(2, b"\0"), algorithm, inner)))
