"""Detached S/MIME signatures."""

from __future__ import annotations


def der(tag, *contents):
    content = b"".join(contents)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


OIDS = [bytes.fromhex("06092a864886f70d01070" + number) for number in "12"]


def signed_data(form=der, content=(), signers=None, behind=()):
    signed = form(
        0x30,
        b"\x02\x01\x01",
        der(0x31),
        form(0x30, OIDS[0], *content),
        form(0xA0, der(0x30, b"\x05\0")),
        der(0x31, b"\x05\0") if signers is None else signers,
    )
    return form(0x30, OIDS[1], form(0xA0, signed), *behind)
