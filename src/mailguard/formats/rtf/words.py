"""The destinations of RTF 1.9.1: what may stay, what goes and what that is called, from `words.toml`."""

from __future__ import annotations

from mailguard.formats.codes import danger
from mailguard.formats.words import by_word, read

_TABLES = read("rtf")
_LISTS = _TABLES[""]

KEPT = frozenset(_LISTS["kept"])
OBJECT = frozenset(_LISTS["object"])
RESULT = frozenset(_LISTS["result"])
METADATA = frozenset(_LISTS["metadata"])
COMMENTS = frozenset(_LISTS["comments"])
SHAPE_TEXTS = frozenset(_LISTS["shape-texts"])
REMOVED = by_word(_TABLES["removed"])
DANGEROUS = frozenset({"template", *(name for name, code in REMOVED.items() if danger(code))})
"""Words that lead to something dangerous, besides all that begin with obj or mathobj."""
