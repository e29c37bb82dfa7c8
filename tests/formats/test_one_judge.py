"""One judge: what acts is seen by quarantine's look and changed by sanitize, and what is ordinary is touched by neither."""

from __future__ import annotations

import os
import random

import pytest
from mails import TEXT, attachment, mixed
from specimens import FAMILIES, exceptions, mutated, specimens
from verbs import output, parts, rules, site

from mailguard.formats import codes
from mailguard.formats.confined import dismiss
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Disarmed, Options, Refused
from mailguard.formats.families import module
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import parse as policy

ACTS, ORDINARY = specimens("acts"), specimens("ordinary")
OUTSIDE, CHANGED = exceptions("OUTSIDE"), exceptions("CHANGED")
# A long run by hand: MAILGUARD_MUTATIONS=10000 tests/run tests/formats/test_one_judge.py -k mutation --timeout 0
COUNT = int(os.environ.get("MAILGUARD_MUTATIONS", "60"))
HARMLESS = {
    "application/pdf": {"damaged"},  # one that names nothing dangerous is harmless however readers repair it
    "image/": {
        "damaged",
        "not-understood",
        "over-limit",
    },  # no program starts anything in a picture that it cannot show
    "text/xml": {"damaged"},  # a browser shows an error
    "application/xml": {"damaged"},
}
"""What disarm refuses although nothing in it acts: type -> codes."""
DISARM = policy(
    '[[rule]]\ntype = ["application/*", "text/*", "image/*", "message/*", "multipart/*"]\naction = "disarm"\n', "test"
)


def each(table):
    return pytest.mark.parametrize("name", [pytest.param(name, id=": ".join(name)) for name in table])


def dangers(one):
    return detect(Content.of(one.content), [one.file_name], one.declared).dangerous


def delivered(one):
    """The content that sanitize delivers in place of the file; None where it is held."""
    raw = mixed(TEXT, attachment(one.content, one.file_name.encode(), one.declared.encode()))
    found = sanitize(raw, rules(), lambda: DISARM, site(), Sandbox)
    return next((data for _, name, data in parts(output(found))[1:2] if name.partition(".")[0]), None)


@each(ACTS)
def test_what_acts_is_dangerous(name):
    assert bool(dangers(ACTS[name])) != (name in OUTSIDE), OUTSIDE.get(name)


@each(ACTS)
def test_what_acts_is_not_delivered_as_it_is(name):
    assert delivered(ACTS[name]) != ACTS[name].content


@each(ORDINARY)
def test_what_is_ordinary_is_not_dangerous(name):
    assert dangers(ORDINARY[name]) == ()


@each(ORDINARY)
def test_what_is_ordinary_is_delivered_byte_for_byte(name):
    assert (delivered(ORDINARY[name]) == ORDINARY[name].content) != (name in CHANGED), CHANGED.get(name)


def test_exceptions_have_a_specimen_and_a_reason():
    assert OUTSIDE.keys() <= ACTS.keys()
    assert CHANGED.keys() <= ORDINARY.keys()
    assert all({**OUTSIDE, **CHANGED}.values())


def _member(content, names, options):
    found = detect(Content.of(content), names, "")
    if found.dangerous:
        return Disarmed(b"held", "text/plain", "txt", ("member-held",))
    return Disarmed(content, found.type, found.extension)


def _acting(content, mime, name):
    """The codes of what disarm takes out, or refuses, because it is dangerous."""
    try:
        found = set(module(mime)(content, mime, Options(names=(name,), member=_member)).removed)
    except Refused as refused:
        found = {refused.code}
    found -= next((harmless for start, harmless in HARMLESS.items() if mime.startswith(start)), set())
    return {code for code in found if code == "member-held" or codes.danger(code)}


@pytest.mark.parametrize("family", FAMILIES)
def test_mutations_never_make_look_and_disarm_disagree(family):
    luck = random.Random(family)
    seeds = [one for kind in (ACTS, ORDINARY) for (name, _), one in kind.items() if name == family and one.content]
    for _ in range(COUNT if seeds else 0):
        one = luck.choice(seeds)
        content = mutated(luck, one.content, luck.choice(seeds).content)
        found = detect(Content.of(content), [one.file_name], one.declared)
        assert found.dangerous or not _acting(content, found.type, one.file_name), (one.file_name, content.hex())
    dismiss()
