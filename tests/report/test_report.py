"""The daily report: what it counts, what it shows, and the mail that it is sent as."""

from __future__ import annotations

import email
import email.policy
import grp
import gzip
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import ID, record, write
from paths import EXAMPLES
from program import PROGRAM

from mailguard import journal
from mailguard.envelope import Envelope
from mailguard.report import mail, text
from mailguard.report.files import records
from mailguard.report.summary import Ranking, Summary

DAY = 86_400
NOW = 1_700_035_200  # 2023-11-15T08:00:00Z, before any file of a test was written
YESTERDAY = NOW - DAY
CLOCK = ("--now", "2023-11-15T08:00:00Z")
SCRIPT = EXAMPLES / "report.sh"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def report(mailguard, path):
    def run(*arguments, status=0, now=CLOCK):
        done = mailguard("report", "--journal", path, *now, *arguments, env={"TZ": "UTC"})
        assert done.returncode == status, done.stderr
        run.stderr = done.stderr.decode()
        return done.stdout.decode()

    return run


def numbered(number, **changed):
    return record(identifier=f"{number:024d}", **({"now": YESTERDAY} | changed))


def summary(*found, since=0, until=1 << 32):
    made = Summary(since, until)
    made.add(found)
    return made


# What is counted


def test_yesterday_is_what_the_calendar_says(report, path):
    midnight = NOW - 8 * 3600
    write(
        path, *(numbered(n, now=t) for n, t in enumerate((midnight - DAY - 1, midnight - DAY, midnight - 1, midnight)))
    )
    out = report("--lang", "en")
    assert "From 2023-11-14 00:00 +0000 to 2023-11-15 00:00 +0000\n" in out
    assert "       2  messages of which something is held\n" in out
    assert "       3  messages" in report("--lang", "en", "--days", "2")
    assert "       4  messages" in report("--lang", "en", "--since", "2023-11-01T00:00:00Z")


def test_the_midnight_is_a_local_one(mailguard, path):
    write(path, numbered(1, now=NOW - 8 * 3600 - 9 * 3600 - 1), numbered(2, now=NOW - 8 * 3600 - 9 * 3600))
    done = mailguard("report", "--journal", path, *CLOCK, "--lang", "en", env={"TZ": "Asia/Tokyo"})
    assert b"2023-11-15 00:00 +0900" in done.stdout
    assert b"       1  messages of which something is held\n" in done.stdout


def test_a_mail_that_was_tried_again_counts_once():
    one = record()
    assert summary(one, one, one).held == 1
    assert summary(one, one | {"verb": "strip"}).attachments == 2
    assert summary(one, one | {"verb": "strip"}).held == 1


def test_held_removed_and_whole_are_told_apart():
    found = summary(
        numbered(1), numbered(2) | {"action": "held"}, record() | {"quarantine_id": None, "action": "removed"}
    )
    assert (found.held, found.removed, found.whole, found.strangers) == (2, 1, 1, 3)
    assert summary(record() | {"authenticated": True}).strangers == 0


def test_releases_are_counted_and_shown(report, path):
    write(path, record(now=YESTERDAY), *[journal.released(ID, Envelope(recipients=["b@example.net"]), YESTERDAY)] * 2)
    out = report("--lang", "en")
    assert "       1  releases\n" in out
    assert (
        "What was released (the last 20)\n  2023-11-14 08:00  abcd-efgh-jkmn-pqrs-tuvw-xyz2\n    To: b@example.net"
        in out
    )


def test_dangers_domains_and_recipients_come_most_frequent_first(report, path):
    def dangerous(number, code, sender):
        made = numbered(number, sender=sender, recipients=("b@example.net", f"c{number}@example.net"))
        made["attachments"][0]["dangerous"] = [code]
        made["attachments"][1]["dangerous"] = ["kept-so-not-counted"]
        return made

    write(path, *(dangerous(n, "macro" if n else "script", f"a@{'B' if n else 'a'}.example") for n in range(3)))
    out = report("--lang", "en")
    assert out.index("       2  macro: ") < out.index("       1  script: ")
    assert out.index("       2  b.example\n") < out.index("       1  a.example\n")
    assert out.index("       3  b@example.net\n") < out.index("       1  c0@example.net\n")
    assert "kept-so" not in out


def test_the_author_domain_is_more_than_the_envelope():
    assert summary(record() | {"author_domain": "author.example"}).domains.top(9) == [("author.example", 1)]
    assert summary(record(sender="")).domains.top(9) == [("<>", 1)]
    assert summary(record(sender=None)).domains.top(9) == [("?", 1)]


def test_a_tally_forgets_the_rarest_only(monkeypatch):
    monkeypatch.setattr("mailguard.report.summary._COUNTED", 10)
    tally = Ranking()
    for number in range(1000):
        tally.add("often")
        tally.add(f"once {number}")
    assert tally.top(1) == [("often", 1000)]
    assert len(tally.top(1000)) <= 20


# What is read


def test_rotated_files_are_read_too_and_those_of_others_are_not(report, path):
    write(path, numbered(1))
    write(path.with_name("journal.1"), numbered(2))
    for name, number in (("journal.2.gz", 3), ("journal-20231114.gz", 4)):
        with gzip.open(path.with_name(name), "wt") as file:
            file.write(json.dumps(numbered(number)) + "\n")
    for name in ("journal.bak", "journal.1~", "other", "journal.1.gz.tmp", "journal2", "xjournal.1"):
        write(path.with_name(name), numbered(9, sender="z@other.example"))
    out = report("--lang", "en")
    assert "       4  messages of which something is held\n" in out
    assert "other.example" not in out


def test_the_example_for_logrotate_leaves_the_journal_to_the_report(report, path, tmp_path):
    logrotate = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    if logrotate is None:
        pytest.skip("logrotate is not installed")
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    rules = (SCRIPT.parent / "logrotate").read_text()
    for old, new in (("/var/lib/mailguard", str(tmp_path)), ("su mailguard mailguard", f"su {user} {group}")):
        assert old in rules
        rules = rules.replace(old, new)
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "rules").chmod(0o644)
    tmp_path.chmod(0o700)
    for number in (1, 2):
        write(path, numbered(number))
        command = [logrotate, "--force", "--state", tmp_path / "state", tmp_path / "rules"]
        assert subprocess.run(command, capture_output=True, check=True, timeout=120).stderr == b""
        assert not path.exists()
        [rotated] = tmp_path.glob("journal-????????")
        if number == 1:
            rotated.rename(tmp_path / "journal-20231101")  # of another day; the next run compresses it
    assert (tmp_path / "journal-20231101.gz").exists()
    write(path, numbered(3))
    assert path.stat().st_mode & 0o077 == 0
    assert "       3  messages of which something is held\n" in report("--lang", "en")


def test_the_journal_may_just_have_been_rotated_away(report, path):
    write(path.with_name("journal.1"), numbered(1))
    assert "       1  messages" in report("--lang", "en")


def test_a_file_older_than_the_while_is_not_read(report, path):
    write(path, numbered(1))
    old = path.with_name("journal.1")
    old.write_text("damaged\n" * 10)
    os.utime(old, (NOW - 3 * DAY, NOW - 3 * DAY))
    assert "could not be read" not in report("--lang", "en")
    os.utime(old, (NOW, NOW))
    assert f"      10  {old}\n" in report("--lang", "en")


def test_damage_is_counted_and_stops_nothing(report, path):
    compressed = gzip.compress(b"".join(json.dumps(numbered(n)).encode() + b"\n" for n in range(200)))
    path.with_name("journal.1.gz").write_bytes(compressed[: len(compressed) - 20])
    path.with_name("journal.2.gz").write_bytes(b"no gzip")
    path.with_name("journal.3.gz").write_bytes(compressed[:20] + b"\xff" * 20)
    path.write_bytes(b"\xff\0\n{}\n[1]\n\n" + json.dumps(numbered(1000)).encode() + b'\n{"time":"20')
    out = report("--lang", "en")
    assert "Lines that could not be read\n" in out
    assert f"       4  {path}\n" in out
    assert all(f"       1  {path}.{number}.gz\n" in out for number in (1, 2, 3))
    assert 150 < int(re.search(r"([0-9]+)  messages of which something is held\n", out)[1]) <= 201


def test_memory_stays_bounded_for_years_of_records(path):
    """100,000 messages, each from a domain of its own: 130 MB of journal, and no more than 40 MB above the start."""
    line = json.dumps(record()).replace(ID, "%024d").replace("a@example.com", "a@%d.example") + " " * 1000 + "\n"
    with path.open("w") as file:
        for number in range(100_000):
            file.write(line % (number, number))
    code = """
import resource, sys
from mailguard.report.files import records
from mailguard.report.summary import Summary
from mailguard.journal import records as parsed
import json
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
summary = Summary(0, 1 << 32)
summary.add(records(sys.argv[1], 0, print))
print(summary.held, peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=120)
    held, grown = map(int, done.stdout.split())
    assert held == 100_000
    assert grown < 60_000


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_an_error_and_never_waited_for(report, path, make):
    make(path)
    report(status=1)
    assert report.stderr.endswith("journal: is not a regular file\n")


def test_a_missing_journal_is_an_error(report, mailguard):
    report(status=1)
    assert "there is no such journal" in report.stderr
    done = mailguard("report")
    assert done.returncode == 2
    assert b"which journal" in done.stderr


# What is written


def test_nothing_is_written_when_nothing_happened_unless_asked(report, path):
    write(path, numbered(1, now=NOW - 5 * DAY))
    assert report() == ""
    assert report("--to", "admin@example.com") == ""
    assert "Nothing was held" in report("--always", "--lang", "en")
    assert "何も隔離せず" in report("--always")


def test_both_languages_are_the_default(report, path):
    write(path, numbered(1))
    out = report()
    assert out.index("mailguard の報告") < out.index("Report of mailguard")
    assert "Report" not in report("--lang", "ja")
    assert report("--lang", "en").isascii()


HOSTILE = "\x1b[31m\u202e\n=cmd|' http://evil.example <b>\x00"


@pytest.mark.parametrize("field", ["sender", "author_domain", "quarantine_id", "time", "verb", "action"])
def test_hostile_values_are_shown(field):
    made = record() | {field: HOSTILE} | ({"time": "2023" + HOSTILE} if field == "time" else {})
    made["attachments"][0]["names"] = [HOSTILE]
    made["attachments"][0]["dangerous"] = [HOSTILE]
    made["recipients"] = [HOSTILE]
    written = text.write(summary(made), "both")
    assert all(letter == "\n" or letter.isprintable() for letter in written)
    assert "://" not in written
    assert len(written.splitlines()) == len(text.write(summary(record()), "both").splitlines()) + 6


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from(["time", "verb", *record()]), JSON))
def test_whatever_a_journal_holds_becomes_a_report(tmp_path_factory, changed):
    path = tmp_path_factory.mktemp("journal") / "journal"
    damaged = []
    sound = record()
    sound["attachments"].append({"action": "held", "names": changed.get("verb"), "dangerous": changed.get("action")})
    path.write_text(json.dumps(sound | changed) + "\n" + json.dumps(sound) + "\n")
    made = Summary(0, 1 << 32)
    made.add(records(str(path), 0, damaged.append))
    written = mail.write(text.write(made, "both"), text.subject(made, "both"), "a@example.com", ["b@example.com"], NOW)
    assert written.isascii()
    assert len(damaged) <= 1


def test_each_message_says_why_who_and_whether_there_is_an_original(report, path):
    attachment = {"action": "quarantined", "names": ["a.exe"], "dangerous": ["executable", "macro"]}
    write(
        path,
        numbered(1, sender="a@evil.test") | {"attachments": [attachment], "author_domain": "bank.example"},
        numbered(2, sender="a@evil.test")
        | {"attachments": [attachment], "authenticated": True, "author_domain": "evil.test"},
        numbered(3, sender="") | {"quarantine_id": None, "authenticated": True},
    )
    removed, known, stranger = report("--lang", "en").partition("(the last 20)\n")[2].split("  2023-11-14")[1:]
    assert "From: a@evil.test (From: bank.example)\n" in stranger
    assert "Why: executable, macro, sender not authenticated\n" in stranger
    assert "From: a@evil.test\n" in known
    assert "Why: executable, macro\n" in known
    assert "removed, nothing kept\n" in removed
    assert "Why" not in removed
    japanese = report("--lang", "ja")
    assert "理由: executable, macro, 差出人を確かめられない\n" in japanese
    assert "除去のみ、原本なし\n" in japanese


def test_the_mail_is_what_mail_readers_expect(report, path):
    write(path, numbered(1))
    raw = report("--to", "admin@example.com", "--to", "other@example.com", "--from", "guard@example.com")
    message = email.message_from_string(raw, policy=email.policy.default)
    assert not message.defects
    assert message["from"].addresses[0].addr_spec == "guard@example.com"
    assert [each.addr_spec for each in message["to"].addresses] == ["admin@example.com", "other@example.com"]
    assert message["subject"] == "mailguard 2023-11-14: 隔離・除去 1 通、解除 0 件 / 1 held or removed, 0 released"
    assert message["date"].datetime.timestamp() == NOW
    assert message["message-id"].endswith("@example.com>")
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content() == report()
    assert max(map(len, raw.split("\n"))) <= 78
    assert raw == report("--to", "admin@example.com", "--to", "other@example.com", "--from", "guard@example.com")


@pytest.mark.parametrize("lang", ["ja", "en", "both"])
def test_our_own_filters_leave_it_as_it_is(report, mailguard, path, lang):
    write(path, numbered(1))
    raw = report("--lang", lang, "--to", "admin@example.com").encode()
    chain = "quarantine --when always | strip --when always | sanitize --sandbox none"
    done = mailguard("run", "--log", "none", chain, input=raw)
    assert (done.returncode, done.stdout) == (0, raw)


def test_a_long_line_makes_no_line_that_is_too_long():
    raw = mail.write("x" * 2000 + "\n", "s" * 200, "a@example.com", ["b@example.com"], NOW)
    assert max(map(len, raw.split(b"\n"))) < 220
    assert email.message_from_bytes(raw).get_payload(decode=True) == b"x" * 2000 + b"\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "no address"),
        ("--to", "a@b\nBcc: c@d"),
        ("--to", "ü@example.com"),
        ("--to", "a@example.com", "--from", "x"),
        ("--days", "0"),
        ("--days", "1", "--since", "1d"),
    ],
)
def test_wrong_calls_are_told(report, path, arguments):
    write(path, numbered(1))
    report(*arguments, status=2)


def test_the_journal_may_stand_in_the_configuration(mailguard, path, tmp_path):
    write(path, numbered(1))
    (tmp_path / "toml").write_text(f'journal = "{path}"\n[report]\nlang = "en"\n')
    done = mailguard("report", "--config", tmp_path / "toml", *CLOCK)
    assert done.stdout.startswith(b"Report of mailguard\n")


# The example


@pytest.mark.parametrize("happened", [True, False])
def test_the_script_of_the_example_sends_a_mail_when_there_is_something_to_tell(tmp_path, happened):
    path = tmp_path / "journal"
    write(path, record(now=int(time.time()) - DAY if happened else NOW - 999 * DAY))
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat > {tmp_path}/sent\n')
    sendmail.chmod(0o755)
    script = SCRIPT.read_text().replace("/opt/mailguard/bin/mailguard", PROGRAM)
    done = subprocess.run(
        ["sh", "-c", script.replace("/var/lib/mailguard/journal", str(path)), "report.sh", "admin@example.com"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "sent").exists() == happened
    if happened:
        assert (tmp_path / "arguments").read_text() == "-i -f <> -- admin@example.com\n"
        assert (tmp_path / "sent").read_bytes().startswith(b"From: mailguard <")
