"""RTF: objects, templates, macros and fields that act are gone; text, formatting and ordinary pictures stay."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtf_documents import OBJECT, ORDINARY, THREATS, document, field, image, objects

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Options, Refused
from mailguard.formats.rtf.disarm import disarm
from mailguard.message.content import Content

SEEN_BEFORE = ("object", "bare-object", "broken-data", "unclosed", "ocx", "update")


@pytest.mark.parametrize("name", SEEN_BEFORE)
def test_rtfobj_finds_the_objects_before(name):
    assert objects(document(THREATS[name][0]))


@pytest.mark.parametrize("name", ["object", "template", "dde", "split-dde", "hex-dde"])
def test_the_detection_finds_the_threat_before(name):
    assert detect(Content.of(document(THREATS[name][0])), ["a.rtf"], "application/rtf").dangerous


@pytest.mark.parametrize("name", sorted(THREATS))
def test_what_acts_is_gone_and_the_text_stays(name):
    threat, code = THREATS[name]
    result = disarm(document(threat), "application/rtf", Options())
    assert code in result.removed
    assert set(result.removed) <= set(codes.REMOVED)
    assert b"before" in result.data
    assert b"after" in result.data or name in {"unclosed", "long-number"}
    assert objects(result.data) == []
    assert not re.search(rb"\\(?:obj|template|bin|ff\w+mcr|fontemb|\*\\evil)", result.data)
    assert b"evil" not in result.data or name in {"double-octet", "broken-word"}
    assert detect(Content.of(result.data), ["a.rtf"], "application/rtf").dangerous == ()
    assert disarm(result.data, "application/rtf", Options()).data is result.data


def test_the_picture_that_an_object_shows_stays():
    assert b"shown" in disarm(document(OBJECT), "application/rtf", Options()).data


def test_the_result_of_a_field_that_goes_stays():
    result = disarm(document(field(b"DDEAUTO evil x", b"what was shown")), "application/rtf", Options())
    assert b"what was shown" in result.data
    assert b"field" not in result.data


def test_links_go_where_they_must():
    result = disarm(ORDINARY, "application/rtf", Options(KEPT - {"hyperlinks"}))
    assert result.removed == ("hyperlink",)
    assert b"example.com" not in result.data
    assert b"PAGE" in result.data


def test_metadata_and_comments_go_where_they_must():
    data = document(rb"{\info{\author Somebody}}x{\*\atnid ab}{\*\annotation a remark}")
    assert disarm(data, "application/rtf", Options()).data is data
    result = disarm(data, "application/rtf", Options(frozenset()))
    assert result.removed == ("comment", "metadata")
    assert b"Somebody" not in result.data
    assert b"remark" not in result.data


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_binary_picture_becomes_a_hexadecimal_one(kind):
    data = image(kind)
    result = disarm(
        document(rb"{\pict\%sblip\bin%d " % (kind.lower().encode(), len(data)) + data + b"}"), "", Options()
    )
    assert data.hex().encode() in result.data
    assert b"\\bin" not in result.data


def test_what_hangs_behind_a_picture_is_gone():
    data = image() + b"PK hidden"
    result = disarm(document(rb"{\pict\pngblip " + data.hex().encode() + b"}"), "", Options())
    assert result.removed == ("trailing-data",)
    assert b"hidden".hex().encode() not in result.data
    assert image()[:16].hex().encode() in result.data


def test_words_never_grow_together():
    result = disarm(rb"{\rtf1\b{\*\evil x}in5 abcde\par}", "", Options())
    assert result.data == rb"{\rtf1 \b in5 abcde\par }"


def test_what_follows_the_document_is_gone():
    result = disarm(document(b"") + b"PK\3\4", "", Options())
    assert result.removed == ("trailing-data",)
    assert b"PK" not in result.data


def test_groups_are_closed():
    result = disarm(rb"{\rtf1 {\b {\i text", "", Options())
    assert result.data.count(b"{") == result.data.count(b"}")


@pytest.mark.parametrize("begin", [rb"{\rt ", rb"{\rtf ", b"\n" + rb"{\rtf1 ", b"\xef\xbb\xbf" + rb"{\rtf1 "])
def test_odd_beginnings_are_written_as_they_should_be(begin):
    result = disarm(begin + b"text}", "", Options())
    assert result.data == rb"{\rtf1 text}"
    assert result.removed == ("repaired",)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "damaged"),
        (b"text", "damaged"),
        (rb"{\rtf1 " + b"{" * 100_000, "bomb"),
        (rb"{\rtf1 " + rb"\b" * 2_100_000 + b"}", "over-limit"),
        (bytes((64 << 20) + 1), "over-limit"),
    ],
    ids=["nothing", "text", "deep", "many", "large"],
)
def test_what_is_not_understood_is_refused(data, code):
    with pytest.raises(Refused) as caught:
        disarm(data, "", Options())
    assert caught.value.code == code


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([ORDINARY, *(document(threat) for threat, _ in THREATS.values())]),
    st.lists(
        st.tuples(
            st.integers(0, 5_000),
            st.sampled_from(
                [b"{", b"}", b"\\", rb"\*", rb"\bin9 ", rb"\'7b", b"\x83", b"\0", rb"\objdata", rb"\fldinst", rb"\u-1 "]
            ),
        ),
        max_size=5,
    ),
)
def test_nothing_but_a_refusal_escapes_and_twice_is_once(sample, changes):
    data = sample
    for somewhere, new in changes:
        position = somewhere % len(data)
        data = data[:position] + new + data[position:]
    try:
        result = disarm(data, "", Options())
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017
    else:
        assert objects(result.data) == []
        assert not re.search(rb"\\(?:obj|bin)", result.data.replace(b"\\\\", b""))
        assert disarm(result.data, "", Options()).data == result.data


def text(path, folder):
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", "txt:Text", "--outdir", str(folder), str(path)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return path.with_suffix(".txt").read_text("utf-8", "replace")


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_result_and_finds_the_text(tmp_path):
    whole = b" ".join(
        THREATS[name][0] for name in ("object", "template", "dde", "include", "store", "metafile", "fragments")
    )
    result = disarm(document(whole + ORDINARY[len(document(b"")) - 20 : -1]), "", Options())
    path = tmp_path / "result.rtf"
    path.write_bytes(result.data)
    found = text(path, tmp_path)
    assert "before" in found
    assert "after" in found
    assert "shown" in found
    assert "evil" not in found
