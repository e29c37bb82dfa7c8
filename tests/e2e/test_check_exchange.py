"""The whole exchange with a real Postfix and a real browser: form, confirmation, reply, result mail, page."""

from __future__ import annotations

import configparser
import email
import email.policy
import re
import shlex
import shutil
import signal
import subprocess

import pytest
from browser import Browser
from check_lab import Authority
from dns_server import DnsServer
from mail_system import USER, MailSystem, free_port, owned_folder, permitted_configuration, rendered, run_as, until

USER_ADDRESS = "ayumi@rcpt.test"
BOX = "check@local.test"
SIGNATURE = re.compile(r"check\+([a-z2-7]{42})@local\.test")


class Exchange:
    """A service of checks in a mail system: its programs, its folders, its two web addresses."""

    def __init__(self, site, system, dns):
        self.site, self.system, self.dns = site, system, dns

    def mails(self, count):
        """The mails in the mailbox of the user, once there are so many."""
        mails = until(
            lambda: found if len(found := self.system.delivered(USER_ADDRESS)) >= count else None, self.system.log
        )
        assert len(mails) == count
        assert not any(b"multipart/report" in raw for raw in mails), mails[-1].decode() + self.system.log()
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in mails]

    def answer(self, confirmation, *, sender=USER_ADDRESS, header=()):
        """Reply as a mail program does, by SMTP with TLS."""
        to = confirmation["From"].addresses[0].addr_spec
        fields = [f"From: <{sender}>", f"To: <{to}>", "Subject: Re: your mail", "Date: Tue, 03 Nov 2026 10:00:00 +0900"]
        fields += [f"In-Reply-To: {confirmation['Message-ID']}", *header]
        words = ["swaks", "--server", f"127.0.0.1:{self.system.port}", "--tls", "--ehlo", "mail.rcpt.test"]
        words += ["--from", sender, "--to", to, "--data", "-"]
        raw = "".join(f"{field}\n" for field in fields).encode() + b"\n"
        said = subprocess.run(words, input=raw, capture_output=True, timeout=60, check=False)
        assert said.returncode == 0, said.stdout.decode() + said.stderr.decode() + self.system.log()


@pytest.fixture
def zone():
    return {
        "rcpt.test": [("MX", (10, "mx.rcpt.test")), ("TXT", b"v=spf1 ip4:127.0.0.1 -all")],
        "mx.rcpt.test": [("A", "127.0.0.1")],
        "_dmarc.rcpt.test": [("TXT", b"v=DMARC1; p=none")],
        "mail.rcpt.test": [("A", "127.0.0.1")],
        "1.0.0.127.in-addr.arpa": [("PTR", "mail.rcpt.test")],
    }


@pytest.fixture
def exchange(site, zone):
    """Postfix with the shipped lines, alias and script; its user is the owner of the file of aliases."""
    if missing := [name for name in ("chromium", "swaks") if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    port = free_port()
    leaf = Authority(owned_folder(site.folder / "tls", "root")).issue("mx.rcpt.test")
    state = owned_folder(site.folder / "check", USER)
    with DnsServer(zone) as dns, permitted_configuration(site.folder / "etc"):
        lab = f"--nameserver {dns.address} --lab --blocklist none.test --timeout 60 --key-file {site.key}"
        replaced = {
            "/opt/mailguard/bin/mailguard check reply": f"{site.program} check reply {lab}",
            "check@example.org": BOX,
            "/var/lib/mailguard/check": str(state),
            "/usr/sbin/sendmail": f"/usr/sbin/sendmail -C {site.folder}/etc",
            "https://check.example.org/": "http://127.0.0.1:8025/",
        }
        script = site.folder / "reply.sh"
        script.write_text(rendered("check/reply.sh", replaced))
        script.chmod(0o755)
        aliases = site.folder / "aliases"
        aliases.write_text(rendered("check/aliases", {"/usr/local/lib/mailguard/reply.sh": str(script)}))
        subprocess.run(["postalias", f"hash:{aliases}"], check=True, timeout=120)
        for file in (aliases, aliases.with_name("aliases.db")):
            shutil.chown(file, USER)
        main = f"alias_maps = hash:{aliases}\nsmtpd_tls_chain_files = {leaf.path}\nbiff = no\ndefault_privs = {USER}\n"
        master = f"127.0.0.1:{port} inet n - n - - smtpd\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
        system = MailSystem(site.folder, main=main, master=master, port=port)
        system.apply(rendered("check/postconf.sh", {}))
        with system:
            made = Exchange(site, system, dns)
            made.state, made.lab = state, lab
            yield made


@pytest.fixture
def web(exchange):
    """The service of the shipped unit, which sends its mails to this Postfix; its address."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read_string(rendered("check/mailguard-check.service", {}))
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[:3] == ["/opt/mailguard/bin/mailguard", "check", "serve"]
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    changed = {BOX: "check@example.org", address: "https://check.example.org/", str(exchange.state): words[8]}
    assert words[7:9] == ["--state", "/var/lib/mailguard/check"]
    back = {old: new for new, old in changed.items()}
    words = [str(exchange.site.program), *(back.get(word, word) for word in words[1:])]
    words += [*shlex.split(exchange.lab), "--listen", f"127.0.0.1:{port}"]
    words += ["--via", f"smtp://127.0.0.1:{exchange.system.port}"]
    process = subprocess.Popen(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    script = exchange.site.folder / "reply.sh"  # the alias names the same pages
    script.write_text(script.read_text().replace("http://127.0.0.1:8025/", address))
    line = process.stderr.readline()
    assert b"serving" in line, line + process.stderr.read()
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stderr.close()


def test_from_the_form_to_the_page(exchange, web):
    with Browser() as browser:
        browser.shape(1100)
        browser.open(f"{web}?lang=ja")
        browser.screenshot("check-form")
        browser.fill("#address", USER_ADDRESS)
        browser.submit()
        assert "確認メールを送りました" in browser.text
        assert browser.errors == []
        browser.screenshot("check-sent")
        (confirmation,) = exchange.mails(1)
        assert SIGNATURE.fullmatch(confirmation["From"].addresses[0].addr_spec)
        assert SIGNATURE.fullmatch(confirmation["Return-Path"].strip("<>"))
        assert confirmation["Auto-Submitted"] == "auto-generated"
        exchange.answer(confirmation, header=["Reply-To: bob@rcpt.test"])
        result = exchange.mails(2)[-1]
        result = result if result["Auto-Submitted"] == "auto-replied" else exchange.mails(2)[0]
        assert (result["To"], result["Return-Path"]) == (USER_ADDRESS, "<>")
        assert exchange.system.delivered("bob@rcpt.test") == []
        link = re.search(rf"{web}[0-9a-f]{{32}}\.ja\.html", result.get_content())[0]
        browser.open(link)
        assert browser.requests == [link]
        assert browser.errors == []
        for name, (width, dark) in {"1100": (1100, False), "390": (390, False), "dark": (1100, True)}.items():
            browser.shape(width, dark=dark)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            browser.screenshot(f"check-result-{name}")
        text = browser.text
    assert "rcpt.test" in text
    assert "a…@rcpt.test" in text
    assert USER_ADDRESS not in text
    assert "TLS 1.3" in text  # how Postfix says the reply came
    assert "署名がありません" in text
    exchange.system.until_idle()


def test_what_is_no_reply_of_a_person_ends_here(exchange, web):
    with Browser() as browser:
        browser.open(web)
        browser.fill("#address", USER_ADDRESS)
        browser.submit()
    (confirmation,) = exchange.mails(1)
    exchange.answer(confirmation, header=["Auto-Submitted: auto-replied (vacation)"])
    exchange.answer(confirmation, sender="bob@rcpt.test")
    exchange.system.send(b"\r\n" + b"\xff\x00" * 40 + b"\r\n", "x@sender.test", ["check+nonsense@local.test"])
    exchange.system.until_idle()
    exchange.mails(1)
    assert exchange.system.delivered("bob@rcpt.test") == []
    assert not list(exchange.state.glob("pages/*"))
    assert "status=bounced" not in exchange.system.log()


def test_a_service_that_fails_keeps_the_reply_and_answers_it_later(exchange, web):
    with Browser() as browser:
        browser.open(web)
        browser.fill("#address", USER_ADDRESS)
        browser.submit()
    (confirmation,) = exchange.mails(1)
    key = exchange.site.key
    key.rename(key.with_suffix(".away"))
    exchange.answer(confirmation)
    exchange.system.until_deferred()
    key.with_suffix(".away").rename(key)
    exchange.system.flush()
    exchange.mails(2)
    exchange.system.until_idle()


def test_the_unit_of_systemd_is_right(site):
    service = site.folder / "mailguard-check.service"
    service.write_text(rendered("check/mailguard-check.service", {"/opt/mailguard/bin/mailguard": str(site.program)}))
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    checked = subprocess.run(
        ["systemd-analyze", "verify", service], capture_output=True, text=True, check=False, timeout=120
    )
    assert "mailguard-check" not in checked.stderr, checked.stderr


def test_start_by_hand_is_a_mail_for_sendmail(exchange):
    words = [exchange.site.program, "check", "start", *shlex.split(exchange.lab), "--address", BOX]
    words += ["--state", exchange.state, "--url", "https://check.test/", USER_ADDRESS]
    process = run_as(USER, words, input=b"")
    assert (process.returncode, process.stderr) == (0, b"")
    sent = run_as(USER, ["/usr/sbin/sendmail", "-C", exchange.site.folder / "etc", "-t"], input=process.stdout)
    assert sent.returncode == 0, sent.stderr
    (confirmation,) = exchange.mails(1)
    assert "rcpt.test" in confirmation.get_content()
