"""One judge: what acts is seen by quarantine's look and changed by sanitize, and what is ordinary is touched by neither."""

from __future__ import annotations

import pytest
from mails import TEXT, attachment, mixed
from specimens import exceptions, specimens
from verbs import output, parts, rules, site

from mailguard.formats.detect import detect
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import parse as policy

ACTS, ORDINARY = specimens("acts"), specimens("ordinary")
OUTSIDE, CHANGED = exceptions("OUTSIDE"), exceptions("CHANGED")
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
