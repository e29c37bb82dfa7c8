"""DKIM signatures for tests, made in the plainest way and independently of the code under test, and a DNS to find keys."""

from __future__ import annotations

import base64
import functools
import hashlib
import re

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mailguard.dns import NODATA, NXDOMAIN, OK, Answer

NOW = 1_700_000_000
MESSAGE = (
    b"From: Joe <joe@example.com>\r\n"
    b"To: Suzie <suzie@example.net>\r\n"
    b"Subject: Is  dinner\r\n ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"Content-Type: text/plain\r\n"
    b"\r\n"
    b"Hi.\r\n\r\nWe  lost the game. \t\r\n\r\n"
)
FIELDS = "from:to:subject:date:message-id:content-type"
SELECTOR = "test._domainkey.example.com"


class Zone:
    """A resolver over a dictionary: name to TXT (bytes or a list of them) or to a status; `asked` lists the questions."""

    def __init__(self, zone=()):
        self.zone = {name.lower(): value for name, value in dict(zone).items()}
        self.asked = []

    def query(self, name, rdtype):
        self.asked.append((name, rdtype))
        value = self.zone.get(name.lower())
        if value is None:
            above = any(other.endswith("." + name.lower()) for other in self.zone)
            return Answer(NODATA if above else NXDOMAIN)
        if isinstance(value, str):
            return Answer(value)
        if rdtype != "TXT":
            return Answer(NODATA)
        return Answer(OK, [value] if isinstance(value, bytes) else value)

    def prefetch(self, questions):
        pass


@functools.cache
def rsa_key(bits):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def private_pem(key, form=serialization.PrivateFormat.TraditionalOpenSSL, password=None):
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, cipher)


def write_key(path, key=None):
    """Write a private RSA key as `mailguard sign` wants it."""
    path.write_bytes(private_pem(key or rsa_key(1024)))
    path.chmod(0o600)
    return path


def record(bits=1024, tags=b"v=DKIM1; "):
    der = (
        rsa_key(bits)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return tags + b"p=" + base64.b64encode(der)


def ed25519_record():
    raw = ed25519_key().public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw)


def zone(key=None):
    return Zone({SELECTOR: record() if key is None else key})


def canonical_body(body, form):
    lines = re.split(b"\r?\n", body)
    if form == "relaxed":
        lines = [re.sub(b"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"" if form == "relaxed" else b"\r\n"
    return b"".join(line + b"\r\n" for line in lines)


def canonical_field(field, form):
    field = re.sub(b"\r?\n", b"\r\n", field).removesuffix(b"\r\n")
    if form == "simple":
        return field + b"\r\n"
    name, _, value = field.partition(b":")
    value = re.sub(b"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip(b" \t").lower() + b":" + value + b"\r\n"


def split(raw):
    """Return (fields, body)."""
    header, _, body = re.sub(b"\r?\n", b"\r\n", raw).partition(b"\r\n\r\n")
    return [re.sub(rb"\r\n\Z", b"", field) + b"\r\n" for field in re.split(rb"\r\n(?![ \t])", header) if field], body


def sign(raw=MESSAGE, *, c="relaxed/relaxed", h=FIELDS, key=None, **tags):
    """Return the message with one more signature on top; a tag given as None is left out, any other is written so."""
    header_form, _, body_form = c.partition("/")
    fields, body = split(raw)
    signed = canonical_body(body, body_form or "simple")
    if (tags.get("l") or "").isdigit():
        signed = signed[: int(tags["l"])]
    key = rsa_key(1024) if key is None else key
    values = {
        "v": "1",
        "a": "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256",
        "c": c,
        "d": "example.com",
        "s": "test",
        "h": h,
        "bh": base64.b64encode(hashlib.sha256(signed).digest()).decode(),
        **tags,
        "b": "",
    }
    text = "; ".join(f"{name}={value}" for name, value in values.items() if value is not None)
    own = b"DKIM-Signature: " + text.encode()
    chosen, left = [], list(fields)
    for name in (values["h"] or "").lower().split(":"):
        for index in reversed(range(len(left))):
            if left[index].partition(b":")[0].strip(b" \t").lower().decode("latin-1") == name.strip():
                chosen.append(left.pop(index))
                break
    data = b"".join(canonical_field(field, header_form) for field in chosen)
    data += canonical_field(own, header_form).removesuffix(b"\r\n")
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(hashlib.sha256(data).digest())
    return own + base64.b64encode(signature) + b"\r\n" + raw
