"""sanitize: hyperlink objects of legacy Office, which say where a link leads besides the text that shows it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ole_documents import atom, container, excel, powerpoint, wide, word

from mailguard.formats.disarmed import KEPT, Options, Refused
from mailguard.formats.ole import disarm as legacy

CLASS = bytes.fromhex("d0c9ea79f9bace118c8200aa004ba90b")
URL_MONIKER = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
FILE_MONIKER = bytes.fromhex("0303000000000000c000000000000046")


def by_moniker(address: str) -> bytes:
    text = wide(f"{address}\0")
    return CLASS + struct.pack("<2I", 2, 1) + URL_MONIKER + struct.pack("<I", len(text)) + text


def by_text(address: str) -> bytes:
    """With a name that is shown and a frame before the address."""
    shown = struct.pack("<I", 3) + wide("ab\0")
    return CLASS + struct.pack("<2I", 2, 0x191) + 2 * shown + struct.pack("<I", len(address) + 1) + wide(f"{address}\0")


def by_file(path: str) -> bytes:
    return (
        CLASS + struct.pack("<2I", 2, 1) + FILE_MONIKER + struct.pack("<HI", 0, len(path) + 1) + path.encode() + b"\0"
    )


def field(data: bytes) -> bytes:
    """The link of Word as it stands in the stream Data ([MS-DOC] 2.9.157)."""
    return struct.pack("<IH", 68 + 1 + len(data), 68) + bytes(62) + b"\x08" + data


def in_word(link: bytes) -> bytes:
    text = 'text that stays\x13 HYPERLINK "https://example.com/"\x01 \x14shown\x15\r'
    return word(text, Data=bytes(16) + field(link) + bytes(16))


def in_excel(link: bytes) -> bytes:
    return excel(cells=((0xEC, bytes(20) + link),))


def in_powerpoint(link: bytes) -> bytes:
    return powerpoint(container(0x040C, atom(0xF00B, link)))


PLACES = pytest.mark.parametrize("place", [in_word, in_excel, in_powerpoint])


def disarm(content: bytes, kept: frozenset[str] = KEPT):
    return legacy.disarm(content, "", Options(kept))


@PLACES
@pytest.mark.parametrize(
    ("link", "mark"),
    [
        (by_moniker("ms-msdt:/id"), wide("msdt")),
        (by_moniker("file:///c:/windows/system32/cmd.exe"), wide("cmd.exe")),
        (by_text("search-ms:query=x"), wide("search-ms")),
        (by_text("\\\\evil.example\\x.exe"), wide("evil.example")),
    ],
)
def test_a_link_that_may_not_stay_leads_nowhere(place, link, mark):
    document = place(link)
    assert mark in document
    result = disarm(document)
    assert result.removed == ("hyperlink",)
    assert mark not in result.data
    assert disarm(result.data).data is result.data


@PLACES
def test_a_link_to_a_file_has_no_target_any_more(place):
    link = by_file("c:\\evil.exe")
    result = disarm(place(link))
    assert result.removed == ("hyperlink",)
    assert CLASS + struct.pack("<2I", 2, 0) in result.data


@PLACES
@pytest.mark.parametrize(
    "link", [by_moniker("https://example.com/"), by_text("mailto:a@example.com"), CLASS + bytes(8)]
)
def test_a_link_to_the_web_stays_unless_links_are_removed(place, link):
    document = place(link)
    assert disarm(document).data is document
    if link != CLASS + bytes(8):
        assert disarm(document, frozenset()).removed == ("hyperlink",)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 0x1FF), st.integers(0, 120))
def test_a_damaged_link_leads_nowhere(rest, flags, length):
    link = (CLASS + struct.pack("<2I", 2, flags) + rest)[: 16 + length]
    try:
        result = disarm(in_word(link))
    except Refused:
        return
    assert disarm(result.data).data is result.data


def test_very_many_links_are_refused():
    with pytest.raises(Refused, match="over-limit"):
        disarm(word("text that stays\r", Data=(CLASS + bytes(8)) * 70_000))
