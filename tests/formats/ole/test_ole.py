"""sanitize: legacy Word, Excel and PowerPoint.  What others see of each threat is in test_sanitize_evidence.py."""

from __future__ import annotations

import struct

import pytest
import vba
from documents import encrypted_office, msg, msi, ole
from hypothesis import given, settings
from hypothesis import strategies as st
from ole_documents import atom, container, excel, powerpoint, streams, wide, word

from mailguard.formats.codes import REFUSALS, REMOVED
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Quota, Refused
from mailguard.formats.ole import compound
from mailguard.formats.ole import disarm as legacy
from mailguard.message.content import Content

VBA = vba.project()


def associated(template: str) -> bytes:
    return struct.pack("<3H", 0xFFFF, 18, 0) + struct.pack("<2H", 0, len(template)) + wide(template) + bytes(32)


def formula(tokens: bytes) -> tuple[int, bytes]:
    return 0x06, bytes(20) + struct.pack("<H", len(tokens)) + tokens


def name(flags: int, text: bytes, tokens: bytes = b"\x1e\1\0") -> tuple[int, bytes]:
    return 0x18, struct.pack("<H2B2H", flags, 0, len(text), len(tokens), 0) + bytes(6) + b"\0" + text + tokens


def hyperlink(url: str) -> tuple[int, bytes]:
    moniker = (
        bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b") + struct.pack("<I", len(wide(url)) + 2) + wide(url) + b"\0\0"
    )
    return 0x1B8, bytes(24) + struct.pack("<2I", 2, 3) + moniker


def listed(url: str) -> bytes:
    """Properties with the list of all links, as LibreOffice reads it."""
    section = b"_PID_HLINKS\0" + struct.pack("<2I", 0x1F, len(url) + 1) + wide(url + "\0")
    user_defined = bytes.fromhex("05d5cdd59c2e1b10939708002b2cf9ae")
    return (
        b"\xfe\xff" + bytes(22) + struct.pack("<I", 1) + user_defined + struct.pack("<2I", 48, len(section)) + section
    )


DDE = "text that stays\r\x13 DDEAUTO c:\\\\cmd \x14shown\x15\r"
NAME_TABLE = struct.pack("<2I", 16, len(DDE)) + b"\x13\x2e"
THREATS: dict[str, tuple[bytes, set[str], bytes]] = {
    "Word macros": (word(**{f"Macros/{key}": data for key, data in VBA.items()}), {"macro"}, b"Macros"),
    "Word DDE": (word(DDE), {"dde"}, b"DDEAUTO"),
    "Word DDE over two pieces": (word(DDE, cut=20), {"dde"}, b"TO c:"),
    "Word DDE by the table of fields": (word("text that stays\r\x13 PAGE \x141\x15", tables={16: NAME_TABLE}), {"action"}, b"\x13\x2e"),
    "Word picture from elsewhere": (word('text that stays\x13 INCLUDEPICTURE "https://evil.example" \x14\x15'), {"remote-image"}, b"evil"),
    "Word link": (word('text that stays\x13 HYPERLINK "ms-msdt:x" \x14shown\x15'), {"hyperlink"}, b"msdt"),
    "Word template": (word(tables={32: associated("https://evil.example/t.dot")}), {"remote-template"}, b"evil"),
    "Word commands": (word(tables={24: b"\xff\x03evil"}), {"custom-ui"}, b"evil"),
    "Word object": (word(**{"ObjectPool/_1/\x01Ole10Native": b"evil.exe"}), {"embedded-object"}, b"evil"),
    "Excel macros": (excel((0xD3, b""), **{f"_VBA_PROJECT_CUR/{key}": data for key, data in VBA.items()}), {"macro"}, b"_VBA"),
    "Excel macro sheet": (excel(cells=(formula(b"\x17\4\0calc\x42\1\x6e\0"),), kind=1), {"xlm"}, b"calc"),
    "Excel automatic name": (excel(name(0x20, b"\x01")), {"xlm"}, b"\0\x20\0\0\1"),
    "Excel automatic name in letters": (excel(name(0, b"Auto_Open1")), {"xlm"}, b"Auto_Open"),
    "Excel name that acts": (excel(name(0, b"x", b"\x17\4\0calc\x42\1\x6e\0")), {"xlm"}, b"calc"),
    "Excel call": (excel(cells=(formula(b"\x17\4\0calc\x42\3\x96\0"),)), {"macro"}, b"calc"),
    "Excel DDE": (excel((0x1AE, struct.pack("<2HB", 1, 8, 0) + b"cmd\x03/c x"), (0x23, struct.pack("<H4x2B", 0x7FF2, 1, 0) + b"a" + bytes(9))), {"dde"}, b"cmd"),
    "Excel book elsewhere": (excel((0x1AE, struct.pack("<2HB", 1, 11, 0) + b"\x01\x01@evil\x03a.x")), {"external-relationship"}, b"evil"),
    "Excel link": (excel(cells=(hyperlink("ms-msdt:x"), (0x3C, b"more"))), {"hyperlink"}, wide("msdt")),
    "Excel link by formula": (excel(cells=(formula(b"\x17\x09\0ms-msdt:x\x42\1\x67\1"),)), {"hyperlink"}, b"msdt"),
    "Excel link by formula and cell": (excel(cells=(formula(b"\x24evil\x42\1\x67\1"),)), {"hyperlink"}, b"evil"),
    "Word link behind a switch": (word('text that stays\x13 HYPERLINK \\o "x" "ms-msdt:x" \x14shown\x15'), {"hyperlink"}, b"msdt"),
    "Excel object": (excel(**{"MBD00000001/\x01Ole10Native": b"evil.exe"}), {"embedded-object"}, b"evil"),
    "Excel control": (excel(Ctls=b"evil"), {"activex"}, b"evil"),
    "PowerPoint macros": (powerpoint(container(0x3FF, atom(0x400, struct.pack("<3I", 5, 1, 2))), atom(0x1011, b"evil")), {"embedded-object", "macro"}, b"evil"),
    "PowerPoint object": (powerpoint(container(0x409, container(0xFCC, atom(0xFBA, wide("evil")))), atom(0xBC1, b"\7\0\0\0")), {"embedded-object"}, wide("evil")),
    "PowerPoint control": (powerpoint(container(0xFEE, atom(0xFBA, wide("evil")))), {"activex"}, wide("evil")),
    "PowerPoint program": (powerpoint(container(0xFF2, atom(0xFF3, bytes(8) + b"\2" + bytes(7)), atom(0xFBA, wide("evil")))), {"launch", "macro"}, wide("evil")),
    "PowerPoint link": (powerpoint(container(0x409, container(0xFD7, atom(0xFBA, wide("ms-msdt:x"), 1)))), {"hyperlink"}, wide("msdt")),
    "PowerPoint link by its name": (powerpoint(container(0x409, container(0xFD7, atom(0xFBA, wide("ms-msdt:x")), atom(0xFBA, b"", 1)))), {"hyperlink"}, wide("msdt")),
    "PowerPoint link by the list": (powerpoint(properties=listed("ms-msdt:x")), {"hyperlink"}, b"_PID_HLINKS"),
    "PowerPoint film": (powerpoint(container(0x409, container(0x1005, atom(0xFBA, wide("\\\\evil\\x"))))), {"external-relationship"}, wide("evil")),
}  # fmt: skip
ORDINARY = {
    "Word": word(tables={32: associated("Normal.dot"), 24: b"\xff\x40"}),
    "Word with fields": word(
        'text that stays\x13 HYPERLINK "https://example.com/"\x01 \x14shown\x15\x13 IF \x13 PAGE \x141\x15 = 1 "a" \x14a\x15'
    ),
    "Excel": excel(
        name(0x20, b"\x06"),
        cells=(
            formula(b"\x1e\1\0\x1e\2\0\3"),
            formula(b"\x17\x0a\0https://a/\x42\1\x67\1"),
            hyperlink("https://example.com/"),
        ),
    ),
    "Excel with another book": excel((0x1AE, struct.pack("<2HB", 1, 12, 0) + b"\x01\x01C\x03dir\x03a.xls")),
    "PowerPoint": powerpoint(
        container(0x3FF, atom(0x400, struct.pack("<3I", 0, 0, 1))),
        container(0xFF2, atom(0xFF3, bytes(8) + b"\4" + bytes(7))),
        container(
            0x409,
            container(0xFD7, atom(0xFBA, wide("Agenda: all")), atom(0xFBA, wide("https://example.com/"), 1)),
            container(0xFD7, atom(0xFBA, wide("Slide: 2")), atom(0xFBA, wide("257,2,Slide: 2"), 3)),
        ),
        properties=listed("https://example.com/" + "a" * 60),
    ),
}


def disarm(content: bytes, **options: object) -> Disarmed:
    return legacy.disarm(content, "", Options(**options))  # type: ignore[arg-type]


def everything(content: bytes) -> bytes:
    return b"\0".join(path.encode() + b"\0" + data for path, data in streams(content).items())


@pytest.mark.parametrize("what", THREATS)
def test_a_threat_is_gone(what: str) -> None:
    content, codes, mark = THREATS[what]
    assert (
        mark in everything(content)
        or what == "Word DDE over two pieces"
        or mark in everything(content).replace(b"\0", b"")
    )
    result = disarm(content)
    assert set(result.removed) == codes <= REMOVED.keys()
    left = everything(result.data)
    assert mark not in left
    assert mark not in left.replace(b"\0", b"")
    assert detect(Content.of(result.data), ["x"], "").dangerous == ()
    again = disarm(result.data)
    assert again.data is result.data


@pytest.mark.parametrize("what", ORDINARY)
def test_an_ordinary_document_is_the_same_object_afterwards(what: str) -> None:
    result = disarm(ORDINARY[what])
    assert result.removed == ()
    assert result.data is ORDINARY[what]


@pytest.mark.parametrize("what", [what for what in THREATS if what.startswith("Word")])
def test_the_text_stays(what: str) -> None:
    left = streams(disarm(THREATS[what][0]).data)["WordDocument"]
    assert b"text that stays" in left.replace(b"\0", b"")
    assert (b"shown" in left.replace(b"\0", b"")) == (
        b"shown" in streams(THREATS[what][0])["WordDocument"].replace(b"\0", b"")
    )


@pytest.mark.parametrize("what", ["Excel link", "Excel macros"])
def test_the_places_of_sheets_are_put_right(what: str) -> None:
    stream = streams(disarm(THREATS[what][0]).data)["Workbook"]
    place = stream.index(struct.pack("<2H", 0x85, 13))
    (begin,) = struct.unpack_from("<I", stream, place + 4)
    assert stream[begin : begin + 4] == struct.pack("<2H", 0x809, 16)
    assert struct.pack("<d", 42.0) in stream


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (encrypted_office(), "encrypted"),
        (word(flags=0x0100), "encrypted"),
        (excel((0x2F, bytes(6))), "encrypted"),
        (powerpoint(user=b"\xdf\xc4\xd1\xf3"), "encrypted"),
        (powerpoint(place=12), "not-understood"),
        (msi(), "unknown-type"),
        (msg("a.pdf", b"x"), "unknown-type"),
        (ole({"WordDocument": b"\xdc\xa5" + bytes(0x400), "Workbook": b"x"}), "ambiguous"),
        (ole({"WordDocument": b"\xdc\xa5" + bytes(0x400), "0Table": b"x"}), "not-understood"),
        (word()[:3000], "damaged"),
        (excel()[:1500], "damaged"),
        (b"", "damaged"),
    ],
)
def test_what_cannot_be_made_harmless_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        disarm(content)
    assert refusal.value.code == code
    assert code in REFUSALS


def test_features_are_removed_by_option() -> None:
    result = disarm(ORDINARY["Word with fields"], kept=frozenset())
    assert result.removed == ("hyperlink",)
    assert b"example.com" not in everything(result.data).replace(b"\0", b"")
    assert disarm(ORDINARY["Excel"], kept=frozenset()).removed == ("hyperlink",)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text("abcdeXYZ\x05", min_size=1, max_size=12), st.integers(0, 9000), max_size=40),
    st.integers(0, 3),
)
def test_what_is_written_is_read_back_by_others(sizes: dict[str, int], depth: int) -> None:
    root = compound.Node("Root Entry", 5, bytes(range(16)))
    around = root
    for level in range(depth):
        around.children.append(compound.Node(f"storage {level}", 1, bytes(16)))
        around = around.children[-1]
    for key, size in {key.lower(): size for key, size in sizes.items()}.items():
        around.children.append(compound.Node(key, 2, bytes(16), key.encode()[:1] * size))
    written = compound.write(root)
    again, stray = compound.read(written, Quota())
    assert not stray
    assert compound.write(again) == compound.write(compound.read(compound.write(again), Quota())[0])
    expected = {
        "/".join([*(f"storage {level}" for level in range(depth)), child.name]): child.data
        for child in around.children
        if child.kind == 2
    }
    assert streams(written) == expected


def test_a_large_stream_needs_more_tables() -> None:
    root = compound.Node("Root Entry", 5, bytes(16))
    root.children = [
        compound.Node("big", 2, bytes(16), bytes(range(256)) * 40_000),
        compound.Node("small", 2, bytes(16), b"x"),
    ]
    assert streams(compound.write(root)) == {"big": bytes(range(256)) * 40_000, "small": b"x"}


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 8, 100])
def test_siblings_are_a_red_black_tree(count: int) -> None:
    root = compound.Node("Root Entry", 5, bytes(16))
    root.children = [compound.Node(f"s{number}", 2, bytes(16), b"x" * 5000) for number in range(count)]
    written = compound.write(root)
    directory = int.from_bytes(written[48:52], "little")
    entries = [written[(directory + 1) * 512 + 128 * number :][:128] for number in range(count + 1)]
    heights = set()
    waiting = [(int.from_bytes(entries[0][76:80], "little"), 0, 1)]
    while waiting:
        number, blacks, above = waiting.pop()
        if number == 0xFFFFFFFF:
            heights.add(blacks)
            continue
        colour = entries[number][67]
        assert colour or above
        waiting += [
            (int.from_bytes(entries[number][place : place + 4], "little"), blacks + colour, colour)
            for place in (68, 72)
        ]
    assert len(heights) == 1


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(THREATS)),
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6),
)
def test_changed_octets_give_a_document_or_a_refusal(what: str, changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(THREATS[what][0])
    for place, data in changes:
        place %= len(content)  # noqa: PLW2901
        content[place : place + len(data)] = data
    try:
        result = disarm(bytes(content))
    except Refused as refusal:
        assert refusal.code in REFUSALS  # noqa: PT017
        return
    assert set(result.removed) <= REMOVED.keys()
    if result.removed:
        assert disarm(result.data).removed == ()
