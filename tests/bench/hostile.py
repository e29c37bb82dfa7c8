"""Mail made to be expensive: twice as much of it may cost at most 2.5 times as much.

Every case comes in two sizes; what is measured is the CPU time of whole processes beyond that of an empty run.
"""

import zlib

from bench import processes

from mailguard.message import encoding

TOP = b"From: a@example.com\nTo: b@example.org\nMIME-Version: 1.0\n"
MIXED = TOP + b"Content-Type: multipart/mixed; boundary=xx\n\n"
OPEN = MIXED + b"--xx\nContent-Type: text/plain\n\nHello\n"


def attachment(content, name=b"a.bin", kind=b"application/octet-stream"):
    head = (
        b"--xx\nContent-Type: "
        + kind
        + b'\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="'
    )
    return OPEN + head + name + b'"\n\n' + encoding.base64(content) + b"--xx--\n"


def many_small_files(count):
    import io
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.txt", b"x")
    return target.getvalue()


def many_archives(count, content):
    import io
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.html", content)
    head = b"--xx\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n"
    return OPEN + (head + encoding.base64(target.getvalue())) * count + b"--xx--\n"


GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;comment"

CASES = {
    "attachments": lambda n: (
        OPEN + b"--xx\nContent-Disposition: attachment; filename=a\n\nx\n" * (3500 * n) + b"--xx--\n"
    ),
    "attachments over the limit": lambda n: OPEN + b"--xx\nContent-Type: a/b\n\nx\n" * (50_000 * n) + b"--xx--\n",
    "header fields": lambda n: TOP + b"X: y\n" * (1_000_000 * n) + b"\nHello\n",
    "one huge field": lambda n: TOP + b"X: y" + b"\n y" * (1_000_000 * n) + b"\n\nHello\n",
    "a header of blanks": lambda n: TOP + b"X:" + b" " * (5_000_000 * n) + b"\n\nHello\n",
    "levels": lambda n: (
        TOP + b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (i, i) for i in range(50_000 * n))
    ),
    "forwarded in each other": lambda n: TOP + b"Content-Type: message/rfc822\n\n" * (100_000 * n),
    "boundary look-alikes": lambda n: OPEN + b"--x\n" * (1_250_000 * n) + b"--xx--\n",
    "boundary prefixes": lambda n: OPEN + b"--xxx\n" * (800_000 * n) + b"--xx--\n",
    "names of encoded words": lambda n: attachment(b"x", b"=?utf-8?q?a?=" * (50_000 * n)),
    "parameters": lambda n: OPEN + b"--xx\nContent-Type: a/b" + b"; name=a" * (200_000 * n) + b"\n\nx\n--xx--\n",
    "name continuations": lambda n: (
        OPEN
        + b"--xx\nContent-Type: a/b"
        + b"".join(b"; name*%d=a" % number for number in range(100_000 * n))
        + b"\n\nx\n--xx--\n"
    ),
    "open quotes": lambda n: OPEN + b"--xx\nContent-Type: a/b; name=" + b'"\\' * (500_000 * n) + b"\n\nx\n--xx--\n",
    "comments": lambda n: OPEN + b"--xx\nContent-Type: a/b " + b"(" * (1_000_000 * n) + b"\n\nx\n--xx--\n",
    "broken base64": lambda n: (
        OPEN
        + b"--xx\nContent-Type: a/b\nContent-Transfer-Encoding: base64\n\n"
        + b"A=\n" * (1_000_000 * n)
        + b"--xx--\n"
    ),
    "no empty line": lambda n: TOP + b"Content-Type: multipart/mixed; boundary=xx\n" + b"--xx\nX: y\n" * (400_000 * n),
    "uuencode look-alikes": lambda n: TOP + b"\n" + b"begin 644 a\n" * (400_000 * n),
    "uuencode look-alikes with other modes": lambda n: TOP + b"\n" + b"begin 1 a\n" * (400_000 * n),
    "text of blanks": lambda n: TOP + b"\n" + (b" " * 70 + b"\n") * (70_000 * n),
    "From lines": lambda n: TOP + b"\n" + b"From a\n" * (700_000 * n),
    "HTML of <": lambda n: attachment(b"<" * (2_500_000 * n), b"a.html", b"text/html"),
    "HTML of blanks": lambda n: attachment((b"href=" + b" " * 200) * (25_000 * n), b"a.html", b"text/html"),
    "HTML in many ZIPs": lambda n: many_archives(50 * n, (b"href=" + b" " * 200) * 80_000),
    "fields in the text": lambda n: TOP + b"\n" + b"a:\n" * (1_500_000 * n),
    "folded fields in the text": lambda n: TOP + b"\n" + b"a:\n b\n" * (700_000 * n),
    "short lines of base64": lambda n: (
        TOP + b"Content-Transfer-Encoding: base64\n\nAAAA\nAAAAAAAA\n" + b"AAAA\n" * (1_000_000 * n)
    ),
    "long armor": lambda n: TOP + b"\n-----BEGIN X\n" + (b"A" * 48 + b"\n") * (100_000 * n),
    "quoted-printable": lambda n: TOP + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=41=\n" * (800_000 * n),
    "ZIP members": lambda n: attachment(many_small_files(10_000 * n), b"a.zip", b"application/zip"),
    "boundaries": lambda n: (
        TOP + b"Content-Type: multipart/mixed" + b"".join(b";boundary=%d" % i for i in range(100 * n)) + b"\n\nx\n"
    ),
    "boundary of boundary": lambda n: TOP + b"Content-Type: multipart/mixed;" + b"boundary=" * (400 * n) + b"\n\nx\n",
    "parts with many boundaries": lambda n: (
        OPEN + (b"--xx\nContent-Type: a/b; " + b"boundary=" * 300 + b"\n\nx\n") * (500 * n) + b"--xx--\n"
    ),
    "names with one tail": lambda n: (
        OPEN + (b"--xx\nContent-Type: a/b; " + b"name=" * 32 + b"x" * 900 + b".exe\n\nx\n") * (500 * n) + b"--xx--\n"
    ),
    "names in a forwarded message": lambda n: (
        OPEN
        + b"--xx\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=yy\n\n"
        + b"".join(b"--yy\nContent-Type: a/b; name=%d.a\n\nx\n" % number for number in range(4000 * n))
        + b"--yy--\n--xx--\n"
    ),
    "small pages": lambda n: OPEN + b"--xx\nContent-Type: text/html\n\n<p onclick=x>\n" * (1000 * n) + b"--xx--\n",
    "small pictures": lambda n: (
        OPEN + (b"--xx\nContent-Type: image/gif\n\n" + encoding.base64(GIF)) * (300 * n) + b"--xx--\n"
    ),
    "bomb": lambda n: attachment(zlib.compress(bytes(50_000_000 * n)), b"a.gz"),
}

# A structure in doubt: sanitize decodes all that some reader could.
TWO = TOP + b"Content-Type: multipart/mixed; boundary=xx; boundary=yy\n\n--xx\n\nHello\n--xx\n\n"
SCANNED = {
    "uuencode": lambda n: TWO + b"begin 644 a\n" * (200_000 * n),
    "uuencode with other blanks": lambda n: TWO + b"begin\t644 a\n" * (200_000 * n),
    "uuencode behind carriage returns": lambda n: TWO + b"\rbegin 644 a\n" * (200_000 * n),
    "yEnc behind carriage returns": lambda n: TWO + b"\r=ybegin line=1 size=1 name=a\nabc\n" * (50_000 * n),
    "yEnc": lambda n: TWO + b"=ybegin line=1 size=1 name=a\nabc\n" * (50_000 * n),
    "BinHex": lambda n: (
        TWO + b"(This file must be converted with BinHex 4.0)\n" * (50_000 * n) + b"abc" * (100_000 * n)
    ),
    "one long word": lambda n: TWO + b"QUFB" * (500_000 * n) + b":",
    "short lines of base64": lambda n: TWO + b"AAAA\n" * (400_000 * n),
    "many runs of base64": lambda n: TWO + (b"QUFB" * 10 + b"\n\n") * (50_000 * n),
    "paddings": lambda n: TWO + b"QUFB=\n" * (300_000 * n),
    "quoted-printable": lambda n: TWO + b"=41=42=43" * (200_000 * n),
    "line ends": lambda n: TWO + b"\r \r\n\t" * (400_000 * n),
}


def verbs(folder):
    """Return the options of every verb."""
    always = ("--when", "always")
    return {
        "strip": always,
        "quarantine": always,
        "sanitize": always,
        "verify": ("--authserv-id", "mx.example", "--dns-load", processes.file(folder, "dns", b"")),
        "duplicate": ("--when", "suspicious", "--to", f"maildir:{folder}/copies", "--spool", f"{folder}/spool"),
    }


def measure():
    with processes.folder() as folder:
        key = processes.key_file(folder)
        for verb, options in verbs(folder).items():
            command = [processes.MAILGUARD, verb, *options, "--log", "none", "--key-file", key]
            empty = processes.run(command, processes.file(folder, "empty", TOP + b"\nHello\n")).cpu
            cases = CASES | {f"in doubt: {name}": make for name, make in SCANNED.items() if verb == "sanitize"}
            for name, make in cases.items():
                yield case(f"{verb}: {name}", command, [processes.file(folder, str(n), make(n)) for n in (1, 2)], empty)


def case(name, command, sources, empty):
    first, second = processes.in_turns(2, *(lambda source=source: processes.run(command, source) for source in sources))
    # Under 50 ms of work, the start of the interpreter is all that is measured.
    ratio = max(second.cpu - empty, 0.05) / max(first.cpu - empty, 0.05)
    peak = processes.peak(command, sources[1])
    return f"{name} ({second.cpu:.1f} s, {peak >> 20} MiB)", ratio, ("<=", 2.5), "x for twice as much"
