"""Every threat through the verb: what is delivered is clean, the original comes back, LibreOffice opens the rest."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mailguard.attachments.detect import detect
from mailguard.message.content import Content
from mailguard.sanitize.disarmed import Options
from mailguard.sanitize.formats import module

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


@pytest.mark.parametrize("extension", ["docx", "doc", "rtf", "pdf", "xlsx", "xls"])
def test_what_libreoffice_writes_comes_back_as_the_same_bytes(extension, tmp_path):
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    source = tmp_path / ("a.csv" if extension.startswith("xls") else "a.fodt")
    source.write_text('a,b\n=1+2,"=SUM(A1:A3)"\n\u65e5\u672c,3\n' if extension.startswith("xls") else TEXT_DOCUMENT)
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", extension, "--outdir", str(tmp_path), str(source)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    data = (tmp_path / f"a.{extension}").read_bytes()
    mime = detect(Content.of(data), [], "").type
    result = module(mime)(data, mime, Options())
    assert (result.removed, result.data is data, result.extension) == ((), True, extension)
