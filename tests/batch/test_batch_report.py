"""The report of a batch counts what was done, and nothing that stood in a mail comes alive in it."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.batch import chart, page
from mailguard.batch.archive import ArchiveSummary
from mailguard.batch.tally import Tally
from mailguard.findings import Finding, Result
from mailguard.pipeline import Applied, Stage

HOSTILE = '<script>alert(1)</script>"&\u202e\x1b[31m'
EMPTY = frozenset({"meta", "rect"})


class Reader(HTMLParser):
    """Reads the page as a browser would, and complains where tags do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in EMPTY and tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def applied(*results):
    done = Applied(b"")
    done.stages = [Stage(result.verb, b"", result, None) for result in results]
    return done


def result(action="none", *, authenticated=False, attachments=(), findings=()):
    made = Result("quarantine", [b""])
    made.action = action
    made.authenticated = authenticated
    made.attachments = list(attachments)
    made.findings = list(findings)
    return made


def attachment(kind, action, digest="0"):
    return {"sha256": digest, "detected_type": kind, "action": action, "part": "2"}


def filled():
    tally = Tally()
    raw = f"From: {HOSTILE} <{HOSTILE.replace(' ', '')}@evil.test>\nSubject: x\n\n".encode("utf-8", "replace")
    danger = Finding("danger.<b>", "", "danger")
    tally.add(
        raw,
        applied(result("quarantined", attachments=[attachment("text/<i>", "quarantined")], findings=[danger])),
        1_700_000_000,
    )
    tally.add(b"From: a@example.com\n\n", applied(result(authenticated=True)), 1_700_000_000 + 86400 * 40)
    tally.add(b"\n", applied(result()), None)
    summary = ArchiveSummary()
    summary.add(
        {"messages": 3, "changed": 1, "failed": [{"number": 2, "where": HOSTILE, "reason": HOSTILE, "held": False}]}
    )
    return tally, summary


def test_nothing_from_a_mail_comes_alive_on_the_page():
    tally, summary = filled()
    text = page.write([(HOSTILE, summary)], tally, HOSTILE, "2026-01-31")
    reader = read(text)
    assert not {"script", "b>", "i>", "a", "img", "iframe", "link", "form"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"href", "src"}]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "url(" not in text
    assert "<script>" in reader.text
    assert "danger.<b>" in reader.text


def test_the_page_says_what_was_counted():
    tally, summary = filled()
    text = read(page.write([("box", summary)], tally, "quarantine", "2026-01-31")).text
    assert "認証済み authenticated 1" in text
    assert "認証されない unauthenticated 2" in text
    assert "日付不明 without a date 1" in text
    assert "隔離 quarantined 1" in text
    assert "66.7 %" in text
    assert re.search(r"box, 3 \(.*元のまま left as it was", text)


def test_a_page_about_nothing_is_a_page():
    assert "ありません" in read(page.write([("box", ArchiveSummary())], Tally(), "strip", "now")).text


def test_counts_of_chunks_add_up():
    tally, _ = filled()
    twice = Tally()
    for _ in range(2):
        twice.merge(tally.as_dict())
    assert twice.messages == 6
    assert twice.types == {"text/<i>\tquarantined": 2}
    assert twice.days.total() == 6


def test_the_last_step_that_acts_on_an_attachment_counts():
    tally = Tally()
    steps = [result(attachments=[attachment("a/b", "kept")]), result(attachments=[attachment("a/b", "removed")])]
    tally.add(b"\n", applied(*steps, result(attachments=[attachment("a/b", "kept")])), None)
    assert tally.types == {"a/b\tremoved": 1}


DAYS = st.lists(
    st.tuples(
        st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(lambda day: day.isoformat()),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=20,
    unique_by=lambda day: day[0],
)


@given(DAYS)
def test_periods_hold_all_days(days):
    found = chart.periods(days)
    assert sum(good for _, good, _ in found) == sum(good for _, good, _ in days)
    assert sum(bad for _, _, bad in found) == sum(bad for _, _, bad in days)
    assert [name for name, _, _ in found] == sorted(name for name, _, _ in found)
    read(chart.timeline(found, "x"))


@pytest.mark.parametrize(("last", "count"), [("2024-01-31", 31), ("2025-01-01", 13), ("2033-12-31", 10)])
def test_long_times_are_shown_by_month_or_year(last, count):
    assert len(chart.periods([("2024-01-01", 1, 0), (last, 0, 1)])) == count


def test_batch_writes_the_report(mailguard, tmp_path):
    box = b"From a@b Mon Jan  1 10:00:00 2024\nFrom: a@example.com\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\ntext\n\n"
    (tmp_path / "box").write_bytes(box * 3)
    process = mailguard(
        "batch", "strip --log none", tmp_path / "box", "--output", tmp_path / "out", "--report", tmp_path / "page.html"
    )
    assert (process.returncode, process.stderr) == (0, b"")
    text = read((tmp_path / "page.html").read_text()).text
    assert "2024-01-01" in text
    assert "a@example.com" in text
