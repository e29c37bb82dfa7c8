"""The laboratory with mail servers that take, hold, refuse, put off and return what the second level sends them.

strict.test: Postfix with the repairs of the catalogue and OpenDMARC, and an Exim behind it that takes everything;
naive.test: Postfix as Debian 12 installs it; picky.test: Postfix that refuses bare line feeds, and returns what it has
taken; guard.test, late.test, grey.test: an Exim that refuses or freezes, returns, and puts off; small.test: OpenSMTPD;
gone.test: a server that is down.  service.test is who sends, forged.test its domain for forged authors.
"""

from __future__ import annotations

import itertools
import pwd
import sysconfig
from typing import TYPE_CHECKING

from check_network import EXIM, EXIM_ADDRESS, SMALL, Network
from mail_system import READER, USER, owned_folder
from paths import ROOT

from mailguard.check import catalogue
from mailguard.check.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

OPENDMARC = ROOT / ".opendmarc" / "usr"
STRICT, NAIVE, PICKY, DOWN = "127.0.0.4", "127.0.0.5", "127.0.0.9", "127.0.0.8"
SERVICE, FORGED = "check@service.test", "forged.test"

HEAD = """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
"""
ADDRESSES = {
    "naive": (NAIVE,),
    "picky": (PICKY,),
    "guard": (EXIM_ADDRESS,),
    "late": (EXIM_ADDRESS,),
    "grey": (EXIM_ADDRESS,),
    "small": (SMALL,),
    "gone": (DOWN,),
    "strict": (STRICT, EXIM_ADDRESS),
    "unproved": (NAIVE,),
}
"""Of the mail servers of each domain, mx1, mx2 and so on."""

ZONES = {
    "test": f"""{HEAD}
        ns1 60 A 127.0.0.53
    """,
    "service.test": f"""{HEAD}
        @ 60 TXT "v=spf1 ip4:127.0.0.0/8 -all"
        _dmarc 60 TXT "v=DMARC1; p=reject"
    """,
    FORGED: f"""{HEAD}
        @ 60 TXT "v=spf1 -all"
        _dmarc 60 TXT "v=DMARC1; p=reject"
    """,
    "0.0.127.in-addr.arpa": HEAD,
    "0.0.0.0.0.0.d.f.ip6.arpa": HEAD,
}
for _name, _addresses in ADDRESSES.items():
    _hosts = "".join(
        f"        @ 60 MX {number}0 mx{number}\n        mx{number} 60 A {address}\n"
        for number, address in enumerate(_addresses, 1)
    )
    _policy = '        @ 60 TXT "v=spf1 mx -all"\n        _dmarc 60 TXT "v=DMARC1; p=reject"\n'
    ZONES[f"{_name}.test"] = f"{HEAD}{_hosts}{_policy}"

POSTFIX = """
inet_protocols = ipv4
inet_interfaces = {address}
mynetworks = 127.0.0.99/32
myhostname = mx1.{domain}
mydestination =
virtual_mailbox_domains = {domain} service.test
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ alice@{domain}={domain}/, check@service.test=service.test/ }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
"""
STRICT_MAIN = """
smtpd_milters = inet:127.0.0.4:8893
body_checks = regexp:{ { /^WDVPIVAlQEFQWzRcUFpYNTQoUF4p/ REJECT a virus } { /^UEsDB.*dGVzdC5jb21YNU8hUCVAQVBbNFxQWlg1NChQ/ REJECT a virus } }
"""
PICKY_MAIN = """
mydestination = picky.test
local_recipient_maps =
virtual_mailbox_domains = service.test
smtpd_forbid_bare_newline = reject
"""
REPAIRED = ("smuggling", "in.exe")

DMARC = """
AuthservID mx1.strict.test
Background false
IgnoreHosts {folder}/ours
RejectFailures true
Socket inet:8893@127.0.0.4
SPFIgnoreResults true
SPFSelfValidate true
Syslog false
"""

EXIM_CONFIGURATION = """
primary_hostname = mx.exim.test
exim_path = {exim}
domainlist local_domains = strict.test : guard.test : late.test : grey.test : service.test
local_interfaces = 127.0.0.6
daemon_smtp_ports = 25
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
message_body_visible = 100000
host_lookup =
deliver_drop_privilege = true
acl_smtp_rcpt = recipient
acl_smtp_data = content
begin acl
recipient:
  defer message = greylisted, come again
    domains = grey.test
  deny message = relay not permitted
    !domains = +local_domains
  accept
content:
  accept condition = ${{if !match{{$recipients}}{{@guard.test}}}}
  deny message = forged sender
    condition = ${{if match{{$h_From:}}{{@(guard|forged).test}}}}
  deny message = a file that could do harm
    condition = ${{if match{{$message_body}}{{\\N(?i)name="[^"]*\\.(com|exe|docm|zip)"\\N}}}}
  accept condition = ${{if match{{$message_body}}{{\\N(?i)name="[^"]*\\.html"\\N}}}}
    control = freeze
  accept
begin routers
nobody:
  driver = redirect
  domains = late.test
  data = :fail: nobody of this name
  allow_fail
everybody:
  driver = accept
  domains = +local_domains
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail/$domain_data
  maildir_format
"""


class ProbeNetwork(Network):
    """proofs: see `Network`; a domain that is not among them publishes none."""

    signed = ()

    def __init__(self, folder: Path, proofs: dict[str, str]) -> None:
        super().__init__(folder, proofs)
        self.zones = dict(ZONES)
        for domain in proofs:
            self.zones[domain] += f'        _mailguard-check 60 TXT "{{proof_{domain.partition(".")[0]}}}"\n'

    def mails(self, address: str, domain: str) -> list[bytes]:
        """What lies in the mailbox of a domain, or in that of service.test, at the server with this address."""
        if address == EXIM_ADDRESS:
            box = self.folder / "exim" / "mail" / domain
        elif address == SMALL:
            box = self.folder / "opensmtpd" / "mail"
        else:
            box = self.folder / f"mail-{address}" / domain
        return [file.read_bytes() for file in sorted((box / "new").glob("*"))]

    def held(self, address: str) -> list[bytes]:
        """What waits for a person in the queue of a server."""
        if address == EXIM_ADDRESS:
            exim = [EXIM, "-C", self.folder / "exim" / "conf"]
            words = self.run([*exim, "-bpr"], capture_output=True, text=True).stdout.split()
            frozen = [name for name, sender in itertools.pairwise(words) if sender == f"<{SERVICE}>"]
            return [self.run([*exim, "-Mvc", name], capture_output=True).stdout for name in frozen]
        names = [file.name for file in (self.folder / self.postfixes[address] / "queue" / "hold").iterdir()]
        show = ["postcat", "-c", self.folder / self.postfixes[address] / "etc", "-qbh"]
        return [self.run([*show, name], capture_output=True).stdout for name in names]

    def logs(self) -> str:
        files = [*self.folder.glob("*/mail.log"), self.folder / "exim" / "mainlog", self.folder / "servers.log"]
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def repair(self, address: str, checks) -> None:
        """Do to a Postfix what the catalogue says."""
        etc = self.folder / self.postfixes[address] / "etc"
        for check in checks:
            line = catalogue.repair_lines(Outcome(check, "failure", "delivered"), "", "postfix")["postfix"]
            result = self.run(["env", f"MAIL_CONFIG={etc}", "sh", "-c", line], capture_output=True, text=True)
            assert result.returncode == 0, result.stderr

    def _servers(self):
        self.postfixes = {STRICT: "strict", NAIVE: "naive", PICKY: "picky"}
        for address, name in self.postfixes.items():
            mail = owned_folder(self.folder / f"mail-{address}", USER, 0o755)
            words = {"address": address, "domain": f"{name}.test", "mail": mail, "uid": pwd.getpwnam(USER).pw_uid}
            main = POSTFIX.format(**words) + {"strict": STRICT_MAIN, "picky": PICKY_MAIN}.get(name, "")
            self._postfix(name, main, self.mx, address)
        self.repair(STRICT, REPAIRED)
        self._dmarc()
        self._exim()
        self._opensmtpd()

    def _opensmtpd(self):
        super()._opensmtpd()
        owned_folder(self.folder / "opensmtpd" / "mail", READER)

    def _dmarc(self):
        folder = self.folder / "dmarc"
        folder.mkdir()
        (folder / "ours").write_text("127.0.0.99\n")
        (folder / "conf").write_text(DMARC.format(folder=folder))
        libraries = f"LD_LIBRARY_PATH={OPENDMARC}/lib:{OPENDMARC}/lib/{sysconfig.get_config_var('MULTIARCH')}"
        command = ["env", libraries, OPENDMARC / "sbin" / "opendmarc", "-f", "-c", folder / "conf"]
        self._spawn(command, self._listens(STRICT, 8893))

    def _exim(self):
        folder = self.folder / "exim"
        for each in (folder, folder / "spool", folder / "mail"):
            owned_folder(each, self._user("Debian-exim"), 0o755)
        (folder / "conf").write_text(EXIM_CONFIGURATION.format(folder=folder, exim=EXIM))
        self._spawn([EXIM, "-C", folder / "conf", "-bdf"], self._listens(EXIM_ADDRESS, 25))
