"""Makes src/mailguard/verify/confusables.txt from Unicode's data:

    python tests/support/confusables_table.py confusables.txt kSpoofingVariant.txt > src/mailguard/verify/confusables.txt

confusables.txt of https://www.unicode.org/Public/security/ (UTS #39), and the lines `4E00 U+4E01` of kSpoofingVariant in
the Unihan database (UAX #38).  Left out is what never reaches the table: characters that have a compatibility
decomposition, that are removed, or that are ASCII.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

from mailguard.verify.skeleton import fold

HEAD = """\
# What looks like what: Unicode's confusables (UTS #39) and kSpoofingVariant (UAX #38), version {version}, and the small
# capitals of Latin.  Made by tests/support/confusables_table.py: changed in form, and what mailguard's folding does
# without a table is left out.  A line is the code points of the skeleton, a colon, and the characters that look like it.
#
# Copyright © 1991-2025 Unicode, Inc.
{licence}
"""
LICENCE = """\
# UNICODE LICENSE V3.  Permission is hereby granted, free of charge, to any person obtaining a copy of data files and any
# associated documentation (the "Data Files") or software and any associated documentation (the "Software") to deal in
# the Data Files or Software without restriction, including without limitation the rights to use, copy, modify, merge,
# publish, distribute, and/or sell copies of the Data Files or Software, and to permit persons to whom the Data Files or
# Software are furnished to do so, provided that either (a) this copyright and permission notice appear with all copies
# of the Data Files or Software, or (b) this copyright and permission notice appear in associated Documentation.
#
# THE DATA FILES AND SOFTWARE ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
# LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT OF THIRD PARTY
# RIGHTS.  IN NO EVENT SHALL THE COPYRIGHT HOLDER OR HOLDERS INCLUDED IN THIS NOTICE BE LIABLE FOR ANY CLAIM, OR ANY
# SPECIAL INDIRECT OR CONSEQUENTIAL DAMAGES, OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS,
# WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
# PERFORMANCE OF THE DATA FILES OR SOFTWARE.  Except as contained in this notice, the name of a copyright holder shall
# not be used in advertising or otherwise to promote the sale, use or other dealings in these Data Files or Software
# without prior written authorization of the copyright holder.
#
# SPDX-License-Identifier: Unicode-3.0"""


def confusables(text: str) -> dict[str, str]:
    """Read confusables.txt: character -> skeleton."""
    found = re.findall(r"^([0-9A-F]+) ;\t([0-9A-F ]+) ;", text, re.MULTILINE)
    return {chr(int(source, 16)): "".join(chr(int(code, 16)) for code in target.split()) for source, target in found}


def ideographs(text: str) -> dict[str, str]:
    """Read kSpoofingVariant: ideograph -> the first of those that look alike."""
    table: dict[str, str] = {}
    for line in text.splitlines():
        source, *others = (chr(int(code, 16)) for code in re.findall(r"[0-9A-F]{4,6}", line))
        group = {table.get(each, each) for each in (source, *others)} | {source, *others}
        group |= {each for each, first in table.items() if first in group}
        table |= dict.fromkeys(group, min(group))
    return {source: first for source, first in table.items() if source != first}


def small_capitals() -> dict[str, str]:
    """Return the small capitals that are drawn like one capital."""
    named = ((chr(code), unicodedata.name(chr(code), "")) for code in range(0x250, 0xAC00))
    found = ((char, re.fullmatch("LATIN LETTER SMALL CAPITAL ([A-Z])", name)) for char, name in named)
    return {char: match[1].lower() for char, match in found if match}


def table(confusing: str, spoofing: str) -> dict[str, str]:
    """Return the whole table: character -> what it looks like."""
    found = ideographs(spoofing) | confusables(confusing)
    capitals = small_capitals()
    # Prototypes that are themselves small capitals, or stand for some: U+028D for M.
    capitals |= {found[char]: letter for char, letter in capitals.items() if not found.get(char, "a").isascii()}
    found |= capitals
    found = {source: capitals.get(target, target) for source, target in found.items()}
    return {
        source: fold(target)
        for source, target in found.items()
        if not source.isascii()
        and unicodedata.normalize("NFKD", source) == source
        and fold(source) != ""
        and fold(source) != fold(target)
    }


def written(found: dict[str, str], version: str) -> str:
    """Write the table as the file."""
    by_target: dict[str, list[str]] = {}
    for source in sorted(found):
        by_target.setdefault(found[source], []).append(source)
    lines = [
        " ".join(f"{ord(char):x}" for char in target) + ": " + " ".join(f"{ord(char):x}" for char in sources)
        for target, sources in sorted(by_target.items())
    ]
    return HEAD.format(version=version, licence=LICENCE) + "\n".join(lines) + "\n"


if __name__ == "__main__":
    first, second = (Path(name).read_text(encoding="utf-8-sig") for name in sys.argv[1:])
    number = re.search(r"^# Version: ([0-9.]+)", first, re.MULTILINE)
    assert number is not None
    sys.stdout.write(written(table(first, second), number[1]))
