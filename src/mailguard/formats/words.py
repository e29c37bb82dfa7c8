"""The words of a specification, which stand as data in `words.toml` in the folder of their family.

tomllib takes 5 ms to import, more than all else that a look at a small document costs, so only the part of TOML that
these files use is read here: comments, tables, and texts of words between blanks; a test reads them with tomllib too.
"""

from __future__ import annotations

import os
import re

_LINE = re.compile(r'\[(?P<table>[\w-]+)\]|(?P<key>[\w-]+) = """\n(?P<words>[^"\\]*)"""|#.*|$', re.MULTILINE)


def read(family: str) -> dict[str, dict[str, list[str]]]:
    """Return {table: {key: words}} of a family; what stands before the first table is in ""."""
    with open(os.path.join(os.path.dirname(__file__), family, "words.toml"), encoding="utf-8") as file:
        text = file.read()
    tables: dict[str, dict[str, list[str]]] = {"": {}}
    table, position = tables[""], 0
    while position < len(text):
        line = _LINE.match(text, position)
        if line is None:
            raise ValueError(f"{family}/words.toml: {text[position : position + 80]!r}")
        if line["table"]:
            table = tables.setdefault(line["table"], {})
        elif line["key"]:
            table[line["key"]] = line["words"].split()
        position = line.end() + 1
    return tables


def by_word(codes: dict[str, list[str]]) -> dict[str, str]:
    """Return {word: its key} of a table."""
    return {word: code for code, words in codes.items() for word in words}
