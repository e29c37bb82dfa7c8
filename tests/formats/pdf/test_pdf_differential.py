"""No program of the field sees a PDF act that the look calls harmless: qpdf, Poppler; and look and disarm agree."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess

import pytest
from detectors.pdf import files, scripts
from specimens import specimens

from mailguard.formats.codes import danger
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.pdf.disarm import disarm
from mailguard.formats.pdf.names import names
from mailguard.message.content import Content

MUTATIONS = int(os.environ.get("MAILGUARD_MUTATIONS", "40"))
BASES = [one.content for (family, _), one in {**specimens("acts"), **specimens("ordinary")}.items() if family == "pdf"]
PIECES = [
    b"/OpenAction", b"/AA", b"/S", b"/JavaScript", b"/J#53", b"/Filter", b"/FlateDecode", b"/First 4", b"/N 1", b"<<", b">>",
    b"(", b")", b"%\n", b"endobj", b"stream\n", b"/Type/ObjStm", b" 0 R", b"null", b"\0", b"#", b"/F(x)", b"\n",
]  # fmt: skip
ACTING = {"/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/GoToE"}


def mutation(seed):
    choice = random.Random(seed)
    data = bytearray(BASES[seed % len(BASES)])
    for _ in range(choice.randint(0, 3)):
        position = choice.randrange(9, len(data))
        data[position : position + choice.choice([0, 0, 1, 4])] = choice.choice([b"", *PIECES])
    return bytes(data)


def dangers(data):
    return detect(Content.of(data), ["a.pdf"], "application/pdf").dangerous


def agree(data):
    try:
        result = disarm(data, "", Options())
    except Refused:
        return  # held, also where it is seen that nothing in it acts
    assert not dangers(result.data)
    if dangers(data):
        assert result.data is not data
    elif any(map(danger, result.removed)):
        raise AssertionError(result.removed)


@pytest.mark.parametrize("seed", range(MUTATIONS * 2))
def test_look_and_disarm_never_disagree(seed):
    agree(mutation(seed))


def qpdf(data, folder):
    """The kinds of actions in all objects that qpdf finds."""
    path = folder / "a.pdf"
    path.write_bytes(data)
    run = subprocess.run(["qpdf", "--json=2", str(path)], capture_output=True, timeout=60, check=False)
    if run.returncode == 2:
        return set()  # it could not read on
    objects = json.loads(run.stdout.decode("utf-8", "replace"))["qpdf"][1]
    objects["trailer"] = list(objects["trailer"].values())  # nothing acts by being a key there
    found, waiting = set(), list(objects.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found |= {
                value.get("/S"),
                *({"/JavaScript"} if "/JS" in value else ()),
                *({"file"} if "/EF" in value else ()),
            }
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found & (ACTING | {"file"})


DEFECTS = {
    "the data of a table of cross-references elsewhere": (b"/W[1 4 1]", b"/W[1 4 1]/F(x)"),
    "a stream of objects without its end": (b"Flate#44ecode/Length 4", b"Flate#44ecode/Length 1"),
    "a stream of a page that looks like one of objects": (b"/Filter/FlateDecode", b"/Filter/FlateDec/First 4"),
    "a file that is named by no string": (b"/Filter /FlateDecode", b"/F\nlter /FlateDecode"),
    "a script that is no value": (b"/T (field)", b"/T (field) /JS R"),
    "an annotation without type that has a script": (b"/Subtype /Widget", b"/JS /Widget"),
    "the name of a script where none is": (b"/OpenAction 5 0 R", b"/OpenAction/JavaScript"),
    "an element of the structure called like a script": (b"<</S/JavaScript", b"<</Type/StructElem/P 1 0 R/K 0/S/JavaScript"),
    "a font called like a script": (b"/Resources<<", b"/Resources<</Font<</JavaScript 2 0 R>>"),
    "an object of the type of media": (b"/Resources<<", b"/Resources<</X<</Subtype/RichMedia>>"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_look_and_disarm_agree_on_what_mutations_found(name):
    old, new = DEFECTS[name]
    found = [data.replace(old, new) for data in BASES if old in data]
    assert found
    for data in found:
        agree(data)


@pytest.mark.skipif(shutil.which("qpdf") is None, reason="qpdf is not installed")
def test_qpdf_and_poppler_see_nothing_in_what_is_harmless(tmp_path):
    seen = harmless = 0
    for seed in range(MUTATIONS * 2):
        data = mutation(seed)
        if dangers(data):
            seen += bool(qpdf(data, tmp_path)) if seed < len(BASES) else 0
            continue
        harmless += 1
        invoice = {"file"} if b"EmbeddedFile" in data or "/EmbeddedFile" in names(Content.of(data)) else set()
        assert qpdf(data, tmp_path) <= invoice, seed
        try:
            assert scripts(data) == "", seed
            assert invoice or files(data) == [], seed
        except subprocess.CalledProcessError:
            continue
    assert seen
    assert harmless
