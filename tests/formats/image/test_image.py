"""Images: what rides on them is gone, what they show stays, and bombs cost little."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import BARE, FORMATS, MARK, METADATA, TAILS, chunk, encoded, exif, picture
from PIL import Image, ImageChops

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Options, Refused
from mailguard.formats.image.disarm import disarm
from mailguard.message.content import Content


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def distance(one, other):
    """The largest difference of any channel of any pixel."""
    difference = ImageChops.difference(opened(one).convert("RGB"), opened(other).convert("RGB"))
    return max(high for _, high in difference.getextrema())


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
