"""What text is: markup, mail, calendar, shortcut or script, by how it begins."""

from __future__ import annotations

import re

from mailguard.formats.magic import CALENDAR, CMS, HEAD, HTML, LNK, MAIL, MHTML, OFFICE_XML, SCRIPT, SVG, XML

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF_16 = re.compile(rb"(?:[\x01-\x7f]\0){8}|(?:\0[\x01-\x7f]){8}")


def plain(head: bytes) -> bytes | None:
    """Return text as lower-case single bytes, UTF-16 and byte order marks removed; None when it is not text."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or _UTF_16.match(head):
        head = head.replace(b"\0", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    head = head.removeprefix(b"\xef\xbb\xbf")
    return None if b"\0" in head[:1024] else head.lower()


# The elements by which browsers know a page that has no type (WHATWG MIME Sniffing 7.1), and those of mail programs.
_HTML_START = re.compile(
    rb"(?:\s|<!--(?:(?!-->).){0,4096}-->|<\?xml[^>]{0,400}>)*"
    rb"<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|form|img|center)"
    rb"[\s>/]",
    re.DOTALL,
)
_HTML_LATER = re.compile(rb"<(?:!doctype\s+html|html|script|body|iframe|meta\s+http-equiv)[\s>]")
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"begin:v(?:calendar|event)", re.MULTILINE), CALENDAR),
    (re.compile(rb"\[(?:\{000214a0-[0-9a-f-]+\}(?:\.w)?\]|internetshortcut(?:\.w)?\])"), LNK),
    (re.compile(rb"-----begin (?:pkcs7|cms|pkcs #7 signed data)-----"), CMS),
    (re.compile(rb"web\r?\n\d\r?\n"), LNK),
    (re.compile(rb"id;[pnes]"), LNK),
    (re.compile(rb"\[(?:desktop entry|shell|theme|defaultshell)\]\r?\n"), LNK),
    (re.compile(rb"(?:screen mode id|full address|remoteapplicationmode|alternate full address):[is]:"), LNK),
    (re.compile(rb"windows registry editor version|regedit4"), SCRIPT),
    (re.compile(rb"#![ \t]*/|#![ \t]*[a-z]:"), SCRIPT),
    (re.compile(rb"@?echo +off\b|@echo\b|@?setlocal\b|::\s*\[bat", re.MULTILINE), SCRIPT),
)
_XML_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"<hta:application\b"), "application/hta"),
    (re.compile(rb"<svg[\s>]|<[a-z0-9]+:svg\b"), SVG),
    (re.compile(rb"<(?:pcsettings|searchconnectordescription|librarydescription|persistedquery)\b"), LNK),
    (re.compile(rb"<key>url</key>|urn:schemas-microsoft-com:asm\.v2"), LNK),
    (re.compile(rb"<jnlp\b"), "application/java-archive"),
    (re.compile(rb"<(?:job|package|scriptlet|component)\b[^<]{0,400}+(?:<[^<]{0,400}+){0,8}<script\b"), SCRIPT),
    (re.compile(rb"<ms:script\b|<msxsl:script\b|urn:schemas-microsoft-com:xslt"), SCRIPT),
    (re.compile(rb"<appinstaller\b"), "application/x-msi"),
    (
        re.compile(
            rb"<\?mso-|schemas\.microsoft\.com/(?:office/(?:word|2006/xmlpackage)|visio/)|opendocument:xmlns:office"
            rb"|\bxmlns(?::[^\s=]{0,99})?\s*=\s*[\"'][^\"'<>]*&"  # the name of a namespace that is hidden by references
        ),
        OFFICE_XML,
    ),
    (re.compile(rb"schemas-microsoft-com:office:spreadsheet"), OFFICE_XML),
)
# What a script begins with, where no name says so: one of these is enough.
_SCRIPTS = re.compile(
    rb"new-object\s+(?:-typename\s+)?(?:system\.)?net\.|\binvoke-(?:expression|webrequest|command)\b|\biex\s*[($]"
    rb"|-enc(?:odedcommand)?\s+[a-z0-9+/=]{40}|\[(?:system\.)?convert\]::frombase64string"
    rb"|\[(?:system\.)?reflection\.assembly\]::|set-executionpolicy|add-mppreference"
    rb"|new\s+activexobject\s*\(|\bwscript\.(?:createobject|shell|echo|arguments|scriptfullname)\b"
    rb"|createobject\s*\(\s*[\"'](?:wscript|shell|scripting|msxml2|microsoft\.xmlhttp|adodb)"
    rb"|^[ \t]{0,40}on error resume next\b|^#@~\^[a-z0-9+/]{6}==",
    re.MULTILINE,
)
_PYTHON = re.compile(
    rb"(?:import|from)\s+(?:os|sys|subprocess|socket|base64|ctypes|urllib)\b[ \t\w.,]{0,99}\r?$", re.MULTILINE
)
_FIELD = re.compile(rb"(?:[a-z][a-z0-9-]{1,40}:[ \t][^\r\n]{0,998}\r?\n(?:[ \t][^\r\n]{0,998}\r?\n){0,99}){3}")
_RELATED = re.compile(rb"^content-type:\s*multipart/related", re.MULTILINE)
_SENT = re.compile(rb"^(?:to|cc|received|return-path|message-id|delivered-to):", re.MULTILINE)  # no browser writes them
_MAIL = re.compile(rb"^(?:from|received|return-path|message-id|mime-version|delivered-to|date):", re.MULTILINE)


def text_types(head: bytes) -> Iterator[str]:
    """Yield what text is: markup, calendar, shortcut, script, mail."""
    text = plain(head)
    if text is None:
        return
    start = text.lstrip()[:4096]
    for pattern, mime in _TEXTS:
        if pattern.match(start):
            yield mime
    if _is_mail(text):
        yield MHTML if _RELATED.search(text, 0, HEAD) and not _SENT.search(text, 0, HEAD) else MAIL
        return
    if b"<" in start:
        yield from _markup(text, start)
    if _SCRIPTS.search(text) or _PYTHON.match(start):
        yield SCRIPT


def _markup(text: bytes, start: bytes) -> Iterator[str]:
    found = [mime for pattern, mime in _XML_TEXTS if pattern.search(text, 0, 16_384)]
    if _HTML_START.match(start):  # a page with a drawing in it is a page first
        yield from (HTML, SVG) if found == [SVG] else (*found, HTML)
    elif found:
        yield from found
    elif start.startswith(b"<?xml"):
        yield XML
    elif _HTML_LATER.search(text, 0, 4096):
        yield HTML


def _is_mail(text: bytes) -> bool:
    text = re.sub(rb"\Afrom [^\r\n]{0,998}\r?\n", b"", text[:16_384])
    return bool(_FIELD.match(text) and _MAIL.search(text, 0, 4096))
