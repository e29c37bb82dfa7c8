"""What a text looks like: the tables, and what is done without them."""

from __future__ import annotations

import confusables_table
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.verify import skeleton
from mailguard.verify.skeleton import fold, skeletons, visible


def alike(one, other):
    return not skeletons(one).isdisjoint(skeletons(other))


def kanji():
    return [line.split() for line in skeleton._lines("kanji.txt")]


def test_every_kanji_stands_once_and_all_of_a_line_are_one():
    every = [char for group in kanji() for char in group]
    assert len(every) == len(set(every))
    assert all(len(char) == 1 for char in every)
    for first, *others in kanji():
        assert others
        assert all(alike(f"山{first}太郎", f"山{other}太郎") for other in others), first


def test_different_kanji_stay_different():
    firsts = [group[0] for group in kanji()]
    found = {}
    for char in [*firsts, *"田大太山川木本村林森中小上下東西南北一三四五六七八九十春夏秋冬美子花咲愛健誠博"]:
        for each in skeletons(char):
            assert found.setdefault(each, char) == char


def test_every_confusable_letter_looks_like_its_skeleton():
    number = 0
    for line in skeleton._lines("confusables.txt"):
        codes, _, sources = line.partition(": ")
        target = "".join(chr(int(code, 16)) for code in codes.split())
        for source in sources.split():
            number += 1
            assert alike(chr(int(source, 16)), target), line
    assert number > 2000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "раура1"),
        ("paypal", "ｐａｙｐａｌ"),
        ("modern", "rnodem"),
        ("williams", "vvi11iams"),
        ("cloud", "doud"),
        ("O0o", "ooo"),
        ("Il1|i", "lllll"),
        ("ﬁne", "fine"),
        ("ѕсоре", "scope"),
        ("ɑddress", "address"),
        ("naïve", "naive"),
        ("İstanbul", "istanbul"),
        ("ΑΒΓ", "αβγ"),
        ("МОСКВА", "москва"),
        ("ﾊﾞｽ", "バス"),
        ("ヘルプ", "へルプ"),
        ("①", "1"),
        ("x\u20dd", "x"),
    ],
)
def test_these_look_alike(one, other):
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("paypal", "payroll"), ("バス", "ハス"), ("ก่า", "กา่ง"), ("москва", "москве"), ("山田", "山口")]
)
def test_these_do_not(one, other):
    assert not alike(one, other)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.integers(0, 30), st.sampled_from("\u200b\u2060\ufe0f\U000e0061\u00ad\u0301\u0337"))
def test_what_nobody_sees_changes_nothing_and_nothing_crashes(text, place, hidden):
    text = text.replace("\u202e", "")
    assert skeletons(text)
    assert alike(text, text)
    assert fold(fold(text)) == fold(text) or not text.isascii()
    if hidden not in "\u0301\u0337":
        assert visible(text[:place] + hidden + text[place:]) == visible(text)
    elif text.isascii() and place:
        assert alike(text[:place] + hidden + text[place:], text)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=30))
def test_case_never_matters_and_ascii_has_one_skeleton(text):
    assert skeletons(text) == skeletons(text.upper()) == skeletons(text.lower())
    assert len(skeletons(text)) == 1


CONFUSABLES = """\ufeff# confusables.txt
# Version: 99.0.0
#
0430 ;\t0061 ;\tMA\t# (а → a)
0441 ;\t0063 ;\tMA\t# (с → c)
0031 ;\t006C ;\tMA\t# ASCII, done without a table
FF41 ;\t0061 ;\tMA\t# has a decomposition
0D15 ;\t0063 0072 ;\tMA\t# two letters
AB7A ;\t1D00 ;\tMA\t# a small capital
"""


def test_the_maker_of_the_table_leaves_out_what_never_reaches_it():
    found = confusables_table.table(CONFUSABLES, "58EB\tU+571F\n58EB\tU+738B\n")
    expected = {"\u0430": "a", "\u0441": "c", "\u0d15": "cr", "\uab7a": "a", "\u1d00": "a"}
    expected |= {"\u738b": "\u571f", "\u58eb": "\u571f"}
    assert {source: target for source, target in found.items() if source in expected} == expected
    assert not {"1", "\uff41"} & set(found)
    text = confusables_table.written(found, "99.0.0")
    assert "version 99.0.0" in text
    assert "SPDX-License-Identifier: Unicode-3.0" in text
    assert "\n63 72: d15\n" in text
