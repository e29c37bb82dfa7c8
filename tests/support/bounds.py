"""What a message may cost, and messages made to cost more: each has an account of memory and processor time.

The corpus is all that the generators of this project make, and the published suites where they are there.  The
mutations are of the kind that makes readings multiply: parameters, names, boundaries, encodings and parts that stand
again and again, and in each other.
"""

from __future__ import annotations

import base64
import functools
import os
import quopri
import resource
import signal
import time

import case_folders
import documents
import japanese_corpus
import mime_tricks
import verbs
from bench import hostile
from mails import attachment, mixed
from message_generators import TOKENS
from paths import SUITES
from signed_mail import sign
from verified_mail import options

from mailguard.duplicate.verdict import acted_on
from mailguard.errors import ContentLimit
from mailguard.formats import confined
from mailguard.message import tree
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load
from mailguard.seal import field as seal_field
from mailguard.verify.verification import verify

LARGEST = 200_000
_MEMORY = 32 << 20
_MEMORY_EACH = 40
_MEMORY_PART = 8 << 10  # its records, whatever its size
_SMALLEST_PART = 6  # octets: a delimiter line and an empty one
_SECONDS = 1.5
_SECONDS_EACH = 20e-6
_STOP_SECONDS = 60
_LIMITS = frozenset({"limit.memory", "limit.time", "limit.failure"})


def octets_for(size: int) -> int:
    """Return how much memory a verb may take for a message of this size, beyond what it has at rest."""
    parts = min(size // _SMALLEST_PART, tree.MAX_PARTS)
    return _MEMORY + _MEMORY_EACH * size + _MEMORY_PART * parts


def seconds_for(size: int) -> float:
    """Return how much processor time a verb may take for a message of this size."""
    return _SECONDS + _SECONDS_EACH * size


# Messages


@functools.cache
def corpus() -> list[bytes]:
    """Return the messages that are mutated."""
    found = [mail.raw for mail in japanese_corpus.mails(160)]
    for eol in (b"\n", b"\r\n"):
        found += [trick.raw for trick in mime_tricks.tricks(b"MZ\x90\0" + bytes(60), eol)]
    files = [(name, data) for name, (data, _) in (documents.ordinary() | documents.dangerous()).items()]
    found += [mixed(attachment(data, name.encode()[:60], b"application/octet-stream")) for name, data in files]
    found += [path.read_bytes() for path in case_folders.CASES and [case / "in.eml" for case in case_folders.CASES]]
    found += [made(1)[: LARGEST // 4] for made in (hostile.CASES | hostile.SCANNED).values()]
    found += [sign(), sign(c="simple/simple")]
    found += [path.read_bytes() for path in sorted(SUITES.glob("mime/**/*")) if path.is_file()]
    return [raw for raw in found if raw and len(raw) < LARGEST]


_PARAMETERS = (
    b"boundary", b"name", b"filename", b"charset", b"type", b"start", b"name*", b"filename*", b"filename*0*",
    b"filename*1", b"boundary*0", b"boundary*", b"name*0", b"protocol", b"report-type", b"format",
)  # fmt: skip
_VALUES = (
    b"a", b'"a b"', b"'a'", b'"a\\"b"', b"=?utf-8?b?YS5leGU=?=", b"=?iso-2022-jp?B?GyRCO3FOQRsoQg==?=", b"utf-8''%41.exe",
    b"boundary=", b"name=", b'"a', b"a;b", b"(a)", b"a (b (c))", b'"=?utf-8?q?a?= =?utf-8?q?b?="', b"\x1b$B\x22\x5c\x1b(B",
    b"\x83\x5c", "\U0001f600.exe".encode(), b"a\n\tb", b"x" * 998, b"--", b"%41%42%43", b"multipart/mixed",
)  # fmt: skip
_FIELDS = (
    b"Content-Type: ", b"Content-Disposition: attachment; ", b"Content-Transfer-Encoding: ", b"MIME-Version: ", b"X: ",
    b"From: ", b"Received: ", b"Authentication-Results: ", b"DKIM-Signature: ", b"Mailguard-Seal: ", b"Subject: ",
)  # fmt: skip
_TYPES = (
    b"multipart/mixed", b"multipart/alternative", b"multipart/related", b"multipart/signed", b"multipart/digest",
    b"multipart/report", b"message/rfc822", b"message/partial", b"message/external-body", b"text/html", b"text/plain",
    b"text/calendar", b"application/zip", b"application/ms-tnef", b"image/svg+xml", b"message/delivery-status",
)  # fmt: skip
_ENCODINGS = (b"base64", b"quoted-printable", b"x-uuencode", b"7bit", b"binary", b"8bit", b"unknown")
_LINES = (
    b"begin 644 a.exe\n", b"begin\t644 a.exe\n", b"\rbegin 644 a\n", b"=ybegin line=1 size=1 name=a\n", b"\r=ybegin name=a\n",
    b"(This file must be converted with BinHex 4.0)\n:", b"QUFB" * 12 + b"\n", b"--b\n", b"--b--\n", b"--=_0\n", b"--=_\n",
    b"Content-Type: text/html\n\n", b"From a\n", b"=41=\n", b"<p onclick=x>", b"<a href='javascript:x'>", b"&#x41;" * 9,
    b"<!--[if mso]>", b"{\\rtf1", b"%PDF-1.4\n", b"PK\x03\x04", b"\x1b$B;qNA\x1b(B", b"M" + b"A" * 60 + b"\n",
)  # fmt: skip


def mutated(random, messages) -> bytes:
    """Return a message with one to four mutations, at most 200,000 octets."""
    raw = random.choice(messages)
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        raw = random.choice(_MUTATIONS)(random, raw, messages)[:LARGEST]
    return raw


def _often(random) -> int:
    return random.choice((2, 3, 5, 8, 9, 11, 14, 17, 33, 64, random.choice((200, 200, 1000, 5000))))


def _place(random, raw: bytes) -> int:
    """Return where to change something: at the beginning of a line, mostly in a header."""
    near = min(len(raw), random.choice((300, 1000, 4000, len(raw))))
    return raw.rfind(b"\n", 0, random.randrange(near + 1)) + 1


def _parameters(random, raw, _messages):
    """Give a structured field parameters that stand again and again."""
    fields = [
        raw.find(name, position)
        for name in (b"ontent-", b"ONTENT-")
        for position in (0, len(raw) // 3, _place(random, raw))
    ]
    places = [raw.find(b"\n", place) for place in fields if place >= 0]
    place = random.choice([place for place in places if place >= 0] or [_place(random, raw)])
    few = random.sample(_PARAMETERS, random.choice((1, 1, 2, 3)))
    join = random.choice((b";", b"; ", b" ", b";\n\t", b"", b";;"))
    numbered = random.random() < 0.5
    pieces = []
    for number in range(_often(random)):
        value = random.choice(_VALUES)
        name = random.choice(few)
        pieces.append(name + (b"%d" % number if name.endswith(b"*") and numbered else b"") + b"=" + value)
        if numbered and random.random() < 0.5:
            pieces[-1] += b"%d" % number
    return raw[:place] + join + join.join(pieces) + raw[place:]


def _nested_parameters(random, raw, _messages):
    """Let a parameter be the value of itself."""
    name = random.choice(_PARAMETERS)
    field = random.choice(_FIELDS) + random.choice(_TYPES) + b"; "
    text = field + (name + random.choice((b"=", b'="', b"=('", b"=;"))) * _often(random)
    place = _place(random, raw)
    return raw[:place] + text + b"\n" + raw[place:]


def _fields(random, raw, _messages):
    place = _place(random, raw)
    value = random.choice((*_VALUES, *_TYPES, *_ENCODINGS))
    return (
        raw[:place]
        + (random.choice(_FIELDS) + value + random.choice((b"\n", b"\r\n", b"\n "))) * _often(random)
        + raw[place:]
    )


def _levels(random, raw, _messages):
    """Put the message into multiparts or messages in each other."""
    top = b"From: a@b.example\nTo: c@d.example\nMIME-Version: 1.0\n"
    kind = random.choice(_TYPES[:7])
    more = random.choice((b"", b"; boundary=again", b'; boundary="', b"; charset=utf-8"))
    for number in range(min(_often(random), 130)):
        if kind.startswith(b"multipart"):
            raw = b"Content-Type: %s; boundary=l%d%s\n\n--l%d\n%s\n--l%d--\n" % (
                kind,
                number,
                more,
                number,
                raw,
                number,
            )
        else:
            raw = b"Content-Type: " + kind + b"\n\n" + raw
        if len(raw) > LARGEST:
            break
    return top + raw


def _encoded(random, raw, _messages):
    """Encode the message and forward that, several times."""
    for _ in range(random.choice((1, 2, 5, 11))):
        encoding = random.choice(_ENCODINGS[:2])
        body = base64.encodebytes(raw) if encoding == b"base64" else quopri.encodestring(raw)
        raw = b"From: a@b.example\nMIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: "
        raw += encoding + b"\n\n" + body
        if len(raw) > LARGEST:
            break
    return raw


def _parts(random, raw, messages):
    """Let parts stand again and again."""
    other = random.choice(messages)[: random.choice((100, 1000, 20_000))]
    entities = [
        b"Content-Type: " + random.choice(_TYPES) + random.choice((b"", b"; name=a.exe", b"; boundary=b")) + b"\n\n"
        + random.choice((*_LINES, other)) * random.choice((1, 1, 10))
        for _ in range(random.choice((1, 2, 3)))
    ]  # fmt: skip
    text = b"".join(b"--again\n" + random.choice(entities) + b"\n" for _ in range(min(_often(random), 2000)))
    if random.random() < 0.5:
        top = b"From: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=again\n\n"
        return top + text[: LARGEST // 2] + random.choice((b"--again--\n", b"")) + raw
    boundary = raw.partition(b"boundary=")[2][:72].strip(b'"').split(b'"')[0].split(b"\n")[0].split(b";")[0].strip()
    place = raw.find(b"\n--" + boundary) + 1
    return raw[:place] + text.replace(b"--again", b"--" + boundary)[: LARGEST // 2] + raw[place:]


def _encoding(random, raw, _messages):
    """Call the content of a part something else."""
    place = _place(random, raw)
    field = b"Content-Transfer-Encoding: " + random.choice(_ENCODINGS) + b"\n"
    return raw[:place] + field + raw[place:]


def _lines(random, raw, _messages):
    place = random.randrange(len(raw) + 1) if raw else 0
    return raw[:place] + random.choice((*_LINES, *TOKENS)) * _often(random) + raw[place:]


def _cut(random, raw, _messages):
    start, end = sorted((random.randrange(len(raw) + 1), random.randrange(len(raw) + 1)))
    return (raw[:start] + raw[end:]) if end - start < len(raw) // 2 else raw[start:end] or b"\n"


def _octets(random, raw, _messages):
    text = bytearray(raw)
    for _ in range(random.choice((1, 5, 50))):
        if text:
            text[random.randrange(len(text))] = random.choice(
                b"\0\t\n\r \"'();:=?%<>@\\-*/\x1b\x80\xff" + bytes(range(256))
            )
    return bytes(text)


def _spliced(random, raw, messages):
    other = random.choice(messages)
    return raw[: _place(random, raw)] + other[_place(random, other) :]


_MUTATIONS = (
    _parameters, _parameters, _parameters, _nested_parameters, _nested_parameters, _fields, _levels, _encoded, _parts,
    _parts, _encoding, _lines, _lines, _cut, _octets, _spliced,
)  # fmt: skip


# Accounts


class Cost:
    """What a verb took: octets of memory beyond what was there, seconds of processor time of all its processes."""

    def __init__(self, octets: int, seconds: float) -> None:
        self.octets = octets
        self.seconds = seconds


def _site():
    return verbs.site(memory_limit=512 << 20)


def _verify(raw):
    return verify(raw, options(), _site())


def _sanitize(raw):
    return sanitize(raw, verbs.rules(), lambda: load(None), _site(), Sandbox)


VERBS = {
    "quarantine": lambda raw: verbs.quarantined(raw, site_=_site()),
    "strip": lambda raw: verbs.stripped(raw, site_=_site()),
    "sanitize": _sanitize,
    "verify": _verify,
    "duplicate": acted_on("suspicious", _site(), None),
}


def complaints(raw: bytes) -> list[str]:
    """Let every verb work on a message; return what is wrong: an account that is exceeded, a 75, a lost octet."""
    found = []
    tree.forget()
    if seal_field.read(tree.parse(raw), verbs.RING, verbs.NOW).cut:
        return found  # ours, and its end was lost on the way: a fault of the site, and 75
    for verb, work in VERBS.items():
        try:
            result, cost = measured(work, raw)
        except BaseException as error:  # a filter would end with 75
            if isinstance(error, KeyboardInterrupt):
                raise
            found.append(f"{verb}: {type(error).__name__}: {error}")
            continue
        shares = cost.octets / octets_for(len(raw)), cost.seconds / seconds_for(len(raw))
        worst[verb] = tuple(map(max, worst.get(verb, (0.0, 0.0)), shares))
        if cost.octets > octets_for(len(raw)):
            found.append(f"{verb}: {cost.octets >> 20} MiB for {len(raw)} octets")
        if cost.seconds > seconds_for(len(raw)):
            found.append(f"{verb}: {cost.seconds:.1f} s for {len(raw)} octets")
        if isinstance(result, bool):
            continue
        found += [f"{verb}: {finding.code}" for finding in result.findings if finding.code in _LIMITS]
        output = verbs.output(result)
        if result.quarantine_id and result.changed and verb != "verify":
            found += [f"{verb}: {complaint}" for complaint in _unlike(raw, output, result.quarantine_id)]
    return found


def _unlike(raw, output, identifier):
    """Yield why release does not give the message back."""
    try:
        if verbs.release(output, wanted=identifier) != raw:
            yield "release gives another message"
    except Exception as error:  # noqa: BLE001 (whatever it is, the message is lost to its recipient)
        yield f"release: {type(error).__name__}: {error}"


worst: dict[str, tuple[float, float]] = {}
"""The largest share of the account that was used: verb -> (memory, processor time)."""


def measured(work, raw):
    """Return what `work` gives for a message, and its Cost."""
    raw = bytes(bytearray(raw))  # another object: what was found out about the message before does not count
    tree._latest.clear()
    before, started = _resident("VmRSS"), _seconds()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # proc(5): the peak begins anew
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, _STOP_SECONDS)
    try:
        result = work(raw)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        confined.dismiss()
    return result, Cost(_resident("VmHWM") - before, _seconds() - started)


def _too_long(*_):
    raise ContentLimit("limit.time")


def _seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _resident(name: str) -> int:
    with open("/proc/self/status", "rb") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name.encode()))


def usable() -> bool:
    """Tell whether this system tells the peak of a process."""
    return os.access("/proc/self/clear_refs", os.W_OK)
