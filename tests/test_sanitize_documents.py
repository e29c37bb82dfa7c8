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
