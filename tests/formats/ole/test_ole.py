"""sanitize: legacy Word, Excel and PowerPoint.  What others see of each threat is in test_sanitize_evidence.py."""

from __future__ import annotations

import struct

import pytest
from documents import encrypted_office, msg, msi, ole
from hypothesis import given, settings
from hypothesis import strategies as st
from ole_documents import excel, powerpoint, streams, word
from ole_threats import ORDINARY, THREATS

from mailguard.formats.codes import REFUSALS, REMOVED
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, DisarmQuota, Options, Refused
from mailguard.formats.ole import compound
from mailguard.formats.ole import disarm as legacy
from mailguard.message.content import Content


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
    again, stray = compound.read(written, DisarmQuota())
    assert not stray
    assert compound.write(again) == compound.write(compound.read(compound.write(again), DisarmQuota())[0])
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
