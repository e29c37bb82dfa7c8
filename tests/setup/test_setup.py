"""`mailguard setup`: what it plans, what it writes, and that --undo finds its way back from every half of it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from mailguard import safefile
from mailguard.errors import ConfigurationError
from mailguard.setup import carrying_out, content_filter, mailbox, milter, observation, places, server
from mailguard.setup.places import Mine, Places
from mailguard.setup.plan import SetupPlan, WrittenFile
from mailguard.setup.postconf import PostfixFiles
from mailguard.setup.record import Record

# What Debian's package writes (12, postfix 3.7), and what it makes of the answers at its installation.
MAIN = Path("/usr/share/postfix/main.cf.debian")
MASTER = Path("/usr/share/postfix/master.cf.dist")
ANSWERS = """
myhostname = mx.example.org
mydestination = $myhostname, example.org, localhost.example.org, localhost
mailbox_size_limit = 0
"""
OWN_LIMITS = "message_size_limit = 104857600\nvirtual_mailbox_limit = 104857600\n"
USER = "games"

needs_postfix = pytest.mark.skipif(
    os.geteuid() != 0 or not MAIN.exists() or not shutil.which("postconf", path="/usr/sbin"),
    reason="needs root and Debian's Postfix",
)


@pytest.fixture
def site(tmp_path):
    """A machine below one folder, with Debian's Postfix and a program that every user can run."""
    tmp_path.chmod(0o755)
    found = Places("/bin/true", USER)
    for name in ("postfix", "etc", "lib", "home", "spool", "units", "records"):
        setattr(found, name, str(tmp_path / "site" / name))
    Path(found.postfix).mkdir(parents=True)
    (Path(found.postfix) / "main.cf").write_text(MAIN.read_text() + ANSWERS)
    shutil.copy(MASTER, Path(found.postfix) / "master.cf")
    return found


def append(site, name, text):
    with (Path(site.postfix) / name).open("a") as file:
        file.write(text)


def planned(site, make=content_filter.plan, **options):
    with PostfixFiles(site.postfix) as copy:
        return make(site, copy, Record(site.records, "postfix"), **options)


def set_up(site, make=content_filter.plan, **options):
    plan = planned(site, make, **options)
    carrying_out.carry_out(plan, site, Record(site.records, "postfix"))
    return plan


def undo(site, name="postfix"):
    return list(carrying_out.undo(site, Record(site.records, name)))


def tree(site):
    """All files of the site but the key, which stays, with their modes; without what a crash leaves for a while."""
    root = Path(site.postfix).parent
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode, path.stat().st_uid)
        for path in root.rglob("*")
        if path.is_file() and path.name != "key" and not path.name.startswith(".mailguard-")  # swept a day later
    }


def settings(site):
    with PostfixFiles(site.postfix) as copy:
        return copy


@pytest.fixture(autouse=True)
def asked_once(monkeypatch):
    """postconf(1) says and does the same for the same files, and where there is no DNS it takes two seconds for it."""
    ask = PostfixFiles._postconf

    def postconf(self, *arguments):
        files = [Path(self._work, name) for name in ("main.cf", "master.cf")]
        asked = (arguments, *(file.read_bytes() for file in files))
        if asked not in ANSWERED:
            ANSWERED[asked] = (ask(self, *arguments), *(file.read_bytes() for file in files))
        said, *written = ANSWERED[asked]
        for file, octets in zip(files, written, strict=True):
            file.write_bytes(octets)
        return said

    monkeypatch.setattr(PostfixFiles, "_postconf", postconf)


ANSWERED = {}


# The content filter


@needs_postfix
@pytest.mark.parametrize(
    ("more", "back"),
    [("", ""), (OWN_LIMITS, "127.0.0.1:10026"), ("message_size_limit = 0\nvirtual_mailbox_limit = 0\n", "")],
)
def test_undo_restores_every_octet_and_a_second_run_changes_nothing(site, more, back):
    append(site, "main.cf", more)
    before = tree(site)
    accepted = settings(site).number("message_size_limit")
    assert not set_up(site, back=back).is_empty
    after = tree(site)
    assert planned(site).is_empty
    assert planned(site, back=back).is_empty
    now = settings(site)
    assert now.option("smtp/inet", "content_filter") == "guard:dummy"
    assert (now.limit("smtp/inet", "message_size_limit") or now.number("message_size_limit")) == accepted
    largest = now.number("message_size_limit")
    assert largest >= accepted * 5 // 4
    for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
        assert now.number(name) == 0 or 0 < largest <= now.number(name)
    assert after["lib/filter.sh"][0].count(b"\nobserve=--dry-run\n") == 1
    assert set_up(site, enforce=True, back=back).files
    assert b"\nobserve=\n" in tree(site)["lib/filter.sh"][0]
    assert planned(site, back=back).is_empty  # what is enforced stays so
    assert set_up(site, enforce=False, back=back).files
    assert {path: tree(site)[path] for path in after if path != "records/postfix.json"} == {
        path: value for path, value in after.items() if path != "records/postfix.json"
    }
    undo(site)
    assert tree(site) == before
    assert os.stat(site.key).st_uid == pwd.getpwnam(USER).pw_uid


@needs_postfix
def test_a_dry_run_writes_nothing_and_shows_every_line(site):
    before = tree(site)
    lines = "\n".join(planned(site).lines(whole=True))
    assert "+guard_destination_recipient_limit = 1\n" in lines
    assert "+observe=--dry-run" in lines
    assert '+authserv_id = "mx.example.org"' in lines
    assert '+own_domain = ["mx.example.org", "example.org"]' in lines
    assert tree(site) == before


@needs_postfix
@pytest.mark.parametrize("place", ["main.cf", "master.cf"])
def test_another_content_filter_is_never_put_aside(site, place):
    if place == "main.cf":
        append(site, place, "content_filter = amavis:[127.0.0.1]:10024\n")
    else:
        subprocess.run(
            ["postconf", "-c", site.postfix, "-P", "smtp/inet/content_filter=amavis:x"], check=True, timeout=60
        )
    with pytest.raises(ConfigurationError, match="amavis"):
        planned(site)


@needs_postfix
def test_a_service_that_is_called_like_ours_is_never_overwritten(site):
    append(site, "master.cf", "guard unix - n n - - pipe user=nobody argv=/bin/false\n")
    with pytest.raises(ConfigurationError, match="is a service of yours"):
        planned(site)


@needs_postfix
def test_what_the_site_chose_for_our_service_stays(site):
    set_up(site)
    with PostfixFiles(site.postfix) as copy:
        line = copy.service("guard/unix").replace(" 10 ", " 50 ")
    subprocess.run(["postconf", "-c", site.postfix, "-M", f"guard/unix={line}"], check=True, timeout=60)
    assert planned(site, enforce=True).mail_server_files == []


@needs_postfix
def test_mail_comes_in_behind_postscreen(site):
    file = Path(site.postfix) / "master.cf"
    lines = [line for line in file.read_text().splitlines(True) if not line.startswith("smtp      inet")]
    file.write_text("".join(lines) + "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n")
    assert "smtpd/pass/content_filter" in [setting.name for setting in planned(site).settings]


@needs_postfix
def test_a_program_that_only_root_can_run_is_refused_before_anything_is_changed(site, tmp_path):
    program = tmp_path / "private" / "mailguard"
    program.parent.mkdir(mode=0o700)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    site.program = str(program)
    before = tree(site)
    with pytest.raises(ConfigurationError, match="where all users may read it"):
        planned(site)
    assert tree(site) == before


# What the site changes between two runs


@needs_postfix
def test_only_our_lines_are_taken_out_of_what_the_site_changed_since(site):
    append(site, "main.cf", OWN_LIMITS)
    set_up(site)
    append(site, "main.cf", "delay_warning_time = 4h\n")
    append(site, "master.cf", "retry2 unix - - y - - error\n")
    set_up(site, enforce=True)
    assert undo(site) == [f"{site.key} stays, and what lies in {site.home}: by these, what is held can be released"]
    now = settings(site)
    assert now.written("delay_warning_time") == "4h"
    assert now.service("retry2/unix")
    assert now.service("guard/unix") is None
    assert now.option("smtp/inet", "content_filter") == ""
    assert now.written("guard_destination_recipient_limit") is None
    assert (now.written("message_size_limit"), now.written("virtual_mailbox_limit")) == ("104857600", "104857600")


@needs_postfix
def test_a_setting_that_the_site_changed_since_is_left_alone_and_named(site):
    set_up(site)
    subprocess.run(["postconf", "-c", site.postfix, "-e", "message_size_limit=99999999"], check=True, timeout=60)
    assert f"{site.postfix}/main.cf: message_size_limit stays: you have changed it" in undo(site)
    now = settings(site)
    assert now.written("message_size_limit") == "99999999"
    assert now.option("smtp/inet", "content_filter") == ""


@needs_postfix
def test_a_script_that_the_site_changed_stays_and_observes_when_asked(site):
    set_up(site)
    script = Path(site.lib) / "filter.sh"
    script.write_text(script.read_text() + "# mine\n")
    set_up(site, enforce=True)
    assert script.read_text().endswith("# mine\n")
    assert "\nobserve=\n" in script.read_text()
    undo(site)
    assert "\nobserve=--dry-run\n" in script.read_text()


@needs_postfix
def test_what_changes_between_the_look_and_the_writing_is_not_overwritten(site):
    plan = planned(site)
    append(site, "main.cf", "delay_warning_time = 4h\n")
    with pytest.raises(ConfigurationError, match="changed while this ran"):
        carrying_out.carry_out(plan, site, Record(site.records, "postfix"))
    assert settings(site).written("delay_warning_time") == "4h"


# A power cut after every line


class PowerCut(BaseException):
    """No handler of ours sees it."""


@pytest.fixture
def cut_after(monkeypatch):
    """Lets the n-th change of this machine be the last one."""
    left = []

    def counted(function):
        def call(*arguments, **options):
            if left and left[0] == 0:
                raise PowerCut
            if left:
                left[0] -= 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(server, "account", lambda plan, site: None)
    monkeypatch.setattr(carrying_out, "_reload", lambda folder: None)
    for module, name in (
        (safefile, "replace"), (safefile, "create"), (os, "mkdir"), (os, "chown"), (os, "chmod"), (os, "unlink"),
        (os, "rmdir"), (os, "rename"), (os, "link"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, counted(getattr(module, name)))

    def cut(number, function):
        """Whether the function was cut off."""
        left[:] = [number]
        try:
            function()
        except PowerCut:
            return True
        finally:
            left.clear()
        return False

    return cut


@needs_postfix
def test_from_every_half_the_next_run_goes_on_and_undo_goes_back(site, cut_after):
    before = tree(site)
    set_up(site)
    after = tree(site)
    undo(site)
    root = Path(site.postfix).parent
    fresh = root.with_name("fresh")
    os.remove(site.key)
    shutil.copytree(root, fresh)
    number, cut = 0, True
    while cut:
        shutil.rmtree(root)
        shutil.copytree(fresh, root)
        cut = cut_after(number, lambda: set_up(site))
        halfway = tree(site)
        set_up(site)
        assert {**tree(site), "records/postfix.json": b""} == {**after, "records/postfix.json": b""}, number
        undo_cut(site, cut_after, number)
        assert tree(site) == before, number
        number += 1
    assert number > 15
    assert {**halfway, "records/postfix.json": b""} == {**after, "records/postfix.json": b""}


def undo_cut(site, cut_after, number):
    """Undo, cut off at this place too, and then undo the rest."""
    if cut_after(number, lambda: undo(site)) and Record(site.records, "postfix").is_there:
        undo(site)


@needs_postfix
def test_undo_goes_back_from_every_half_at_once(site, cut_after):
    before = tree(site)
    number, cut = 0, True
    while cut:
        cut = cut_after(number, lambda: set_up(site))
        if Record(site.records, "postfix").is_there:
            undo(site)
        assert tree(site) == before, number
        if os.path.exists(site.key):
            os.remove(site.key)
        number += 1


@needs_postfix
def test_a_record_that_is_damaged_is_no_reason_to_guess(site):
    set_up(site)
    Path(site.records, "postfix.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        Record(site.records, "postfix")


# The milter


@needs_postfix
def test_the_milter_goes_behind_those_that_are_there(site):
    append(
        site,
        "main.cf",
        "smtpd_milters = inet:127.0.0.1:8891, unix:dmarc.sock\nnon_smtpd_milters = inet:127.0.0.1:8891\n",
    )
    with PostfixFiles(site.postfix) as copy:
        milter.add(copy)
        copy.files()
        milters = {setting.name: setting.after for setting in copy.settings}
    assert milters["smtpd_milters"] == f"inet:127.0.0.1:8891, unix:dmarc.sock {milter.MILTER}"
    assert milters["non_smtpd_milters"] == f"inet:127.0.0.1:8891 {milter.MILTER}"


@needs_postfix
def test_without_systemd_the_milter_must_answer_before_mail_is_sent_to_it(site, monkeypatch):
    monkeypatch.setattr(places, "has_systemd", lambda: False)
    before = tree(site)
    with pytest.raises(ConfigurationError, match=r"true milter --dry-run --listen unix:/var/spool/postfix"):
        planned(site, milter.plan)
    assert tree(site) == before


@needs_postfix
def test_with_systemd_the_unit_is_started_before_mail_is_sent_to_it(site, monkeypatch, tmp_path):
    log = tmp_path / "calls"
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{log}\ngrep -c mailguard {site.postfix}/main.cf >>{log}\n'
                                     'case $1 in is-enabled) exit 1 ;; esac\n')  # fmt: skip
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setattr(places, "has_systemd", lambda: True)
    monkeypatch.setattr(places, "PATH", f"{tools}:{places.PATH}")
    before = tree(site)
    set_up(site, milter.plan)
    assert log.read_text().split("\n")[2:6] == ["daemon-reload", "0", f"enable --now {milter.UNIT}", "0"]
    unit = Path(site.units, milter.UNIT).read_text()
    assert f"User={USER}\n" in unit
    assert "/bin/true milter --dry-run --listen" in unit
    undo(site)
    assert f"disable --now {milter.UNIT}\n0\n" in log.read_text()
    assert tree(site) == before


# One user


RULES = "# mine\nDEFAULT=$HOME/Maildir/\n"


@pytest.mark.parametrize("name", mailbox.RECIPES)
def test_our_lines_go_before_those_of_the_user(tmp_path, name):
    shipped, _ = mailbox.RECIPES[name]
    block = Places("/opt/mailguard/bin/mailguard").rendered(shipped)
    path = tmp_path / "rules"
    path.write_text(RULES)
    first = mailbox._recipes(str(path), block, None).after.decode()
    assert first == block + RULES
    assert " --dry-run " in first
    path.write_text("# before\n" + first)
    assert not mailbox._recipes(str(path), block, None).is_changed
    enforced = mailbox._recipes(str(path), block, True).after.decode()
    assert enforced == "# before\n" + block.replace(" --dry-run", "") + RULES
    path.write_text(enforced)
    assert not mailbox._recipes(str(path), block, None).is_changed
    assert mailbox._recipes(str(path), block, False).after.decode() == "# before\n" + first


@pytest.mark.parametrize("name", mailbox.RECIPES)
@pytest.mark.parametrize("later", ["", "# later\n"])
def test_our_lines_are_taken_out_of_the_rules_of_a_user(tmp_path, name, later):
    mine = Mine(pwd.getpwuid(os.geteuid()), "/bin/true")
    mine.records, mine.etc = str(tmp_path / "records"), str(tmp_path / "etc")
    shipped, _ = mailbox.RECIPES[name]
    path = tmp_path / "rules"
    path.write_text(RULES)
    for enforce in (None, True):
        plan = SetupPlan(name)
        plan.file(mailbox._recipes(str(path), mine.rendered(shipped), enforce))
        carrying_out.carry_out(plan, mine, Record(mine.records, name))
        path.write_text(path.read_text() + later)
    assert undo(mine, name) == []
    assert path.read_text() == RULES + later * 2


# Small things


def test_what_observes_is_told_from_what_acts():
    for name in ("filter.sh", "mailguard-milter.service", "procmailrc", "mailfilter"):
        shipped = Places("/opt/mailguard/bin/mailguard").rendered(name)
        assert observation.is_observing(shipped), name
        acting = observation.observing(shipped, wanted=False)
        assert not observation.is_observing(acting), name
        assert observation.observing(acting, wanted=True) == shipped, name
        assert observation.observing(acting, wanted=False) == acting, name


def test_a_site_without_syslog_gets_a_log_file(monkeypatch):
    site = Places("/bin/true")
    text = site.rendered("mailguard.toml")
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/dev/log")
    assert 'log = "/var/lib/mailguard/log"\n' in server.with_log(text, site)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert server.with_log(text, site) == text


def test_what_is_shown_cannot_talk_to_the_terminal(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old \x1b[2J\n")
    assert not [
        line for line in WrittenFile(str(path), b"new \x1b]0;x\x07\n").difference(whole=True) if not line.isprintable()
    ]
