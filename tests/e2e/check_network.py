"""A mail world of its own in a network namespace: signed DNS, a validating resolver, three mail servers, a web server.

Nothing in it can leave, and ports 25, 53 and 443 are free.  good.test (Postfix and Exim) is as it should be, bad.test
(Postfix) is wrong in everything, wrong.test (Exim) is signed and has a wrong TLSA record, bogus.test has damaged
signatures, small.test (OpenSMTPD) is a small site with the defaults of its software.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.zone
import pytest
from check_lab import Authority
from cryptography.hazmat.primitives.asymmetric import ec
from mail_system import MASTER, public_folder, until
from paths import ROOT

from mailguard.seal.keys import new_key, parse_key

EXIM = ROOT / ".exim" / "usr" / "sbin" / "exim4"
OPENSMTPD = ROOT / ".opensmtpd" / "usr"
PROGRAMS = ("postfix", "nsd", "unbound", "ip", "unshare", "nsenter")
RESOLVER, AUTHORITATIVE = "127.0.0.1", "127.0.0.53"
GOOD, BAD, EXIM_ADDRESS, WEB = "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.3"
GOOD6, SMALL = "fd00::4", "127.0.0.7"
SIGNED = ("good.test", "wrong.test", "bogus.test")

ZONES = {
    "test": """
        @ 60 SOA ns1 hostmaster 1 60 60 60 60
        @ 60 NS ns1
        @ 60 NS ns2
        ns1 60 A 127.0.0.53
        ns2 60 A 127.0.1.53
        2.0.0.127.bl 60 A 127.0.0.2
        5.0.0.127.bl 60 A 127.0.0.4
        2.0.0.127.dead 60 A 127.255.255.254
    """,
    "good.test": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 NS ns2.test.
        @ 60 MX 10 mx
        @ 60 MX 20 mx2
        mx 60 A 127.0.0.4
        mx 60 AAAA fd00::4
        mx2 60 A 127.0.0.6
        @ 60 TXT "v=spf1 mx -all"
        @ 60 CAA 0 issue "ca.test"
        _dmarc 60 TXT "v=DMARC1; p=reject; rua=mailto:dmarc@good.test"
        _smtp._tls 60 TXT "v=TLSRPTv1; rua=mailto:tls@good.test"
        _mta-sts 60 TXT "v=STSv1; id=20261124;"
        mta-sts 60 A 127.0.0.3
        _mailguard-check 60 TXT "{proof_good}"
        _25._tcp.mx 60 TLSA {tlsa_mx}
        _25._tcp.mx2 60 TLSA {tlsa_mx2}
        default._bimi 60 TXT "v=BIMI1; l=https://mta-sts.good.test/logo.svg; a="
    """,
    "bad.test": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 MX 10 mx
        @ 60 MX 20 gone
        mx 60 A 127.0.0.5
        @ 60 TXT "v=spf1 a:one.bad.test a:two.bad.test a:three.bad.test +all"
        _dmarc 60 TXT "v=DMARC1; p=none; rua=mailto:dmarc@small.test"
        _mta-sts 60 TXT "v=STSv1; id=1;"
        mta-sts 60 A 127.0.0.9
        _mailguard-check 60 TXT "{proof_bad}"
        _25._tcp.mx 60 TLSA 3 1 1 {zeros}
    """,
    "wrong.test": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 NS ns2.test.
        @ 60 MX 10 mx
        mx 60 A 127.0.0.6
        _25._tcp.mx 60 TLSA 3 1 1 {zeros}
    """,
    "bogus.test": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 MX 10 mx
        mx 60 A 127.0.0.4
    """,
    "small.test": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        @ 60 NS ns2.test.
        @ 60 MX 10 mx
        mx 60 A 127.0.0.7
        @ 60 TXT "v=spf1 mx ~all"
        _dmarc 60 TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@small.test"
        _mailguard-check 60 TXT "{proof_small}"
    """,
    "0.0.127.in-addr.arpa": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        6 60 PTR mx2.good.test.
        4 60 PTR mx.good.test.
        5 60 PTR elsewhere.good.test.
        7 60 PTR mx.small.test.
    """,
    "0.0.0.0.0.0.d.f.ip6.arpa": """
        @ 60 SOA ns1.test. hostmaster 1 60 60 60 60
        @ 60 NS ns1.test.
        4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 60 PTR mx.good.test.
    """,
}

POSTFIX = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
mydestination = {domain}
myhostname = mx.{domain}
alias_maps =
alias_database =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {chain}
"""

# As the repairs of the catalogue say.
KNOWN = f"inline:{{{', '.join(f'{name}=here' for name in ('alice', 'postmaster', 'abuse'))}}}"
GOOD_POSTFIX = f"""
inet_protocols = all
inet_interfaces = {GOOD}, [{GOOD6}]
mynetworks = 127.0.0.99/32
local_recipient_maps = {KNOWN}
"""

BAD_POSTFIX = f"""
inet_protocols = ipv4
inet_interfaces = {BAD}
mynetworks = 127.0.0.0/8
local_recipient_maps = {KNOWN}
smtpd_banner = $myhostname ESMTP $mail_name $mail_version
smtpd_tls_protocols = >=TLSv1
smtpd_tls_ciphers = low
smtpd_tls_exclude_ciphers =
"""

EXIM_CONFIGURATION = """
primary_hostname = mx2.good.test
domainlist local_domains = good.test : wrong.test
local_interfaces = 127.0.0.6
daemon_smtp_ports = 25
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
tls_advertise_hosts = *
tls_certificate = {folder}/chain.pem
tls_privatekey = {folder}/key.pem
{repairs}
acl_smtp_rcpt = check
smtp_accept_max_per_host = 2
host_lookup =
begin acl
check:
  deny message = relay not permitted
    !domains = +local_domains
  require verify = recipient
  accept
begin routers
known:
  driver = accept
  domains = good.test
  local_parts = alice : postmaster : abuse
  transport = nowhere
everything:
  driver = accept
  domains = wrong.test
  local_parts = ! postmaster : ! abuse : *
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = nobody
"""

OPENSMTPD_CONFIGURATION = """
table aliases {{ "postmaster" = "games", "abuse" = "games" }}
pki mx.small.test cert "{folder}/chain.pem"
pki mx.small.test key "{folder}/key.pem"
listen on 127.0.0.7 tls pki mx.small.test hostname mx.small.test
action "local" maildir "{folder}/mail" alias <aliases>
match from any for domain "small.test" action "local"
"""

UNBOUND = """
server:
  interface: 127.0.0.1
  access-control: 127.0.0.0/8 allow
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  logfile: "{folder}/unbound.log"
  use-syslog: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor: "{anchor}"
  local-zone: "test." nodefault
  local-zone: "127.in-addr.arpa." nodefault
  local-zone: "d.f.ip6.arpa." nodefault
  local-zone: "com." static
stub-zone:
  name: "test"
  stub-addr: {server}
stub-zone:
  name: "0.0.127.in-addr.arpa"
  stub-addr: {server}
stub-zone:
  name: "0.0.0.0.0.0.d.f.ip6.arpa"
  stub-addr: {server}
remote-control:
  control-enable: no
"""

NSD = """
server:
  ip-address: 127.0.0.53
  ip-address: 127.0.1.53
  username: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  logfile: "{folder}/nsd.log"
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
remote-control:
  control-enable: no
"""

WEB_SERVER = """
import http.server, ssl, sys
POLICY = b"version: STSv1\\r\\nmode: enforce\\r\\nmx: *.good.test\\r\\nmax_age: 604800\\r\\n"
LOGO = b'<svg version="1.2" baseProfile="tiny-ps" xmlns="http://www.w3.org/2000/svg"><title>Good</title></svg>'
FILES = {"/.well-known/mta-sts.txt": ("text/plain", POLICY), "/logo.svg": ("image/svg+xml", LOGO)}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, content = FILES.get(self.path, ("text/plain", b""))
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.3", 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@contextlib.contextmanager
def laboratory(programs=PROGRAMS, files=(EXIM,)):
    """A folder for a network, and the key of its site; what is not installed skips the tests."""
    if os.geteuid() != 0:
        pytest.skip("a network of one's own needs root")
    missing = [name for name in programs if not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    missing += [str(path) for path in files if not path.exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = public_folder()
    key = new_key()
    (folder / "key").write_text(key + "\n")
    (folder / "key").chmod(0o600)
    yield folder, parse_key(key)
    shutil.rmtree(folder)


class Network:
    """`with Network(folder, proofs) as network:` then network.run([...]) runs a command inside.

    proofs: the TXT values that prove control, by domain.
    """

    zones = ZONES
    signed = SIGNED

    def __init__(self, folder: Path, proofs: dict[str, str]) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.proofs = proofs
        self._processes: list[subprocess.Popen] = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """End the first process of the namespace, and with it all others."""
        self._holder.kill()
        for process in (self._holder, *self._processes):
            process.wait(120)

    def run(self, command, **options):
        options.setdefault("timeout", 120)
        return subprocess.run([*self._inside(), *map(os.fspath, command)], check=False, **options)

    def _inside(self):
        return ["nsenter", "--target", self._first, "--net", "--mount", "--pid", "--"]

    def _spawn(self, command, ready):
        """Start a server and wait until `ready()` is true."""
        with (self.folder / "servers.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._inside(), *map(os.fspath, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        until(ready, lambda: (self.folder / "servers.log").read_text(errors="replace"), 30)

    def _start(self):
        kinds = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        self._holder = subprocess.Popen(["unshare", *kinds, "sleep", "infinity"])
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self._first = until(lambda: children.read_text().strip(), lambda: "no namespace", 10)
        until(lambda: "sleep" in Path(f"/proc/{self._first}/comm").read_text(), lambda: "no namespace", 10)
        self._prepare()
        self._certificates()
        self._name_servers()
        self._servers()

    def _servers(self):
        self._spawn([sys.executable, "-c", WEB_SERVER, self.web.path], self._listens(WEB, 443))
        self.good = self._postfix("good", GOOD_POSTFIX + repairs("postfix"), self.mx, GOOD)
        self.bad = self._postfix("bad", BAD_POSTFIX, self.expired, BAD)
        self._exim()
        self._opensmtpd()

    def _prepare(self):
        """Addresses, and files of /etc that only those inside see."""
        passwd, group = (Path("/etc/passwd").read_text(), Path("/etc/group").read_text())
        for number, name in enumerate(("Debian-exim", "opensmtpd", "opensmtpq"), 64997):
            if f"{name}:" not in passwd:
                passwd += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
                group += f"{name}:x:{number}:\n"
        files = {"resolv.conf": f"nameserver {RESOLVER}\n", "passwd": passwd, "group": group}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        commands = ["ip link set lo up", f"ip -6 addr add {GOOD6}/128 dev lo", "ip addr add 127.0.1.53/8 dev lo"]
        commands += [f"ip addr add 127.0.0.{number}/8 dev lo" for number in (3, 4, 5, 6, 7, 9, 53)]
        commands += [f"mount --bind {self.folder}/{name} $(readlink -f /etc/{name})" for name in files]
        commands.append(
            "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"
        )  # for Exim with a configuration of ours
        result = self.run(["sh", "-ec", "\n".join(commands)], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    def _certificates(self):
        issue = self.authority.issue
        self.mx, self.mx2 = issue("mx.good.test"), issue("mx2.good.test")
        self.web, self.expired = issue("mta-sts.good.test"), issue("old.bad.test", own=True, days=-5, bits=1024)

    def _listens(self, address, port):
        code = f"import socket; socket.create_connection(({address!r}, {port}), 5).close()"
        return lambda: self.run([sys.executable, "-I", "-c", code], capture_output=True).returncode == 0

    def _values(self):
        """What stands in the braces of the zones."""
        values = {f"proof_{domain.partition('.')[0]}": value for domain, value in self.proofs.items()}
        return values | {"zeros": "0" * 64, "tlsa_mx": self.mx.tlsa(), "tlsa_mx2": self.mx2.tlsa()}

    def _name_servers(self):
        values = self._values()
        texts = {name: textwrap.dedent(text.format_map(values)) for name, text in self.zones.items()}
        zones, anchor = self._zones(texts)
        configuration = NSD.format(folder=self.folder)
        for name, text in zones.items():
            (self.folder / f"zone.{name}").write_text(text)
            configuration += f'zone:\n  name: "{name}"\n  zonefile: "zone.{name}"\n'
        (self.folder / "nsd.conf").write_text(configuration)
        self._spawn(["nsd", "-d", "-c", self.folder / "nsd.conf"], self._listens(AUTHORITATIVE, 53))
        unbound = UNBOUND.format(folder=self.folder, anchor=anchor, server=AUTHORITATIVE)
        (self.folder / "unbound.conf").write_text(unbound)
        self._spawn(["unbound", "-d", "-c", self.folder / "unbound.conf"], self._listens(RESOLVER, 53))

    def _zones(self, texts):
        """The files of the zones by name, and the trust anchor."""
        return signed(texts, self.signed)

    def _postfix(self, name, main, leaf, address, master=""):
        folder = self.folder / name
        (folder / "etc").mkdir(parents=True)
        (folder / "queue").mkdir()
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        base = POSTFIX.format(folder=folder, domain=f"{name}.test", chain=leaf.path)
        (folder / "etc" / "main.cf").write_text(last_wins(base + main))
        (folder / "etc" / "master.cf").write_text(
            MASTER + "tlsmgr unix - - n 1000? 1 tlsmgr\nsmtp inet n - n - - smtpd\n" + master
        )
        self.postfix(folder / "etc", "start")
        until(self._listens(address, 25), (folder / "mail.log").read_text, 30)
        return folder / "etc"

    def postfix(self, etc, action):
        result = self.run(["postfix", "-c", etc, action], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    def _exim(self):
        folder = self._with_certificate("exim", self.mx2)
        (folder / "spool").mkdir()
        (folder / "conf").write_text(EXIM_CONFIGURATION.format(folder=folder, repairs=repairs("exim")))
        for path in [folder, *(each for each in folder.iterdir() if each.name != "conf")]:
            os.chown(path, self._user("Debian-exim"), -1)
        self._spawn([EXIM, "-C", folder / "conf", "-bdf"], self._listens(EXIM_ADDRESS, 25))

    def _opensmtpd(self):
        """Lay its program over /usr/sbin, because it starts itself again by that name."""
        folder = self._with_certificate("opensmtpd", self.authority.issue("mx.small.test", bits=2048))
        (folder / "conf").write_text(OPENSMTPD_CONFIGURATION.format(folder=folder))
        (folder / "sbin").mkdir()
        (folder / "lib" / "opensmtpd" / "empty").mkdir(parents=True)
        shutil.copy(OPENSMTPD / "sbin" / "smtpd", folder / "sbin")
        commands = [
            f"mount -t overlay overlay -o lowerdir={folder}/sbin:/usr/sbin /usr/sbin",
            f"mount -t overlay overlay -o lowerdir={OPENSMTPD}/libexec:/usr/libexec /usr/libexec",
            f"mount -t overlay overlay -o lowerdir={folder}/lib:/var/lib /var/lib",
            "mount -t tmpfs tmpfs /var/spool",
            "mount -t tmpfs tmpfs /run",  # where it looks for another one that runs, in another network
        ]
        result = self.run(["sh", "-ec", "\n".join(commands)], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        self._spawn(["smtpd", "-d", "-f", folder / "conf"], self._listens(SMALL, 25))

    def _with_certificate(self, name, leaf):
        """Make a folder with key.pem and chain.pem."""
        folder = self.folder / name
        folder.mkdir()
        pem = leaf.path.read_bytes()
        (folder / "key.pem").write_bytes(pem[: pem.index(b"-----BEGIN CERTIFICATE")])
        (folder / "key.pem").chmod(0o600)
        (folder / "chain.pem").write_bytes(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
        return folder

    def _user(self, name):
        lines = (self.folder / "passwd").read_text().splitlines()
        return next(int(line.split(":")[2]) for line in lines if line.startswith(f"{name}:"))


def repairs(software):
    """The lines that the catalogue gives for the repair of a server, as a configuration."""
    from mailguard.check import catalogue
    from mailguard.check.outcome import Outcome

    checks = ("tls.versions", "tls.ciphers", "vrfy", "banner", "auth.plain", "rcpt.unknown")
    lines = [
        catalogue.repair_lines(Outcome(check, "failure", "late"), "good.test").get(software, "") for check in checks
    ]
    if software == "postfix":
        return "".join(f"{setting}\n" for line in lines if line for setting in settings(line))
    return "\n".join(line for line in lines if line and "verify" not in line).replace("tls_require_ciphers", "#", 1)


def last_wins(text):
    """Lines of main.cf of which later ones replace earlier ones; without comments."""
    lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return "".join(f"{line}\n" for line in {line.partition("=")[0].strip(): line for line in lines}.values())


def settings(line):
    """What a line `postconf -e name=value 'name=value' && postfix reload` sets."""
    import shlex

    words = shlex.split(line)
    assert words[:2] == ["postconf", "-e"]
    assert words[-3:] == ["&&", "postfix", "reload"]
    return words[2:-3]


def signed(texts, names):
    """Sign the zones of these names; return all as texts, and the DS of test for the resolver."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("test", *names)}
    zones, delegations = {}, {}
    for name in (*names, "test"):
        zone = dns.zone.from_text(texts[name], origin=f"{name}.", relativize=False)
        public = dns.dnssec.make_dnskey(keys[name].public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
        delegations[name] = dns.dnssec.make_ds(dns.name.from_text(name), public, "SHA256")
        if name == "test":
            for child in [each for each in texts if each.endswith(".test")]:
                owner = dns.name.from_text(child)
                zone.find_rdataset(owner, "NS", create=True).add(dns.rdata.from_text("IN", "NS", "ns1.test."), 60)
                if child in names:
                    zone.find_rdataset(owner, "DS", create=True).add(delegations[child], 60)
        dns.dnssec.sign_zone(zone, keys=[(keys[name], public)], lifetime=86400, add_dnskey=True)
        zones[name] = zone.to_text(relativize=False)
    if "bogus.test" in zones:
        zones["bogus.test"] = _damaged(zones["bogus.test"])
    unsigned = {name: f"$ORIGIN {name}.\n{text}" for name, text in texts.items() if name not in zones}
    return zones | unsigned, f"test. DS {delegations['test'].to_text()}"


def _damaged(text):
    """Change what was signed: the MX record now says something else."""
    assert "MX 10 mx.bogus.test." in text
    return text.replace("MX 10 mx.bogus.test.", "MX 20 mx.bogus.test.")
