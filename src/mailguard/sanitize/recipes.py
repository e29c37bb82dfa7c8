"""The programs that mailguard knows how to call: office documents to PDF, PDF to text, and what a site may add."""

from __future__ import annotations

from mailguard.sanitize.policy import Program

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
