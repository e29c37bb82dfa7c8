"""The second look at our own output: whatever becomes of a reader, it ends, and what it did not read is held."""

from __future__ import annotations

import os

import pytest
from ole_documents import excel
from pdf_documents import new

from mailguard.formats import confined
from mailguard.formats.disarmed import Refused
from mailguard.sanitize import rescan
from mailguard.sanitize.rescan import rescan as look

RTF = b"{\\rtf1 text}"


def _forever(_data: bytes) -> bool:
    while True:
        pass


def _greedy(_data: bytes) -> bool:
    return not bytearray(1 << 30)


def _broken(_data: bytes) -> bool:
    raise RuntimeError


def _crashing(_data: bytes) -> bool:
    os.abort()


def test_what_is_harmless_passes():
    look(RTF, "application/rtf", "rtf")
    look(excel(), "application/vnd.ms-excel", "xls")
    look(new(), "application/pdf", "pdf")
    look(b"<!DOCTYPE html><html><body><p>text</p></body></html>", "text/html", "html")


@pytest.mark.parametrize("reader", [_forever, _greedy, _broken, _crashing])
def test_a_reader_that_does_not_end_well_holds_the_content(reader, monkeypatch):
    monkeypatch.setattr(confined, "SECONDS", 1)
    monkeypatch.setattr(rescan, "_has_objects", reader)
    with pytest.raises(Refused, match="rescan"):
        look(RTF, "application/rtf", "rtf")


@pytest.mark.parametrize(
    ("reader", "content", "mime", "extension"),
    [
        ("_has_objects", b"{\\rtf1 {\\object{\\*\\objdata 01050000}}}", "application/rtf", "rtf"),
        ("_is_active", b"<p><a href='ms-word:ofe'>x</a></p>", "text/html", "html"),
    ],
)
def test_each_reader_sees_what_detection_does_not(reader, content, mime, extension, monkeypatch):
    monkeypatch.setattr(rescan, "detect", lambda *_: type("Found", (), {"dangerous": ()}))
    assert getattr(rescan, reader)(content)
    with pytest.raises(Refused, match="rescan"):
        look(content, mime, extension)


def test_text_in_many_pieces_is_kept_in_one_that_grows(monkeypatch):
    """As octets, it would be copied with each piece: minutes for a text of ten megabytes."""
    from oletools import rtfobj

    kinds = set()
    added = rtfobj.RtfParser._text

    def spied(parser, match):
        added(parser, match)
        kinds.add(type(parser.current_destination.data))

    monkeypatch.setattr(rtfobj.RtfParser, "_text", spied)
    assert not rescan._has_objects(b"{\\rtf1 text\\par {\\*\\generator x}more{\\fonttbl{\\f0 y}}\\par end}")
    assert kinds == {bytearray}
