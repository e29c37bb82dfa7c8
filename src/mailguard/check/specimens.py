"""The mails of the second level: each is what a mail system should refuse or hold, and none can do any harm.

Every one is made when it is sent, says what it is, and goes to the registered address alone.
"""

from __future__ import annotations

import io

from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from email.message import EmailMessage

    Content = tuple[str, str, bytes]  # name, media type, octets

_TEXT = """\
This is test {number} of {total} of a mail server check: {check}
It went to the mail server {server}.
It was asked for by {address}, whose domain proved that it wants these tests.
It is harmless. If you can read it with its attachment, your mail system let it through.

Then forward it as an attachment to {service}, and the result page will say so.

これはメールサーバー診断の試験メール ({number}/{total}) です。害はありません。
添付ファイルとともに届いていれば、メールシステムが通したということです。
そのときは、このメールを添付ファイルとして {service} に転送すると、結果のページに載ります。

To stop all mail from this service / すべて止めるには: {stop}
"""
_ENDING_TEXT = """\
This is a test of a mail server check: a false end of a message ({name}).
It was asked for by {address}, whose domain proved that it wants these tests.
It is harmless. What the mail server said while it came decided the test, not that it arrived.
To stop all mail from this service: {stop}
"""
_PROGRAM = b"MZ" + b"This is no program, only a test of mail filters.\r\n" * 8
_PASSWORD = b"check"


def _eicar() -> bytes:
    """Return the test file that every virus scanner knows; it is never written down in one piece."""
    return b"X5O!P%@AP[4\\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


def _zipped(name: str, content: bytes) -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)  # without the time: the same octets whenever it is made
    return file.getvalue()


def _encrypted() -> bytes:
    import pyzipper

    file = io.BytesIO()
    with pyzipper.AESZipFile(file, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(_PASSWORD)
        archive.writestr("report.exe", _PROGRAM)
    return file.getvalue()


def _macro() -> bytes:
    """Return a document whose macro project holds no macro."""
    import zipfile

    start = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    office = "application/vnd.ms-"
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    relation = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": f'{start}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{office}word.document.macroEnabled.main+xml"/>'
        f'<Override PartName="/word/vbaProject.bin" ContentType="{office}office.vbaProject"/></Types>',
        "_rels/.rels": f'{start}<Relationships xmlns="{relation}"><Relationship Id="r1" Target="word/document.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>',
        "word/document.xml": f'{start}<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>Test</w:t></w:r></w:p>'
        "</w:body></w:document>",
        "word/_rels/document.xml.rels": f'{start}<Relationships xmlns="{relation}"><Relationship Id="r2" '
        'Target="vbaProject.bin" Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject"/>'
        "</Relationships>",
        "word/vbaProject.bin": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + b"Attribut\0e VB_Name",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _smuggling_page() -> bytes:
    """Return a page that would make a file of text out of itself."""
    return (
        b"<!DOCTYPE html><title>Test</title><script>var part=atob('VGVzdA==');"
        b"var link=document.createElement('a');link.href=URL.createObjectURL(new Blob([part]));"
        b"link.download='test.txt';link.click();</script>"
    )


_DOCM = "application/vnd.ms-word.document.macroEnabled.12"
_EXE = "application/vnd.microsoft.portable-executable"
ATTACHMENTS: dict[str, Callable[[], Content]] = {
    "in.eicar": lambda: ("test.com", "application/octet-stream", _eicar()),
    "in.eicar.zip": lambda: ("test.zip", "application/zip", _zipped("test.com", _eicar())),
    "in.macro": lambda: ("report.docm", _DOCM, _macro()),
    "in.exe": lambda: ("setup.exe", _EXE, _PROGRAM),
    "in.dblext": lambda: ("invoice.pdf.exe", "application/octet-stream", _PROGRAM),
    "in.html-smuggle": lambda: ("invoice.html", "text/html", _smuggling_page()),
    "in.encrypted-zip": lambda: ("report.zip", "application/zip", _encrypted()),
}
"""What is attached, by check."""

SPOOFS = ("in.self", "in.enforce")
"""The checks whose mail has no attachment, but an author who did not write it."""

ENDINGS: dict[str, bytes] = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CRLF.NUL.CRLF": b"\r\n.\0\r\n",
}
"""What must not end a message (RFC 5321 4.1.1.4)."""


def names(*, enforce: bool) -> Sequence[str]:
    """Return the checks in the order in which their mails are sent; enforce: there is a domain of ours to forge."""
    return [check for check in (*SPOOFS, *ATTACHMENTS) if enforce or check != "in.enforce"]


def mail(  # noqa: PLR0913 (a record)
    check: str,
    mark: str,
    *,
    author: str,
    address: str,
    server: str,
    place: tuple[int, int],
    stop: str,
    service: str,
    now: int,
) -> bytes:
    """Return the mail of a check.  Lines end in LF.

    mark: by which it is recognised; author: in From; address: To; server: to which it goes; place: (number, total);
    stop: how to stop all mail; service: our address.
    """
    from email.utils import formatdate

    number, total = place
    text = _TEXT.format(
        number=number,
        total=total,
        check=check,
        address=show(address),
        server=show(server),
        stop=stop,
        service=service,
    )
    message = _message(f"[test {number}/{total}] mail server check: {check}", address, text)
    message["From"] = author
    message["Date"] = formatdate(now)
    message["Auto-Submitted"] = "auto-generated"
    if check in ATTACHMENTS:
        name, media_type, content = ATTACHMENTS[check]()
        main, _, sub = media_type.partition("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return (
        f"Message-ID: <{mark}@{service.rpartition('@')[2]}>\nMailguard-Check: {mark}\n".encode("ascii")
        + message.as_bytes()
    )


def ended(name: str, *, address: str, stop: str, service: str, now: int) -> bytes:
    """Return a mail that ends in one of `ENDINGS`, as it goes over the wire; the true end is still to come."""
    from email.utils import formatdate

    header = (
        f"Message-ID: <{name.lower()}.{now}@{service.rpartition('@')[2]}>\n"
        f"From: {service}\nTo: {address}\nDate: {formatdate(now)}\n"
        f"Subject: [test] mail server check: end of data {name}\nAuto-Submitted: auto-generated\n"
    )
    text = f"{header}\n{_ENDING_TEXT.format(name=name, address=address, stop=stop)}"
    return text.rstrip("\n").replace("\n", "\r\n").encode("ascii") + ENDINGS[name]


def _message(subject: str, address: str, text: str) -> EmailMessage:
    from email.message import EmailMessage
    from email.policy import default

    message = EmailMessage(policy=default.clone(cte_type="7bit"))
    message["To"] = address
    message["Subject"] = subject
    message.set_content(text, cte="base64")
    return message
