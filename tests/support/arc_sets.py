"""ARC sets, made with keys of their own."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from signed_mail import canonical_body, canonical_field, rsa_key, split

KEY = "arc._domainkey.lists.example"


SAID = b"dkim=pass header.d=example.com"


def signature(data):
    return base64.b64encode(rsa_key(1024).sign(data, padding.PKCS1v15(), hashes.SHA256()))


def seal(
    raw, instance, *, cv=None, before=(), domain=b"lists.example", said=SAID, covered=(b"from", b"subject"), more=b""
):
    """Return (message with one more ARC set, the fields of all sets)."""
    fields, body = split(raw)
    number = str(instance).encode()
    cv = cv or (b"none" if instance == 1 else b"pass")
    results = b"ARC-Authentication-Results: i=" + number + b"; " + domain + b"; " + said + b"\r\n"
    bh = base64.b64encode(hashlib.sha256(canonical_body(body, "relaxed")).digest())
    own = b"ARC-Message-Signature: i=" + number + b"; a=rsa-sha256; c=relaxed/relaxed; d=" + domain + b"; s=arc;"
    own += b" h=" + b":".join(covered) + b"; bh=" + bh + more + b"; b="
    signed = b"".join(
        canonical_field(field, "relaxed")
        for name in covered
        for field in fields
        if field.lower().startswith(name + b":")
    )
    own += signature(signed + canonical_field(own, "relaxed").removesuffix(b"\r\n")) + b"\r\n"
    above = b"ARC-Seal: i=" + number + b"; a=rsa-sha256; cv=" + cv + b"; d=" + domain + b"; s=arc; b="
    sealed = b"".join(canonical_field(field, "relaxed") for field in (*before, results, own))
    above += signature(sealed + canonical_field(above, "relaxed").removesuffix(b"\r\n")) + b"\r\n"
    return above + own + results + raw, [*before, results, own, above]
