"""Mails, web archives and winmail.dat as files, with something that acts and without."""

import base64
import email.policy
from email.message import EmailMessage

import documents
from outlook_items import FROM, SENT, file, item, packed_rtf, streams
from specimens import Specimen

_PAGE = "<html><body><p>見積書をお送りします。%s</p></body></html>"
# What Outlook writes into each page, for drawings.
_DRAWINGS = "<style>v\\:* {behavior:url(#default#VML);}</style>"
_WEB = (
    b"From: <Saved by Blink>\r\nSnapshot-Content-Location: https://example.com/\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/related; type="text/html"; boundary="b"\r\n\r\n--b\r\n'
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Location: https://example.com/\r\n\r\n%b\r\n--b\r\nContent-Type: %b\r\n"
    b"Content-Transfer-Encoding: base64\r\nContent-Location: https://example.com/a\r\n\r\n%b\r\n--b--\r\n"
)


def _mail(page="", name="", data=b"", related=False):
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "見積書"
    message["Date"] = "Tue, 24 Nov 2026 09:00:00 +0000"
    if related:
        message.set_content(_PAGE % page, subtype="html")
        message.add_related(documents.png(), "image", "png", cid="<1@a>", filename="image001.png")
    else:
        message.set_content("見積書をお送りします。\n")
        message.add_alternative(_PAGE % page, subtype="html")
    if name:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    for number, part in enumerate(message.walk()):
        if part.is_multipart():
            part.set_boundary(f"boundary{number}")
    return message.as_bytes()


def _web(page="", kind=b"text/css", data=b"p { color: red }"):
    return _WEB % (base64.encodebytes((_PAGE % page).encode()), kind, base64.encodebytes(data))


def _item(values=None, **more):
    given = {**FROM, **SENT, 0x0037001F: "見積書", 0x1000001F: "見積書をお送りします。", **(values or {})}
    return item(given, **more)


def _attached_item(**attached):
    inner = streams({**FROM, 0x0037001F: "見積書"}, attached=(file(**attached),), head=24)
    return _item(attached=({0x37050003: 5, 0x3701000D: inner},))


def acts():
    """Files of which a mail program, Word or a browser starts something."""
    script = "<script>evil()</script>"
    rtf = documents.rtf(documents.RTF_OBJECT).replace(b"\\ansi", b"\\ansi\\fromhtml1")
    return {name: Specimen(content, name) for name, content in {
        "program.eml": _mail(name="見積書.exe", data=documents.EXE),
        "program in a mail.eml": _mail(name="a.eml", data=_mail(name="a.exe", data=documents.EXE)),
        "script.eml": _mail(script),
        "script in the page of pictures.eml": _mail(script, related=True),
        "two boundaries.eml": _mail().replace(b'boundary="boundary0"', b'boundary="boundary0"; boundary="x"'),
        "program.msg": _item(attached=(file("見積書.exe", documents.EXE),)),
        "macros.msg": _item(attached=(file("見積書.docm", documents.docm()),)),
        "program in an item.msg": _attached_item(name="a.exe", data=documents.EXE),
        "script.msg": _item({0x10130102: (_PAGE % script).encode()}),
        "object in the other text.msg": _item({0x10130102: _PAGE.encode(), 0x10090102: packed_rtf(rtf)}),
        "DDE in the text.msg": _item({0x10090102: packed_rtf(documents.rtf(documents.RTF_DDE))}),
        "file on a server.msg": _item(attached=({0x37050003: 2, 0x370D001F: "\\\\evil.example\\a\\b.docx"},)),
        "script.mht": _web(script),
        "handler in another page.mht": _web("", b"text/html", b"<img src=x onerror=evil()>"),
        "style of a browser.mht": _web("", b"text/css", b"p { behavior: url(evil.htc) }"),
        "macros of Word.mht": _web("", b"application/x-mso", b"ActiveMime\0\0\1\xf0" + bytes(50)),
        "program.mht": _web("", b"application/octet-stream", documents.EXE),
        "program.dat": documents.tnef("見積書.exe", documents.EXE),
        "object in the text.dat": documents.tnef("a.txt", b"x", rtf=packed_rtf(documents.rtf(documents.RTF_OBJECT))),
        "program by its long name.dat": documents.tnef("a.txt", b"text", "a.exe"),
    }.items()}  # fmt: skip


def ordinary():
    """Files as mail programs and browsers write them."""
    return {name: Specimen(content, name) for name, content in {
        "text.eml": _mail(),
        "attachment.eml": _mail(name="見積書.png", data=documents.png()),
        "pictures.eml": _mail('<img src="cid:1@a">', related=True),
        "mail in a mail.eml": _mail(name="a.eml", data=_mail()),
        "page of Outlook.eml": _mail(_DRAWINGS),
        "text.msg": _item(),
        "attachment.msg": _item(attached=(file("見積書.pdf", documents.pdf()),)),
        "item in an item.msg": _attached_item(name="見積書.pdf", data=documents.pdf()),
        "page.msg": _item({0x10130102: (_PAGE % "").encode()}),
        "rich text.msg": _item({0x10090102: packed_rtf(documents.rtf())}),
        "page.mht": _web(),
        "picture.mht": _web("", b"image/png", documents.png()),
        "text.dat": documents.tnef("a.txt", b"text", rtf=packed_rtf(documents.rtf())),
        "attachment.dat": documents.tnef("見積書.pdf", documents.pdf(), "見積書.pdf"),
    }.items()}  # fmt: skip


_ITEM = "only Outlook knows all that its format may hold: an item is delivered as a message"
CHANGED = {
    "page of Outlook.eml": "a behavior of Internet Explorer is tidied up, though it only draws",
    **dict.fromkeys(("attachment.dat", "text.dat"), "only Outlook reads it: it is delivered as a ZIP"),
    **{name: _ITEM for name in ordinary() if name.endswith(".msg")},
}
