"""Drawings: what acts in them is gone, what they show stays."""

from __future__ import annotations

import base64

import pytest
from drawings import ORDINARY, THREATS, drawing
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import BARE, MARK, encoded

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import Options, Refused
from mailguard.formats.svg.disarm import disarm
from mailguard.message.content import Content


def refusal(data, mime="image/png", options=None):
    with pytest.raises(Refused) as caught:
        disarm(data, mime, options or Options())
    assert caught.value.code in codes.REFUSALS
    return caught.value.code


def test_an_ordinary_drawing_comes_back_as_it_came():
    result = disarm(ORDINARY, "", Options())
    assert result.data is ORDINARY
    assert result.removed == ()


def test_a_link_in_a_drawing_goes_where_links_go():
    result = disarm(ORDINARY, "", Options(BARE))
    assert result.removed == ("hyperlink",)
    assert b"example.com" not in result.data
    assert b"Text" in result.data


@pytest.mark.parametrize("name", sorted(set(THREATS) - {"comment"}))
def test_what_acts_in_a_drawing_is_gone(name):
    data, code = THREATS[name]
    result = disarm(data, "", Options())
    assert code in result.removed
    assert set(result.removed) <= set(codes.REMOVED)
    assert not any(word in result.data for word in (b"evil", b"alert", b"script", b"onload", b"event="))
    assert disarm(result.data, "", Options()).removed == ()
    assert detect(Content.of(result.data), ["a.svg"], "image/svg+xml").dangerous == ()


def test_a_picture_in_a_drawing_is_disarmed_too():
    carried = base64.b64encode(encoded("PNG") + MARK).decode()
    data = drawing(f'<image xlink:href="data:image/png;base64,{carried}"/>')
    result = disarm(data, "", Options())
    assert result.removed == ("trailing-data",)
    assert base64.b64encode(MARK)[4:16] not in result.data
    assert disarm(result.data, "", Options()).data is result.data


def test_copies_of_copies_are_gone():
    inner = '<g id="a0"><path d="M0 0"/></g>' + "".join(
        f'<g id="a{n}"><use href="#a{n - 1}"/><use href="#a{n - 1}"/></g>' for n in range(1, 30)
    )
    result = disarm(drawing(inner), "", Options())
    assert result.removed == ("unknown-part",)
    assert result.data.count(b"<use") == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'<!DOCTYPE svg [<!ENTITY a "x">]>' + drawing("&a;"), "not-understood"),
        (b"<html/>", "not-understood"),
        (b"<svg", "damaged"),
        (drawing("<g>" * 5_000 + "</g>" * 5_000), "damaged"),
        (drawing("<g/>" * 200_000), "over-limit"),
        (bytes(11 << 20), "over-limit"),
    ],
    ids=["entities", "other", "broken", "deep", "many", "large"],
)
def test_drawings_that_are_odd_are_refused(data, code):
    assert refusal(data, "image/svg+xml") == code


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([ORDINARY, *(data for data, _ in THREATS.values())]),
    st.lists(
        st.tuples(
            st.integers(0, 2_000), st.sampled_from([b"<", b">", b'"', b"&#x6a;", b"\0", b"xlink:", b"url(", b"<!--"])
        ),
        max_size=4,
    ),
)
def test_of_a_drawing_nothing_but_a_refusal_escapes(sample, changes):
    data = sample
    for somewhere, new in changes:
        position = somewhere % len(data)
        data = data[:position] + new + data[position:]
    try:
        result = disarm(data, "", Options())
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017
    else:
        assert disarm(result.data, "", Options()).removed == ()
