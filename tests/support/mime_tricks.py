"""Messages that try to hide a file from a filter: every class of MIME ambiguity that is known to us.

Everything is made at run time; the marker that is hidden is given by the caller.  A trick is caught when the grammar
check reports it, or, where only a name is hidden, when the hidden name is among the names that were read.
"""

from __future__ import annotations

import base64
import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN_NAME = "invoice.exe"
EVIL = HIDDEN_NAME.encode()


class Trick:
    """One message: `group/name` identifies it; `hidden` is the name it hides, None when it hides a part or content."""

    def __init__(self, group: str, name: str, raw: bytes, hidden: str | None = None) -> None:
        self.group = group
        self.name = name
        self.raw = raw
        self.hidden = hidden

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"


def tricks(marker: bytes, eol: bytes = b"\r\n") -> Iterator[Trick]:
    """Yield all tricks with `marker` as the hidden content, in lines that end in `eol`."""
    for source in (
        _headers,
        _boundaries,
        _delimiters,
        _encodings,
        _base64,
        _quoted_printable,
        _text,
        _containers,
        _names,
    ):
        for trick in source(marker):
            yield Trick(trick.group, trick.name, trick.raw.replace(b"\n", eol), trick.hidden)


TOP = b"From: a@example.com\nTo: b@example.com\nSubject: invoice\nDate: Mon, 2 Nov 2026 10:00:00 +0900\n"
MIME = TOP + b"MIME-Version: 1.0\n"
TEXT = b"Content-Type: text/plain\n\nhello\n"


def _b64(data: bytes) -> bytes:
    return base64.encodebytes(data)


def _file(marker: bytes, name: bytes = EVIL) -> bytes:
    """Return a part with the marker as an attachment."""
    return (
        b'Content-Type: application/octet-stream; name="' + name + b'"\nContent-Transfer-Encoding: base64\n'
        b'Content-Disposition: attachment; filename="' + name + b'"\n\n' + _b64(marker)
    )


def _multipart(content_type: bytes, body: bytes, top: bytes = MIME) -> bytes:
    return top + b"Content-Type: " + content_type + b"\n\n" + body


def _body(boundary: bytes, *parts: bytes) -> bytes:
    return b"".join(b"--" + boundary + b"\n" + part for part in parts) + b"--" + boundary + b"--\n"


def _with_field(marker: bytes, fields: bytes) -> bytes:
    """Return a mixed message whose file part has these header lines."""
    return _multipart(b'multipart/mixed; boundary="x1"', _body(b"x1", TEXT, fields + b"\n" + _b64(marker)))


def _headers(marker: bytes) -> Iterator[Trick]:
    parts = _body(b"x1", TEXT, _file(marker))
    ours, theirs = b"Content-Type: text/plain\n", b'Content-Type: multipart/mixed; boundary="x1"\n'
    for name, header in {
        "duplicate-type-first": theirs + ours,
        "duplicate-type-last": ours + theirs,
        "duplicate-version": theirs + b"MIME-Version: 2.0\n",
        "version-0": b"MIME-Version: 9.9\n" + theirs,
        "blank-before-colon": b'Content-Type : multipart/mixed; boundary="x1"\n',
        "tab-before-colon": b'Content-Type\t: multipart/mixed; boundary="x1"\n',
        "blank-before-name-hidden": b"X-Note: a\n\n",
        "two-colons": b'Content-Type:: multipart/mixed; boundary="x1"\n',
        "no-colon-line-above": b"this is no field\n" + theirs,
        "equals-for-colon": b'Content-Type= multipart/mixed; boundary="x1"\n',
        "nul-in-name": b'Content-\0Type: multipart/mixed; boundary="x1"\n',
        "nul-before-colon": b'Content-Type\0: multipart/mixed; boundary="x1"\n',
        "nul-in-value": b'Content-Type: multi\0part/mixed; boundary="x1"\n',
        "vt-before-name": b'X-A: b\n\x0bContent-Type: multipart/mixed; boundary="x1"\n',
        "vt-in-value": b'X-A: b\x0bContent-Type: multipart/mixed; boundary="x1"\n',
        "ff-in-value": b'X-A: b\x0cContent-Type: multipart/mixed; boundary="x1"\n',
        "fs-in-value": b'X-A: b\x1cContent-Type: multipart/mixed; boundary="x1"\n',
        "bare-cr": b'X-A: b\rContent-Type: multipart/mixed; boundary="x1"\n',
        "cr-first": b'\rContent-Type: multipart/mixed; boundary="x1"\n',
        "cr-in-value": b'Content-Type: multipart/mixed;\r boundary="x1"\n',
        "8-bit-name": b'Content-T\xffype: multipart/mixed; boundary="x1"\n',
        "folded-name": b'Content-\n Type: multipart/mixed; boundary="x1"\n',
        "folded-type": b'Content-Type: multi\n part/mixed; boundary="x1"\n',
        "blank-continuation": b"X-A: b\n \t\n" + theirs,
        "blank-continuation-in-type": b'Content-Type: multipart/mixed;\n \n boundary="x1"\n',
        "overlong": b"X-A: " + b"a" * 40000 + b"\n" + theirs,
        "overlong-type": b'Content-Type: multipart/mixed; x="' + b"a" * 9000 + b'"; boundary="x1"\n',
        "comment-before-type": b'Content-Type: (c) multipart/mixed; boundary="x1"\n',
        "comment-in-type": b'Content-Type: multipart(c)/mixed; boundary="x1"\n',
        "nested-comment": b'Content-Type: multipart/(a(b)c)mixed; boundary="x1"\n',
        "comment-hides-type": b'Content-Type: text/plain (; boundary="x1") ; multipart/mixed\n',
        "comment-around-equals": b'Content-Type: multipart/mixed; boundary(a)=(b)"x1"\n',
        "encoded-word-type": b"Content-Type: =?utf-8?Q?multipart/mixed;_boundary=3Dx1?=\n",
        "quoted-type": b'Content-Type: "multipart/mixed"; boundary="x1"\n',
        "missing-slash": b'Content-Type: multipart mixed; boundary="x1"\n',
        "no-subtype": b'Content-Type: multipart; boundary="x1"\n',
        "ulti": b'Content-Type: ulti/mixed; boundary="x1"\n',
        "x-multipart": b'Content-Type: x.multipart/mixed; boundary="x1"\n',
        "trailing-comma": b'Content-Type: multipart/mixed, text/plain; boundary="x1"\n',
        "two-types": b'Content-Type: text/plain; multipart/mixed; boundary="x1"\n',
        "junk-behind-type": b'Content-Type: multipart/mixed junk; boundary="x1"\n',
        "blanks-around-equals": b'Content-Type: multipart/mixed; boundary = "x1"\n',
        "leading-semicolon": b'Content-Type: ; multipart/mixed; boundary="x1"\n',
        "8-bit-parameter": b'Content-Type: multipart/mixed; x="\xe9"; boundary="x1"\n',
        "jis-parameter": b'Content-Type: multipart/mixed; x="\x1b$B"; boundary=x2; y="\x1b(B"; boundary="x1"\n',
        "boundary-in-disposition": b'Content-Disposition: inline; boundary="x1"\nContent-Type: text/plain\n',
        "boundary-in-leaf-type": b'Content-Type: text/plain; boundary="x1"\n',
    }.items():
        yield Trick("header", name, MIME + header + b"\n" + parts)
    yield Trick("header", "first-line-blank", b' Content-Type: multipart/mixed; boundary="x1"\n' + MIME + b"\n" + parts)
    yield Trick("header", "missing-type", MIME + b"\n" + parts)
    yield Trick("header", "missing-type-no-version", TOP + b"\n" + parts)
    yield Trick("header", "separator-crlf-cr", MIME + theirs + b"\n\r" + parts)
    yield Trick("header", "separator-cr-cr", (MIME + theirs).rstrip(b"\n") + b"\r\r" + parts)
    yield Trick("header", "separator-blank-line", MIME + theirs + b" \n" + parts)
    yield Trick("header", "separator-none", MIME + theirs + parts)
    yield Trick("header", "fields-below-separator", MIME + b"\n" + theirs + b"\n" + parts)
    yield Trick("header", "fields-below-two-blank-lines", MIME + b"\n\n" + theirs + b"\n" + parts)
    yield Trick("header", "blank-line-amid-header", TOP + b"\nX-Note: a\n" + theirs + b"\n" + parts)
    yield Trick(
        "header",
        "part-without-separator",
        _multipart(
            b"multipart/mixed; boundary=x1", b"--x1\nContent-Type: text/plain\n--x1\n" + _file(marker) + b"--x1--\n"
        ),
    )
    yield Trick(
        "header",
        "part-begins-with-blank-line",
        _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, b"\n" + _file(marker))),
    )
    yield Trick(
        "header",
        "part-begins-with-text",
        _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, b"hello you\n" + _file(marker))),
    )
    yield Trick(
        "header",
        "part-fields-indented",
        _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, b" " + _file(marker))),
    )
    yield Trick("header", "cr-only", (MIME + theirs + b"\n" + parts).replace(b"\n", b"\r"))


def _boundaries(marker: bytes) -> Iterator[Trick]:
    file = _file(marker)
    for name, parameter, used in [
        ("missing", b"", b"x1"),
        ("empty", b'; boundary=""', b""),
        ("empty-unquoted", b"; boundary=", b"x1"),
        ("blank-unquoted", b"; boundary=x1 x2", b"x1 x2"),
        ("semicolon-inside", b'; boundary="x1;x2"; y=z', b"x1"),
        ("quote-unclosed", b'; boundary="x1', b"x1"),
        ("quote-late", b'; boundary=x1"x2"', b"x1"),
        ("quote-then-more", b'; boundary="x1"x2', b"x1x2"),
        ("single-quotes", b"; boundary='x1'", b"x1"),
        ("escaped", b'; boundary="x\\1"', b"x1"),
        ("escaped-kept", b'; boundary="x\\1"', b"x\\1"),
        ("escaped-quote", b'; boundary="x1\\"x2"', b"x1\\"),
        ("duplicate-first", b"; boundary=x1; boundary=x2", b"x1"),
        ("duplicate-last", b"; boundary=x1; boundary=x2", b"x2"),
        ("duplicate-quoted", b'; boundary="x1"; boundary=x2', b"x2"),
        ("sections", b'; boundary=x0; boundary*0="x"; boundary*1="1"', b"x1"),
        ("sections-first", b'; boundary*0="x"; boundary*1="1"; boundary=x0', b"x0"),
        ("sections-reordered", b'; boundary*1="1"; boundary*0="x"', b"1x"),
        ("coded", b"; boundary=x0; boundary*=us-ascii''x%31", b"x1"),
        ("coded-kept", b"; boundary*=us-ascii''x%31; boundary=x0", b"x0"),
        ("coded-utf-16", b"; boundary=x0; boundary*=utf-16''%00x%001", b"x1"),
        ("encoded-word", b'; boundary="=?us-ascii?Q?x1?="', b"x1"),
        ("folded-inside", b'; boundary="x\n 1"', b"x1"),
        ("folded-blank", b'; boundary="x\n 1"', b"x 1"),
        ("comment-behind", b"; boundary=x1(c)", b"x1"),
        ("comment-inside", b'; (boundary="x0") boundary="x1"', b"x0"),
        ("too-long", b"; boundary=" + b"x" * 80, b"x" * 80),
        ("too-long-cut", b"; boundary=" + b"x" * 80, b"x" * 70),
        ("blank-behind", b'; boundary="x1 "', b"x1"),
        ("blank-before", b'; boundary=" x1"', b"x1"),
        ("control", b'; boundary="x\x0b1"', b"x\x0b1"),
        ("nul", b'; boundary="x1\0x2"', b"x1"),
        ("8-bit", b'; boundary="x\xe91"', b"x\xe91"),
        ("comma-for-semicolon", b", boundary=x1", b"x1"),
        ("no-semicolon", b" boundary=x1", b"x1"),
        ("colon-for-equals", b"; boundary:x1", b"x1"),
        ("name-with-suffix", b"; xboundary=x1; boundary=x0", b"x1"),
        ("inside-other-parameter", b'; x="; boundary=x1; "; boundary=x0', b"x1"),
    ]:
        yield Trick("boundary", name, _multipart(b"multipart/mixed" + parameter, _body(used, TEXT, file)))


def _delimiters(marker: bytes) -> Iterator[Trick]:
    file = _file(marker)
    mixed = b'multipart/mixed; boundary="x1"'
    inner = b'Content-Type: multipart/alternative; boundary="%s"\n\n'
    for name, body in {
        "no-close": b"--x1\n" + TEXT + b"--x1\n" + file,
        "never-used": _body(b"other", TEXT, file),
        "behind-close": _body(b"x1", TEXT) + b"\n--x1\n" + file + b"--x1--\n",
        "close-first": b"--x1--\n" + _body(b"x1", TEXT, file),
        "no-part": b"--x1--\n" + file,
        "part-in-preamble": file + _body(b"x1", TEXT),
        "fields-in-preamble": b"hello\n" + file + _body(b"x1", TEXT),
        "part-in-epilogue": _body(b"x1", TEXT) + file,
        "other-boundary-in-epilogue": _body(b"x1", TEXT) + _body(b"x2", file),
        "uuencoded-in-preamble": _uuencode(marker) + _body(b"x1", TEXT),
        "base64-in-epilogue": _body(b"x1", TEXT) + b"\n" + _b64(marker * 10),
        "text-behind-delimiter": b"--x1\n" + TEXT + b"--x1 junk\n" + file + b"--x1--\n",
        "vt-behind-delimiter": b"--x1\n" + TEXT + b"--x1\x0b\n" + file + b"--x1--\n",
        "nul-behind-delimiter": b"--x1\n" + TEXT + b"--x1\0\n" + file + b"--x1--\n",
        "cr-behind-delimiter": b"--x1\n" + TEXT + b"--x1\r\r\n" + file + b"--x1--\n",
        "longer-delimiter": b"--x1\n" + TEXT + b"--x1-\n" + file + b"--x1--\n",
        "longer-delimiter-letters": b"--x1\n" + TEXT + b"--x1abc\n" + file + b"--x1--\n",
        "close-with-text": b"--x1\n" + TEXT + b"--x1--junk\n" + file + b"--x1--\n",
        "blank-before-delimiter": b"--x1\n" + TEXT + b" --x1\n" + file + b"--x1--\n",
        "delimiter-inside-line": b"--x1\n" + TEXT + b"text--x1\n" + file + b"--x1--\n",
        "delimiter-behind-bare-cr": b"--x1\n" + TEXT + b"text\r--x1\n" + file + b"--x1--\n",
        "delimiter-in-base64": b"--x1\n" + file.replace(b"\n\n", b"\n\nAAAA\n--x1--\n", 1) + b"--x1--\n",
        "inner-equals-outer": b"--x1\n" + inner % b"x1" + _body(b"x1", TEXT, file) + b"--x1--\n",
        "inner-is-longer": b"--x1\n" + inner % b"x1-2" + _body(b"x1-2", TEXT, file) + b"--x1--\n",
        "inner-is-shorter": b"--x1\n" + inner % b"x" + _body(b"x", TEXT, file) + b"--x1--\n",
        "inner-not-closed": b"--x1\n" + inner % b"x2" + b"--x2\n" + TEXT + b"--x1\n" + file + b"--x2--\n--x1--\n",
        "inner-continues-behind-outer": b"--x1\n"
        + inner % b"x2"
        + b"--x2\n"
        + TEXT
        + b"--x1--\n--x2\n"
        + file
        + b"--x2--\n",
        "inner-twice": b"--x1\n"
        + inner % b"x2"
        + _body(b"x2", TEXT)
        + b"--x1\n"
        + inner % b"x2"
        + _body(b"x2", TEXT, file)
        + b"--x1--\n",
        "outer-inside-inner-header": b"--x1\nContent-Type: text/plain\nX-A: b\n--x1\n" + file + b"--x1--\n",
        "delimiter-in-text-of-inner": b"--x1\n"
        + TEXT
        + b"--x2\n"
        + file
        + b"--x2--\n--x1\n"
        + inner % b"x2"
        + _body(b"x2", TEXT)
        + b"--x1--\n",
    }.items():
        yield Trick("delimiter", name, _multipart(mixed, body))
    yield Trick(
        "delimiter",
        "boundary-line-in-header",
        MIME + b"X-A: b\n--x1\nContent-Type: " + mixed + b"\n\n" + _body(b"x1", TEXT, file),
    )
    yield Trick(
        "delimiter", "dashes-counted", _multipart(b'multipart/mixed; boundary="--x1"', b"--x1\n" + file + b"--x1--\n")
    )


def _encodings(marker: bytes) -> Iterator[Trick]:
    typed = b'Content-Type: application/octet-stream; name="a.bin"\n'
    for name, field in {
        "unknown": b"Content-Transfer-Encoding: foo\n",
        "x-base64": b"Content-Transfer-Encoding: x-base64\n",
        "base64-and-more": b"Content-Transfer-Encoding: base64 quoted-printable\n",
        "list": b"Content-Transfer-Encoding: base64,7bit\n",
        "list-reversed": b"Content-Transfer-Encoding: 7bit, base64\n",
        "semicolon": b"Content-Transfer-Encoding: base64; x=y\n",
        "comment": b"Content-Transfer-Encoding: base64 (really)\n",
        "comment-first": b"Content-Transfer-Encoding: (7bit) base64\n",
        "quoted": b'Content-Transfer-Encoding: "base64"\n',
        "folded": b"Content-Transfer-Encoding:\n base64\n",
        "folded-inside": b"Content-Transfer-Encoding: base\n 64\n",
        "nul": b"Content-Transfer-Encoding: base64\0\n",
        "nul-inside": b"Content-Transfer-Encoding: ba\0se64\n",
        "vt": b"Content-Transfer-Encoding: \x0bbase64\n",
        "trailing-dot": b"Content-Transfer-Encoding: base64.\n",
        "encoded-word": b"Content-Transfer-Encoding: =?us-ascii?Q?base64?=\n",
        "two-colons": b"Content-Transfer-Encoding:: base64\n",
        "duplicate-last": b"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n",
        "duplicate-first": b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n",
        "short-name": b"Content-Encoding: base64\nContent-Transfer-Encoding: 64\n",
        "gzip64": b"Content-Transfer-Encoding: x-gzip64\n",
        "bit-7": b"Content-Transfer-Encoding: 7 bit\n",
    }.items():
        yield Trick("encoding", name, _with_field(marker, typed + field))
    for name, encoded in {
        "uuencode": (b"uuencode", _uuencode(marker)),
        "x-uue": (b"x-uue", _uuencode(marker)),
        "x-uuencode": (b"x-uuencode", _uuencode(marker)),
        "x-yenc": (b"x-yenc", _yenc(marker)),
        "binhex": (
            b"mac-binhex40",
            b"(This file must be converted with BinHex 4.0)\n\n:" + _b64(marker).strip() + b":\n",
        ),
    }.items():
        part = typed + b"Content-Transfer-Encoding: " + encoded[0] + b"\n\n" + encoded[1]
        yield Trick("encoding", name, _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, part)))
    inner = _body(b"x1", TEXT, _file(marker))
    for encoding, body in {
        b"base64": _b64(inner),
        b"quoted-printable": binascii.b2a_qp(inner),
        b"base64 ": inner,
    }.items():
        top = MIME + b"Content-Transfer-Encoding: " + encoding + b"\n"
        yield Trick(
            "encoding",
            f"multipart-{encoding.decode().replace(' ', '-plain')}",
            _multipart(b"multipart/mixed; boundary=x1", body, top),
        )
    nested = b'Subject: x\nContent-Type: multipart/mixed; boundary="=_x"\n\n' + _body(b"=_x", TEXT, _file(marker))
    quoted = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + binascii.b2a_qp(nested)
    yield Trick(
        "encoding", "message-quoted-printable", _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, quoted))
    )


def _base64(marker: bytes) -> Iterator[Trick]:
    plain = _b64(marker).replace(b"\n", b"")
    fields = b'Content-Type: application/octet-stream; name="a.bin"\nContent-Transfer-Encoding: base64\n\n'
    harmless = base64.b64encode(b"harmless")
    for name, body in {
        "junk-characters": b"!" + plain[:8] + b"#" + plain[8:] + b"\n",
        "junk-8-bit": plain[:8] + b"\xff" + plain[8:] + b"\n",
        "junk-line": b"this is - no base64\n" + plain + b"\n",
        "blanks-inside": b" ".join(plain[at : at + 4] for at in range(0, len(plain), 4)) + b"\n",
        "url-alphabet": base64.urlsafe_b64encode(b"\xfb\xff\xfe" + marker) + b"\n",
        "padding-inside": plain[:4] + b"====" + plain[4:] + b"\n",
        "padding-first": b"=" + plain + b"\n",
        "padding-missing": base64.b64encode(marker + b"a" * ((1 - len(marker)) % 3)).rstrip(b"=") + b"\n",
        "padding-too-long": plain.rstrip(b"=") + b"=====\n",
        "odd-lines": b"\n".join(plain[at : at + 7] for at in range(0, len(plain), 7)) + b"\n",
        "empty-lines": b"\n\n".join(plain[at : at + 8] for at in range(0, len(plain), 8)) + b"\n",
        "empty-line-first": b"\n\n" + harmless + b"\n\n" + plain + b"\n",
        "two-streams": harmless + b"\n" + plain + b"\n",
        "text-behind-padding": harmless + b"\nsome footer with words\n" + plain + b"\n",
        "one-character-more": plain.rstrip(b"=") + b"A" * ((1 - len(plain.rstrip(b"="))) % 4 or 4) + b"\n",
        "nul-inside": plain[:8] + b"\0" + plain[8:] + b"\n",
        "bare-cr": plain[:8] + b"\r" + plain[8:] + b"\n",
        "vt": plain[:8] + b"\x0b" + plain[8:] + b"\n",
        "percent-codes": b"%%%02X" % plain[0] + plain[1:] + b"\n",
        "very-long-line": plain * 30 + b"\n"
        if b"=" not in plain
        else base64.b64encode((marker + b"abc"[: -len(marker) % 3]) * 30) + b"\n",
        "comment-inside": plain[:8] + b"(comment)" + plain[8:] + b"\n",
        "prefix-data-uri": b"data:application/x-msdownload;base64," + plain + b"\n",
    }.items():
        yield Trick("base64", name, _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, fields + body)))


def _quoted_printable(marker: bytes) -> Iterator[Trick]:
    coded = b"".join(b"=%02X" % octet for octet in marker)
    fields = b'Content-Type: application/octet-stream; name="a.bin"\nContent-Transfer-Encoding: quoted-printable\n\n'
    for name, body in {
        "no-hex": b"=ZZ" + coded,
        "one-digit": coded[:6] + b"=4" + coded[6:],
        "equals-before-blank": coded[:6] + b"= x" + coded[6:],
        "equals-equals": coded.replace(b"=", b"==", 1),
        "equals-cr": coded[:6] + b"=\r" + coded[6:],
        "soft-break-with-junk": coded[:6] + b"=.\n" + coded[6:],
        "equals-nul": coded[:6] + b"=\0" + coded[6:],
        "equals-at-end": coded + b"=x",
        "digit-split": coded[:2] + b"=\n" + coded[2:],
    }.items():
        yield Trick(
            "quoted-printable",
            name,
            _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", TEXT, fields + body + b"\n")),
        )


def _uuencode(data: bytes, begin: bytes = b"begin 644 invoice.exe") -> bytes:
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return begin + b"\n" + lines + b"`\nend\n"


def _yenc(data: bytes) -> bytes:
    return (
        b"=ybegin line=128 size=%d name=invoice.exe\n" % len(data)
        + bytes((octet + 42) % 256 or 61 for octet in data).replace(b"\n", b"=J").replace(b"\0", b"=@")
        + b"\n=yend\n"
    )


def _text(marker: bytes) -> Iterator[Trick]:
    hex_file = b"(This file must be converted with BinHex 4.0)\n\n:" + _b64(marker).strip() + b":\n"
    for name, text in {
        "uuencode": b"see below\n\n" + _uuencode(marker),
        "uuencode-first": _uuencode(marker),
        "uuencode-mode-4": _uuencode(marker, b"begin 0644 invoice.exe"),
        "uuencode-blanks": _uuencode(marker, b"begin  644\tinvoice.exe"),
        "uuencode-base64": b"begin-base64 644 invoice.exe\n" + _b64(marker) + b"====\n",
        "yenc": b"see below\n" + _yenc(marker),
        "binhex": b"see below\n" + hex_file,
        "base64-lines": b"see below\n" + _b64(marker * 10) + b"\n",
        "base64-quoted": b"see below\n"
        + b"".join(b"> " + line + b"\n" for line in _b64(marker * 10).splitlines())
        + b"\n",
        "fields-first": b"\n" + _file(marker),
    }.items():
        yield Trick("text", f"{name}-single", MIME + b"Content-Type: text/plain\n\n" + text)
        yield Trick("text", f"{name}-untyped", TOP + b"\n" + text)
        yield Trick(
            "text",
            f"{name}-in-mixed",
            _multipart(b"multipart/mixed; boundary=x1", _body(b"x1", b"Content-Type: text/plain\n\n" + text)),
        )
    for name, encoding, body in [
        ("base64", b"base64", _b64(b"hello\n" + _uuencode(marker))),
        ("quoted-printable", b"quoted-printable", binascii.b2a_qp(b"hello\n" + _uuencode(marker), istext=True)),
    ]:
        yield Trick(
            "text",
            f"uuencode-in-{name}",
            MIME + b"Content-Type: text/plain\nContent-Transfer-Encoding: " + encoding + b"\n\n" + body,
        )


def _containers(marker: bytes) -> Iterator[Trick]:
    file = _file(marker)
    yield Trick(
        "container", "partial", MIME + b'Content-Type: message/partial; id="a@b"; number=1; total=2\n\n' + TOP + file
    )
    yield Trick(
        "container",
        "partial-second",
        MIME + b'Content-Type: message/partial; id="a@b"; number=2; total=2\n\n' + _b64(marker),
    )
    yield Trick(
        "container",
        "external-body",
        _with_field(
            marker, b'Content-Type: message/external-body; access-type=URL; URL="http://example.com/invoice.exe"\n'
        ),
    )
    deep = MIME
    for level in range(120):
        deep += b"Content-Type: multipart/mixed; boundary=b%dx\n\n--b%dx\n" % (level, level)
    yield Trick("container", "deep", deep + file + b"".join(b"--b%dx--\n" % level for level in reversed(range(120))))
    yield Trick(
        "container",
        "many-parts",
        _multipart(b"multipart/mixed; boundary=x1", b"--x1\n\n" * 10500 + b"--x1\n" + file + b"--x1--\n"),
    )
    nested = (
        MIME
        + b"Content-Type: multipart/mixed; boundary=x1\n\n"
        + b"--x1\n"
        + TEXT
        + b"--x1 junk\n"
        + file
        + b"--x1--\n"
    )
    for encoding, body in ((b"7bit", nested), (b"base64", _b64(nested))):
        part = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: " + encoding + b"\n\n" + body
        yield Trick(
            "container",
            f"anomaly-in-nested-{encoding.decode()}",
            _multipart(b"multipart/mixed; boundary=o1", _body(b"o1", TEXT, part)),
        )
    digest = b"\n" + MIME + b"Content-Type: multipart/mixed; boundary=x1\n\n--x1\n" + file
    yield Trick("container", "anomaly-in-digest", _multipart(b"multipart/digest; boundary=o1", _body(b"o1", digest)))
    report = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\nContent-Type: multipart/mixed; boundary=x1\n\n"
    body = _body(b"o1", TEXT, report + _body(b"x1", file))
    yield Trick("container", "parts-in-delivery-status", _multipart(b"multipart/report; boundary=o1", body))
    quoted = b"Content-Type: message/rfc822\n\n>From a@example.com\nContent-Type: multipart/mixed; boundary=x1\n\n"
    body = _body(b"o1", TEXT, quoted + _body(b"x1", file))
    yield Trick("container", "from-line-in-nested-message", _multipart(b"multipart/mixed; boundary=o1", body))
    outer = (
        b"Content-Type: message/rfc822\n\n"
        + MIME
        + b"Content-Type: multipart/mixed; boundary=o1\n\n"
        + _body(b"o1", TEXT)
    )
    yield Trick(
        "container",
        "nested-reuses-boundary",
        _multipart(b"multipart/mixed; boundary=o1", b"--o1\n" + outer + b"--o1\n" + file + b"--o1--\n"),
    )


def _names(marker: bytes) -> Iterator[Trick]:
    harmless = b'"readme.txt"'
    jis = "請求書".encode("iso2022_jp")
    cases: list[tuple[str, bytes, bytes, str]] = [
        ("name-differs", b'; name="invoice.exe"', b"; filename=" + harmless, HIDDEN_NAME),
        ("filename-differs", b"; name=" + harmless, b'; filename="invoice.exe"', HIDDEN_NAME),
        ("only-name", b'; name="invoice.exe"', b"", HIDDEN_NAME),
        ("duplicate-first", b"", b"; filename=invoice.exe; filename=" + harmless, HIDDEN_NAME),
        ("duplicate-last", b"", b"; filename=" + harmless + b"; filename=invoice.exe", HIDDEN_NAME),
        ("extended", b"", b"; filename=" + harmless + b"; filename*=utf-8''invoice%2Eexe", HIDDEN_NAME),
        ("extended-last", b"", b"; filename*=utf-8''invoice.exe; filename=" + harmless, HIDDEN_NAME),
        ("extended-no-charset", b"", b"; filename*=''invoice%2eexe", HIDDEN_NAME),
        ("extended-no-quotes", b"", b"; filename*=invoice%2eexe", HIDDEN_NAME),
        ("extended-language", b"", b"; filename*=us-ascii'en'invoice.exe", HIDDEN_NAME),
        ("extended-unknown-charset", b"", b"; filename*=x-foo''invoice.exe", HIDDEN_NAME),
        (
            "extended-utf-16",
            b"",
            b"; filename*=utf-16be''" + "".join(f"%00%{ord(c):02X}" for c in HIDDEN_NAME).encode(),
            HIDDEN_NAME,
        ),
        ("extended-utf-7", b"", b"; filename*=utf-7''invoice+AC4-exe", HIDDEN_NAME),
        ("extended-quoted", b"", b"; filename*=\"utf-8''invoice.exe\"", HIDDEN_NAME),
        ("sections", b"", b'; filename*0="invoice"; filename*1=".exe"', HIDDEN_NAME),
        ("sections-reordered", b"", b'; filename*1=".exe"; filename*0="invoice"', HIDDEN_NAME),
        ("sections-in-order-of-appearance", b"", b'; filename*1="invoice"; filename*0=".exe"', HIDDEN_NAME),
        ("sections-duplicate", b"", b'; filename*0="invoice"; filename*1=".txt"; filename*1=".exe"', HIDDEN_NAME),
        ("sections-duplicate-first", b"", b'; filename*0="invoice"; filename*1=".exe"; filename*1=".txt"', HIDDEN_NAME),
        ("sections-gap", b"", b'; filename*0="invoice.exe"; filename*2=".txt"', HIDDEN_NAME),
        ("sections-from-one", b"", b'; filename*1="invoice"; filename*2=".exe"', HIDDEN_NAME),
        ("sections-coded", b"", b"; filename*0*=utf-8''inv; filename*1*=oice%2E; filename*2=exe", HIDDEN_NAME),
        ("sections-mixed", b"", b"; filename*0=inv; filename*1*=oice%2Eexe", HIDDEN_NAME),
        (
            "sections-and-plain",
            b"",
            b"; filename=" + harmless + b'; filename*0="invoice"; filename*1=".exe"',
            HIDDEN_NAME,
        ),
        ("sections-of-name", b'; name*0="invoice."; name*1="exe"', b"; filename=" + harmless, HIDDEN_NAME),
        ("encoded-word", b"", b'; filename="=?utf-8?B?' + base64.b64encode(EVIL) + b'?="', HIDDEN_NAME),
        ("encoded-word-q", b"", b'; filename="=?utf-8?Q?invoice=2Eexe?="', HIDDEN_NAME),
        ("encoded-word-unquoted", b"", b"; filename==?utf-8?Q?invoice=2Eexe?=", HIDDEN_NAME),
        ("encoded-word-two", b"", b'; filename="=?utf-8?Q?invoice?= =?utf-8?Q?=2Eexe?="', HIDDEN_NAME),
        ("encoded-word-two-folded", b"", b'; filename="=?utf-8?Q?invoice?=\n =?utf-8?Q?=2Eexe?="', HIDDEN_NAME),
        ("encoded-word-and-text", b"", b'; filename="=?utf-8?Q?invoice?=.exe"', HIDDEN_NAME),
        ("encoded-word-utf-7", b"", b'; filename="=?utf-7?Q?invoice+AC4-exe?="', HIDDEN_NAME),
        ("encoded-word-wrong-charset", b"", b'; filename="=?utf-16?Q?invoice.exe?="', HIDDEN_NAME),
        ("encoded-word-question-mark", b"", b'; filename="=?utf-8?Q?in?voice.exe?="', "in?voice.exe"),
        ("encoded-word-two-streams", b"", b'; filename="=?utf-8?B?aW52b2ljZS5leGU=LnR4dA==?="', HIDDEN_NAME),
        ("encoded-word-padding-inside", b"", b'; filename="=?utf-8?B?aW52b2ljZQ==LmV4ZQ==?="', HIDDEN_NAME),
        ("encoded-word-open", b"", b'; filename="=?utf-8?Q?invoice.exe"', HIDDEN_NAME),
        ("extended-wrong-charset", b"", b"; filename*=utf-16''invoice.exe", HIDDEN_NAME),
        (
            "encoded-word-jis",
            b"",
            b'; filename="=?ISO-2022-JP?B?' + base64.b64encode(jis + b".exe") + b'?="',
            "請求書.exe",
        ),
        ("jis-raw", b"", b'; filename="' + jis + b'.exe"', "請求書.exe"),
        ("shift-jis-raw", b"", b'; filename="' + "機能表.exe".encode("cp932") + b'"', "機能表.exe"),
        ("euc-raw", b"", b'; filename="' + "請求書.exe".encode("euc_jp") + b'"', "請求書.exe"),
        ("utf-8-raw", b"", b'; filename="' + "請求書.exe".encode() + b'"', "請求書.exe"),
        ("utf-8-raw-unquoted", b"", b"; filename=" + "請求書.exe".encode(), "請求書.exe"),
        ("latin-raw", b"", b'; filename="r\xe9sum\xe9.exe"', "résumé.exe"),
        ("blanks-unquoted", b"", b"; filename=my invoice.exe", "my invoice.exe"),
        ("quoted-printable-in-field", b"", b'; filename=3D"invoice.exe"', HIDDEN_NAME),
        ("blank-cuts", b"", b"; filename=invoice.exe .txt", HIDDEN_NAME),
        ("quotes-inside", b"", b'; filename="invoice.exe".txt', HIDDEN_NAME),
        ("quotes-inside-joined", b"", b'; filename="invoice".exe', HIDDEN_NAME),
        ("quote-unclosed", b"", b'; filename="invoice.exe', HIDDEN_NAME),
        ("escape", b"", b'; filename="invoice\\.exe"', HIDDEN_NAME),
        ("escaped-quote", b"", b'; filename="invoice.exe\\".txt"', "invoice.exe\\"),
        ("comment", b"", b"; filename=invoice.exe(comment)", HIDDEN_NAME),
        ("comment-before", b"", b"; filename(c)=(d)invoice.exe", HIDDEN_NAME),
        ("blanks-around-equals", b"", b'; filename = "invoice.exe"', HIDDEN_NAME),
        ("fold-after-equals", b"", b'; filename=\n "invoice.exe"', HIDDEN_NAME),
        ("fold-inside", b"", b'; filename="invoice\n .exe"', HIDDEN_NAME),
        ("no-semicolon", b"", b" filename=invoice.exe", HIDDEN_NAME),
        ("comma", b"", b", filename=invoice.exe", HIDDEN_NAME),
        ("upper-case", b"", b'; FILENAME="invoice.exe"', HIDDEN_NAME),
        ("nul", b"", b'; filename="invoice.exe\0.txt"', HIDDEN_NAME),
        ("nul-removed", b"", b'; filename="invoice.e\0xe"', HIDDEN_NAME),
        ("coded-nul", b"", b"; filename*=utf-8''invoice.exe%00.txt", HIDDEN_NAME),
        ("coded-line-end", b"", b"; filename*=utf-8''invoice.exe%0D%0A.txt", HIDDEN_NAME),
        ("encoded-word-line-end", b"", b'; filename="=?utf-8?Q?invoice.exe=0A.txt?="', HIDDEN_NAME),
        ("percent-plain", b"", b'; filename="invoice%2Eexe"', HIDDEN_NAME),
        ("path", b"", b'; filename="../../invoice.exe"', "../../invoice.exe"),
        ("hidden-in-other-parameter", b'; x="; name=invoice.exe; "', b"", HIDDEN_NAME),
        ("jis-hides-parameter", b"", b'; filename="\x1b$B"; filename=invoice.exe; "\x1b(B"', HIDDEN_NAME),
        ("shift-jis-swallows-quote", b"", b'; filename="a\x95\\"; filename=invoice.exe; x="', HIDDEN_NAME),
        ("bidi", b"", b"; filename*=utf-8''invoice%E2%80%AEtxt.exe", "invoice\u202etxt.exe"),
        ("overlong", b"", b'; filename="' + b"a" * 3000 + b'.exe"', "a" * 960 + "a" * 60 + ".exe"),
        (
            "many",
            b"",
            b"".join(b"; filename=n%d.txt" % at for at in range(40)) + b"; filename=invoice.exe",
            HIDDEN_NAME,
        ),
    ]
    for name, typed, disposition, hidden in cases:
        fields = b"Content-Type: application/octet-stream" + typed + b"\nContent-Transfer-Encoding: base64\n"
        fields += b"Content-Disposition: attachment" + disposition + b"\n" if disposition or not typed else b""
        yield Trick("name", name, _with_field(marker, fields), hidden)
