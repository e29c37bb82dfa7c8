"""Presentations of PowerPoint 97 as LibreOffice writes them: threats go, the slides stay, the mail comes back."""

from __future__ import annotations

import shutil

import pytest
from detectors import libreoffice
from detectors.libreoffice import Flat
from detectors.ole import actions, records, strings
from detectors.oletools_peers import macros
from documents import ole
from mails import TEXT, attachment, mixed
from powerpoint import PROGRAM, atom, container, edited, page, written
from verbs import output, parts, release, rules, site

from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options
from mailguard.formats.ole import disarm as legacy
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load

pytestmark = pytest.mark.xdist_group("powerpoint")

MACRO = container(0x0FF2, atom(0x0FF3, bytes(8) + b"\1" + bytes(7)), atom(0x0FBA, "Run".encode("utf-16-le"), 2))
OBJECT = container(0x0409, container(0x0FCC, atom(0x0FC3, bytes(24), 1)))
CONTROL = container(0x0409, container(0x0FEE, atom(0x0FC3, bytes(24), 1)))
FILM = container(0x0409, container(0x1005, atom(0x0FBA, r"\\evil.example\x.avi".encode("utf-16-le"))))
PACKAGE = ole({"\x01Ole10Native": b"evil.exe"}, mini=True)
THREATS = {
    # what: (how it is made of the ordinary one, or a page, codes, detectors)
    "program on click": (page(event=PROGRAM), {"launch", "macro"}, (actions, Flat("//presentation:event-listener[@presentation:action='execute']"))),
    "link to a program": (page("ms-msdt:x"), {"hyperlink"}, (strings("ms-msdt"), Flat("//text:a[starts-with(@xlink:href, 'ms-msdt')]"))),
    "link to a share": (page("file://evil.example/x"), {"hyperlink"}, (strings("evil"), Flat("//text:a[contains(@xlink:href, 'evil')]"))),
    "macros": (lambda made: edited(made, macros=True), {"embedded-object", "macro"}, (macros,)),
    "macro on click": (lambda made: edited(made, MACRO), {"macro"}, (actions, strings("^Run$"))),
    "object": (lambda made: edited(made, OBJECT, storage=PACKAGE), {"embedded-object"}, (records(0x0FCC, 0x1011),)),
    "control": (lambda made: edited(made, CONTROL, storage=PACKAGE), {"activex", "embedded-object"}, (records(0x0FEE, 0x1011),)),
    "film on a share": (lambda made: edited(made, FILM), {"external-relationship"}, (strings("evil"),)),
}  # fmt: skip


@pytest.fixture(scope="module")
def presentations():
    """The ordinary one and each threat, by name; as files."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    pages = {name: made for name, (made, _, _) in THREATS.items() if isinstance(made, bytes)}
    made = written({"ordinary": page(), **pages})
    assert made.keys() == {"ordinary", *pages}
    return made | {name: change(made["ordinary"]) for name, (change, _, _) in THREATS.items() if callable(change)}


@pytest.fixture(scope="module")
def flat(presentations):
    """What LibreOffice reads of each, before and after."""
    files = {("before", name): (data, "ppt") for name, data in presentations.items()}
    after = {("after", name): (legacy.disarm(data, "", Options()).data, "ppt") for name, data in presentations.items()}
    return libreoffice.converted(files | after)


def test_an_ordinary_presentation_comes_back_as_the_same_bytes(presentations):
    result = legacy.disarm(presentations["ordinary"], "", Options())
    assert (result.removed, result.data is presentations["ordinary"], result.extension) == ((), True, "ppt")


@pytest.mark.parametrize("name", THREATS)
def test_a_threat_is_seen_before_and_not_after_and_the_mail_comes_back(name, presentations, flat):
    _, codes, detectors = THREATS[name]
    raw = mixed(TEXT, attachment(presentations[name], b"a.ppt", b"application/vnd.ms-powerpoint"))
    result = sanitize(raw, rules(), lambda: load(None), site(), Sandbox)
    kind, given, content = parts(output(result))[1]
    assert [(one["action"], set(one["removed"])) for one in result.attachments] == [("disarmed", codes)]
    assert detect(Content.of(content), [given], kind).dangerous == ()
    for detector in detectors:
        before, after = (flat["before", name], flat["after", name]) if isinstance(detector, Flat) else (presentations[name], content)  # fmt: skip
        assert detector(before)
        assert not detector(after)
    assert release(output(result)) == raw
    assert legacy.disarm(content, "", Options()).data is content


@pytest.mark.parametrize("name", THREATS)
def test_libreoffice_opens_the_presentation_and_shows_its_text(name, flat):
    for when in ("before", "after"):
        assert libreoffice.text(flat[when, name]).startswith("text that stays shown box")
