"""Every threat that the tests build, as an attachment: "family: what it is" -> the file, and what becomes of it."""

from __future__ import annotations

from typing import NamedTuple

import archive_files
import drawings
import hostile_pages
import mail_files
import office_files
import ole_threats
import pdf_documents
import pdf_threats
import pictures
import rtf_documents
import tables
from detectors import archive, html, image, mail, office, ole, pdf, rtf, text


class Threat(NamedTuple):
    """An attachment; held: nothing of it is delivered."""

    content: bytes
    name: str
    held: bool = False


HELD = {"html: NUL in a name"}
FAMILIES = {
    "office": {name: (made[0], "a.bin") for name, made in office_files.THREATS.items()},
    "ole": {name: (made[0], "a.bin") for name, made in ole_threats.THREATS.items()},
    "rtf": {name: (rtf_documents.document(made[0]), "a.rtf") for name, made in rtf_documents.THREATS.items()},
    "pdf": {name: (pdf_documents.new(made[0]), "a.pdf") for name, made in pdf_threats.THREATS.items()},
    "html": {name: (hostile_pages.AROUND % made, "a.html") for name, made in hostile_pages.THREATS.items()},
    "drawing": {name: (made[0], "a.svg") for name, made in drawings.THREATS.items()},
    "picture": {name: (made, "a.bin") for name, made in pictures.TAILS.items()},
    "metadata": {name: (made, "a.bin") for name, made in pictures.METADATA.items()},
    "archive": {name: (made, "a.bin") for name, made in archive_files.THREATS.items()},
    "mail": mail_files.THREATS,
    "text": {name: (made, "a.csv") for name, made in tables.THREATS.items()},
}
THREATS = {
    f"{family}: {name}": Threat(*made, f"{family}: {name}" in HELD or name in archive_files.AMBIGUOUS)
    for family, threats in FAMILIES.items()
    for name, made in threats.items()
}
_TABLES = {
    "office": office.DETECTORS,
    "ole": ole.DETECTORS,
    "rtf": rtf.DETECTORS,
    "pdf": pdf.DETECTORS,
    "html": html.DETECTORS,
    "drawing": image.DRAWINGS,
    "picture": image.TAILS,
    "metadata": image.METADATA,
    "archive": archive.DETECTORS,
    "mail": mail.DETECTORS,
    "text": text.DETECTORS,
}
DETECTORS = {f"{family}: {name}": found for family, table in _TABLES.items() for name, found in table.items()}
