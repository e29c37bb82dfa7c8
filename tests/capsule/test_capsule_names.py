"""File names inside a capsule: harmless, unique, and still the name that people know."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.capsule import safe_name
from mailguard.capsule.names import unique_names

NASTY = st.text(st.sampled_from("aA.ｘ/\\:_ -\u3000\u202e\u200d\ud800\0\n\u0301<>|?*長👍con1²(2)ßﬁ"), max_size=40)
NAMES = st.text(max_size=400) | NASTY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("報告書.pdf", "報告書.pdf"),
        ("カ\u3099.txt", "ガ.txt"),
        ("葛\U000e0100城.txt", "葛\U000e0100城.txt"),
        ("a b　c.txt", "a b　c.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\evil.exe", "evil.exe"),
        ("C:evil.exe", "evil.exe"),
        ("folder/", "folder"),
        ("..", "attachment.bin"),
        ("", "attachment.bin"),
        (" . ", "attachment.bin"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("Com1 .tar.gz", "_Com1 .tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("console.txt", "console.txt"),
        ("a.txt:evil.exe", "a.txt_evil.exe"),
        ("a.exe. . ", "a.exe"),
        ("a.exe.　", "a.exe"),
        ('<>:"|?*', "_______"),
        (".bashrc", "_.bashrc"),
        ("-rf", "_-rf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u200bb\u2066c\ufeff.txt", "abc.txt"),
        ("a\r\nb\tc.txt", "a b c.txt"),
        ("invoice.pdf" + " " * 80 + ".exe", "invoice.pdf .exe"),
        ("invoice.pdf" + "　" * 80 + ".exe", "invoice.pdf .exe"),
        ("invoice.pdf" + "\u3164" * 80 + ".exe", "invoice.pdf.exe"),
        ("a\ud83d.txt", "a_.txt"),
        ("\x00\x1b[31m.txt", "[31m.txt"),
        ("a" * 200 + ".tar.gz", "a" * 117 + ".gz"),
        ("長" * 200 + ".docx", "長" * 78 + ".docx"),
        ("👍" * 200 + ".png", "👍" * 58 + ".png"),
        ("a." + "b" * 200, "a." + "b" * 118),
    ],
)
def test_a_name_becomes_harmless_and_keeps_its_extension(name, expected):
    assert safe_name(name) == expected


@settings(max_examples=400)
@given(NAMES)
def test_a_safe_name_is_safe_everywhere(name):
    safe = safe_name(name)
    assert safe == safe_name(safe)
    assert unicodedata.is_normalized("NFC", safe)
    assert 0 < len(safe.encode("utf-16-le")) <= 240
    assert len(safe.encode("utf-8")) <= 240
    assert not set(safe) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in safe)
    assert safe[0] not in " .-"
    assert safe[-1] not in " ."


def key(name):
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@settings(max_examples=200)
@given(st.lists(NAMES, max_size=8))
def test_unique_names_are_safe_and_unique_for_every_file_system(names):
    unique = unique_names(names * 2)
    assert len({key(name) for name in unique}) == len(unique)
    assert all(name == safe_name(name) for name in unique)
    assert key("_mailguard") not in map(key, unique)


def test_duplicates_get_numbers_before_the_extension():
    names = ["a.txt", "A.TXT", "ａ.txt", "a (2).txt", "_MailGuard", "長" * 200 + ".pdf", "長" * 201 + ".pdf"]
    assert unique_names(names) == [
        "a.txt",
        "A (2).TXT",
        "ａ (3).txt",
        "a (2) (2).txt",
        "_MailGuard (2)",
        "長" * 78 + ".pdf",
        "長" * 76 + " (2).pdf",
    ]


def test_many_duplicates_that_collide_with_each_other_cost_linear_work(monkeypatch):
    from mailguard.capsule import names as module

    calls = []
    original = module._key
    monkeypatch.setattr(module, "_key", lambda name: calls.append(1) or original(name))
    long = ["a" * 113 + f"{number:04}.txt" for number in range(1000)]
    unique_names([f"a ({number}).txt" for number in range(1000)] + ["a.txt"] * 1000 + long + long)
    assert len(calls) < 10 * 4000
