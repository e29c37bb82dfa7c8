"""The real converters and scanner, in the real sandbox: LibreOffice, Poppler, ClamAV."""

from __future__ import annotations

import shutil
import subprocess

import documents
import pytest
from mail_system import EXAMPLES, public_folder, until
from mails import TEXT, attachment, mixed
from verbs import output, parts, release, rules, site

from mailguard.formats.disarmed import ProgramRefused
from mailguard.sanitize import recipes, sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import Program, parse

MARKER = b"-".join((b"MAILGUARD", b"SCANNER", b"TEST"))

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("programs")]


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("kind", ["bwrap", "none"])
def test_an_office_document_becomes_a_pdf_with_its_text(kind):
    need("soffice", "pdftotext", "bwrap")
    sandbox = Sandbox(kind)
    document = documents.docx("Invoice of November")
    pdf = recipes.to_pdf(
        sandbox,
        document,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "a.docx",
    )
    assert pdf.startswith(b"%PDF-")
    assert b"Invoice of November" in recipes.to_text(sandbox, pdf, "application/pdf", "a.pdf")


def test_a_rule_converts_and_the_original_comes_back():
    need("soffice", "bwrap")
    policy = parse('[[rule]]\naction = "pdf"\n', "test")
    raw = mixed(TEXT, attachment(documents.docx("Invoice"), b"invoice.docx", b"application/octet-stream"))
    result = sanitize(raw, rules(), lambda: policy, site(), Sandbox)
    kind, name, data = parts(output(result))[1]
    assert (kind, name, data[:5]) == ("application/pdf", "invoice.pdf", b"%PDF-")
    assert release(output(result)) == raw


def test_what_the_converter_cannot_read_is_held():
    need("soffice", "bwrap")
    with pytest.raises(ProgramRefused):
        recipes.to_pdf(Sandbox(), documents.encrypted_office(), "application/msword", "a.doc")


def test_clamav_holds_what_its_signatures_name(folder):
    need("clamscan", "bwrap")
    (folder / "test.ndb").write_text(f"Mailguard.Test:0:*:{MARKER.hex()}\n")
    scan = Program(["clamscan", "--no-summary", "-d", f"{folder}/test.ndb", "-"], visible=(str(folder),))
    Sandbox().check(scan, b"harmless", "text/plain", "a.txt")
    with pytest.raises(ProgramRefused) as caught:
        Sandbox().check(scan, b"see " + MARKER, "text/plain", "a.txt")
    assert caught.value.code == "program-refused"


@pytest.fixture
def daemon():
    """A clamd with one signature; its folder holds configuration and socket, as /etc/clamav and /run/clamav do."""
    need("clamd", "clamdscan", "bwrap")
    folder = public_folder()
    (folder / "test.ndb").write_text(f"Mailguard.Test:0:*:{MARKER.hex()}\n")
    configuration = folder / "clamd.conf"
    configuration.write_text(
        f"DatabaseDirectory {folder}\nLocalSocket {folder}/socket\nForeground yes\nTemporaryDirectory {folder}\n"
    )
    process = subprocess.Popen(["clamd", "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until((folder / "socket").exists, configuration.read_text)
    yield folder
    process.kill()
    process.wait(120)
    shutil.rmtree(folder)


def test_the_scanner_of_the_example_holds_what_the_daemon_finds(daemon):
    text = (EXAMPLES / "sanitize/clamav.toml").read_text()
    text = text.replace('"/etc/clamav", "/run/clamav"', f'"{daemon}"').replace(
        '"-"]', f'"-c", "{daemon}/clamd.conf", "-"]'
    )
    policy = parse(text, "test")
    raw = mixed(
        TEXT, attachment(b"fine\n", b"a.txt", b"text/plain"), attachment(b"see " + MARKER, b"b.txt", b"text/plain")
    )
    result = sanitize(raw, rules(), lambda: policy, site(), Sandbox)
    assert [(one["part"], one["action"], one.get("reason")) for one in result.attachments] == [
        ("3", "held", "program-refused"),
        ("2", "kept", None),
    ]
    assert release(output(result)) == raw
