"""The laboratory with people in it: mailboxes, a signer, and a service of checks with its own Postfix and listener."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from browser import Browser
from check_network import SIGNED, ZONES, Network
from cryptography.hazmat.primitives import serialization
from mail_system import USER, apply, owned_folder, rendered, until
from signed_mail import rsa_key

# Who is diagnosed.
SAFE, DANGER, SYSTEM, DNS, UNKNOWN = "good.test", "bad.test", "office.test", "young.test", "lost.test"
HOSTILE = "xn--80ak6aa92e.xn--a.test"
USERS = (SAFE, DANGER, SYSTEM, DNS, UNKNOWN)
SLOW = "slow.test"
OFFICE_ADDRESS, HOSTILE_ADDRESS, SLOW_ADDRESS = "127.0.0.12", "127.0.0.13", "127.0.0.14"
# Who diagnoses: once behind a Postfix with an alias, once with a listener of its own.
ALIAS, LISTENER = "checker.test", "listener.test"
SERVICE_ADDRESS = {ALIAS: "127.0.0.10", LISTENER: "127.0.0.11"}
WEB = {domain: f"http://{address}:8025/" for domain, address in SERVICE_ADDRESS.items()}

ATTACK = '<script>alert("{0}")</script><img src=//evil.test/{0} onerror=alert("{0}")>'
# The same as a label of a name in a zone file.
LABEL = r"<script>alert\({0}\)</script><img/src=//evil/>"

KEYS = {"good.test": (("mail", 2048), ("spare", 3072)), "bad.test": (("old", 1024),), "young.test": (("mail", 2048),)}
KEYS["lost.test"] = KEYS["young.test"]

HEAD = """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 NS ns2.test.
"""
ADDED = {
    "good.test": """
        mx 60 TXT "v=spf1 a -all"
        arc._domainkey 60 TXT {key_arc}
    """,
    "0.0.127.in-addr.arpa": f"""
        10 60 PTR mx.checker.test.
        13 60 PTR {LABEL.format(9)}.test.
    """,
}
NEW = {
    ALIAS: f'{HEAD}        @ 60 MX 10 mx\n        mx 60 A 127.0.0.10\n        @ 60 TXT "v=spf1 mx -all"\n',
    LISTENER: f"{HEAD}        @ 60 MX 10 mx\n        mx 60 A 127.0.0.11\n",
    SYSTEM: f"""{HEAD}
        @ 60 MX 10 mx
        mx 60 A {OFFICE_ADDRESS}
        @ 60 TXT "v=spf1 mx -all"
        _dmarc 60 TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@office.test"
    """,
    DNS: f"""{HEAD}
        @ 60 MX 10 mx.good.test.
        @ 60 TXT "v=spf1 mx -all"
    """,
    UNKNOWN: f"""{HEAD}
        @ 60 MX 10 mx.good.test.
        @ 60 TXT "v=spf1 mx -all"
        _dmarc 60 TXT "v=DMARC1; p=reject; rua=mailto:dmarc@lost.test"
    """,
    SLOW: f"{HEAD}        @ 60 MX 10 mx\n        mx 60 A {SLOW_ADDRESS}\n",
    HOSTILE: rf"""{HEAD}
        @ 60 NS {LABEL.format(1)}.test.
        @ 60 MX 10 mx
        @ 60 MX 20 {LABEL.format(2)}
        mx 60 A {HOSTILE_ADDRESS}
        mx 60 CAA 0 issue "<script>alert(3)</script>"
        @ 60 TXT "v=spf1 ip4:{HOSTILE_ADDRESS} include:<script>alert(4)</script> -all"
        _dmarc 60 TXT "v=DMARC1; p=<script>alert(5)</script>; rua=mailto:<img/src=//evil.test/5/onerror=alert(5)>"
        _smtp._tls 60 TXT "v=TLSRPTv1; rua=javascript:alert(6)"
        _mta-sts 60 TXT "v=STSv1; id=<script>alert(7)</script>"
        default._bimi 60 TXT "v=BIMI1; l=javascript:alert(8); a=<svg/onload=alert(8)>"
        _25._tcp.mx 60 TLSA 3 1 1 00
        _mailguard-check 60 TXT "{{proof_xn--80ak6aa92e}}"
    """,
}

# A user's own server: what comes stays in a Maildir, what goes out of the house is signed.
USER_MAIN = """
local_transport = virtual
virtual_mailbox_domains = {hosted}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
smtp_bind_address = {address}
smtpd_milters = {milters}
smtp_tls_security_level = {outgoing}
"""
OFFICE_MAIN = f"""
inet_protocols = ipv4
inet_interfaces = {OFFICE_ADDRESS}
mynetworks = 127.0.0.1/32
local_recipient_maps = inline:{{ alice=here, postmaster=here, abuse=here }}
smtp_helo_name = localhost
smtpd_tls_security_level = none
"""
SERVICE_MAIN = """
inet_protocols = ipv4
inet_interfaces = 127.0.0.10
mynetworks = 127.0.0.1/32
smtp_bind_address = 127.0.0.10
smtp_tls_security_level = may
alias_maps = hash:{aliases}
local_recipient_maps = $alias_maps
biff = no
alternate_config_directories = {etc}
"""
USER_MASTER = """smtp unix - - n - - smtp
{address}:587 inet n - n - - smtpd -o smtpd_relay_restrictions=permit_mynetworks,reject -o mynetworks=127.0.0.1/32
"""
SILENT = """
import pathlib, socket, sys
taken = []
with socket.create_server((sys.argv[1], 25)) as listener:
    while True:
        taken.append(listener.accept())
        pathlib.Path(sys.argv[2], str(len(taken))).touch()
"""
# Who started us in the background may have had SIGINT ignored.
REMEMBERING = """
import os, pathlib, signal, sys
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""
SIGNER = """
Mode s
Socket inet:8891@127.0.0.4
KeyTable file:{folder}/keys
SigningTable refile:{folder}/senders
MultipleSignatures yes
OversignHeaders From
RequireSafeKeys no
Background no
Syslog no
"""


class ExchangeNetwork(Network):
    """program: the start of a shell command that runs mailguard as any user; proofs: see `Network`."""

    signed = (*SIGNED, UNKNOWN)

    def __init__(self, folder: Path, proofs: dict[str, str], program: str) -> None:
        super().__init__(folder, proofs)
        self.mail = owned_folder(folder / "mail", USER, 0o755)
        self.state = {domain: owned_folder(folder / f"state-{domain}", USER) for domain in SERVICE_ADDRESS}
        self.key = folder / "key"
        self.program = folder / "mailguard"
        self.program.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        self.program.chmod(0o755)
        self.zones = ZONES | {name: ZONES[name] + text for name, text in ADDED.items()} | NEW
        for domain, keys in KEYS.items():
            names = "".join(f"        {each}._domainkey 60 TXT {{{_value(domain, each)}}}\n" for each, _ in keys)
            self.zones[domain] += f"\n{names}    "

    def browser(self) -> Browser:
        return Browser(self._inside())

    def lab(self) -> list[str]:
        return shlex.split(
            f"--nameserver 127.0.0.1 --lab --blocklist bl.test --timeout 60 --key-file {self.key} "
            f"--ca-file {self.authority.file}"
        )

    def command(self, *words, service=ALIAS):
        """The words of `mailguard check` for the user of a service, with its folders and address."""
        own = ["--address", f"check@{service}", "--state", self.state[service], "--url", WEB[service]]
        return [*_as(USER), self.program, "check", words[0], *own, *self.lab(), *words[1:]]

    def begins_by_hand(self, address, *options):
        """`check start ADDR | sendmail -t`, as the manual page says."""
        started = self.run(self.command("start", *options, address), cwd="/", capture_output=True)
        assert (started.returncode, started.stderr) == (0, b"")
        sent = self.run(["/usr/sbin/sendmail", "-t"], input=started.stdout, capture_output=True)
        assert sent.returncode == 0, sent.stderr

    def started(self, command):
        """Start a command inside; `signal` reaches it until another one is started so."""
        words = [*self._inside(), sys.executable, "-c", REMEMBERING, self.folder / "pid", *command]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([*map(os.fspath, words)], cwd="/", **pipes)

    def signal(self, name):
        assert self.run(["kill", f"-{name}", (self.folder / "pid").read_text().strip()]).returncode == 0

    def connections(self):
        """How many there were to the server that says nothing."""
        return len(list(self.waiting.iterdir()))

    def until_connected(self, before):
        until(lambda: self.connections() > before, self.logs)

    def interrupted(self, name, command, raw=b""):
        """Start a command, and send it a signal while it waits for the server that says nothing; what it said."""
        before = self.connections()
        with self.started(command) as process:
            process.stdin.write(raw)
            process.stdin.close()
            process.stdin = None
            self.until_connected(before)
            self.signal(name)
            output, error = process.communicate(timeout=15)  # half of what it would wait for the greeting
        return process.returncode, output, error

    def box(self, domain):
        """What lies in the mailbox of a user, the oldest first."""
        files = sorted((self.mail / domain / "new").glob("*"), key=lambda file: file.stat().st_mtime_ns)
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]

    def mail_at(self, domain, number):
        """The mail with this number (from 1) in the mailbox of a user, once it is there."""
        mails = until(lambda: found if len(found := self.box(domain)) >= number else None, self.logs, 60)
        return mails[number - 1]

    def logs(self):
        files = [*self.folder.glob("*/mail.log"), self.folder / "servers.log"]
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def reads_and_answers(self, domain, number, server):
        """Answer the mail with this number as a person does with a mail program, by the user's own server.

        Returns what was sent.
        """
        sent = self.folder / "sent"
        sent.unlink(missing_ok=True)
        commands = f"reply {number}\nここに返信します。\n~m {number}\n~.\nxit\n"
        options = [
            f"from=Alice <alice@{domain}>",
            f"mta=smtp://{server}:587",
            "smtp-config=-all,ehlo",
            "smtp-auth=none",
        ]
        options += ["v15-compat=yes", "ttycharset=utf-8", "nosave", "indentprefix=> ", f"record={sent}"]
        chosen = [word for option in options for word in ("-S", option)]
        command = ["s-nail", "-:/", "-#", *chosen, "-f", self.mail / domain]
        said = self.run(command, input=commands, capture_output=True, text=True, cwd="/", timeout=60)
        assert said.returncode == 0, said.stdout + said.stderr
        return email.message_from_bytes(sent.read_bytes(), policy=email.policy.default)

    def swaks(self, server, raw, recipient, *options):
        """Hand a message over byte for byte."""
        command = ["swaks", "--server", server, "--to", recipient, "--data", "-", "--suppress-data", *options]
        said = self.run(command, input=raw, capture_output=True, timeout=60)
        assert said.returncode == 0, said.stdout.decode() + said.stderr.decode() + self.logs()

    def bring(self, server, raw, recipient, sender):
        """Begin to hand over a message whose answer may never come."""
        words = ["swaks", "--server", server, "--to", recipient, "--from", sender, "--data", "-"]
        process = subprocess.Popen(
            [*self._inside(), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        process.stdin.write(raw)
        process.stdin.close()
        process.stdin = None
        return process

    def postconf(self, name, setting):
        """Change a setting of a running Postfix."""
        etc = self.folder / name / "etc"
        assert self.run(["postconf", "-c", etc, "-e", setting]).returncode == 0
        self.postfix(etc, "reload")

    def _values(self):
        return (
            super()._values()
            | {
                "key_arc": _record(rsa_key(1024)),  # with which `seal` of test_arc signs
            }
            | {
                _value(domain, selector): _record(self.keys[domain, selector])
                for domain, keys in KEYS.items()
                for selector, _ in keys
            }
        )

    def _start(self):
        bits = {(domain, selector): size for domain, keys in KEYS.items() for selector, size in keys}
        self.keys = {name: rsa_key(size) for name, size in bits.items()}
        super()._start()
        self._signer()
        self._postfix("office", OFFICE_MAIN, self.mx, OFFICE_ADDRESS)
        self._hostile()
        self._slow()
        self._service()

    def _prepare(self):
        super()._prepare()
        for number in (10, 11, 12, 13, 14):
            assert self.run(["ip", "addr", "add", f"127.0.0.{number}/8", "dev", "lo"]).returncode == 0

    def _opensmtpd(self):
        """Nobody here uses it."""

    def _zones(self, texts):
        zones, anchor = super()._zones(texts)
        lines = zones[UNKNOWN].splitlines()
        damaged = [line.replace(' "v=', ' "V=') if " TXT " in line else line for line in lines]
        assert damaged != lines
        zones[UNKNOWN] = "\n".join(damaged) + "\n"
        return zones, anchor

    def _postfix(self, name, main, leaf, address, master=""):
        if name == "checker":
            return super()._postfix(name, main, leaf, address, master)
        hosted = [DNS, UNKNOWN] if name == "good" else []
        boxes = [
            f"{local}@{domain}" for domain in (f"{name}.test", *hosted) for local in ("alice", "postmaster", "abuse")
        ]
        main += USER_MAIN.format(
            hosted=" ".join(hosted),
            mail=self.mail,
            boxes=", ".join(f"{box}={box.partition('@')[2]}/" for box in boxes),
            uid=pwd.getpwnam(USER).pw_uid,
            address=address,
            milters="" if name == "office" else "inet:127.0.0.4:8891",
            outgoing="none" if name == "office" else "may",
        )
        return super()._postfix(name, main, leaf, address, USER_MASTER.format(address=address))

    def _signer(self):
        folder = self.folder / "signer"
        folder.mkdir()
        names, senders = [], []
        for (domain, selector), key in self.keys.items():
            form = serialization.PrivateFormat.TraditionalOpenSSL
            pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            file = folder / f"{selector}.{domain}.pem"
            file.write_bytes(pem)
            names.append(f"{selector}.{domain} {domain}:{selector}:{file}")
            senders.append(f"*@{domain} {selector}.{domain}")
        (folder / "keys").write_text("\n".join(names) + "\n")
        (folder / "senders").write_text("\n".join(senders) + "\n")
        (folder / "conf").write_text(SIGNER.format(folder=folder))
        self._spawn(["opendkim", "-f", "-x", folder / "conf"], self._listens("127.0.0.4", 8891))

    def _hostile(self):
        """A mail server that says nothing but attacks, also in its certificate; it keeps what it is given."""
        leaf = self.authority.issue('<script>alert("certificate")</script>', own=True)
        self.given = self.folder / "given"
        self.given.mkdir()
        server = Path(__file__).with_name("hostile_server.py")
        self._spawn(
            [sys.executable, server, HOSTILE_ADDRESS, leaf.path, self.given], self._listens(HOSTILE_ADDRESS, 25)
        )

    def _slow(self):
        """A mail server that takes connections, leaves a file for each, and says nothing."""
        self.waiting = self.folder / "waiting"
        self.waiting.mkdir()
        self._spawn([sys.executable, "-c", SILENT, SLOW_ADDRESS, self.waiting], self._listens(SLOW_ADDRESS, 25))

    def _service(self):
        """The shipped alias, script and lines, in a Postfix that is the system's own inside."""
        leaf = self.authority.issue("mx.checker.test")
        script, aliases = self.folder / "reply.sh", self.folder / "aliases"
        lab = shlex.join(self.lab())
        replaced = {
            "/opt/mailguard/bin/mailguard check reply": f"{self.program} check reply {lab}",
            "check@example.org": f"check@{ALIAS}",
            "/var/lib/mailguard/check": str(self.state[ALIAS]),
            "https://check.example.org/": WEB[ALIAS],
        }
        script.write_text(rendered("check/reply.sh", replaced))
        script.chmod(0o755)
        aliases.write_text(rendered("check/aliases", {"/usr/local/lib/mailguard/reply.sh": str(script)}))
        subprocess.run(["postalias", f"hash:{aliases}"], check=True, timeout=120)
        for file in (self.key, aliases, aliases.with_name("aliases.db")):
            shutil.chown(file, USER)
        main = SERVICE_MAIN.format(aliases=aliases, etc=self.folder / "checker" / "etc")
        etc = self._postfix("checker", main, leaf, SERVICE_ADDRESS[ALIAS], "smtp unix - - n - - smtp\n")
        apply(etc, rendered("check/postconf.sh", {}))
        self.postfix(etc, "reload")
        assert self.run(["mount", "--bind", etc, "/etc/postfix"]).returncode == 0
        listening = self.authority.issue("mx.listener.test").path
        shutil.chown(listening, USER)
        self._serve(ALIAS)
        self._serve(LISTENER, "--smtp", f"{SERVICE_ADDRESS[LISTENER]}:25", "--certificate", listening)

    def _serve(self, domain, *more):
        address = SERVICE_ADDRESS[domain]
        words = ["--address", f"check@{domain}", "--state", self.state[domain], "--listen", f"{address}:8025"]
        words += [*self.lab(), "--via", f"smtp://{SERVICE_ADDRESS[ALIAS]}", *more]
        self._spawn([*_as(USER), self.program, "check", "serve", *words], self._listens(address, 8025))


def _as(user):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _value(domain, selector):
    return f"key_{domain.replace('.', '_')}_{selector}"


def _record(key):
    """The public key as the value of a TXT record in a zone file."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text = (
        "v=DKIM1; k=rsa; p="
        + base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()
    )
    return " ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text), 200))
