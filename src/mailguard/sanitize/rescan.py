"""A second look at our own output by readers that had no part in making it.

olevba for macros, rtfobj for objects, a walk over all objects of a PDF, the standard library's HTML parser; and for
every type our own detection.  Whatever they find, even where they are wrong, holds the content.
"""

from __future__ import annotations

from mailguard.errors import ConfigurationError, installation
from mailguard.formats.confined import confined
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Refused
from mailguard.message.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_PDF_KEYS = frozenset(
    {
        "/JS", "/JavaScript", "/AA", "/Launch", "/EmbeddedFiles", "/EmbeddedFile", "/XFA", "/RichMedia",
        "/RichMediaContent", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE", "/Rendition", "/Movie", "/Sound",
    }
)  # fmt: skip
_PDF_ACTIONS = frozenset({"/GoTo", "/URI", "/Named"})
_ACTIVE_TAGS = frozenset({"script", "iframe", "frame", "object", "embed", "applet", "form", "base", "svg", "math"})
_SCHEMES = ("javascript:", "vbscript:", "data:text", "data:application", "file:", "ms-")
_MOST_OBJECTS = 1_000_000
_MEMORY = 192 << 20


def rescan(data: bytes, mime: str, extension: str) -> None:
    """Look at disarmed content; Refused("rescan") when anything dangerous is found, or it is not what it should be.

    The readers work in a process of their own: they were written for those who look at one file and can wait.
    """
    detection = detect(Content.of(data), [f"content.{extension}"], mime)
    if detection.dangerous:
        raise Refused("rescan")
    read = _reader(mime)
    if read is None:
        return
    try:
        confined(read, data, Options(), _MEMORY)
    except Refused as refused:  # what a reader cannot read is not clean
        raise Refused("rescan") from refused


def _reader(mime: str) -> Callable[[bytes, Options], Disarmed] | None:
    """Return what reads content of this type, its libraries loaded; it raises Refused for what is dangerous."""
    try:
        if mime.startswith(("application/vnd.openxmlformats", "application/vnd.ms-", "application/msword")):
            import oletools.olevba

            return _without_macros
        if mime in {"application/rtf", "text/rtf"}:
            import oletools.rtfobj  # noqa: F401

            return _without_objects
        if mime == "application/pdf":
            import pikepdf  # noqa: F401

            return _without_actions
    except ImportError as error:
        raise ConfigurationError(f"{error.name} is missing, which sanitize needs; {installation('sanitize')}") from None
    return _without_scripts if mime in {"text/html", "application/xhtml+xml"} else None


def _without_macros(content: bytes, _options: Options) -> Disarmed:
    return _passed(content, dangerous=_has_macros(content))


def _without_objects(content: bytes, _options: Options) -> Disarmed:
    return _passed(content, dangerous=_has_objects(content))


def _without_actions(content: bytes, _options: Options) -> Disarmed:
    return _passed(content, dangerous=any(_pdf_objects(content)))


def _without_scripts(content: bytes, _options: Options) -> Disarmed:
    return _passed(content, dangerous=_is_active(content))


def _passed(content: bytes, *, dangerous: bool) -> Disarmed:
    if dangerous:
        raise Refused("rescan")
    return Disarmed(content, "", "")


def _has_macros(data: bytes) -> bool:
    import logging

    logging.disable(logging.CRITICAL)
    try:
        from oletools.olevba import VBA_Parser

        parser = VBA_Parser("content", data=data)
        try:
            return bool(parser.detect_vba_macros() or parser.detect_xlm_macros())
        finally:
            parser.close()
    finally:
        logging.disable(logging.NOTSET)


def _has_objects(data: bytes) -> bool:
    from oletools.rtfobj import RtfObjParser

    class Parser(RtfObjParser):  # type: ignore[misc]
        def open_destination(self, destination: Any) -> None:
            destination.data = bytearray()  # text is added piece by piece: to octets it costs the square of its length
            super().open_destination(destination)

    parser = Parser(data)
    parser.current_destination.data = bytearray()
    parser.parse()
    return bool(parser.objects)


def _pdf_objects(data: bytes) -> Iterator[bool]:
    """Yield True for a key or an action that no harmless PDF has; every object of the file, reachable or not."""
    import io

    import pikepdf

    with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        if len(pdf.objects) > _MOST_OBJECTS:
            yield True
            return
        for indirect in pdf.objects:
            waiting = [indirect]
            while waiting:
                thing = waiting.pop()
                if isinstance(thing, (pikepdf.Dictionary, pikepdf.Stream)):
                    yield _is_active_dictionary(thing)
                    waiting += [value for _, value in thing.items() if _is_direct(value)]
                elif isinstance(thing, pikepdf.Array):
                    waiting += [value for value in thing if _is_direct(value)]


def _is_direct(value: object) -> bool:
    import pikepdf

    return isinstance(value, pikepdf.Object) and not value.is_indirect


def _is_active_dictionary(thing: object) -> bool:
    keys = set(thing.keys())  # type: ignore[attr-defined]
    if keys & _PDF_KEYS:
        return True
    kind = str(thing.get("/S", "")) if "/S" in keys and "/Type" not in keys else ""  # type: ignore[attr-defined]
    return kind in {"/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE", "/Rendition"}


def _is_active(data: bytes) -> bool:
    from html.parser import HTMLParser

    found = []

    class TagReader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in _ACTIVE_TAGS:
                found.append(tag)
            for name, value in attrs:
                target = "".join((value or "").split()).lower()
                if name.startswith("on") or (name in {"href", "src", "action"} and target.startswith(_SCHEMES)):
                    found.append(name)

    reader = TagReader(convert_charrefs=True)
    reader.feed(data.decode("utf-8", "replace"))
    reader.close()
    return bool(found)
