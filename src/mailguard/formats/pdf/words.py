"""The keys and names of a PDF (ISO 32000-2) by which something acts, and those that may stay, from `words.toml`."""

from __future__ import annotations

from mailguard.formats.codes import danger
from mailguard.formats.words import by_word, read

_TABLES = read("pdf")
_LISTS = _TABLES[""]

NAMED = frozenset(_LISTS["named"])
ACTION_KEYS = {f"/{kind}": frozenset(keys) for kind, keys in _TABLES["action-keys"].items()}
ACTIONS = by_word(_TABLES["actions"])
ACTION_SLOTS = tuple(_LISTS["action-slots"])
REMOVED_KEYS = by_word(_TABLES["removed-keys"])
FILE_KEYS = tuple(_LISTS["file-keys"])
METADATA_KEYS = tuple(_LISTS["metadata-keys"])
MARKUP = frozenset(_LISTS["markup"])
ANNOTATIONS = MARKUP.union(_LISTS["other-annotations"])
REFUSED_ANNOTATIONS = by_word(_TABLES["refused-annotations"])
NAME_TREES = frozenset(_LISTS["name-trees"])
CATALOG = frozenset(_LISTS["catalog"])
TRAILER = frozenset(_LISTS["trailer"])
CHOSEN_NAMES = frozenset(_LISTS["chosen-names"])
ACTING = frozenset(_LISTS["acting"])
ACTING_KEYS = frozenset(_LISTS["acting-keys"])
DANGEROUS = frozenset(
    name for table in (ACTIONS, REMOVED_KEYS, REFUSED_ANNOTATIONS) for name, code in table.items() if danger(code)
).union(_LISTS["other-dangerous"])
"""A document without any of these names, however spelt, and without the name of another file, has nothing dangerous."""
