"""A scan of a healthy domain over loopback, with the pauses between connections that it makes everywhere."""

import tempfile
from pathlib import Path
from time import time

from check_lab import Authority, CountingGuard, Dns, MailServer, WebServer, http

from mailguard.check.scan import Settings, scan
from mailguard.seal.keys import new_key, parse_key

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"
ZONE = """
good.test SOA ns1.good.test. h.good.test. 1 1 1 1 1
good.test NS ns1.good.test
good.test NS ns2.good.test
ns1.good.test A 192.0.2.1
ns2.good.test A 198.51.100.1
good.test MX 10 mx.good.test
mx.good.test A 127.0.0.2
2.0.0.127.in-addr.arpa PTR mx.good.test
good.test TXT v=spf1 mx -all
good.test CAA 0 issue "ca.example"
_dmarc.good.test TXT v=DMARC1; p=reject; rua=mailto:d@good.test
_smtp._tls.good.test TXT v=TLSRPTv1; rua=mailto:t@good.test
_mta-sts.good.test TXT v=STSv1; id=1;
mta-sts.good.test A 127.0.0.3
"""


def measure():
    from mailguard.check.control import token

    with tempfile.TemporaryDirectory() as folder:
        authority, key = Authority(Path(folder)), parse_key(new_key())
        context = authority.issue("mx.good.test").context()
        mail, second = MailServer(tls=context), MailServer("127.0.0.4", tls=context)
        web = WebServer(authority.issue("mta-sts.good.test").context(), http(POLICY))
        proof = f"_mailguard-check.good.test TXT {token('good.test', key)}\n"
        more = proof + "mx.good.test A 127.0.0.4\n4.0.0.127.in-addr.arpa PTR mx.good.test\n"
        for what, zone in (("without", ZONE), ("with", ZONE + proof), ("two addresses, with", ZONE + more)):
            with mail, second, web:
                ports = {(each.address, 25): each.port for each in (mail, second)} | {(web.address, 443): web.port}
                guard = CountingGuard(60, lab=True, ports=ports)
                dns = Dns(zone, signed=["good.test"])
                settings = Settings(dns, guard, int(time()), trusted=True, ca_file=authority.file, key=key)
                settings.address_lists = settings.domain_lists = ()
                report = scan("good.test", settings)
            assert report.verdict.code == "safe", report.outcomes
            yield f"check scan, {what} proof of control: time", report.duration, ("<=", 5.0), "seconds"
            yield f"check scan, {what} proof: connections at the same time", guard.most, ("<=", 1), "to one address"
