"""Makes messages, capsules of them, and capsules as only an enemy makes them."""

import hmac
import io
import json
import zipfile

from mailguard import capsule
from mailguard.capsule import Item, inner, outer
from mailguard.capsule.comment import sign, unsigned
from mailguard.capsule.pieces import Pieces
from mailguard.message.encoding import encode

PASSWORD = "abcd-Fgh2 パス".encode()
ID = "k3yabcdefghjkmnpqrst2345"
WHEN = 1_700_000_001
MOMENT = (2023, 11, 14, 22, 13, 20)
HEADER = b"From: a@example.com\r\nContent-Type: application/octet-stream\r\n\r\n"
BASE64 = {"encoding": "base64", "line": 76, "eol": "\r\n", "trailing": 1}


def mac(covered):
    return hmac.digest(b"site", covered, "sha256")


def built(original, items, **changed):
    arguments = {
        "capsule_id": ID,
        "password": PASSWORD,
        "salt_key": b"salt" * 8,
        "mac": mac,
        "when": WHEN,
        "information": {"from": "a@example.com", "件名": "報告"},
    }
    return b"".join(capsule.build(original, items, **arguments | changed))


def message(*datas, names=()):
    """Make a message of base64 bodies, and its items."""
    original = HEADER
    items = []
    for index, data in enumerate(datas):
        body = encode(data, BASE64)
        name = names[index] if names else f"{index}.bin"
        items.append(Item(name, data, span=(len(original), len(original) + len(body)), recipe=BASE64))
        original += body + b"--boundary\r\n"
    return original, items


def small():
    return built(*message(b"first content", "二番".encode(), names=["報告書.txt", "b.txt"]))


def plain_zip(data):
    found = capsule.find(data)
    return outer.decrypt(data[found.start : found.end], PASSWORD)


def wrapped(plain):
    """Make a well-formed capsule of any inner ZIP, as one who knows the password could."""
    made = outer.encrypt(pieces(plain), PASSWORD, b"s" * 16, MOMENT, unsigned(1, ID))
    sign(made, mac)
    return b"".join(made)


def with_manifest(change):
    """Make an inner ZIP like that of `small`, with another manifest."""
    with zipfile.ZipFile(io.BytesIO(plain_zip(small()))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["_mailguard/manifest.json"])
    changed = change(manifest)
    files["_mailguard/manifest.json"] = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    return b"".join(inner.write(list(files.items()), MOMENT))


def pieces(data):
    """Return the octets as `Pieces`."""
    made = Pieces()
    made.write(data)
    return made
