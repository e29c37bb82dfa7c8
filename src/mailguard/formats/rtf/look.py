"""RTF 1.9: a quick look for objects, templates and fields that start programs."""

from __future__ import annotations

import re

from mailguard.formats.budget import windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailguard.formats.budget import Quota
    from mailguard.message.content import Content

_OVERLAP = 1024
_WORDS = re.compile(
    rb"\\(?:(?P<object>obj(?:ect|data|emb|link|autlink|ocx|html|update|sub|pub|icemb)|mmathobj)(?![a-zA-Z])"
    rb"|(?P<template>template)(?![a-zA-Z])|(?P<field>fldinst)(?![a-zA-Z])|(?P<binary>bin\d))"
)
_LOCAL_TEMPLATE = re.compile(rb"\\template\s*(?:[a-zA-Z]:|[^:\\}]{0,255}\})")
_CODED = re.compile(rb"\\'([0-9a-fA-F]{2})|\\u(\d{2,3})\s?\??")
_CONTROL = re.compile(rb"\\[a-zA-Z]{1,32}-?\d{0,10} ?")
_DDE = re.compile(rb"(?:^|[^A-Za-z0-9_])DDE(?:AUTO)?[\s\"\\]", re.IGNORECASE)


def _character(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16) if match[1] else int(match[2]) & 255,))


def _bare(window: bytes) -> bytes:
    """Return the text without groups and control words."""
    text = window.translate(None, b"{}\r\n")
    if b"\\'" in text or b"\\u" in text:
        text = _CODED.sub(_character, text)
    return _CONTROL.sub(b"", text)


def examine(content: Content, _names: Sequence[str], _quota: Quota) -> Iterator[str]:
    """Examine an RTF document."""
    fields = False
    for window in windows(content.chunks(), _OVERLAP):
        for match in _WORDS.finditer(window):
            if match.lastgroup == "object":
                yield "embedded-object"
            elif match.lastgroup == "template" and not _LOCAL_TEMPLATE.match(window, match.start()):
                yield "remote-template"
            fields = fields or match.lastgroup == "field"
        if fields and _DDE.search(_bare(window)):
            yield "dde"
