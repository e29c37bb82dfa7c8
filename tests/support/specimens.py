"""Files of the families of formats: those that act, and ordinary ones, which nobody may touch.

tests/formats/FAMILY/acts/ and ordinary/ hold them as files; FAMILY/specimens.py builds what must be built: `acts()` and
`ordinary()` give {name: Specimen}.  It may also have

    OUTSIDE: {name of an `acts` specimen: why the dangerous class does not name it, although sanitize takes it out}
    CHANGED: {name of an `ordinary` specimen: why sanitize changes it although nothing in it is dangerous}
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import NamedTuple

from paths import TESTS

FORMATS = TESTS / "formats"
FAMILIES = sorted(path.name for path in FORMATS.iterdir() if path.is_dir() and not path.name.startswith("_"))


class Specimen(NamedTuple):
    """A file as it comes with a mail; declared: the type that the mail states."""

    content: bytes
    file_name: str
    declared: str = "application/octet-stream"


@functools.cache
def _module(family):
    path = FORMATS / family / "specimens.py"
    if not path.exists():
        return None
    name = f"specimens_of_{family}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def specimens(kind):
    """Return {(family, name): Specimen} of all families; kind: "acts" or "ordinary"."""
    found = {}
    for family in FAMILIES:
        for path in sorted((FORMATS / family / kind).glob("*")):
            found[family, path.name] = Specimen(path.read_bytes(), path.name)
        built = getattr(_module(family), kind, dict)()
        found.update({(family, name): one for name, one in built.items()})
    return found


def exceptions(name):
    """Return {(family, name): reason} of all families; name: "OUTSIDE" or "CHANGED"."""
    return {(family, key): reason for family in FAMILIES for key, reason in getattr(_module(family), name, {}).items()}


def mutated(luck, content, other):
    """Return content with up to four places changed, left out, repeated, or overwritten by a piece of another file."""
    data = bytearray(content)
    for _ in range(luck.randint(1, 4)):
        place, length = luck.randrange(len(data) + 1), luck.choice((1, 2, 4, 16, 64, 512))
        piece = bytes(data[(start := luck.randrange(len(data) + 1)) : start + length])
        start = luck.randrange(len(other) + 1)
        change = luck.random()
        if change < 0.55 and place < len(data):
            data[place] = luck.choice((0, 1, 2, 0x7F, 0xFF, data[place] ^ 1, data[place] ^ 0x80, luck.randrange(256)))
        elif change < 0.7:
            del data[place : place + length]
        elif change < 0.8:
            data[place:place] = luck.randbytes(length)
        elif change < 0.9:
            data[place : place + length] = other[start : start + length]
        else:
            data[place : place + length] = piece
    return bytes(data)
