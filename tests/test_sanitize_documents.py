"""Every threat through the verb: what is delivered is clean, the original comes back, LibreOffice opens the rest."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import test_sanitize_html
import test_sanitize_office
import test_sanitize_ole
import test_sanitize_pdf
import test_sanitize_rtf
from test_quarantine import TEXT, attachment, mixed
from verbs import output, parts, release, rules, site

from mailguard.attachments.detect import detect
from mailguard.message.content import Content
from mailguard.sanitize import office, rtf, sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.disarmed import Options
from mailguard.sanitize.formats import module
from mailguard.sanitize.policy import parse as policy

DISARM = policy(
    '[[rule]]\ntype = ["application/*", "text/*", "image/*", "message/*", "multipart/*"]\naction = "disarm"\n', "test"
)


def _threats() -> dict[str, bytes]:
    found = {f"office: {name}": made[0] for name, made in test_sanitize_office.THREATS.items()}
    found |= {f"ole: {name}": made[0] for name, made in test_sanitize_ole.THREATS.items()}
    found |= {f"rtf: {name}": test_sanitize_rtf.document(made[0]) for name, made in test_sanitize_rtf.THREATS.items()}
    found |= {f"pdf: {name}": test_sanitize_pdf.new(made[0]) for name, made in test_sanitize_pdf.THREATS.items()}
    page = b"<html><body><p>before</p>%s<p>after</p></body></html>"
    found |= {f"html: {name}": page % made for name, made in test_sanitize_html._THREATS.items()}
    return found


THREATS = _threats()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", THREATS)
def test_a_threat_is_not_delivered_and_its_original_comes_back(name):
    data = THREATS[name]
    label = b"a.html" if name.startswith("html") else b"a.bin"
    raw = mixed(TEXT, attachment(data, label, b"text/html" if label == b"a.html" else b"application/octet-stream"))
    result = sanitize(raw, rules(), lambda: DISARM, site(), Sandbox)
    made = output(result)
    assert result.changed
    assert [record["action"] for record in result.attachments] in (["disarmed"], ["held"])
    kind, given, content = parts(made)[1]
    assert content != data
    assert detect(Content.of(content), [given] if given else [], kind).dangerous == ()
    assert release(made) == raw


@pytest.mark.parametrize("family", ["docx", "xlsx", "pptx", "rtf"])
def test_libreoffice_opens_every_result_and_sees_the_text(family, tmp_path):
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    names = {}
    for name, data in THREATS.items():
        if family == "rtf" and name.startswith("rtf"):
            names[name] = rtf.disarm(data, "", Options())
        elif family != "rtf" and name.startswith("office"):
            names[name] = office.disarm(data, "", Options())
    results = [(name, made) for name, made in names.items() if made.extension == family]
    assert len(results) > 3
    paths = []
    for number, (_, made) in enumerate(results):
        paths.append(tmp_path / f"{number}.{made.extension}")
        paths[-1].write_bytes(made.data)
    target = "txt:Text" if family in {"docx", "rtf"} else "csv" if family == "xlsx" else "pdf"
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", target, "--outdir", str(tmp_path), *map(str, paths)],
        check=True, capture_output=True, timeout=280,
    )  # fmt: skip
    wanted = {"docx": b"text that stays", "rtf": b"before"}.get(family, b"")
    for path, (name, _) in zip(paths, results, strict=True):
        converted = path.with_suffix("." + target.partition(":")[0])
        assert converted.exists(), name
        assert wanted in converted.read_bytes(), name


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
