"""Every threat that the tests build, as an attachment: "family: what it is" -> the file, and what becomes of it."""

from __future__ import annotations

from typing import NamedTuple

import test_sanitize_archive
import test_sanitize_html
import test_sanitize_image
import test_sanitize_mail
import test_sanitize_office
import test_sanitize_ole
import test_sanitize_pdf
import test_sanitize_rtf
import test_sanitize_text
from detectors import archive, html, image, mail, office, ole, pdf, rtf, text


class Threat(NamedTuple):
    """An attachment; held: nothing of it is delivered."""

    content: bytes
    name: str
    held: bool = False


PAGE = b"<html><body><p>before</p>%s<p>after</p></body></html>"
HELD = {"mail: Outlook message with a program", "drawing: comment", "html: NUL in a name"}
FAMILIES = {
    "office": {name: (made[0], "a.bin") for name, made in test_sanitize_office.THREATS.items()},
    "ole": {name: (made[0], "a.bin") for name, made in test_sanitize_ole.THREATS.items()},
    "rtf": {name: (test_sanitize_rtf.document(made[0]), "a.rtf") for name, made in test_sanitize_rtf.THREATS.items()},
    "pdf": {name: (test_sanitize_pdf.new(made[0]), "a.pdf") for name, made in test_sanitize_pdf.THREATS.items()},
    "html": {name: (PAGE % made, "a.html") for name, made in test_sanitize_html._THREATS.items()},
    "drawing": {name: (made[0], "a.svg") for name, made in test_sanitize_image.THREATS.items()},
    "picture": {name: (made, "a.bin") for name, made in test_sanitize_image.TAILS.items()},
    "metadata": {name: (made, "a.bin") for name, made in test_sanitize_image.METADATA.items()},
    "archive": {name: (made, "a.bin") for name, made in test_sanitize_archive.THREATS.items()},
    "mail": test_sanitize_mail.THREATS,
    "text": {name: (made, "a.csv") for name, made in test_sanitize_text.THREATS.items()},
}
THREATS = {
    f"{family}: {name}": Threat(*made, f"{family}: {name}" in HELD or name in test_sanitize_archive.AMBIGUOUS)
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
