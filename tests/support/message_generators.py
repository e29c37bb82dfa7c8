"""Hypothesis strategies for messages: conforming ones, mutated ones, and bytes that only look like mail.

A conforming message comes with what was put into it, so that a test can say what must stay and what must go.
"""

from __future__ import annotations

import base64
import quopri

from hypothesis import strategies as st

TOP = (
    b"Received: from a.example (a.example [192.0.2.1])\n\tby b.example; Tue, 24 Nov 2026 10:00:00 +0900",
    b"From: =?UTF-8?B?5bGx55Sw?= <yamada@a.example>",
    b"To: sato@b.example, \n\tSuzuki <suzuki@b.example>",
    b"Subject: =?ISO-2022-JP?B?GyRCO3FOQRsoQg==?=",
    b"Subject: report",
    b"Subject:no blank",
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900",
    b"Message-ID: <1.2.3@a.example>",
    b"X-Long: " + b" ".join([b"word"] * 40),
    b"X-Raw: \xe5\xb1\xb1\x1b$B;qNA\x1b(B",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s;\n h=from; bh=AAAA; b=BBBB",
    b"List-Id: <list.a.example>",
    b"Content-Language: ja",
)
TEXTS = (
    b"Hello,\n\nplease find the report attached.\n",
    "お世話になっております。\n\n資料をお送りします。\n".encode(),
    b"\x1b$B;qNA$G$9\x1b(B\n",
    b"one line without an end",
    b"-- \nsignature\n--\n--not a delimiter\n",
    b"From here\n>From there\n.\n..\n",
    b"\n\n\n",
    b"",
    b"trailing blanks  \n\ttab\n",
    b"8-bit \xe9\xff\n",
)
HTML = (
    b"<html><body><p>Hello</p></body></html>\n",
    "<html><body>こんにちは</body></html>".encode(),
)
NAMES = (
    b"report.pdf",
    b"invoice.exe",
    b"data",
    b"archive.tar.gz",
    b"Q3 results.xlsx",
    b"a'b (1).txt",
)
FILE_TYPES = (
    b"application/pdf",
    b"application/octet-stream",
    b"application/zip",
    b"image/png",
    b"text/plain",
    b"text/html",
    b"text/csv",
    b"audio/x-wav",
)
SUBTYPES = (b"mixed", b"mixed", b"mixed", b"alternative", b"related", b"digest", b"signed", b"report", b"parallel")
TOKENS = (
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r",
    b"\0",
    b"--",
    b"--b",
    b"--b--",
    b"--=_0--",
    b"\n--=_0\n",
    b"\n--=_1--\n",
    b"From ",
    b">From ",
    b" ",
    b"\t",
    b":",
    b";",
    b'"',
    b"=",
    b"=\n",
    b"=3D",
    b"AAAA",
    b"Content-Type: ",
    b"multipart/mixed; boundary=b",
    b'multipart/mixed; boundary="=_0"',
    b"message/rfc822",
    b"text/plain",
    b"text/html",
    b"application/pdf; name=a.pdf",
    b"Content-Transfer-Encoding: ",
    b"base64",
    b"quoted-printable",
    b"x-uuencode",
    b"begin 644 a.exe\n",
    b"end\n",
    b"Content-Disposition: attachment; filename=a.exe",
    b"Subject: a",
    b"From: a@example.com",
    b"MIME-Version: 1.0",
    b"Mailguard-Seal: v=1; k=aaa; t=1; l=1; s=verify; a=yes; bh=",
    b"UEsDBBQ",
    b"PK\x05\x06",
    b"\x1b$B",
    b"\xff\xfe",
    b"\x85",
    b"\xe2\x80\xa8",
)


class File:
    """A file that was put into a message: its name (b"" for none) and its content."""

    def __init__(self, name: bytes, data: bytes) -> None:
        self.name = name
        self.data = data


class Made:
    """A conforming message, the texts and the files that were put into it, in order."""

    def __init__(self, raw: bytes, files: list[File], leaves: list[tuple[str, bytes]]) -> None:
        self.raw = raw
        self.files = files
        self.leaves = leaves  # (media type, decoded content) of every leaf that is no message

    def __repr__(self) -> str:
        return f"Made({self.raw!r})"


class _Writer:
    def __init__(self, draw: st.DrawFn, eol: bytes) -> None:
        self.draw = draw
        self.eol = eol
        self.boundaries = 0
        self.files: list[File] = []
        self.leaves: list[tuple[str, bytes]] = []

    def one(self, values):
        return self.draw(st.sampled_from(values))

    def lines(self, text: bytes) -> bytes:
        return text.replace(b"\n", self.eol)

    def entity(self, depth: int, *, is_root: bool = False) -> tuple[bytes, bytes]:
        """Return (Content fields, body) of an entity, without the final line end of a part."""
        kinds = ["text", "text", "html", "file", "file"]
        if depth:
            kinds += ["multipart"] * (6 if is_root else 2) + ["message"]
        return getattr(self, "_" + self.one(kinds))(depth)

    def _text(self, _depth: int) -> tuple[bytes, bytes]:
        return self._encoded(b"Content-Type: text/plain; charset=utf-8", self.one(TEXTS), "text/plain")

    def _html(self, _depth: int) -> tuple[bytes, bytes]:
        return self._encoded(b"Content-Type: text/html; charset=utf-8", self.one(HTML), "text/html")

    def _encoded(self, fields: bytes, text: bytes, media_type: str) -> tuple[bytes, bytes]:
        text = self.lines(text)
        encoding = self.one([b"7bit", b"8bit", b"", b"quoted-printable", b"base64"])
        if encoding in {b"7bit", b""} and not text.isascii():
            encoding = b"8bit"
        fields += b"\nContent-Transfer-Encoding: " + encoding if encoding else b""
        if encoding == b"base64":
            body = self._base64(text)
        elif encoding == b"quoted-printable":
            body = self.lines(quopri.encodestring(text.replace(b"\r\n", b"\n")))
        else:
            body = text
        self.leaves.append((media_type, text))
        return fields, body

    def _base64(self, data: bytes) -> bytes:
        columns = self.one([76, 76, 72, 60, 64, 4])
        text = base64.b64encode(data)
        body = b"".join(text[at : at + columns] + self.eol for at in range(0, len(text), columns))
        return body if self.draw(st.booleans()) else body.removesuffix(self.eol)

    def _file(self, _depth: int) -> tuple[bytes, bytes]:
        data = self.draw(st.binary(max_size=200)) * self.one([1, 1, 1, 30])
        name = self.one(NAMES)
        media_type = self.one(FILE_TYPES)
        form = self.one(["both", "name", "filename", "extended", "none"])
        fields = b"Content-Type: " + media_type
        if form in {"both", "name"}:
            fields += b';\n\tname="' + name + b'"'
        if form in {"both", "filename"}:
            fields += b'\nContent-Disposition: attachment;\n filename="' + name + b'"'
        elif form == "extended":
            name = "請求書.pdf".encode()
            fields += b"\nContent-Disposition: attachment; filename*=UTF-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf"
        elif form == "none":
            name = b""
            fields += b"\nContent-Disposition: attachment"
        self.files.append(File(name, data))
        self.leaves.append((media_type.decode(), data))
        return fields + b"\nContent-Transfer-Encoding: base64", self._base64(data)

    def _message(self, depth: int) -> tuple[bytes, bytes]:
        inner = b"From: inner@c.example\nSubject: inner\n\n"
        fields, body = self.entity(depth - 1)
        raw = self.lines(inner[:-1] + fields + b"\n\n") + body
        if self.draw(st.booleans()):
            return b"Content-Type: message/rfc822", raw
        return b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64", self._base64(raw)

    def _multipart(self, depth: int) -> tuple[bytes, bytes]:
        subtype = self.one(SUBTYPES)
        boundary = b"=_%d" % self.boundaries
        self.boundaries += 1
        count = 2 if subtype == b"signed" else self.draw(st.integers(1, 3))
        body = self.lines(self.one([b"", b"", b"This is a multi-part message.\n", b"\n"]))
        for _ in range(count):
            fields, inner = self.entity(depth - 1)
            body += self.lines(b"--" + boundary + b"\n" + fields + b"\n\n") + inner + self.eol
        body += self.lines(b"--" + boundary + b"--" + self.one([b"\n", b"\n", b"\n\n", b"", b"\nepilogue\n"]))
        quoted = self.one([b'"%s"' % boundary]) if b"=" in boundary else boundary
        return b"Content-Type: multipart/" + subtype + b"; boundary=" + quoted, body


@st.composite
def conforming(draw: st.DrawFn, depth: int = 3) -> Made:
    """Draw a message in which every reader sees the same parts."""
    writer = _Writer(draw, draw(st.sampled_from([b"\n", b"\r\n"])))
    top = draw(st.lists(st.sampled_from(TOP), max_size=6, unique=True))
    fields, body = writer.entity(depth, is_root=True)
    mime = [b"MIME-Version: 1.0"] if draw(st.booleans()) else []
    place = draw(st.integers(0, len(top)))
    head = b"\n".join([*top[:place], *mime, fields, *top[place:]])
    from_line = draw(st.sampled_from([b"", b"", b"From yamada@a.example Tue Nov 24 10:00:00 2026\n"]))
    return Made(writer.lines(from_line + head + b"\n\n") + body, writer.files, writer.leaves)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a message that was conforming before something was cut out, doubled, moved or put in."""
    raw = draw(conforming()).raw
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 40)))
        change = draw(st.sampled_from(["cut", "double", "token", "truncate", "byte"]))
        if change == "cut":
            raw = raw[:start] + raw[end:]
        elif change == "double":
            raw = raw[:end] + raw[start:]
        elif change == "token":
            raw = raw[:start] + draw(st.sampled_from(TOKENS)) + raw[start:]
        elif change == "truncate":
            raw = raw[: max(start, 1)]
        else:
            raw = raw[:start] + draw(st.binary(min_size=1, max_size=1)) + raw[start + 1 :]
    return raw or b"\n"


def token_soup() -> st.SearchStrategy[bytes]:
    """Draw pieces of mail in any order."""
    return st.lists(st.sampled_from(TOKENS), min_size=1, max_size=40).map(b"".join)


def anything() -> st.SearchStrategy[bytes]:
    """Draw bytes that are not empty: mail, broken mail, and what is no mail at all."""
    return st.one_of(conforming().map(lambda made: made.raw), mutated(), token_soup(), st.binary(min_size=1))
