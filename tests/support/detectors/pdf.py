"""PDF: Poppler lists scripts and attached files; pypdf reads every object for the rest."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import tempfile

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

MOST = 10_000


def poppler(*command: str):
    """Make what one of Poppler's programs says of a document."""

    def said(content: bytes) -> str:
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(content)
            file.flush()
            return subprocess.run([*command, file.name], check=True, capture_output=True, text=True, timeout=60).stdout

    return said


scripts = poppler("pdfinfo", "-js")
_files = poppler("pdfdetach", "-list")


def files(content: bytes) -> list[str]:
    """Attached files."""
    return re.findall(r"^\d+: .*", _files(content), re.MULTILINE)


def dictionaries(content: bytes):
    """Every dictionary of the document, that of a stream too, reachable from the trailer, as pypdf reads it."""
    logging.disable(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(content))
        waiting, seen = [reader.trailer], set()
        for _ in range(MOST):
            if not waiting:
                return
            value = waiting.pop()
            if isinstance(value, IndirectObject):
                if value.idnum not in seen:
                    seen.add(value.idnum)
                    waiting.append(value.get_object())
            elif isinstance(value, DictionaryObject):
                yield value
                waiting += [dict.__getitem__(value, key) for key in value]
            elif isinstance(value, ArrayObject):
                waiting += list.__iter__(value)
        raise AssertionError("too much to look at")
    finally:
        logging.disable(logging.NOTSET)


def urls(content: bytes) -> list[str]:
    """Links that lead elsewhere than to the web or to an address of mail."""
    found = [str(one["/URI"]) for one in dictionaries(content) if one.get("/S") == "/URI"]
    return [url for url in found if not re.match(r"https?://|mailto:", url)]


def has(**wanted: object):
    """A detector: dictionaries with these keys; the value is a name, or None for any."""

    def detector(content: bytes) -> list[DictionaryObject]:
        return [
            one
            for one in dictionaries(content)
            if all(
                f"/{key}" in one and (value is None or one[f"/{key}"] == f"/{value}") for key, value in wanted.items()
            )
        ]

    return detector


def opens(action: str):
    """A detector: what is done when the document opens."""

    def detector(content: bytes) -> bool:
        found = PdfReader(io.BytesIO(content)).root_object.get("/OpenAction")
        return isinstance(found, DictionaryObject) and found.get("/S") == f"/{action}"

    return detector


def catalog(*keys: str):
    """A detector: what stands in the catalog."""
    return lambda content: [key for key in keys if f"/{key}" in PdfReader(io.BytesIO(content)).root_object]


def streams_elsewhere(content: bytes) -> list[DictionaryObject]:
    """Streams whose content is in another file."""
    return [one for one in dictionaries(content) if isinstance(one, StreamObject) and "/F" in one]


SCRIPT = has(S="JavaScript")
ATTACHED = has(EF=None)
DETECTORS = {
    "open-action": (SCRIPT, opens("JavaScript")),
    "open-launch": (has(S="Launch"), opens("Launch")),
    "open-link": (opens("URI"),),
    "additional": (scripts, SCRIPT, has(AA=None)),
    "page-additional": (scripts, SCRIPT, has(AA=None)),
    "names": (scripts, SCRIPT),
    "outline": (SCRIPT,),
    "chain": (SCRIPT,),
    "array": (SCRIPT,),
    "field": (SCRIPT, has(AA=None)),
    "navigation": (SCRIPT,),
    "confused": (scripts, SCRIPT),
    "disguised": (scripts, SCRIPT),
    "launch": (has(S="Launch"),),
    "submit": (has(S="SubmitForm"),),
    "import": (has(S="ImportData"),),
    "remote": (has(S="GoToR"),),
    "embedded": (has(S="GoToE"),),
    "thread": (has(S="Thread"),),
    "sound-action": (has(S="Sound"), has(Sound=None)),
    "unknown-action": (has(S="Evil"),),
    "named": (has(S="Named", X=None), has(N="Print")),
    "file-link": (urls,),
    "script-link": (urls,),
    "unc-link": (urls,),
    "attachment": (files, ATTACHED),
    "file-attachment": (files, ATTACHED),
    "associated": (ATTACHED, catalog("AF")),
    "portfolio": (catalog("Collection"),),
    "trailer": (has(AdditionalStreams=None),),
    "xfa": (has(XFA=None), catalog("NeedsRendering")),
    "rich-media": (has(Subtype="RichMedia"), has(RichMediaContent=None), ATTACHED),
    "movie": (has(Subtype="Movie"), has(Movie=None)),
    "screen": (has(Subtype="Screen"), has(S="Rendition")),
    "3d": (has(Subtype="3D"),),
    "unknown-annotation": (has(Subtype="Evil"),),
    "external-stream": (streams_elsewhere,),
    "reference": (has(Subtype="Form", Ref=None),),
    "postscript": (has(Subtype="PS"),),
    "base": (catalog("URI"),),
    "catalog": (catalog("Evil"),),
}
