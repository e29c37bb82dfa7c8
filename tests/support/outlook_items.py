"""Items of Outlook, made piece by piece ([MS-OXMSG])."""

from __future__ import annotations

import struct
import zlib

import documents

_COMMON = bytes.fromhex("0820060000000000c000000000000046")
FROM, SENT = {0x0C1F001F: "a@example.com", 0x0C1A001F: "A"}, {0x00390040: 134_350_000_000_000_000}


def properties(values: dict[int, object], head: int) -> dict[str, bytes]:
    """The streams of one object; values: tag (number and type) -> text, octets or number."""
    entries, streams = b"", {}
    for tag, value in values.items():
        kind = tag & 0xFFFF
        if isinstance(value, int):
            entries += struct.pack("<2HIq", kind, tag >> 16, 6, value)
            continue
        data = value if isinstance(value, bytes) else str(value).encode("utf-16-le" if kind == 0x1F else "ascii")
        streams[f"__substg1.0_{tag:08X}"] = data
        entries += struct.pack("<2H3I", kind, tag >> 16, 6, len(data), 0)
    return {"__properties_version1.0": bytes(head) + entries, **streams}


def streams(
    values: dict[int, object],
    *,
    recipients: tuple[dict[int, object], ...] = (),
    attached: tuple[dict[int, object], ...] = (),
    head: int = 32,
) -> dict[str, bytes]:
    """An item; in an attachment, streams (dict) as the value of 0x3701000D are an object."""
    found = properties(values, head)
    for number, one in enumerate(recipients):
        found |= below(f"__recip_version1.0_#{number:08X}", properties(one, 8))
    for number, one in enumerate(attached):
        at = f"__attach_version1.0_#{number:08X}"
        plain = {tag: value for tag, value in one.items() if not isinstance(value, dict)}
        found |= below(at, properties(plain, 8))
        for tag, value in one.items():
            if isinstance(value, dict):
                found |= below(f"{at}/__substg1.0_{tag:08X}", value)
    return found


def below(path: str, inside: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{path}/{name}": data for name, data in inside.items()}


def named(*numbers: int) -> dict[str, bytes]:
    """Names for the properties 0x8000, 0x8001...: numbers of PSETID_Common."""
    entries = b"".join(struct.pack("<I2H", number, 3 << 1, index) for index, number in enumerate(numbers))
    return below("__nameid_version1.0", {"__substg1.0_00020102": _COMMON, "__substg1.0_00030102": entries})


def item(values: dict[int, object] | None = None, names: tuple[int, ...] = (), **more: object) -> bytes:
    given = {**FROM, 0x0037001F: "test", 0x1000001F: "text that stays"} if values is None else values
    return documents.ole({**named(*names), **streams(given, **more)}, mini=True)  # type: ignore[arg-type]


def file(name: str, data: bytes, **more: object) -> dict[int, object]:
    return {0x37050003: 1, 0x3707001F: name, 0x37010102: data, **{int(tag, 16): value for tag, value in more.items()}}


def stored_rtf(rtf: bytes) -> bytes:
    """RTF that is not compressed."""
    return struct.pack("<4I", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf


def packed_rtf(rtf: bytes) -> bytes:
    """RTF in the compressed form, of which this uses letters only."""
    data = b"".join(b"\0" + rtf[start : start + 8] for start in range(0, len(rtf), 8))
    total = zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return struct.pack("<4I", len(data) + 12, len(rtf), 0x75465A4C, total) + data
