"""Every threat: other people's programs see it in the attachment and not in what is delivered; its mail comes back.

LibreOffice looks at all documents in one go, and Chromium is started once.
"""

from __future__ import annotations

import functools
import shutil
import subprocess

import pdf_threats
import pytest
from detectors import libreoffice
from detectors.chromium import CHROMIUM, Watcher
from detectors.libreoffice import Flat
from mails import TEXT, attachment, mixed
from threats import DETECTORS, FAMILIES, THREATS
from verbs import output, parts, release, rules, site

from mailguard.formats.detect import detect
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import parse as policy

RULE = '[[rule]]\ntype = ["application/*", "text/*", "image/*", "message/*", "multipart/*"]\naction = "disarm"\n'
RULE_WITHOUT_METADATA = RULE + 'remove = ["metadata"]\n'
DISARM, BARE = policy(RULE, "test"), policy(RULE_WITHOUT_METADATA, "test")
GROUPS = {
    "office": "libreoffice",
    "ole": "libreoffice",
    "rtf": "libreoffice",
    "html": "chromium",
    "drawing": "chromium",
}
LEGACY = {"Word": "doc", "Excel": "xls", "PowerPoint": "ppt"}
ENDLESS = {"rtf: unclosed"}  # everything behind belongs to the object
SHOWN = {"office": ["text that stays"], "ole": ["text that stays"], "rtf": ["before", "after"]}


def _grouped(names):
    """The threats as parameters: what needs the same program runs on the same worker."""
    groups = {name: GROUPS.get(name.partition(":")[0]) for name in names}
    marks = {group: [pytest.mark.xdist_group(f"evidence {group}")] if group else [] for group in groups.values()}
    return [pytest.param(name, marks=marks[group]) for name, group in groups.items()]


@functools.cache
def delivered(name):
    """(mail, result of sanitize, extension of what is delivered, its content)."""
    threat = THREATS[name]
    label = b"text/html" if threat.name.endswith("html") else b"application/octet-stream"
    raw = mixed(TEXT, attachment(threat.content, threat.name.encode(), label))
    chosen = BARE if name.startswith("metadata") else DISARM
    result = sanitize(raw, rules(), lambda: chosen, site(), Sandbox)
    kind, given, content = parts(output(result))[1]
    assert detect(Content.of(content), [given] if given else [], kind).dangerous == ()
    return raw, result, given.rpartition(".")[2], content


@pytest.fixture(scope="session")
def flat():
    """What LibreOffice reads: ("before" or "after", threat) -> flat OpenDocument."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    files = {}
    for name, threat in THREATS.items():
        family, _, what = name.partition(": ")
        if family in SHOWN and not what.startswith("PowerPoint"):
            _, _, extension, content = delivered(name)
            files["after", name] = (content, extension)
            if any(isinstance(one, Flat) for one in DETECTORS[name]):
                files["before", name] = (threat.content, LEGACY.get(what.partition(" ")[0], extension))
    return libreoffice.converted(files)


@pytest.fixture(scope="session")
def watcher():
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed")
    with Watcher() as started:
        yield started


def test_every_threat_has_an_independent_detector():
    assert DETECTORS.keys() == THREATS.keys()
    assert all(DETECTORS.values())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", _grouped(THREATS))
def test_the_threat_is_seen_before_and_not_after_and_the_mail_comes_back(name, request):
    threat = THREATS[name]
    raw, result, extension, content = delivered(name)
    assert [record["action"] for record in result.attachments] == ["held" if threat.held else "disarmed"]
    for detector in DETECTORS[name]:
        if detector is CHROMIUM:
            look = request.getfixturevalue("watcher").look
            before, _ = look(threat.content, threat.name.rpartition(".")[2])
            after, _ = look(content, extension)
        elif isinstance(detector, Flat):
            seen = request.getfixturevalue("flat")
            before, after = (detector(seen[when, name]) for when in ("before", "after"))
        else:
            before, after = detector(threat.content), not threat.held and detector(content)
        assert before
        assert not after
    assert release(output(result)) == raw


@pytest.mark.parametrize("name", _grouped(name for name in THREATS if name.partition(":")[0] in SHOWN))
def test_libreoffice_opens_what_is_delivered_and_shows_its_text(name, flat):
    if name.startswith("ole: PowerPoint"):
        return  # these have no slides; those of test_powerpoint.py have
    shown = libreoffice.text(flat["after", name])
    wanted = SHOWN[name.partition(":")[0]]
    assert [word for word in wanted if word in shown] == (wanted if name not in ENDLESS else wanted[:1])


@pytest.mark.parametrize(
    "name", _grouped(name for name, one in THREATS.items() if name.startswith("html") and not one.held)
)
def test_a_browser_shows_the_text_of_a_page(name, watcher):
    _, shown = watcher.look(THREATS[name].content)
    found, still = watcher.look(delivered(name)[3])
    assert found == []
    gone = [word for word in ("before", "after") if word in shown and word not in still]
    assert gone == (["after"] if name == "html: hidden glyph" else [])  # its comment has no end for other readers


@functools.cache
def _drawn(content):
    """(pixels of every page, text) by Poppler."""
    run = functools.partial(subprocess.run, input=content, check=True, capture_output=True, timeout=60)
    return run(["pdftoppm", "-r", "50", "-"]).stdout, run(["pdftotext", "-", "-"]).stdout


@pytest.mark.parametrize("name", [name for name in THREATS if name.startswith("pdf")])
def test_poppler_draws_the_same_pages(name):
    if shutil.which("pdftoppm") is None:
        pytest.skip("Poppler is not installed")
    pixels, text = _drawn(delivered(name)[3])
    assert pixels.startswith(b"P6\n")
    assert text.count(b"Hello text") == 2
    # A link that leads nowhere now keeps its frame; what plays or holds a file goes with its frame.
    assert (pixels, text) in {_drawn(THREATS[name].content), _drawn(pdf_threats.ordinary())}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_installed_program_gives_back_a_mail_with_every_threat_of_a_family(family, mailguard, tmp_path):
    threats = [threat for name, threat in THREATS.items() if name.startswith(f"{family}: ")]
    raw = mixed(TEXT, *(attachment(one.content, one.name.encode(), b"application/octet-stream") for one in threats))
    policy_file = tmp_path / "rules.toml"
    policy_file.write_text(RULE_WITHOUT_METADATA if family == "metadata" else RULE)
    made = mailguard("sanitize", "--log", "none", "--rules", policy_file, input=raw)
    assert (made.returncode, made.stderr) == (0, b"")
    kept = [data for _, _, data in parts(made.stdout)]
    assert [one.name for one in threats if one.content in kept] == []
    back = mailguard("release", input=made.stdout)
    assert (back.returncode, back.stderr) == (0, b"")
    assert back.stdout == raw
