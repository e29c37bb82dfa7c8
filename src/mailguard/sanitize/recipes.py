"""The programs that mailguard knows how to call: office documents to PDF, PDF to text, and what a site may add."""

from __future__ import annotations

from mailguard.formats.disarmed import Refused
from mailguard.sanitize.policy import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.sanitize.command import Sandbox

TO_PDF = Program(
    (
        "soffice",
        "--headless",
        "--norestore",
        "--nolockcheck",
        "--nodefault",
        "-env:UserInstallation=file://{scratch}/profile",
        "--convert-to",
        "pdf",
        "--outdir",
        "{scratch}/out",
        "{file}",
    ),
    output="out/content.pdf",
    timeout=80,
    visible=("/etc/libreoffice",),
)
"""LibreOffice, without a user's profile.  It ends with status 0 even where it failed: the file decides."""

PDF_TO_TEXT = Program(("pdftotext", "-enc", "UTF-8", "-nopgbrk", "{file}", "-"), timeout=60)
"""Poppler."""


def to_pdf(sandbox: Sandbox, content: bytes, mime: str, name: str) -> bytes:
    """Convert an office document; Refused."""
    from mailguard.formats.families import becomes_pdf

    if not becomes_pdf(mime):
        raise Refused("not-understood")
    return sandbox.run(TO_PDF, content, mime, name)


def to_text(sandbox: Sandbox, content: bytes, mime: str, name: str) -> bytes:
    """Return the text of a PDF or an office document as UTF-8; Refused."""
    if mime != "application/pdf":
        content = to_pdf(sandbox, content, mime, name)
    return sandbox.run(PDF_TO_TEXT, content, "application/pdf", "content.pdf")
