"""Watching domains: what became worse or better since the last look, what ends soon, and for machines."""

from __future__ import annotations

import configparser
import json
import re
import shlex

import pytest
from check_reports import NOW, bad, good, mixed
from dns_server import DnsServer
from paths import EXAMPLES

from mailguard.check import catalogue, watch
from mailguard.check.changes import Change, Repair
from mailguard.check.export import exported, shown_name
from mailguard.check.outcome import Outcome
from mailguard.check.report import Report
from mailguard.errors import ConfigurationError

NO_MAIL = {
    "none.test": [("MX", (0, "")), ("TXT", b"v=spf1 -all")],
    "_dmarc.none.test": [("TXT", b"v=DMARC1; p=reject; rua=mailto:d@none.test")],
    "2.0.0.127.bl.test": [("A", "127.0.0.2")],
    "xn--wgv71a119e.jp": [("MX", (0, "")), ("TXT", b"v=spf1 -all")],
}


def report(*outcomes, started=NOW):
    return Report(
        "example.com", started, 1.0, [Outcome(*each[:3], subject=each[3] if each[3:] else "") for each in outcomes]
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return str(tmp_path / "state")


def looked(folder, *outcomes, days=14):
    found = watch.look(report(*outcomes), folder, days)
    changed = [[f"{each[0]} {each[2]}-{each[3]}" for each in changes] for changes in (found.worse, found.better)]
    return (found.status, *changed)


GOOD = ("spf", "good", "good")
WARNED = ("spf", "warning", "neutral-all")
FAILED = ("spf", "failure", "missing")
UNKNOWN = ("spf", "unknown", "late")


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([[FAILED]], (0, [], [])),
        ([[GOOD], [GOOD]], (0, [], [])),
        ([[GOOD], [FAILED]], (2, ["spf good-failure"], [])),
        ([[WARNED], [FAILED]], (2, ["spf warning-failure"], [])),
        ([[FAILED], [GOOD]], (1, [], ["spf failure-good"])),
        ([[GOOD], [UNKNOWN, ("dmarc", "good", "good")]], (0, [], [])),
        ([[GOOD], [UNKNOWN]], (3, [], [])),
        ([[GOOD], [UNKNOWN], [UNKNOWN], [FAILED]], (2, ["spf good-failure"], [])),
        ([[FAILED], [UNKNOWN], [GOOD]], (1, [], ["spf failure-good"])),
        ([[GOOD], [GOOD, ("dmarc", "failure", "missing")]], (2, ["dmarc good-failure"], [])),
        ([[GOOD], [GOOD, ("caa", "warning", "missing")]], (0, [], [])),  # a hint
        ([[("tls.starttls", "good", "good", "a")], [("tls.starttls", "failure", "missing", "b")]],
         (2, ["tls.starttls good-failure"], [])),
        ([[GOOD, FAILED], [GOOD, FAILED]], (0, [], [])),
    ],
)  # fmt: skip
def test_a_look_says_what_changed_and_what_is_unknown_is_no_change(folder, looks, expected):
    found = [looked(folder, *look) for look in looks]
    assert found[-1] == expected
    assert all(status in {0, 3} for status, *_ in found[:-1])


def test_what_ends_soon_is_a_failure(folder):
    def certified(days):
        made = report(GOOD)
        made.outcomes += [
            Outcome("tls.cert", "good", "good", {"ends": NOW + left * 86400 + 60}, subject=name)
            for name, left in (("a", days), ("a", days + 3), ("b", 300))
        ]
        return made

    found = watch.look(certified(13), folder, 14)
    assert (found.status, found.ends[0], len(found.ends)) == (2, ("tls.cert", "a", NOW + 13 * 86400 + 60), 2)
    assert watch.look(certified(15), folder, 14).status == 0
    assert found.as_dict()["ends"][0] == {
        "check": "tls.cert",
        "subject": "a",
        "time": NOW + 13 * 86400 + 60,
        "days": 13,
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}', b'{"version": 1, "states": 3}'])
def test_a_damaged_memory_is_told_and_not_replaced(folder, content):
    path = f"{folder}/example.com.json"
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(ConfigurationError):
        watch.look(report(GOOD), folder, 14)
    with open(path, "rb") as file:
        assert file.read() == content


def test_metrics_are_in_the_format_of_prometheus(folder):
    made = report(GOOD)
    made.outcomes.append(Outcome("tls.cert", "good", "good", {"ends": NOW + 60}, subject='mx"\\\n.test'))
    text = watch.metrics([watch.look(made, folder, 14)]).decode()
    sample = re.compile(
        r'mailguard_check_[a-z_]+\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\} [0-9.]+'
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 10
    assert all(map(sample.fullmatch, lines)), text
    assert 'mailguard_check_change{domain="example.com"} 2' in lines
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            assert line.split()[3] == "gauge"


@pytest.mark.parametrize("lang", ["ja", "en"])
@pytest.mark.parametrize("made", [good, mixed, bad])
def test_every_outcome_says_to_machines_what_the_page_says_to_people(made, lang):
    source = made()
    source.outcomes[0].repair = Repair([Change("example.com", "TXT", [], [b"v=spf1 -all"])])
    record = json.loads(json.dumps(exported(source, lang)))
    back = Report.from_dict(record)
    for read, outcome in zip(back.outcomes, source.outcomes, strict=True):
        assert read.as_dict() == outcome.as_dict() | {"severity": catalogue.severity(outcome)}
    for told, outcome in zip(record["outcomes"], source.outcomes, strict=True):
        assert told["severity"] in {"critical", "high", "medium", "informational"}
        assert told["sentence"] == catalogue.sentence(outcome, lang, source.domain)
        assert told["reference"]
        assert told["area"] in {"dns", "server"}
        assert told["who"] in {"dns", "mta", "provider"}
        wrong = outcome.state in {"failure", "warning"}
        assert all((name in told) == wrong for name in ("headline", "advice", "lines", "effort"))
    assert record["outcomes"][0].get("lines", {"record": 'example.com. IN TXT "v=spf1 -all"'})["record"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("xn--wgv71a119e.jp", "日本語.jp"),
        ("example.com", "example.com"),
        ("xn--a.test", "xn--a.test"),
        ("xn--\u202e.test", "xn--\u202e.test"),
    ],
)
def test_a_name_is_shown_as_people_write_it(name, shown):
    assert shown_name(name) == shown


def watched(mailguard, tmp_path, zone, names, *options):
    listed = tmp_path / "domains"
    listed.write_text(names)
    with DnsServer(zone) as server:
        return mailguard(
            "check", "watch", str(listed), "--state", str(tmp_path / "state"), "--nameserver", server.address,
            "--blocklist", "bl.test", "--timeout", "20", *options,
        )  # fmt: skip


def test_a_list_is_watched_from_a_timer(mailguard, tmp_path):
    files = "--json", str(tmp_path / "log"), "--prometheus", str(tmp_path / "metrics")
    names = "# ours\nnone.test  # no mail\n日本語.jp\nNONE.test.\n"
    first = watched(mailguard, tmp_path, NO_MAIL, names, *files)
    assert (first.returncode, first.stderr) == (0, b"")
    assert "日本語.jp: " in first.stdout.decode()
    same = watched(mailguard, tmp_path, NO_MAIL, names, *files)
    assert (same.returncode, same.stdout) == (0, first.stdout)
    worse = watched(mailguard, tmp_path, NO_MAIL | {"none.test": [("MX", (0, ""))]}, names, *files)
    assert worse.returncode == 2
    assert "  - spf: good -> failure: There is no SPF record\n" in worse.stdout.decode()
    better = watched(mailguard, tmp_path, NO_MAIL, names, *files)
    assert better.returncode == 1
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["domain"] for line in lines] == ["none.test", "xn--wgv71a119e.jp"] * 4
    assert [line["status"] for line in lines] == [0, 0, 0, 0, 2, 0, 1, 0]
    assert 'mailguard_check_status{domain="none.test"}' in (tmp_path / "metrics").read_text()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".mailguard")]


@pytest.mark.parametrize("names", ["", "# nothing\n", "127.0.0.1\n", "none\n", "a b.test\n"])
def test_a_list_that_names_no_domain_is_refused(mailguard, tmp_path, names):
    process = watched(mailguard, tmp_path, NO_MAIL, names)
    assert process.returncode == 3
    assert process.stderr
    assert not (tmp_path / "state").exists()


def test_several_domains_in_one_run(mailguard):
    with DnsServer(NO_MAIL) as server:
        options = "--nameserver", server.address, "--blocklist", "bl.test", "--json"
        process = mailguard("check", "scan", *options, "joe@none.test", "https://日本語.jp/mail?x")
        alone = mailguard("check", "scan", *options, "none.test")
        refused = mailguard("check", "scan", *options, "127.0.0.1")
    found = [json.loads(line) for line in process.stdout.splitlines()]
    assert [each["domain"] for each in found] == ["none.test", "xn--wgv71a119e.jp"]
    assert found[1]["domain_unicode"] == "日本語.jp"
    assert process.returncode == max(each["verdict"]["status"] for each in found) == 2
    assert json.loads(alone.stdout)["domain"] == "none.test"
    assert refused.returncode == 3


def test_the_unit_calls_what_is_there_and_fails_for_the_worse_alone():
    unit, timer = configparser.ConfigParser(interpolation=None), configparser.ConfigParser(interpolation=None)
    unit.optionxform = timer.optionxform = str
    unit.read(EXAMPLES / "check/mailguard-watch.service")
    timer.read(EXAMPLES / "check/mailguard-watch.timer")
    from mailguard.cli.watch import watch_command

    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[1:3] == ["check", "watch"]
    context = watch_command.make_context("watch", [*words[3:-1], "-"])
    assert context.params["state"] == "/var/lib/mailguard/check/watch"
    assert unit["Service"]["SuccessExitStatus"] == str(watch.CHANGED)
    assert timer["Timer"]["OnCalendar"]
