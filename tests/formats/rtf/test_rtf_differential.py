"""LibreOffice never reads a field with DDE from a document that the look calls harmless."""

from __future__ import annotations

import os
import random
import shutil

import pytest
from detectors.libreoffice import converted, fields
from specimens import specimens

from mailguard.formats.budget import Quota
from mailguard.formats.codes import danger
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import FEATURES, Options, Refused
from mailguard.formats.rtf.disarm import disarm
from mailguard.formats.rtf.look import look
from mailguard.formats.rtf.reader import Reader
from mailguard.message.content import Content

MUTATIONS = int(os.environ.get("MAILGUARD_MUTATIONS", "60"))
BASES = [one.content for (family, _), one in {**specimens("acts"), **specimens("ordinary")}.items() if family == "rtf"]
WORD = rb"{\rtf1\ansi before {\field{\*\fldinst {%s}}{\fldrslt x}} after\par}"
PIECES = [
    b"{", b"}", b"\\", rb"\*", rb"\bin9 ", rb"\bin0 ", rb"\'7b", rb"\'44", b"\x83", b"\0", rb"\objdata", rb"\u68 ?",
    rb"\fldinst", rb"\field", rb"\uc0 ", rb"\uc2 ", rb"\u-1 ", rb"{\*\evil ", rb"{\upr{", rb"{\*\ud", rb"\deleted ",
]  # fmt: skip


def spelt(letter, choice):
    """One letter of DDEAUTO in a spelling of RTF."""
    code = b"%d" % letter
    return choice.choice(
        [
            bytes((letter,)), bytes((letter,)).lower(), b"\\'%02x" % letter, rb"\u" + code + b"?", rb"\u00" + code + b" X",
            rb"\uc0\u" + code + b" ", rb"\u-%d?" % (65536 - letter), b"{%c}" % letter, b"\r\n%c" % letter,
            rb"{\*\evil x}%c" % letter, rb"\b %c" % letter, rb"\bin0 %c" % letter, rb"{\*\bkmkstart x}%c" % letter,
            rb"\uc3\u" + code + b"XYZ", rb"{\upr{%c}{\*\ud{%c}}}" % (letter, letter),
        ]
    )  # fmt: skip


def mutation(seed):
    """A document with a spelling of DDEAUTO, or a specimen with pieces put in and taken out."""
    choice = random.Random(seed)
    if choice.random() < 0.5:
        return WORD % (b"".join(spelt(letter, choice) for letter in b"DDEAUTO") + b" cmd")
    data = bytearray(choice.choice(BASES))
    for _ in range(choice.randint(1, 4)):
        position = choice.randrange(6, len(data))
        data[position : position + choice.choice([0, 0, 1, 2])] = choice.choice([b"", *PIECES])
    return bytes(data)


def dangers(data):
    return detect(Content.of(data), ["a.rtf"], "application/rtf").dangerous


@pytest.mark.parametrize("seed", range(MUTATIONS * 5))
def test_look_and_disarm_never_disagree(seed):
    data = mutation(seed)
    try:
        result = disarm(data, "", Options())
    except Refused:
        assert dangers(data)
        return
    assert dangers(result.data) == ()
    if dangers(data):
        assert result.data is not data


@pytest.mark.parametrize("seed", range(MUTATIONS * 5))
def test_the_short_way_gives_what_the_reader_gives(seed):
    data = mutation(seed)
    reader = Reader(Options(frozenset(FEATURES)))
    try:
        reader.read(data)
    except Refused:
        return
    assert any(map(danger, reader.removed)) == any(True for _ in look(Content.of(data), (), Quota()))


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_sees_no_dde_in_what_is_harmless():
    harmless = {}
    seen = 0
    for seed in range(MUTATIONS):
        data = mutation(seed)
        if dangers(data):
            seen += 1
        else:
            harmless[str(seed)] = (data, "rtf")
    acting = {str(seed): (mutation(seed), "rtf") for seed in range(8)}
    found = [name for name, flat in converted(harmless).items() if fields("DDE")(flat)]
    assert found == []
    assert seen
    assert any(fields("DDE")(flat) for flat in converted(acting).values())
