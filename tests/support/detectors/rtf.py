"""RTF: LibreOffice reads the fields, rtfobj the objects, and the parser below rtfobj every control word."""

from __future__ import annotations

import re

from oletools.rtfobj import RtfParser

from detectors import oletools_peers as oletools
from detectors.libreoffice import Flat, fields


class _Words(RtfParser):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.found: list[bytes] = []

    def control_word(self, _match: re.Match[bytes], word: bytes, _parameter: bytes | None) -> None:
        self.found.append(word)


def words(pattern: bytes):
    """A detector: control words as oletools reads them."""

    def detector(content: bytes) -> list[bytes]:
        parser = _Words(content)
        parser.parse()
        return [word for word in parser.found if re.fullmatch(pattern, word)]

    return detector


def octets(pattern: bytes):
    """A detector for what no parser is needed to see."""
    return lambda content: re.findall(pattern, content)


OBJECT = words(rb"obj(?:ect|emb|ocx|data|class|autlink|update)")
DETECTORS = {
    "object": (oletools.rtf_objects, OBJECT),
    "bare-object": (oletools.rtf_objects, OBJECT),
    "split-word": (OBJECT,),
    "broken-word": (OBJECT,),
    "broken-data": (oletools.rtf_objects, OBJECT),
    "long-number": (OBJECT,),
    "unclosed": (oletools.rtf_objects, OBJECT),
    "ocx": (oletools.rtf_objects, OBJECT),
    "update": (oletools.rtf_objects, OBJECT),
    "template": (words(b"template"),),
    "plain-template": (words(b"template"),),
    "dde": (oletools.fields, fields("DDE")),
    "split-dde": (oletools.fields, fields("DDE")),
    "hex-dde": (fields("DDE"),),
    "unicode-dde": (fields("DDE"),),
    "quoted-dde": (oletools.fields, fields("QUOTE")),
    "dde behind a substitute": (fields("DDE"),),
    "dde behind an alternative": (words(b"upr"),),
    "dde behind a bookmark": (fields("DDE"),),
    "dde behind a footnote": (oletools.fields,),
    "dde behind deleted text": (oletools.fields,),
    "dde by marks": (octets(rb"\\'13"),),
    "dde by unicode marks": (octets(rb"\\u19\b"),),
    "link behind a substitute": (Flat("//text:a"),),
    "include": (oletools.fields, fields("INCLUDETEXT")),
    "picture": (oletools.fields,),
    "link": (oletools.fields, fields("LINK Excel")),
    "macrobutton": (oletools.fields, Flat("//text:execute-macro")),
    "unc": (Flat("//text:a[contains(@xlink:href, 'evil')]"),),
    "protocol": (Flat("//text:a[starts-with(@xlink:href, 'ms-word:')]"),),
    "macro": (words(b"ffentrymcr"),),
    "store": (words(b"datastore"),),
    "font": (words(b"fontemb|fontfile"),),
    "merge": (words(b"mailmerge|mmconnectstr"),),
    "mail-data": (words(b"mmdatasource"),),
    "unknown": (words(b"evilword"),),
    "metafile": (words(b"wmetafile"), Flat("//draw:image")),
    "bad-picture": (words(b"pngblip"), Flat("//draw:image")),
    "binary": (words(b"bin"),),
    "fragments": (octets(rb"pFragments"),),
    "same-group": (octets(rb"pibName"),),
    "picture-name": (octets(rb"pibName"),),
    "shape-link": (words(b"hl|hlsrc"),),
    "next-file": (words(b"nextfile"),),
    "double-octet": (octets(rb"\x83\\\\object"),),
    "nul": (octets(rb"\0"),),
    "symbol": (octets(rb"\\;"),),
}
