"""Capsules that were damaged or forged, also by one who knows the password: nothing gets further than a DataError."""

import io
import tracemalloc
import zipfile

import pytest
import pyzipper
from capsules import BASE64, ID, PASSWORD, built, mac, message, small, with_manifest, wrapped
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard import capsule
from mailguard.capsule import outer
from mailguard.capsule.comment import unsigned
from mailguard.errors import DataError


def problem(function):
    try:
        function()
    except DataError as error:
        return str(error)
    return ""


def restored_or_none(data):
    try:
        return capsule.open(data, PASSWORD).restore()
    except DataError:
        return None


def test_every_changed_byte_breaks_the_mac_and_restores_nothing_else():
    data = small()
    original = capsule.open(data, PASSWORD).restore()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        found = capsule.find(changed := bytes(changed))
        assert found is None or not found.authentic(mac)
        if position % 5 == 0:
            assert restored_or_none(changed) in (None, original)


@pytest.mark.parametrize("kept", [0, 1, 60, 0.5, -1, -30, -110, -140])
def test_a_truncated_capsule_is_damaged_or_no_zip(kept):
    data = small()
    cut = data[: int(len(data) * kept) if isinstance(kept, float) else kept]
    with pytest.raises(DataError, match=r"damaged|not a ZIP"):
        capsule.open(cut, PASSWORD)


def test_each_kind_of_failure_has_its_own_words():
    data = small()
    foreign = io.BytesIO()
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("a", "b")
    version = data.replace(b"mailguard-capsule 1", b"mailguard-capsule 2")
    other = data.replace(ID.encode(), ID.replace("k", "m").encode())
    for broken, password, words in [
        (data, b"wrong", "wrong password"),
        (data, b"", "wrong password|damaged"),
        (foreign.getvalue(), PASSWORD, "not made by mailguard"),
        (b"hello", PASSWORD, "not a ZIP"),
        (version, PASSWORD, "format version 2"),
        (other, PASSWORD, "comment belongs to another"),
    ]:
        with pytest.raises(DataError, match=words):
            capsule.open(broken, password)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_capsule(data):
    assert capsule.find(data) is None
    with pytest.raises(DataError):
        capsule.open(data, PASSWORD)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_bytes_within_a_capsule_fail_only_with_a_data_error(data):
    broken = bytearray(small())
    for position in data.draw(st.lists(st.integers(0, len(broken) - 120), min_size=1, max_size=5)):
        patch = data.draw(st.binary(min_size=1, max_size=8))
        broken[position : position + len(patch)] = patch
    assert "\n" not in problem(lambda: capsule.open(bytes(broken), PASSWORD).restore())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_in_a_manifest_fails_only_with_a_data_error(data):
    def change(manifest):
        record = data.draw(st.sampled_from([manifest, manifest["files"][0], manifest["files"][1]]))
        key = data.draw(st.sampled_from(sorted(record)))
        record[key] = data.draw(JSON)
        return manifest

    plain = with_manifest(change)
    assert "\n" not in problem(lambda: capsule.Opened(plain).items())
    assert "\n" not in problem(lambda: capsule.Opened(plain).restore())


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest | {"format": 2},
        lambda manifest: manifest | {"segments": [["file", 7]]},
        lambda manifest: manifest | {"segments": [["file", -1]]},
        lambda manifest: manifest | {"segments": [["skeleton", 1 << 40]]},
        lambda manifest: manifest | {"segments": [*manifest["segments"], ["file", 0], ["file", 0]]},
        lambda manifest: manifest | {"segments": manifest["segments"] * 10_000},
        lambda manifest: manifest | {"length": 1},
        lambda manifest: manifest | {"sha256": "0" * 64},
        lambda manifest: manifest | {"files": manifest["files"] * 60_000},
        lambda _: b"[" * 100_000,
        lambda _: b'{"format": ' + b"1" * 10_000 + b"}",
        lambda _: b"\xff\xfe",
    ],
)
def test_a_manifest_that_lies_restores_nothing(change):
    with pytest.raises(DataError):
        capsule.open(wrapped(with_manifest(change)), PASSWORD).restore()


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("information", {"sender": [1]}),
        ("information", {"recipients": 5}),
        ("information", {"recipients": [None]}),
        ("metadata", {"dangerous": 5}),
        ("metadata", {"dangerous": [["x"]]}),
        ("metadata", {"detected_type": {"a": "x"}}),
        ("metadata", {"sha256": 9}),
        ("metadata", {"size": "x"}),
        ("metadata", {"names": "x"}),
    ],
)
def test_what_is_shown_has_the_right_type(place, values):
    def change(manifest):
        (manifest if place == "information" else manifest["files"][0])[place] = values
        return manifest

    with pytest.raises(DataError, match="manifest is damaged"):
        capsule.open(wrapped(with_manifest(change)), PASSWORD)


@pytest.mark.parametrize(
    "change", [lambda manifest: manifest | {"length": 1 << 30}, lambda _: b" " * (1 << 24) + b"{}"]
)
def test_a_manifest_cannot_ask_for_much_more_than_the_zip_holds(change):
    with pytest.raises(DataError, match=r"larger than it can be|too large"):
        capsule.open(wrapped(with_manifest(change)), PASSWORD)


def test_what_compresses_best_comes_out_again():
    original, items = message(bytes(30 << 20))
    assert capsule.open(built(original, items), PASSWORD).restore() == original


@pytest.mark.parametrize(
    "recipe",
    [BASE64 | {"eol": "\n" * 1000}, BASE64 | {"trailing": 1 << 40}, BASE64 | {"line": -1}, {}, BASE64 | {"eol": 5}],
)
def test_a_recipe_cannot_ask_for_more_than_a_message_has(recipe):
    def change(manifest):
        manifest["files"][0]["recipe"] = recipe
        return manifest

    with pytest.raises(DataError):
        capsule.open(wrapped(with_manifest(change)), PASSWORD).restore()


def test_a_zip_bomb_is_not_expanded():
    def change(manifest):
        manifest["files"].append(manifest["files"][0] | {"stored": "bomb", "size": 10})
        manifest["files"].append(manifest["files"][0] | {"stored": "bomb", "size": 1 << 31})
        return manifest

    target = io.BytesIO(with_manifest(change))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(100 << 20))
    bomb = target.getvalue()
    tracemalloc.start()
    with pytest.raises(DataError):
        capsule.open(wrapped(bomb), PASSWORD).items()
    # Now the header lies about the size as well.
    directory = bomb.rindex(b"PK\x01\x02")
    lying = bomb[: directory + 24] + (10).to_bytes(4, "little") + bomb[directory + 28 :]
    with pytest.raises(DataError):
        capsule.open(wrapped(lying), PASSWORD).items()
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_second_entry_outside_is_refused():
    target = io.BytesIO()
    with outer._Archive(target, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.salt = b"s" * 16
        archive.setpassword(PASSWORD)
        archive.writestr("attachments.zip", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("attachments.zip", b"two")
        archive.comment = unsigned(1, ID)
    data = target.getvalue()
    assert capsule.find(data) is None
    with pytest.raises(DataError):
        capsule.open(data.replace(b"\2\0\2\0", b"\1\0\1\0"), PASSWORD)
