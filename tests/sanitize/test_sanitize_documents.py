"""Documents as LibreOffice writes them: ordinary ones stay, and where macros or objects go, all of the text stays."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile

import powerpoint
import pytest
import rtf_documents
import vba
from detectors import libreoffice
from documents import ole, zipped
from mails import TEXT, attachment, mixed
from oletools.olevba import VBA_Parser
from verbs import output, parts, release, rules, site

from mailguard.formats.disarmed import DisarmQuota
from mailguard.formats.ole import compound
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load

pytestmark = pytest.mark.xdist_group("documents")

TEXT_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 office:mimetype="application/vnd.oasis.opendocument.text" office:version="1.2"><office:body><office:text>
<text:table-of-content text:name="T"><text:table-of-content-source text:outline-level="3"/><text:index-body>
<text:p><text:a xlink:href="#a">One<text:tab/>1</text:a></text:p></text:index-body></text:table-of-content>
<text:h text:outline-level="1">\u898b\u51fa\u3057</text:h><text:p>Page <text:page-number/> of <text:page-count/>, <text:date/>
<text:author-name/> <text:a xlink:href="https://example.com/">link</text:a> <text:a xlink:href="mailto:a@b">m</text:a>
<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body><text:p>note</text:p>
</text:note-body></text:note></text:p><text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>
</office:text></office:body></office:document>
"""


TABLE = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 office:mimetype="application/vnd.oasis.opendocument.spreadsheet" office:version="1.2"><office:body><office:spreadsheet>
<table:table table:name="One"><table:table-row><table:table-cell office:value-type="string"><text:p>\u65e5\u672c</text:p>
</table:table-cell><table:table-cell office:value-type="float" office:value="3"/></table:table-row><table:table-row>
<table:table-cell table:formula="of:=1+2"/><table:table-cell table:formula="of:=SUM([.A1:.B1])"/></table:table-row>
</table:table></office:spreadsheet></office:body></office:document>
"""
SOURCES = {
    **dict.fromkeys(("docx", "doc", "rtf", "pdf"), (TEXT_DOCUMENT.encode(), "fodt")),
    **dict.fromkeys(("xlsx", "xls"), (TABLE.encode(), "fods")),
    **dict.fromkeys(("pptx", "ppt"), (powerpoint.page(), "fodp")),
}
"""Extension: what LibreOffice makes such a document of."""


@pytest.fixture(scope="module")
def written():
    """A document of each kind."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    return {extension: libreoffice.converted({"a": source}, extension)["a"] for extension, source in SOURCES.items()}


def _mail(content, extension):
    return mixed(TEXT, attachment(content, b"a." + extension.encode(), b"application/octet-stream"))


def _sanitized(raw):
    return sanitize(raw, rules(), lambda: load(None), site(), Sandbox)


@pytest.mark.parametrize("extension", SOURCES)
def test_an_ordinary_document_passes_byte_for_byte(extension, written):
    raw = _mail(written[extension], extension)
    result = _sanitized(raw)
    assert [one["action"] for one in result.attachments] == ["kept"]
    assert output(result) == raw


def _packed(flat):
    """A package of OpenDocument with what a flat file holds."""
    kind = re.search(rb'office:mimetype="([^"]+)"', flat)[1]
    content = re.sub(rb'office:mimetype="[^"]+"', b"", flat).replace(b"office:document", b"office:document-content")
    entry = b'<manifest:file-entry manifest:full-path="%s" manifest:media-type="%s"/>'
    space = b'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">'
    manifest = space + entry % (b"/", kind) + entry % (b"content.xml", b"text/xml") + b"</manifest:manifest>"
    return zipped(
        [("mimetype", kind), ("content.xml", content), ("META-INF/manifest.xml", manifest)], zipfile.ZIP_STORED
    )


@pytest.mark.parametrize(
    ("extension", "source", "shown"),
    [
        ("odt", TEXT_DOCUMENT.encode(), "\u898b\u51fa\u3057"),
        ("ods", TABLE.encode(), "\u65e5\u672c"),
        ("odp", powerpoint.page(), "text that stays"),
    ],
    ids=["odt", "ods", "odp"],
)
def test_an_open_document_becomes_a_pdf_with_its_text(extension, source, shown):
    for program in ("soffice", "bwrap", "pdftotext"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    raw = _mail(_packed(source), extension)
    result = _sanitized(raw)
    _, name, content = parts(output(result))[1]
    assert name == "a.pdf"
    command = ["pdftotext", "-", "-"]
    assert shown.encode() in subprocess.run(command, input=content, check=True, capture_output=True, timeout=60).stdout
    assert release(output(result)) == raw


def _with_macros(package, folder):
    """An OOXML package with a VBA project."""
    with zipfile.ZipFile(io.BytesIO(package)) as file:
        files = {name: file.read(name) for name in file.namelist()}
    kind = b"http://schemas.microsoft.com/office/2006/relationships/vbaProject"
    main = next(name for name in files if name.startswith(f"{folder}/_rels/"))
    link = b'<Relationship Id="vba" Type="' + kind + b'" Target="vbaProject.bin"/></Relationships>'
    files[main] = files[main].replace(b"</Relationships>", link)
    types = b'<Override PartName="/%s/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>'
    files["[Content_Types].xml"] = files["[Content_Types].xml"].replace(b"</Types>", types % folder.encode())
    return zipped(files | {f"{folder}/vbaProject.bin": ole(vba.project(), mini=True)})


def _with_storage(document, name):
    """A compound file with a VBA project in a storage."""
    root, _ = compound.read(document, DisarmQuota())
    storage = compound.Node(name, 1, bytes(16))
    inner = compound.Node("VBA", 1, bytes(16))
    for path, data in vba.project().items():
        (inner if "/" in path else storage).children.append(compound.Node(path.rpartition("/")[2], 2, bytes(16), data))
    storage.children.append(inner)
    root.children.append(storage)
    return compound.write(root)


POISON = {
    "docx": lambda document: _with_macros(document, "word"),
    "xlsx": lambda document: _with_macros(document, "xl"),
    "pptx": lambda document: _with_macros(document, "ppt"),
    "doc": lambda document: _with_storage(document, "Macros"),
    "xls": lambda document: _with_storage(document, "_VBA_PROJECT_CUR"),
    "ppt": lambda document: powerpoint.edited(document, macros=True),
    "rtf": lambda document: document.rstrip()[:-1] + rtf_documents.OBJECT.replace(b"shown", b"") + b"}",
}


@pytest.fixture(scope="module")
def poisoned(written):
    """Extension -> (the document with macros or an object, what is delivered of it, the text of both in LibreOffice)."""
    before = {extension: poison(written[extension]) for extension, poison in POISON.items()}
    after = {extension: parts(output(_sanitized(_mail(made, extension))))[1][2] for extension, made in before.items()}
    files = {("before", one): (made, one) for one, made in before.items()}
    flat = libreoffice.converted(files | {("after", one): (made, one) for one, made in after.items()})
    texts = {place: libreoffice.text(found) for place, found in flat.items()}
    return {one: (before[one], after[one], texts["before", one], texts["after", one]) for one in before}


def _macros(document):
    parser = VBA_Parser("document", data=document)
    try:
        return bool(parser.detect_vba_macros() and list(parser.extract_macros()))
    finally:
        parser.close()


@pytest.mark.parametrize("extension", POISON)
def test_where_macros_or_objects_go_all_of_the_text_stays(extension, poisoned):
    before, after, text_before, text_after = poisoned[extension]
    seen = rtf_documents.objects if extension == "rtf" else _macros
    assert seen(before)
    assert not seen(after)
    assert len(text_before) > 10
    assert text_after == text_before
