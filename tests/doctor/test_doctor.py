"""The doctor: it finds what is wrong, says how to repair it, and leaves everything as it is."""

from __future__ import annotations

import json
import os
import pty
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from dns_server import DROP, DnsServer
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES
from program import PROGRAM
from signed_mail import record, write_key

from mailguard.correspondence import conversations
from mailguard.doctor import clock, postfix, procmail, programs, resolver, sandbox, secrets, signing, storage
from mailguard.doctor.looks import _safely
from mailguard.doctor.looks import rows as all_rows
from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row, Setup
from mailguard.errors import ConfigurationError
from mailguard.seal import keys, new_key
from mailguard.setup.places import FILES

UNCHECKED = {"org": [("NS", "a.org.")], "dnssec-failed.org": [("A", "192.0.2.1")]}


def said(found):
    return [(row.state, row.what) for row in found]


def one(found):
    (row,) = found
    assert (row.repair == "") == (row.state == GOOD)
    return row


def problems(found):
    return [row for row in found if row.state != GOOD]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "site" / "key"
    path.parent.mkdir(mode=0o700)
    path.write_text(new_key() + "\n" + new_key() + "\n")
    path.chmod(0o600)
    return path


# Key and files


def test_a_good_key_is_named_and_its_backup_explained(key):
    found = list(secrets.key(Setup(str(key))))
    assert not problems(found)
    first, second = (line.split()[1] for line in key.read_text().splitlines())
    assert found[0].what == f"{key}: {first}; older: {second}"
    assert "install -m 600" in found[1].what


def test_a_key_that_others_can_read(key):
    key.chmod(0o644)
    row = one(secrets.key(Setup(str(key))))
    assert (row.state, row.repair) == (FAILURE, f"chmod 600 {key}")


def test_a_key_that_is_not_there(tmp_path, monkeypatch):
    row = one(secrets.key(Setup(str(tmp_path / "key"))))
    assert row.repair == f"mailguard init --key-file {tmp_path}/key"
    monkeypatch.setattr("mailguard.site.key_paths", lambda: [str(tmp_path / "key")])
    assert one(secrets.key(Setup())).repair == "mailguard init"


@pytest.mark.parametrize("text", ["", "no key\n", "mailguard-key-1 aaa " + "A" * 43 + "=\n"])
def test_a_damaged_key(key, text):
    key.write_text(text)
    assert one(secrets.key(Setup(str(key)))).state == FAILURE


def test_the_secret_never_shows(key):
    secret = key.read_text().split()[2]
    for damage in ("", "x"):
        key.write_text(key.read_text() + damage)
        assert all(secret[:8] not in row.what + row.repair for row in secrets.key(Setup(str(key))))


def test_a_key_in_a_folder_where_others_write(key):
    key.parent.chmod(0o777)
    assert [row.repair for row in problems(secrets.key(Setup(str(key))))] == [f"chmod go-w {key.parent}"]


def test_a_key_of_somebody_else(key):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    shutil.chown(key, 65534)
    (row,) = problems(secrets.key(Setup(str(key))))
    assert row.state == WARNING
    assert row.repair.startswith("look as the user of the filters: runuser -u ")


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("known", "a@example.com\n", "a b\n"),
        ("password_file", "* secret words\n", "\n"),
        ("rules", '[[rule]]\ntype = ["image/*"]\naction = "keep"\n', "rule = 1\n"),
        ("notice_template", "${id}\n", "${nothing}\n"),
        ("only_senders", "@example.com\n", "\xff"),
    ],
)
def test_configured_files_are_read_as_the_filters_do(tmp_path, option, good, bad):
    path = tmp_path / "file"
    setup = Setup(files={option: [str(path)]})
    assert one(secrets.files(setup)).state == FAILURE
    path.write_text(good)
    path.chmod(0o600)
    assert one(secrets.files(setup)).state == GOOD
    path.write_bytes(bad.encode("latin-1"))
    row = one(secrets.files(setup))
    assert row.state == FAILURE
    assert str(path) in row.what


def test_a_configured_file_that_others_may_change(tmp_path):
    path = tmp_path / "known"
    path.write_text("a@example.com\n")
    path.chmod(0o666)
    assert one(secrets.files(Setup(files={"known": [str(path)]}))).repair == f"chmod go-w {path}"


def test_conversations_are_opened_with_the_key_and_must_not_be_forgotten(key, tmp_path):
    path = tmp_path / "conversations"
    setup = Setup(str(key), {"conversations": [str(path)]})
    row = one(secrets.conversations(setup))
    assert row.state == FAILURE
    assert row.repair.startswith("echo | mailguard learn --conversations ")
    conversations.create(str(path), keys.load(str(key)), 0)
    assert one(secrets.conversations(setup)).state == GOOD
    os.utime(path, (0, 0))
    row = one(secrets.conversations(setup))
    assert (row.state, "nothing was learned" in row.what) == (WARNING, True)
    path.chmod(0o666)
    assert one(secrets.conversations(setup)).repair == f"chmod go-w {path}"
    path.write_bytes(b"x")
    assert one(secrets.conversations(setup)).state == FAILURE
    assert [*secrets.conversations(Setup(str(key)))] == []


# What is written


def records(path):
    found = list(storage.records(Setup(files={"journal": [str(path)]})))
    return [row for row in found if "disk" not in row.name]


def test_a_site_without_a_journal():
    row = one(storage.records(Setup()))
    assert row.state == WARNING
    assert "none is configured" in row.what


def test_a_journal_in_order_and_one_that_is_still_to_be_made(tmp_path):
    path = tmp_path / "journal"
    assert "not there yet" in one(records(path)).what
    path.write_text("{}\n")
    path.chmod(0o600)
    assert said(records(path)) == [(GOOD, f"{path}: 3 octets")]
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize(
    ("spoil", "state", "repair"),
    [
        (lambda path: path.chmod(0o644), WARNING, "chmod 600 {}"),
        (lambda path: path.write_text('{"time"'), WARNING, "echo >> {}"),
        (lambda path: os.truncate(path, 2 << 30), WARNING, "let logrotate(8) rotate it"),
        (lambda path: (path.unlink(), os.mkfifo(path)), FAILURE, "rm {}"),
        (lambda path: (path.unlink(), path.symlink_to("other")), FAILURE, "rm {}"),
        (lambda path: (path.unlink(), path.mkdir()), FAILURE, "rm {}"),
    ],
)
def test_a_journal_with_a_problem(tmp_path, spoil, state, repair):
    path = tmp_path / "journal"
    path.write_text("{}\n")
    path.chmod(0o600)
    spoil(path)
    row = one(records(path))
    assert (row.state, row.repair) == (state, repair.format(path))


def test_a_journal_that_cannot_be_made(tmp_path):
    path = tmp_path / "nowhere" / "journal"
    row = one(records(path))
    assert row.state == FAILURE
    assert not path.parent.exists()


def test_spools(tmp_path):
    path = tmp_path / "spool"
    setup = Setup(spools=[str(path)])
    found = [row for row in storage.spools(setup) if "disk" not in row.name]
    assert one(found).repair == f"install -d -o USER -m 0700 {path}"
    (path / "queue").mkdir(parents=True)
    (path / "queue" / "a").touch()
    path.chmod(0o700)
    assert (GOOD, f"{path}: 1 waiting") in said(storage.spools(setup))
    path.chmod(0o755)
    assert f"chmod 700 {path}" in [row.repair for row in storage.spools(setup)]


def test_temporary_files_must_be_possible(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert (GOOD, str(tmp_path)) in said(storage.temporary(Setup()))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert one(storage.temporary(Setup())).state == FAILURE


class Disk:
    f_frsize, f_blocks, f_bavail, f_files, f_favail = 4096, 1 << 20, 1 << 19, 1000, 500

    def __init__(self, **changed):
        self.__dict__.update(changed)


@pytest.mark.parametrize(
    ("disk", "states"),
    [
        (Disk(), []),
        (Disk(f_bavail=1 << 15), [WARNING]),
        (Disk(f_bavail=100), [FAILURE]),
        (Disk(f_favail=10), [WARNING]),
        (Disk(f_files=0, f_favail=0), []),
    ],
)
def test_room_on_disks(monkeypatch, disk, states):
    monkeypatch.setattr("os.statvfs", lambda _folder: disk)
    assert [row.state for row in storage._disk("spool", "/x")] == states


# Programs


def test_the_packages_of_this_installation_can_be_loaded():
    found = list(programs.packages(Setup()))
    assert found[0].name == "packages"
    assert all(name in found[0].what for name in ("click ", "dnspython ", "pyzipper "))
    assert found[0].state == GOOD


def test_missing_and_broken_packages(monkeypatch, tmp_path):
    (tmp_path / "broken_module.py").write_text("raise OSError('libfoo.so\\x1b: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        programs, "_requirements",
        lambda: {"": ["click", "nothing"], "sanitize": ["no1", "no2"], "web": ["no3"], "x": ["broken-module"]},
    )  # fmt: skip
    monkeypatch.setattr(programs, "_version", lambda name: None if name.startswith("no") else "1")
    found = list(programs.packages(Setup()))
    assert [(row.name, row.state) for row in found] == [
        ("packages", FAILURE), ("extra sanitize", WARNING), ("extra web", GOOD), ("extra x", FAILURE),
    ]  # fmt: skip
    assert found[0].what == "missing: nothing"
    assert found[1].repair.endswith("/bin/pip install '.[sanitize]'")
    assert "libfoo.so\\x1b" in found[3].what


def test_requirements_are_sorted_by_extra(monkeypatch):
    lines = [
        "click>=8.2",
        "mailguard[sanitize]; extra == 'all'",
        'nh3>=0.3; extra == "sanitize"',
        "Pillow ; extra == 'x'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: lines)
    assert programs._requirements() == {"": ["click"], "sanitize": ["nh3"], "x": ["pillow"]}


def test_the_sandbox_is_really_tried():
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    row = one(sandbox.bubblewrap(Setup()))
    assert row.state == GOOD or "user namespaces" in row.repair


@pytest.mark.parametrize(("status", "words"), [(1, "user namespaces"), (None, "apt-get install bubblewrap")])
def test_a_sandbox_that_does_not_work(monkeypatch, tmp_path, status, words):
    (tmp_path / "cat").symlink_to("/bin/cat")
    if status is not None:
        bwrap = tmp_path / "bwrap"
        bwrap.write_text(f"#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit {status}\n")
        bwrap.chmod(0o755)
    monkeypatch.setattr("mailguard.sanitize.command._PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    row = one(sandbox.bubblewrap(Setup()))
    assert row.state == WARNING
    assert words in row.repair


# DNS and clock


@pytest.mark.parametrize(
    ("published", "state", "words"),
    [
        ([record(tags=b"v=DKIM1; k=rsa; ")], GOOD, "is published"),
        ([record(tags=b"")], GOOD, "is published"),
        ([], FAILURE, "is not published"),
        ([b"v=DKIM1; p="], FAILURE, "another key"),
        ([b"=;"], FAILURE, "another key"),
        ([record(), b"v=DKIM1; p=AAAA"], FAILURE, "there are several"),
        (["SERVFAIL"], WARNING, "cannot be asked now"),
    ],
)
def test_the_record_of_the_arc_key(tmp_path, published, state, words):
    values = {"domain": "gate.test", "selector": "arc1", "private_key": str(write_key(tmp_path / "key"))}
    zone = [("*", "SERVFAIL")] if published == ["SERVFAIL"] else [("TXT", text) for text in published]
    with DnsServer({"arc1._domainkey.gate.test": zone}) as server:
        row = one(signing.key(Setup(nameservers=[server.address], signing=values)))
    assert (row.state, words in row.what) == (state, True), row.what


def test_an_arc_key_that_cannot_be_used(tmp_path):
    assert not list(signing.key(Setup()))
    values = {"domain": "gate.test", "selector": "arc1"}
    assert "no private_key" in one(signing.key(Setup(signing=values))).what
    assert one(signing.key(Setup(signing=values | {"private_key": str(tmp_path / "none")}))).state == FAILURE


def test_a_name_server_that_answers_but_does_not_check():
    with DnsServer(UNCHECKED) as server:
        row = one(resolver.answers(Setup(nameservers=[server.address])))
    assert row.state == WARNING
    assert "do not check DNSSEC" in row.what


@pytest.mark.parametrize("zone", [{}, {"org": [("*", "SERVFAIL")]}])
def test_a_name_server_that_has_no_answer(zone):
    with DnsServer(zone) as server:
        assert one(resolver.answers(Setup(nameservers=[server.address]))).state == FAILURE


def test_a_name_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(resolver, "_SECONDS", 0.2)
    with DnsServer({"org": [("*", DROP)]}) as server:
        row = one(resolver.answers(Setup(nameservers=[server.address])))
    assert "do not answer (timeout)" in row.what


def test_a_validating_name_server(monkeypatch):
    from mailguard import dns

    answers = {"org": dns.Answer(dns.OK, ["a.org"], 60, authenticated_data=True)}

    class Source:
        def ask(self, name, *_):
            return answers.get(name, dns.Answer(dns.SERVFAIL))

    monkeypatch.setattr("mailguard.dns.source", lambda *_, **__: Source())
    assert one(resolver.answers(Setup())).state == GOOD
    answers["org"] = dns.Answer(dns.OK, ["a.org"], 60)
    assert one(resolver.answers(Setup())).state == WARNING


def test_a_clock_that_was_set_back(key):
    os.utime(key, (1 << 33, 1 << 33))
    row = one(clock.clock(Setup(str(key))))
    assert row.state == FAILURE
    assert str(key) in row.what


@pytest.mark.parametrize(("state", "expected"), [(0, GOOD), (5, WARNING)])
def test_what_the_kernel_says_about_the_clock(monkeypatch, state, expected):
    monkeypatch.setattr(clock, "_kernel_state", lambda: state)
    assert one(clock.clock(Setup())).state == expected


def test_the_kernel_can_be_asked():
    assert clock._kernel_state() in range(6)


# Postfix


# As `mailguard setup postfix` leaves them (tests/e2e runs it), for a user that every Debian has.
MAIN = """
message_size_limit = 51200000
guard_destination_recipient_limit = 1
"""
MASTER = """
smtp      inet  n       -       y       -       -       smtpd
    -o message_size_limit=40960000
    -o content_filter=guard:dummy
guard     unix  -       n       n       -       10      pipe flags=q
    user=games null_sender= argv=/usr/local/lib/mailguard/filter.sh
    sendmail ${sender} ${client_address} ${client_helo} ${queue_id}
    ${sasl_username} ${recipient}
"""


@pytest.fixture
def site(tmp_path):
    """A folder like /etc/postfix with our lines."""
    script = tmp_path / "mailguard.sh"
    shutil.copy(Path(FILES) / "filter.sh", script)
    script.chmod(0o755)

    def write(*changes, main=(), script_text=None):
        if script_text is not None:
            script.write_text(script_text)
        for name, text, replaced in (("master.cf", MASTER, changes), ("main.cf", MAIN, main)):
            text = text.replace("/usr/local/lib/mailguard/filter.sh", str(script))  # noqa: PLW2901
            for old, new in replaced:
                assert old in text
                text = text.replace(old, new)  # noqa: PLW2901
            (tmp_path / name).write_text(text)
        return Setup(postfix=str(tmp_path))

    return write


def test_the_shipped_example_is_in_order(site):
    row = one(postfix.look(site()))
    assert (row.name, row.state) == ("master.cf: guard", GOOD)


def test_a_site_without_postfix_or_without_our_lines(tmp_path):
    assert list(postfix.look(Setup(postfix=str(tmp_path / "none")))) == []
    (tmp_path / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    (tmp_path / "main.cf").write_text("")
    assert one(postfix.look(Setup(postfix=str(tmp_path)))).state == GOOD


@pytest.mark.parametrize(
    ("old", "new", "state", "words"),
    [
        ("user=games ", "user=root ", FAILURE, "user=root"),
        ("user=games ", "", FAILURE, "user= is missing"),
        ("user=games ", "user=nobody ", WARNING, "user=nobody does other things"),
        ("user=games ", "user=nosuchuser:grp ", FAILURE, "there is no user nosuchuser"),
        ("flags=q", "flags=DRhu", WARNING, "Delivered-To, Return-Path"),
        ("flags=q", "flags=qX", WARNING, "flag X"),
        (" null_sender=", "", WARNING, "MAILER-DAEMON"),
        ("    -o message_size_limit=40960000\n", "", WARNING, "too large to come back"),
        ("message_size_limit=40960000", "message_size_limit=0", WARNING, "too large to come back"),
        ("message_size_limit=40960000", "message_size_limit=60000000", WARNING, "too large to come back"),
        ("message_size_limit=40960000", "message_size_limit=41000000", WARNING, "too large to come back"),
    ],
)
def test_mistakes_in_master_cf(site, old, new, state, words):
    (row,) = problems(postfix.look(site((old, new))))
    assert row.state == state
    assert words in row.what
    assert row.repair


def test_a_filter_as_a_transport_deletes_all_mail(site):
    setup = site()
    path = Path(setup.postfix, "master.cf")
    path.write_text(
        "guard unix - n n - 10 pipe\n  flags=q user=games null_sender= argv=/opt/mailguard/bin/mailguard\n  strip\n"
    )
    (row,) = [row for row in postfix.look(setup) if row.state == FAILURE]
    assert "every mail is deleted" in row.what


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (("guard_destination_recipient_limit = 1", "#"), "share one run"),
        (("message_size_limit = 51200000", "message_size_limit = 40960000"), "too large to come back"),
        (("message_size_limit = 51200000", "mailbox_command = /usr/bin/mailguard quarantine"), "every mail"),
        (("message_size_limit = 51200000", "message_size_limit=51200000\ncontent_filter = guard:x"), "a loop"),
        (
            ("guard_dest", "smtpd_milters = unix:/run/mailguard/milter\nmilter_default_action =\n  accept\nguard_dest"),
            "milter is away",
        ),
    ],
)
def test_mistakes_in_main_cf(site, main, words):
    assert words in "\n".join(row.what for row in problems(postfix.look(site(main=[main]))))


def test_what_one_milter_says_for_itself_counts_more_than_what_holds_for_all(site):
    def found(own, others):
        lines = (
            f"smtpd_milters = inet:x:1 {{ unix:mailguard/s, default_action={own} }}\nmilter_default_action = {others}"
        )
        return [row.what for row in problems(postfix.look(site(main=[("guard_dest", f"{lines}\nguard_dest")])))]

    assert found("tempfail", "accept") == []
    assert ["milter is away" in what for what in found("accept", "tempfail")] == [True]


@pytest.mark.parametrize(
    ("line", "size", "words"),
    [
        ("mailbox_size_limit = 0", 60_000_000, None),
        ("mailbox_size_limit = 51200000", 51_000_000, None),
        ("mailbox_size_limit = 51200000", 52_700_000, "is returned to its sender: 52700000 octets"),
        ("# as Postfix is shipped", 52_700_000, "is returned to its sender: 52700000 octets"),
        ("mailbox_size_limit = 51199999", 0, "mailbox_size_limit is smaller than message_size_limit"),
        ("virtual_mailbox_limit = 1", 0, "virtual_mailbox_limit is smaller than message_size_limit"),
        ("message_size_limit = 51200000", 0, "message_size_limit stands more than once"),
        ("mailbox_size_limit = $message_size_limit", 60_000_000, None),
    ],
)
def test_limits_below_what_is_there(site, tmp_path, line, size, words):
    spool = tmp_path / "mail"
    spool.mkdir()
    (spool / "bob").touch()
    os.truncate(spool / "bob", size)
    setup = site(main=[("guard_dest", f"{line}\nmail_spool_directory = {spool}\nguard_dest")])
    found = [row.what for row in problems(postfix.limits(setup))]
    assert [words in what for what in found] == ([True] if words else [])


@pytest.mark.parametrize(("announced", "found"), [("60000000", True), ("0", True), ("51200000", False)])
def test_a_service_that_accepts_what_is_refused_then(site, announced, found):
    setup = site(("message_size_limit=40960000", f"message_size_limit={announced}"))
    assert ["refuses then" in row.what for row in problems(postfix.limits(setup))] == [True] * found


def test_a_mailbox_in_a_home_is_seen_too(site, tmp_path, monkeypatch):
    (tmp_path / "mbox").touch()
    os.truncate(tmp_path / "mbox", 60_000_000)
    user = pwd.struct_passwd(("bob", "x", 1, 1, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [user])
    lines = f"mail_spool_directory = {tmp_path}/none\nhome_mailbox = mbox\nguard_dest"
    (row,) = problems(postfix.limits(site(main=[("guard_dest", lines)])))
    assert "60000000 octets" in row.what
    assert list(postfix.limits(Setup(postfix=str(tmp_path / "none")))) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\nmailguard verify | sendmail -i -f x -- y\n", "hides the status"),
        ('#!/bin/sh\n"$mailguard" quarantine --sender="$1" \\\n  | sendmail -i -- y\n', "hides the status"),
        ("#!/bin/sh\nmailguard run 'verify | strip' > x || exit 75\nsendmail -G -t < x\n", "which the sender wrote"),
        ("#!/bin/sh\nmailguard strip > x || exit 75\nsendmail -oi -it < x\n", "which the sender wrote"),
    ],
)
def test_mistakes_in_the_script(site, text, words):
    (row,) = problems(postfix.look(site(script_text=text)))
    assert words in row.what


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\n# mailguard verify | sendmail -t\nmailguard run 'verify | strip' > x || exit 75\n",
        '#!/bin/sh\nmailguard run "verify | strip" > x || exit 75\nsendmail -G -i -f "$1" -- "$2" < x\n',
    ],
)
def test_a_good_script(site, text):
    assert not problems(postfix.look(site(script_text=text)))


def test_a_script_that_is_not_there_or_cannot_run(site, tmp_path):
    setup = site()
    (tmp_path / "mailguard.sh").chmod(0o644)
    assert [row.repair for row in problems(postfix.look(setup))] == [f"chmod 755 {tmp_path}/mailguard.sh"]
    (tmp_path / "mailguard.sh").unlink()
    assert "is not there" in problems(postfix.look(setup))[0].what


def test_the_user_of_the_transport_must_own_the_key(site, key):
    setup = site()
    setup.key_file = str(key)
    assert any("is not the owner of the key" in row.what for row in postfix.look(setup))


# procmail


def recipes(tmp_path, text, postfix_folder="/nonexistent"):
    path = tmp_path / "procmailrc"
    path.write_text(text)
    path.chmod(0o600)
    return list(procmail.look(Setup(procmailrc=[str(path)], postfix=str(postfix_folder))))


@pytest.mark.parametrize("name", ["procmailrc", "procmailrc.run"])
def test_the_shipped_recipes_are_in_order(tmp_path, name):
    assert one(recipes(tmp_path, (EXAMPLES / name).read_text())).state == GOOD


GIVEN_BACK = ":0e\n{\n    EXITCODE=75\n    HOST\n}\n"


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        (":0w\n| mailguard strip\n" + GIVEN_BACK, FAILURE, "without the flag f"),
        (":0 f\n| mailguard strip\n" + GIVEN_BACK, FAILURE, "without the flag w"),
        (":0fbw\n| mailguard strip\n" + GIVEN_BACK, FAILURE, "only a part"),
        (":0fwh\n* ^From: x\n| mailguard strip\n" + GIVEN_BACK, FAILURE, "only a part"),
        (":0fw\n| mailguard strip\n", FAILURE, "nothing follows"),
        (":0fw\n| mailguard strip\n:0\n| mail\n", FAILURE, "nothing follows"),
        (":0fw\n| mailguard strip\n:0e\n/dev/null\n", WARNING, "does not give the mail back"),
        (":0fw\n| mailguard verify | mailguard strip\n" + GIVEN_BACK, FAILURE, "hides the status"),
        (":0fw\n| mailguard verify \\\n | mailguard strip\n" + GIVEN_BACK, FAILURE, "hides the status"),
    ],
)
def test_traps_in_recipes(tmp_path, text, state, words):
    (row,) = recipes(tmp_path, "PATH=/bin\n\n" + text)
    assert (row.state, row.name) == (state, f"{tmp_path}/procmailrc:3")
    assert words in row.what


def test_recipes_of_others_are_nobody_elses_business(tmp_path):
    assert recipes(tmp_path, ":0\n| other\n:0c\nbackup/\n") == []
    assert list(procmail.look(Setup(procmailrc=[str(tmp_path / "none")]))) == []


def test_a_file_of_recipes_that_others_may_change(tmp_path):
    path = tmp_path / "rc"
    path.write_text(":0fw\n| mailguard strip\n" + GIVEN_BACK)
    path.chmod(0o666)
    (row,) = procmail.look(Setup(procmailrc=[str(path)], postfix="/nonexistent"))
    assert row.repair == f"chmod go-w {path}"


@pytest.mark.parametrize(
    ("command", "count"), [("/usr/bin/procmail -a x", 1), ("/usr/bin/procmail -p -a x", 0), ("", 0)]
)
def test_the_client_is_known_only_where_procmail_leaves_the_environment(tmp_path, command, count):
    (tmp_path / "main.cf").write_text(f"mailbox_command = {command}\n")
    found = recipes(tmp_path, (EXAMPLES / "procmailrc").read_text(), tmp_path)
    assert len(problems(found)) == count


PIECES = st.sampled_from(
    [
        *"\n \t=:|'\"\\#*{}${},\0\x1bé", "mailguard", "strip", "smtp inet n - y - - smtpd\n", "g unix - n n - 10 pipe\n  ",
        "user=", "flags=", "argv=", "-o ", "content_filter=g:x", "message_size_limit=", "9" * 30, "²", "/bin/sh", ":0", "fw", "e",
        "\n:0fw\n| mailguard", "EXITCODE=75\n", "HOST\n", "mailbox_command = ", "null_sender=", "games", "sendmail -t",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join), st.lists(PIECES, max_size=30).map("".join))
def test_whatever_stands_in_the_files_of_others_is_read(tmp_path_factory, one_text, other_text):
    folder = tmp_path_factory.mktemp("postfix")
    (folder / "master.cf").write_text(one_text)
    (folder / "main.cf").write_text(other_text)
    setup = Setup(postfix=str(folder), procmailrc=[str(folder / "master.cf"), str(folder / "main.cf")])
    for row in (*postfix.look(setup), *procmail.look(setup)):
        assert (row.name + row.what + row.repair).isprintable()
        assert (row.repair == "") == (row.state == GOOD)


# The whole


def test_what_goes_wrong_in_a_look_is_a_row():
    def broken(_setup):
        yield Row("x", GOOD, "fine")
        raise ConfigurationError("no \x1b luck")

    found = list(_safely("x", broken, Setup()))
    assert said(found) == [(GOOD, "fine"), (FAILURE, "no \\x1b luck")]


def test_it_looks_at_everything_and_repairs_come_with_problems(key, tmp_path):
    found = list(all_rows(Setup(str(key), {"journal": [str(tmp_path / "journal")]}, nameservers=["127.0.0.1:1"])))
    assert {"key", "journal", "temporary files", "packages", "bubblewrap", "DNS", "clock"} <= {
        row.name for row in found
    }
    assert all((row.repair == "") == (row.state == GOOD) for row in found)
    assert all((row.what + row.repair).isprintable() for row in found)


@pytest.fixture
def doctor(mailguard, tmp_path):
    config = tmp_path / "toml"

    def run(*arguments, text=""):
        config.write_text(text)
        with DnsServer(UNCHECKED) as server:
            where = ["--config", config, "--postfix", tmp_path / "none", "--nameserver", server.address]
            return mailguard("doctor", *where, *arguments)

    return run


def test_the_status_tells_how_bad_it_is(doctor, tmp_path):
    done = doctor(text=f'journal = "{tmp_path}/journal"\n')
    assert done.returncode == 1  # the name server does not check
    assert done.stderr == b""
    assert b"good     configuration: " in done.stdout
    assert b"warning  DNS: " in done.stdout
    done = doctor("--key-file", tmp_path / "nothing")
    assert done.returncode == 2
    assert b"failure  key: " in done.stdout
    assert b"\n         repair: mailguard init" in done.stdout


def test_the_configuration_is_read_for_all_commands(doctor, tmp_path):
    done = doctor("--json", text=f'[strip]\nwhen = "never"\n[duplicate]\nspol = "x"\nspool = "{tmp_path}/spool"\n')
    assert done.returncode == 2
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [row["what"] for row in found if row["name"] == "configuration"]
    assert len(wrong) == 2
    assert any(":2: when" in what for what in wrong)
    assert any(":4: spol" in what for what in wrong)
    assert all(row.keys() == {"name", "state", "what", "repair"} for row in found)


def test_configured_files_and_spools_are_looked_at(doctor, tmp_path):
    (tmp_path / "known").write_text("a b\n")
    text = f'[quarantine]\nknown = "{tmp_path}/known"\n[duplicate]\nspool = "{tmp_path}/spool"\nto = ["maildir:/x"]\n'
    done = doctor(text=text)
    assert f"failure  known: {tmp_path}/known:1".encode() in done.stdout
    assert f"failure  spool: {tmp_path}/spool: ".encode() in done.stdout


def test_nothing_is_changed(doctor, tmp_path, key):
    def everything():
        return sorted((str(path), path.lstat().st_mtime_ns) for path in tmp_path.rglob("*") if path.name != "toml")

    before = everything()
    doctor("--key-file", key, "--journal", tmp_path / "journal", text=f'[duplicate]\nspool = "{tmp_path}/spool"\n')
    assert everything() == before


def test_a_table_on_a_terminal(environment, tmp_path):
    controller, terminal = pty.openpty()
    command = [PROGRAM, "doctor", "--postfix", str(tmp_path), "--nameserver", "127.0.0.1:1"]
    process = subprocess.Popen(command, stdout=terminal, env=environment | {"TERM": "dumb", "COLUMNS": "100"})
    os.close(terminal)
    output = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:
            break
        output += piece
    os.close(controller)
    assert process.wait(120) == 2
    assert "→".encode() in output
    assert b"failure" in output
