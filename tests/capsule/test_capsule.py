"""Capsules: the original comes back byte for byte, and other programs open them."""

import hashlib
import hmac
import io
import json
import os
import shutil
import subprocess
import time
import zipfile

import pytest
import pyzipper
from capsules import BASE64, ID, MOMENT, PASSWORD, WHEN, built, mac, message, pieces, plain_zip, small
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import GOLDEN

from mailguard import capsule
from mailguard.capsule import Item, inner, outer
from mailguard.message.encoding import encode


@st.composite
def messages(draw):
    original = b""
    items = []
    for data in draw(st.lists(st.binary(max_size=200), max_size=6)):
        eol = draw(st.sampled_from(["\n", "\r\n"]))
        recipe = draw(
            st.sampled_from(
                [
                    None,
                    {"encoding": "identity"},
                    {"encoding": "base64", "line": 76, "eol": eol, "trailing": 1},
                    {"encoding": "base64", "line": 4, "eol": eol, "trailing": 3},
                    {"encoding": "base64", "line": 0, "eol": eol, "trailing": 0},
                ]
            )
        )
        body = encode(data, recipe) if recipe else data + b"?"
        original += draw(st.binary(max_size=60))
        span = draw(st.sampled_from([(len(original), len(original) + len(body))] * 3 + [None, (0, 5), (3, 1000)]))
        items.append(Item(draw(st.text(max_size=12)), data, span=span, recipe=recipe, metadata={"part": "1.2"}))
        original += body
    return original + draw(st.binary(max_size=60)), draw(st.permutations(items))


@settings(max_examples=60, deadline=None)
@given(messages())
def test_the_original_and_every_file_come_back_byte_for_byte(case):
    original, items = case
    opened = capsule.open(built(original, items), PASSWORD)
    assert opened.restore() == original
    assert [opened.read(file) for file in opened.files] == [item.data for item in items]
    assert [file.name for file in opened.files] == [item.name for item in items]
    assert all(file.metadata == {"part": "1.2"} for file in opened.files)
    assert opened.manifest.information == {"from": "a@example.com", "件名": "報告"}
    assert (opened.manifest.id, opened.manifest.time) == (ID, WHEN)


@settings(max_examples=20, deadline=None)
@given(messages())
def test_a_capsule_built_again_from_an_opened_one_is_the_same(case):
    data = built(*case)
    opened = capsule.open(data, PASSWORD)
    assert built(opened.restore(), opened.items()) == data


def test_a_message_can_be_held_whole():
    original = b"Subject: \0 anything\n\n\xff" + b"body" * 1000
    item = Item("original.eml", original, span=(0, len(original)), recipe={"encoding": "identity"})
    opened = capsule.open(built(original, [item]), PASSWORD)
    assert opened.restore() == original
    assert opened.read(opened.files[0]) == original
    assert opened.manifest.skeleton_size == 0


def test_content_that_encodes_again_exactly_is_not_stored_twice():
    content = os.urandom(100_000)
    assert len(built(*message(content))) < 101_500


@pytest.mark.parametrize("recipe", [{"encoding": "identity"}, BASE64 | {"line": 72}, BASE64 | {"trailing": 2}])
def test_a_recipe_that_does_not_reproduce_the_original_is_not_used(recipe):
    original, items = message(b"content" * 30)
    items[0].recipe = recipe
    opened = capsule.open(built(original, items), PASSWORD)
    assert opened.files[0].recipe is None
    assert opened.restore() == original


def test_of_spans_that_overlap_the_outer_one_is_cut_out():
    original, items = message(b"one", b"two")
    whole = Item("whole.eml", original, span=(0, len(original)), recipe={"encoding": "identity"})
    opened = capsule.open(built(original, [*items, whole]), PASSWORD)
    assert [file.recipe is None for file in opened.files] == [True, True, False]
    assert opened.restore() == original


def test_the_same_input_gives_the_same_bytes_in_every_time_zone(monkeypatch):
    one = small()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert small() == one
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_salt_serves_two_contents_or_two_ids():
    def salt(data):
        return data[30 + len(outer.NAME) + 11 :][:16]

    original, items = message(b"content")
    salts = {
        salt(built(original, items)),
        salt(built(original, items, capsule_id="other")),
        salt(built(original, items, salt_key=b"other")),
        salt(built(original, items, when=WHEN + 10)),
        salt(built(original + b"x", items)),
    }
    assert len(salts) == 5


def test_one_neutral_entry_and_no_readable_name_is_outside():
    data = small()
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        [entry] = archive.infolist()
    assert entry.filename == "attachments.zip"
    assert entry.date_time == MOMENT
    assert "報告書".encode() not in data
    assert b"manifest" not in data
    assert data.endswith(b"mailguard-capsule 1 id=" + ID.encode() + b" mac=" + capsule.find(data).mac.hex().encode())


def test_entries_of_the_inner_zip_have_the_given_time_and_utf_8_names():
    with zipfile.ZipFile(io.BytesIO(plain_zip(small()))) as archive:
        entries = archive.infolist()
        assert archive.testzip() is None
    names = ["報告書.txt", "b.txt", "_mailguard/manifest.json", "_mailguard/skeleton"]
    assert [entry.filename for entry in entries] == names
    assert {entry.date_time for entry in entries} == {MOMENT}
    assert entries[0].flag_bits & 0x800


def test_an_hour_that_a_zip_cannot_say_is_moved_into_its_range():
    original, items = message(b"content")
    for when in (0, 1 << 39):
        assert capsule.open(built(original, items, when=when), PASSWORD).manifest.time == when


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, (1 << 18) - 17, (1 << 18) - 16, (1 << 18) - 15, 700_001])
def test_content_of_every_length_around_the_pieces_is_what_pyzipper_reads(size):
    content = hashlib.shake_128(b"x").digest(size)
    data = outer.encrypt(pieces(content), b"p", b"s" * 16, MOMENT, b"comment")
    with pyzipper.AESZipFile(io.BytesIO(b"".join(data))) as archive:
        archive.setpassword(b"p")
        assert archive.read("attachments.zip") == content


def test_large_text_is_compressed_in_blocks_that_any_reader_joins(monkeypatch):
    used = []
    compress = inner._BlockCompressor.compress
    monkeypatch.setattr(inner._BlockCompressor, "compress", lambda self, data: used.append(1) or compress(self, data))
    text = b"".join(b"line %d of a text\n" % number for number in range(100_000))
    random = os.urandom(600_000)
    target = inner.write([("text", text), ("random", random)], MOMENT)
    with zipfile.ZipFile(io.BytesIO(b"".join(target))) as archive:
        assert archive.read("text") == text
        assert archive.read("random") == random
        assert archive.getinfo("random").compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("text").compress_size < 1.1 * len(zipfile.zlib.compress(text, 6))
    assert used == [1]


PROGRAMS = {
    "7z": lambda archive, password: ["7z", "x", "-y", f"-p{password}", archive],
    "7zz": lambda archive, password: ["7zz", "x", "-y", f"-p{password}", archive],
    "bsdtar": lambda archive, password: ["bsdtar", "--passphrase", password or "none", "-xf", archive],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_archive_programs_of_debian_open_it(program, tmp_path):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    names = [
        "請求書 №5（改）.xlsx",
        "../../etc/日本語" + "長" * 200 + ".pdf",
        "CON.txt",
        "a.txt",
        "A.TXT",
        "👍🏽.png",
        "_mailguard",
    ]
    contents = [b"content %d" % index * 10_000 * index for index in range(len(names))]
    data = built(*message(*contents, names=names), password=b"abcd-efgh-2345")
    (tmp_path / "capsule.zip").write_bytes(data)
    for archive, password in (("capsule.zip", "abcd-efgh-2345"), ("attachments.zip", "")):
        command = PROGRAMS[program](archive, password)
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        subprocess.run(command, cwd=tmp_path, check=True, env=environment, capture_output=True, timeout=60)
    for file, content in zip(capsule.open(data, b"abcd-efgh-2345").files, contents, strict=True):
        assert (tmp_path / file.stored).read_bytes() == content
    assert (tmp_path / "請求書 №5（改）.xlsx").exists()
    assert json.loads((tmp_path / "_mailguard/manifest.json").read_bytes())["id"] == ID


def test_a_wrong_password_fails_in_7z_and_bsdtar_too(tmp_path):
    (tmp_path / "capsule.zip").write_bytes(small())
    for program in filter(shutil.which, PROGRAMS):
        command = PROGRAMS[program]("capsule.zip", "wrong")
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60).returncode != 0


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"\r\n"), (b"\r\n", b"\n\n\0"), (b"PK\x05\x06" * 9, b"list footer\n" * 500)]
)
def test_a_capsule_is_found_between_what_transport_added(before, after):
    data = small()
    found = capsule.find(before + data + after)
    assert (found.version, found.id, found.start, found.end) == (1, ID, len(before), len(before) + len(data))
    assert found.authentic(mac)
    assert capsule.open(before + data + after, PASSWORD).restore() == capsule.open(data, PASSWORD).restore()


def test_whoever_has_no_key_makes_no_authentic_capsule():
    assert not capsule.find(small()).authentic(lambda covered: hmac.digest(b"other", covered, "sha256"))


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("capsule-*.zip")))
def test_capsules_of_every_released_format_still_open(name):
    data = (GOLDEN / f"{name}.zip").read_bytes()
    expected = json.loads((GOLDEN / f"{name}.json").read_bytes())
    found = capsule.find(data)
    assert found.authentic(lambda covered: hmac.digest(expected["key"].encode(), covered, "sha256"))
    opened = capsule.open(data, expected["password"].encode())
    assert opened.restore() == (GOLDEN / f"{name}.eml").read_bytes()
    assert opened.manifest.id == found.id == expected["id"]
    files = [[file.name, file.stored, hashlib.sha256(opened.read(file)).hexdigest()] for file in opened.files]
    assert files == expected["files"]


def test_there_is_a_golden_capsule_of_format_1():
    assert list(GOLDEN.glob("capsule-1-*.zip"))
