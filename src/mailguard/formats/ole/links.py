"""Hyperlink objects ([MS-OSHARED] 2.3.7.1): in cells, behind the text of fields, and on shapes that are drawn."""

from __future__ import annotations

import contextlib
from struct import Struct, error

from mailguard.formats.disarmed import Refused
from mailguard.formats.office import targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.formats.disarmed import Options
    from mailguard.formats.ole.compound import Node

_LONG = Struct("<I")
_CLASS = bytes.fromhex("d0c9ea79f9bace118c8200aa004ba90b")
_URL_MONIKER = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
_HAS_TARGET, _IS_TEXT, _FRAME, _SHOWN = 0x01, 0x100, 0x80, 0x10
_FLAGS = 4  # behind the version
_LARGEST = 8_192
_MOST = 65_536


def disarm(root: Node, options: Options) -> bool:
    """Lead the hyperlink objects in all streams nowhere whose address may not stay; True when there was one."""
    count = 0
    found = False
    for node in root.children:
        data = bytearray(node.data)
        changed = False
        position = data.find(_CLASS)
        while position >= 0:
            count += 1
            if count > _MOST:
                raise Refused("over-limit")
            start = position + len(_CLASS)
            if not is_harmless(data, start, options):
                _lead_nowhere(data, start)
                changed = True
            position = data.find(_CLASS, start)
        if changed:
            node.data = bytes(data)
            found = True
    return found


def is_harmless(data: bytes | bytearray, start: int, options: Options) -> bool:
    """Judge the object that begins at `start` with its version; what is not understood is not harmless."""
    try:
        (flags,) = _LONG.unpack_from(data, start + _FLAGS)
        if not flags & _HAS_TARGET:
            return True
        begin, end = _target(data, start, flags)
    except (error, ValueError):
        return False
    address = data[begin:end].decode("utf-16-le", "replace").partition("\0")[0]
    return targets.is_harmless(address, options)


def _target(data: bytes | bytearray, start: int, flags: int) -> tuple[int, int]:
    """Return where the address stands, in UTF-16; ValueError when it is none, struct.error at the end of the data."""
    position = start + 8
    for flag in (_SHOWN, _FRAME):
        if flags & flag:
            position += 4 + 2 * _LONG.unpack_from(data, position)[0]
    width = 2
    if not flags & _IS_TEXT:
        if data[position : position + 16] != _URL_MONIKER:
            raise ValueError
        position, width = position + 16, 1
    length = width * _LONG.unpack_from(data, position)[0]
    if not 0 <= length <= min(_LARGEST, len(data) - position - 4):
        raise ValueError
    return position + 4, position + 4 + length


def _lead_nowhere(data: bytearray, start: int) -> None:
    """Say that there is no target, and blank the address as far as it is known."""
    with contextlib.suppress(error, ValueError):
        begin, end = _target(data, start, _LONG.unpack_from(data, start + _FLAGS)[0])
        data[begin:end] = bytes(end - begin)
    for place in range(start + _FLAGS, min(start + _FLAGS + 4, len(data))):
        data[place] = 0
