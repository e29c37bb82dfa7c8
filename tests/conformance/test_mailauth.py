"""Against another verifier: mailauth (npm), strict, on Node 22 or newer.  Every difference is explained here.

It is looked for in $MAILGUARD_MAILAUTH, a folder in which `npm install node@22 mailauth@7` was run, or in .mailauth of
the repository.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import subprocess
from pathlib import Path

import pytest
from arc_sets import KEY as LISTS
from arc_sets import seal as arc_seal
from paths import ROOT
from signed_mail import (
    FIELDS,
    MESSAGE,
    SELECTOR,
    Zone,
    ed25519_key,
    ed25519_record,
    private_pem,
    record,
    rsa_key,
    sign,
)
from verbs import output, site
from verified_mail import FRIEND, verified, zone

from mailguard.message.tree import parse
from mailguard.sign import sign as put_on
from mailguard.verify import arc, dkim, dmarc
from mailguard.verify.arc_set import SigningKey
from mailguard.verify.author import scan

FOLDER = Path(os.environ.get("MAILGUARD_MAILAUTH") or ROOT / ".mailauth")
NOW = 1_790_000_000

SCRIPT = """
const { authenticate } = require('mailauth');
const wrong = code => { const error = new Error(code); error.code = code; throw error; };
const judge = async ({ raw, zone }) => {
  const resolver = async (name, type) => {
    const found = zone[name.toLowerCase().replace(/\\.$/, '')];
    if (type !== 'TXT' || found === undefined) wrong('ENOTFOUND');
    if (typeof found === 'string') wrong(found);
    return found.map(text => [text]);
  };
  const options = { resolver, strict: true, trustReceived: false, mta: 'mx.example.net', disableBimi: true };
  const report = await authenticate(Buffer.from(raw, 'base64'), options);
  return {
    dkim: report.dkim.results.map(result => result.status.result),
    dmarc: report.dmarc ? report.dmarc.status.result : 'absent',
    arc: report.arc && report.arc.status ? report.arc.status.result : 'absent'
  };
};
let input = '';
process.stdin.on('data', data => (input += data));
process.stdin.on('end', async () => {
  const answers = [];
  for (const each of JSON.parse(input)) answers.push(await judge(each));
  console.log(JSON.stringify(answers));
});
"""

REJECT = {"_dmarc.example.com": b"v=DMARC1; p=reject"}
KEY = {SELECTOR: record()}
ALL = KEY | REJECT


def cases():
    """Return name: (message, zone)."""
    found = {}
    for form in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed", "relaxed"):
        found[f"c={form}"] = sign(c=form), ALL
    variants = {
        "no From in h=": {"h": FIELDS.replace("from", "sender")},
        "v=2": {"v": "2"},
        "no v=": {"v": None},
        "rsa-sha1": {"a": "rsa-sha1"},
        "unknown a=": {"a": "rsa-md5"},
        "i= outside": {"i": "joe@example.org"},
        "i= below": {"i": "joe@sub.example.com"},
        "i= quoted-printable": {"i": "joe=20x@example.com"},
        "q= list": {"q": "dns/other:dns/txt"},
        "expired": {"x": "1600000000"},
        "expires before it begins": {"x": "5", "t": "6"},
        "from the future": {"t": "99999999999"},
        "l= whole": {"l": "26"},
        "l= short": {"l": "3"},
        "l= long": {"l": "9999"},
        "unknown c=": {"c": "nofws/simple"},
        "Content-Type unsigned": {"h": "from:to:subject:date"},
        "unknown tag": {"zz": "y"},
        "upper-case d=": {"d": "EXAMPLE.com"},
        "d= is a subdomain": {"d": "sub.example.com"},
        "d= of somebody else": {"d": "example.org"},
        "oversigned": {"h": FIELDS + ":from:subject"},
        "upper-case h=": {"h": FIELDS.upper()},
    }
    keys = {f"test._domainkey.{domain}": record() for domain in ("sub.example.com", "example.org", "example.com")}
    for name, tags in variants.items():
        found[name] = sign(**tags), keys | REJECT
    records = {
        "key t=y": record(tags=b"v=DKIM1; t=y; "),
        "key t=s": record(tags=b"v=DKIM1; t=s; "),
        "key h=sha1": record(tags=b"v=DKIM1; h=sha1; "),
        "key s=tlsrpt": record(tags=b"v=DKIM1; s=tlsrpt; "),
        "key v= not first": record(tags=b"k=rsa; v=DKIM1; "),
        "key v=DKIM2": record(tags=b"v=DKIM2; "),
        "key without v=": record(tags=b""),
        "key of another type": ed25519_record(),
        "key revoked": b"v=DKIM1; p=",
        "key garbage": b"garbage",
        "two keys": [record(), record(tags=b"v=DKIM1; n=x; ")],
        "key NXDOMAIN": None,
        "key SERVFAIL": "SERVFAIL",
        "key TIMEOUT": "TIMEOUT",
    }
    for name, published in records.items():
        found[name] = sign(), REJECT | ({SELECTOR: published} if published is not None else {})
    found["Ed25519"] = sign(key=ed25519_key()), REJECT | {SELECTOR: ed25519_record()}
    found["two signatures"] = sign(sign(), s="other"), ALL
    found["no signature"] = MESSAGE, ALL
    changes = {
        "changed body": (b"Hi.", b"Ho."),
        "changed field": (b"dinner", b"supper"),
        "blanks in the body": (b"We  lost", b"We lost"),
        "trailing lines": (b"\t\r\n\r\n", b"\t\r\n\r\n\r\n\r\n"),
        "field name in capitals": (b"To:", b"TO:"),
        "second From": (b"From:", b"From: x@evil.example\r\nFrom:"),
        "second Subject": (b"From:", b"Subject: x\r\nFrom:"),
        "LF": (b"\r\n", b"\n"),
    }
    for name, (old, new) in changes.items():
        found[name] = sign().replace(old, new, -1 if name == "LF" else 1), ALL
    policies = {
        "DMARC p=none": b"v=DMARC1; p=none",
        "DMARC adkim=s": b"v=DMARC1; p=reject; adkim=s",
        "DMARC without p=": b"v=DMARC1; adkim=r",
        "DMARC without p= with rua": b"v=DMARC1; rua=mailto:a@example.com",
        "DMARC lower case": b"v=dmarc1; p=reject",
        "DMARC twice": [b"v=DMARC1; p=reject", b"v=DMARC1; p=none"],
        "DMARC SERVFAIL": "SERVFAIL",
    }
    for name, policy in policies.items():
        found[name] = sign(), KEY | {"_dmarc.example.com": policy}
        found[name + ", subdomain signs"] = sign(d="sub.example.com"), keys | {"_dmarc.example.com": policy}
    found["no DMARC record"] = sign(), KEY
    for name, value in {
        "two authors": b"Joe <joe@example.com>, <ann@example.org>",
        "no author": b"undisclosed",
        "route": b"<@a.example:joe@example.com>",
        "group": b"Us: joe@example.com;",
        "address in the display name": b'"ceo@bank.example" <joe@example.com>',
    }.items():
        found[name] = sign(MESSAGE.replace(b"Joe <joe@example.com>", value)), ALL
    return found | arc_cases()


def arc_cases():
    """Messages of all kinds with an ARC set of `mailguard sign`: (message, zone)."""
    key = SigningKey(private_pem(rsa_key(1024)).decode(), "gate.example", "arc1", "key")
    chain, sets = arc_seal(MESSAGE, 1)
    kinds = {
        "plain": MESSAGE,
        "behind a chain of two": arc_seal(chain, 2, before=sets)[0],
        "LF": MESSAGE.replace(b"\r\n", b"\n"),
        "8-bit": MESSAGE.replace(b"dinner", "夕食 \x1b$B;qNA\x1b(B".encode()).replace(b"Hi.", b"\xe9\xff \t"),
        "no body": MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        "long header": b"To: " + b", ".join(b"u%d@b.example" % number for number in range(200)) + b"\r\n" + MESSAGE,
    }
    published = ALL | {key.question[0]: key.record, LISTS: record()}
    own = zone(f"{LISTS} TXT {record().decode()}")
    found = {}
    for name, raw in kinds.items():
        result = put_on(verified(raw, FRIEND, own, chain=True), key, site())
        assert result.changed
        found[f"our ARC set, {name}"] = output(result), published
        if name != "LF":
            found[f"our ARC set, {name}, changed"] = output(result).replace(b"From: Joe", b"From: Jim"), published
    return found


CASES = cases()

# mailauth says neutral where RFC 6376 6.1.1 and RFC 8601 2.7.1 say permerror: nobody will ever verify such a signature.
CALLED_NEUTRAL = [
    "no From in h=",
    "v=2",
    "no v=",
    "unknown a=",
    "i= outside",
    "expires before it begins",
    "unknown c=",
    "key h=sha1",
    "key s=tlsrpt",
    "key v= not first",
    "key v=DKIM2",
    "key of another type",
    "key revoked",
    "key garbage",
    "key NXDOMAIN",
]
# RFC 9989 asks a receiver to do something about such a From; without any result a reader cannot tell it from an omission.
NOT_REPORTED = ["two authors", "no author"]
# name: what differs, ours, theirs; the comment says why.
DIFFERENCES = {
    **{name: [("dkim", ["permerror"], ["neutral"])] for name in CALLED_NEUTRAL},
    **{name: [("dmarc", "permerror", "absent")] for name in NOT_REPORTED},
    "two signatures": [("dkim", ["permerror", "pass"], ["neutral", "pass"])],
    # RFC 8301 3.1: not acceptable, whatever it is a signature of.
    "rsa-sha1": [("dkim", ["policy"], ["fail"])],
    # Whether to honour x= is the receiver's choice (RFC 6376 3.5), for which RFC 8601 has the word policy.
    "expired": [("dkim", ["policy"], ["neutral"])],
    # RFC 6376 2.11: the local part of i= is quoted-printable.
    "i= quoted-printable": [("dkim", ["pass"], ["neutral"]), ("dmarc", "pass", "fail")],
    # RFC 6376 3.5 allows to ignore it; a signature made ahead outlives the key that is taken back.
    "from the future": [("dkim", ["policy"], ["pass"]), ("dmarc", "fail", "pass")],
    # Anybody could have added what l= leaves out (RFC 6376 8.2); mailauth passes with a warning.
    "l= short": [("dkim", ["policy"], ["pass"]), ("dmarc", "fail", "pass")],
    # RFC 6376 3.5: l= must not exceed the body.
    "l= long": [("dkim", ["permerror"], ["pass"]), ("dmarc", "fail", "pass")],
    "second Subject": [("dkim", ["policy"], ["pass"]), ("dmarc", "fail", "pass")],
    "second From": [("dkim", ["policy"], ["pass"]), ("dmarc", "fail", "absent")],
    # RFC 6376 3.6.1: t=y is to be treated like no signature.
    "key t=y": [("dkim", ["neutral"], ["pass"]), ("dmarc", "fail", "pass")],
    # RFC 6376 3.6.2.2: key records are unique; with two, an attacker's choice could decide.
    "two keys": [("dkim", ["permerror"], ["pass"]), ("dmarc", "fail", "pass")],
    # The signature may pass when the DNS answers again: neither pass nor fail (RFC 9989 5.3.6).
    "key SERVFAIL": [("dmarc", "temperror", "fail")],
    "key TIMEOUT": [("dmarc", "temperror", "fail")],
    # Programs that do not know source routes show the first domain.
    "route": [("dmarc", "permerror", "pass")],
}


def text(value):
    if isinstance(value, str):
        return {"SERVFAIL": "ESERVFAIL", "TIMEOUT": "ETIMEOUT"}[value]
    return [each.decode() for each in ([value] if isinstance(value, bytes) else value)]


@functools.cache
def theirs():
    node = FOLDER / "node_modules" / ".bin" / "node"
    if not (FOLDER / "node_modules" / "mailauth").exists() or not node.exists():
        pytest.skip(f"mailauth is not installed in {FOLDER} (npm install node@22 mailauth@7 there)")
    asked = [
        {"raw": base64.b64encode(raw).decode(), "zone": {name: text(value) for name, value in zone.items()}}
        for raw, zone in CASES.values()
    ]
    done = subprocess.run(
        [node, "-e", SCRIPT],
        input=json.dumps(asked),
        text=True,
        capture_output=True,
        cwd=FOLDER,
        check=True,
        timeout=120,
    )
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


def ours(raw, zone):
    message, resolver = parse(raw), Zone(zone)
    signatures = dkim.verify(message, resolver, NOW)
    return {
        "dkim": [result.result for result in signatures],
        "dmarc": dmarc.evaluate(scan(message), signatures, [], resolver).result,
        "arc": arc.verify(message, resolver).result,
    }


@pytest.mark.parametrize("name", CASES)
def test_same_result_or_an_explained_difference(name):
    expected = theirs()[name]
    found = ours(*CASES[name])
    for what, mine, other in DIFFERENCES.get(name, ()):
        assert (found[what], expected[what]) == (mine, other)
        del found[what], expected[what]
    assert found == expected


def test_it_accepts_every_arc_set_of_ours():
    ours_ = {name: found["arc"] for name, found in theirs().items() if name.startswith("our ARC set")}
    assert len(ours_) == 11
    assert {name for name, result in ours_.items() if result != "pass"} == {n for n in ours_ if n.endswith("changed")}
