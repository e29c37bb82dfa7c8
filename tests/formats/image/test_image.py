"""Images and drawings: what rides on them is gone, what they show stays, and bombs cost little."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib

import pytest
from documents import zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, PngImagePlugin

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Options, Refused
from mailguard.formats.image.disarm import disarm
from mailguard.message.content import Content

BARE = frozenset()
MARK = b"HIDDEN-MARKER-0815"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


def picture(size=(64, 40)):
    red, green = Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (red, green, ImageChops.invert(red)))


def encoded(kind, image=None, **settings):
    output = io.BytesIO()
    (image or picture()).save(output, kind, **settings)
    return output.getvalue()


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def distance(one, other):
    """The largest difference of any channel of any pixel."""
    difference = ImageChops.difference(opened(one).convert("RGB"), opened(other).convert("RGB"))
    return max(high for _, high in difference.getextrema())


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation=6):
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010E] = MARK.decode()
    data[0x8825] = {1: "N", 2: (35.0, 41.0, 22.0)}
    return data


def refusal(data, mime="image/png", options=None):
    with pytest.raises(Refused) as caught:
        disarm(data, mime, options or Options())
    assert caught.value.code in codes.REFUSALS
    return caught.value.code


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [KEPT, BARE], ids=["all", "nothing"])
def test_what_was_made_here_is_never_changed_again(kind, kept):
    first = disarm(encoded(kind), "", Options(kept)).data
    again = disarm(first, "", Options(kept))
    assert again.data is first or (kind == "TIFF" and again.data == first)
    assert again.removed == ()


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"TIFF"}))
def test_an_ordinary_image_comes_back_as_it_came(kind):
    data = encoded(kind)
    result = disarm(data, "", Options(BARE))
    assert result.data is data
    assert result.removed == ()


TAILS = {
    f"ZIP behind {kind}": encoded(kind) + zipped({"evil.txt": MARK}) for kind in ("BMP", "GIF", "JPEG", "PNG", "WEBP")
}
"""Pictures that are archives too."""


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"TIFF"}))
def test_what_follows_the_end_is_gone_and_the_pixels_stay(kind):
    data = TAILS[f"ZIP behind {kind}"]
    assert zipfile.is_zipfile(io.BytesIO(data))
    result = disarm(data, "", Options())
    assert result.removed == ("trailing-data",)
    assert MARK not in result.data
    assert not zipfile.is_zipfile(io.BytesIO(result.data))
    assert distance(data, result.data) <= {"JPEG": 6, "WEBP": 12}.get(kind, 0)
    assert detect(Content.of(result.data), [f"a.{result.extension}"], result.mime).dangerous == ()


def _behind_a_scan():
    data = encoded("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    return data[:scan] + b"\xff\xfe" + struct.pack(">H", len(MARK) + 2) + MARK + data[scan:]


def _with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<?php " + MARK.decode())
    return encoded("PNG", pnginfo=info)


METADATA = {
    "photo": encoded("JPEG", exif=exif(6)),
    "text in PNG": _with_text(),
    "comment in GIF": encoded("GIF", comment=MARK),
    "photo in WEBP": encoded("WEBP", lossless=True, exif=exif(1)),
    "comment behind a scan": _behind_a_scan(),
}
"""Pictures that say more than they show."""


def test_a_turned_photo_is_upright_without_its_metadata():
    data = METADATA["photo"]
    assert MARK in data
    result = disarm(data, "image/jpeg", Options(BARE))
    assert result.removed == ("metadata",)
    assert MARK not in result.data
    assert opened(result.data).size == (40, 64)
    assert not opened(result.data).getexif()


def test_a_photo_with_metadata_that_may_stay_is_the_same():
    data = encoded("JPEG", exif=exif())
    assert disarm(data, "image/jpeg", Options()).data is data


def test_texts_in_a_png_are_metadata():
    data = METADATA["text in PNG"]
    result = disarm(data, "image/png", Options(BARE))
    assert (result.removed, MARK in result.data, distance(data, result.data)) == (("metadata",), False, 0)


def test_a_comment_in_a_gif_is_metadata():
    data = METADATA["comment in GIF"]
    assert MARK in data
    result = disarm(data, "image/gif", Options(BARE))
    assert (result.removed, MARK in result.data, distance(data, result.data)) == (("metadata",), False, 0)


def test_exif_in_a_webp_is_metadata():
    data = METADATA["photo in WEBP"]
    assert MARK in data
    result = disarm(data, "image/webp", Options(BARE))
    assert (result.removed, MARK in result.data, distance(data, result.data)) == (("metadata",), False, 0)


def test_a_comment_in_a_jpeg_behind_the_first_scan_is_metadata():
    result = disarm(METADATA["comment behind a scan"], "image/jpeg", Options(BARE))
    assert (result.removed, MARK in result.data) == (("metadata",), False)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_modes_of_png_keep_their_pixels(mode):
    image = (
        Image.linear_gradient("L").resize((30, 30)).convert("I").convert("I;16")
        if mode == "I;16"
        else picture((30, 30)).convert(mode)
    )
    data = encoded("PNG", image) + MARK
    result = disarm(data, "image/png", Options())
    assert opened(result.data).mode == opened(data).mode
    assert opened(result.data).tobytes() == opened(data).tobytes()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_an_animation_stays_one(kind):
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    frames = [Image.new("RGB", (20, 20), colour) for colour in colours]
    settings_ = {"save_all": True, "append_images": frames[1:], "duration": [100, 200, 300], "loop": 2}
    data = encoded(kind, frames[0], **settings_)
    assert disarm(data, "", Options(BARE)).data is data
    result = disarm(data + MARK, "", Options())
    image = Image.open(io.BytesIO(result.data))
    assert (image.n_frames, image.info["loop"]) == (3, 2)
    for number, colour in enumerate(colours):
        image.seek(number)
        pixel = image.convert("RGB").getpixel((10, 10))
        assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 8
        assert image.info["duration"] == (number + 1) * 100


def test_a_picture_in_tiff_is_written_anew_with_the_same_pixels():
    data = encoded("TIFF", tiffinfo={270: MARK.decode()})
    result = disarm(data, "image/tiff", Options(BARE))
    assert MARK in data
    assert MARK not in result.data
    assert (distance(data, result.data), result.extension) == (0, "tif")


def test_all_pages_of_a_fax_stay():
    pages = [picture((64, 64)).convert("1") for _ in range(3)]
    data = encoded("TIFF", pages[0], save_all=True, append_images=pages[1:], compression="group4")
    result = disarm(data, "image/tiff", Options())
    image = Image.open(io.BytesIO(result.data))
    assert image.n_frames == 3
    assert image.tobytes() == pages[0].tobytes()


@pytest.mark.parametrize("width", [8_000, 20_000, 65_000])
def test_a_huge_image_from_few_octets_is_refused(width):
    rows = zlib.compress(bytes(10_000_000)) if width == 8_000 else b""
    header = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert refusal(data) == "over-limit"


def test_an_animation_of_very_many_frames_is_refused():
    frames = [Image.new("L", (1, 1), number % 256) for number in range(2_100)]
    data = encoded("GIF", frames[0], save_all=True, append_images=frames[1:], duration=10, optimize=False)
    assert refusal(data, "image/gif") == "over-limit"


@pytest.mark.parametrize(
    "data",
    [
        b"\xd7\xcd\xc6\x9a" + bytes(40),
        b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60),
        b"",
        b"<svg/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ],
    ids=["wmf", "emf", "nothing", "text", "eps"],
)
def test_other_kinds_are_refused(data):
    assert refusal(data) == "not-understood"


@pytest.mark.parametrize("kind", FORMATS)
def test_half_an_image_is_refused(kind):
    data = encoded(kind)
    assert refusal(data[: len(data) // 2]) == "damaged"


SAMPLES = [encoded(kind, picture((8, 8))) for kind in FORMATS]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(4, 4_000), st.binary(max_size=4)), max_size=4))
def test_nothing_but_a_refusal_escapes(sample, changes):
    data = bytearray(sample)
    for somewhere, new in changes:
        position = somewhere % len(data)
        data[position : position + len(new)] = new
    try:
        result = disarm(bytes(data), "", Options(BARE))
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017
    else:
        assert opened(result.data).size[0] > 0


# Drawings

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10" height="10"{}>{}</svg>'


def drawing(inner="", attributes=""):
    return SVG.format(attributes, inner).encode()


ORDINARY = drawing(
    '<title>t</title><defs><linearGradient id="a"><stop offset="0" stop-color="#fff"/></linearGradient>'
    "<style>.c{fill:url(#a);stroke:rgb(1,2,3)}</style></defs><path class='c' d='M0,0L1-1z' style='opacity:.5'/>"
    '<use xlink:href="#p"/><circle id="p" r="3"/><a href="https://example.com/"><text>Text</text></a>'
)


def test_an_ordinary_drawing_comes_back_as_it_came():
    result = disarm(ORDINARY, "image/svg+xml", Options())
    assert result.data is ORDINARY
    assert result.removed == ()


def test_a_link_in_a_drawing_goes_where_links_go():
    result = disarm(ORDINARY, "image/svg+xml", Options(BARE))
    assert result.removed == ("hyperlink",)
    assert b"example.com" not in result.data
    assert b"Text" in result.data


THREATS = {
    "script": (drawing("<script>alert(1)</script>"), "script"),
    "handler": (drawing(attributes=' onload="alert(1)"'), "handler"),
    "foreign": (
        drawing('<foreignObject><div xmlns="http://www.w3.org/1999/xhtml"><form/></div></foreignObject>'),
        "form",
    ),
    "javascript": (drawing('<a xlink:href="javascript:alert(1)"><text>x</text></a>'), "script"),
    "animate": (drawing('<a id="x"><animate attributeName="href" to="javascript:alert(1)"/></a>'), "active-content"),
    "set": (drawing('<set attributeName="onload" to="alert(1)"/>'), "active-content"),
    "remote": (drawing('<image href="http://evil.example/x.png"/>'), "remote-image"),
    "use": (drawing('<use href="http://evil.example/x.svg#a"/>'), "unknown-part"),
    "data": (drawing('<use href="data:image/svg+xml;base64,AAAA#a"/>'), "script"),
    "import": (drawing("<style>@import 'http://evil.example/x.css';</style>"), "style"),
    "url": (drawing('<path style="fill:url(http://evil.example/x)"/>'), "style"),
    "escaped": (drawing(r'<path style="fill:u\72l(http://evil.example/x)"/>'), "style"),
    "sheet": (b'<?xml-stylesheet href="http://evil.example/x.css"?>' + drawing(), "external-relationship"),
    "foreign-script": (drawing('<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>'), "script"),
    "event": (drawing('<g xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="x"/>'), "metadata"),
    "instruction": (drawing("<?php evil ?>"), "unknown-part"),
    "feimage": (drawing('<filter><feImage href="http://evil.example/"/></filter>'), "remote-image"),
    "comment": (drawing("<!-- <script>alert(1)</script> --><path onclick='x()'/>"), "handler"),
}


@pytest.mark.parametrize("name", sorted(set(THREATS) - {"comment"}))
def test_what_acts_in_a_drawing_is_gone(name):
    data, code = THREATS[name]
    result = disarm(data, "image/svg+xml", Options())
    assert code in result.removed
    assert set(result.removed) <= set(codes.REMOVED)
    assert not any(word in result.data for word in (b"evil", b"alert", b"script", b"onload", b"event="))
    assert disarm(result.data, "image/svg+xml", Options()).removed == ()
    assert detect(Content.of(result.data), ["a.svg"], "image/svg+xml").dangerous == ()


def test_a_picture_in_a_drawing_is_disarmed_too():
    carried = base64.b64encode(encoded("PNG") + MARK).decode()
    data = drawing(f'<image xlink:href="data:image/png;base64,{carried}"/>')
    result = disarm(data, "image/svg+xml", Options())
    assert result.removed == ("trailing-data",)
    assert base64.b64encode(MARK)[4:16] not in result.data
    assert disarm(result.data, "image/svg+xml", Options()).data is result.data


def test_copies_of_copies_are_gone():
    inner = '<g id="a0"><path d="M0 0"/></g>' + "".join(
        f'<g id="a{n}"><use href="#a{n - 1}"/><use href="#a{n - 1}"/></g>' for n in range(1, 30)
    )
    result = disarm(drawing(inner), "image/svg+xml", Options())
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
        result = disarm(data, "image/svg+xml", Options())
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017
    else:
        assert disarm(result.data, "image/svg+xml", Options()).removed == ()
