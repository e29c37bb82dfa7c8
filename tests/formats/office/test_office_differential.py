"""Mutations of documents: look and disarm never disagree about danger, and LibreOffice sees nothing act that looks harmless.

A long run by hand: MUTATIONS=20000 tests/run tests/formats/office/test_office_differential.py --timeout 0
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import zipfile

import pytest
from detectors import libreoffice
from lxml import etree
from specimens import specimens

from mailguard.formats.codes import danger
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import FEATURES, Disarmed, Options, Refused
from mailguard.formats.office import disarm as office
from mailguard.message.content import Content

COUNT = int(os.environ.get("MUTATIONS", "1500"))
OPENED = max(COUNT // 40, 30)
KIND = re.compile(r"application/vnd\.(?:openxmlformats-officedocument|ms-(?:word|excel|powerpoint)).*")
SPECIMENS = {
    name: one.content
    for (family, name), one in {**specimens("acts"), **specimens("ordinary")}.items()
    if family == "office" and len(one.content) < 100_000
}


def _parts(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return [(info.filename, file.read(info)) for info in file.infolist()]


def _packed(parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts:
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            file.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _flipped(luck, data):
    data = bytearray(data or b"x")
    data[luck.randrange(len(data))] = luck.choice(b"<>&\"'/: ax0\0\xff")
    return bytes(data)


def _cut(luck, data):
    start = luck.randrange(len(data) or 1)
    return data[:start] + data[start + luck.randint(1, 60) :]


def _doubled(luck, data):
    """Write an element or attribute twice, as a careless writer does."""
    places = [match.span() for match in re.finditer(rb"<[^<>]+>|[\w:]+=[\"'][^\"'<>]*[\"']", data)] or [(0, 0)]
    start, end = luck.choice(places)
    return data[:end] + luck.choice((b"", b" ")) + data[start:end] + data[end:]


def _referred(luck, data):
    """Write a character in a value or a text as a reference."""
    places = [match.start(1) for match in re.finditer(rb"(?<=[>\"'])[^<>&\"']*?([A-Za-z:|/])", data)]
    if not places:
        return data
    at = luck.choice(places)
    return data[:at] + luck.choice((b"&#%d;", b"&#x%x;")) % data[at] + data[at + 1 :]


def _prefixed(luck, data):
    """Give a namespace another prefix, or take it for the default."""
    prefixes = re.findall(rb"xmlns:([\w-]+)=", data)
    if not prefixes:
        return data
    old = luck.choice(prefixes)
    new = luck.choice((b"e-x", "é".encode(), b"_", b"w" * 50))
    return re.sub(rb"(?<![\w-])%s(?=[:=])" % re.escape(old), new, data)


def _encoded(luck, data):
    text = re.sub(r"<\?xml[^>]*\?>\s*", "", data.decode("utf-8", "replace"))
    encoding = luck.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-7", "utf-32"))
    declared = luck.choice((f"<?xml version='1.0' encoding='{encoding}'?>", "", "<?xml version='1.0'?>"))
    return (declared + text).encode(encoding)


def _commented(luck, data):
    places = [match.end() for match in re.finditer(rb">", data)] or [0]
    at = luck.choice(places)
    extra = luck.choice((b"<!-- x -->", b"<?x y?>", b"<![CDATA[x]]>", b"<!DOCTYPE x>", b"<x/>", b"\0"))
    return data[:at] + extra + data[at:]


CHANGES = (_flipped, _cut, _doubled, _referred, _referred, _prefixed, _encoded, _commented)


def mutated(luck, content):
    """Change parts, their names, their order or the package."""
    if not content.startswith(b"PK"):
        return luck.choice(CHANGES)(luck, content)
    parts = _parts(content)
    at = luck.randrange(len(parts))
    name, data = parts[at]
    kind = luck.random()
    if kind < 0.75:
        parts[at] = (name, luck.choice(CHANGES)(luck, data))
    elif kind < 0.8:
        del parts[at]
    elif kind < 0.85:
        parts.append(luck.choice(_parts(luck.choice([one for one in SPECIMENS.values() if one.startswith(b"PK")]))))
    elif kind < 0.9:
        parts[at] = (luck.choice((name.upper(), f"/{name}", name.replace("/", "\\"), f"x/{name}", f"{name}.bin")), data)
    elif kind < 0.95:
        luck.shuffle(parts)
    else:
        return _packed(parts) + luck.choice((b"x", b"\r\n", luck.choice(list(SPECIMENS.values()))))
    return _packed(parts) if parts else content


def mutations(luck):
    names = sorted(SPECIMENS)
    for _ in range(COUNT):
        name = luck.choice(names)
        content = SPECIMENS[name]
        for _ in range(luck.randint(1, 3)):
            try:
                content = mutated(luck, content)
            except (zipfile.BadZipFile, ValueError, NotImplementedError, UserWarning):
                break
        yield name, content


def _left(content, _mime, _options):
    return Disarmed(content, "text/plain", "txt")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_look_and_disarm_never_disagree_about_danger():
    seen = {"harmless": 0, "dangerous": 0}
    for name, content in mutations(random.Random(7)):
        found = detect(Content.of(content), ["a.bin"], "")
        if not KIND.fullmatch(found.type):
            continue
        options = Options(frozenset(FEATURES) - {"embedded_files"})
        try:
            result = office.disarm(content, found.type, options)
            codes = result.removed
            changed = result.data is not content
        except Refused as refused:
            codes, changed = (refused.code,), True
        seen["dangerous" if found.dangerous else "harmless"] += 1
        if found.dangerous:
            assert changed, (name, found.dangerous, content.hex())
        else:
            assert not [code for code in codes if danger(code)], (name, codes, content.hex())
    assert min(seen.values()) > COUNT // 100


def acting(flat):
    """What would act in what LibreOffice read."""
    tree = etree.fromstring(flat, etree.XMLParser(huge_tree=True))
    named = "|".join(
        f"//*[local-name()='{name}']"
        for name in (
            "event-listener",
            "dde-source",
            "dde-connection-decl",
            "dde-link",
            "object-ole",
            "module",
        )
    )
    found = [etree.tostring(one)[:200] for one in tree.xpath(named) if len(one) or one.text or one.attrib]
    values = tree.xpath("//@*[local-name()='value' or local-name()='formula' or local-name()='href']")
    return found + [value for value in values if re.search(r"DDE(?:AUTO)?\b|vnd\.sun\.star\.script", value)]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_sees_nothing_act_in_what_looks_harmless():
    files = {}
    for name, content in mutations(random.Random(11)):
        found = detect(Content.of(content), ["a.bin"], "")
        if found.dangerous or len(files) >= OPENED:
            continue
        extension = found.extension if found.extension in {"docx", "xlsx", "pptx", "odt", "ods"} else "docx"
        files[f"{len(files)} {name}"] = (content, extension)
    flat = libreoffice.converted(files)
    assert len(flat) > OPENED // 5
    for name, data in flat.items():
        assert not acting(data), (name, acting(data), files[name][0].hex())


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_sees_macros_and_fields_act():
    wanted = {
        "DDE over runs": "docx", "main part by default type": "docx", "macro without mimetype": "odt",
        "event listener under another prefix": "odt",
    }  # fmt: skip
    flat = libreoffice.converted({name: (SPECIMENS[name], extension) for name, extension in wanted.items()})
    assert [name for name in wanted if name in flat and acting(flat[name])] >= [
        "DDE over runs",
        "main part by default type",
    ]
