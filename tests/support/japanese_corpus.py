"""Ordinary, harmless mail as Japanese and western programs write it: the measure for false alarms.

Deterministic: the same number gives the same mails.  Nothing here is copied from anywhere; the structures are those of
Outlook, Thunderbird, Gmail, Apple Mail, Exchange, old Japanese mailers, web forms, phones, list managers and bounces.
"""

from __future__ import annotations

import base64
import binascii
import random
import zlib
from urllib.parse import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = [
    "請求書.pdf",
    "見積書_2026年11月.xlsx",
    "機能一覧表.xls",  # Shift_JIS with a backslash as second octet
    "ソフトウェア仕様.doc",
    "予定表",
    "第①回会議資料（案）.pptx",
    "ﾊﾝｶｸｶﾅ.txt",
    "議事録 最終版 (2).docx",
    "【重要】ご案内・添付資料、確認用.pdf",
    "株式会社例題_令和8年度_第3四半期_連結決算説明会資料_補足説明付き_最終確認版_社外秘_v2.11.pdf",
    "📎🎉写真👨‍👩‍👧‍👦.jpg",
    "とても" * 40 + "長い名前.zip",
    "日経平均.csv",
    "report.pdf",
    "Q3 results.xlsx",
    "Protokoll für Müller.pdf",
    "résumé.doc",
    "photo.2026.11.02.jpg",
    "O'Reilly & Sons, Inc.pdf",
    "archive.tar.gz",
]
TEXTS = [
    "お世話になっております。例題商事の山田です。\n\n資料をお送りします。ご確認ください。\n\n-- \n山田 太郎\n",
    "各位\n\n----------------------------------------\n会議のお知らせ\n----------------------------------------\n日時: 11月24日 15:00\n場所: 第①会議室\n\n> 先日の件\n> --\n> 佐藤\n",
    "表示と機能について、ソースの能力を予測します。\nURL: https://example.jp/?id=3&x=ab=cd\n--\n鈴木\n",
    "こんにちは!\n\nbegin の使い方について質問です。\nend\n\n~~~~~~~~~~~~~~~~~~\n",
    "Hello,\n\nplease find the report attached.\n\n--\nBest regards\nJohn Smith\n",
    "Sehr geehrte Damen und Herren,\n\nanbei die Unterlagen für Müller.\n\nMit freundlichen Grüßen\n",
    "了解です。\n\nFrom: 山田\nTo: 佐藤\nSubject: Re: 件名\n>From here on\n. \n",
]


class Mail:
    """One mail: `kind` tells which program's habits it has; `names` are the file names that its writer gave."""

    def __init__(self, kind: str, raw: bytes, names: list[str]) -> None:
        self.kind = kind
        self.raw = raw
        self.names = names


def mails(count: int = 600, seed: int = 1) -> Iterator[Mail]:
    """Yield `count` mails; all kinds, line ends and ways to write names come up in turn."""
    kinds = [kind for kind in globals() if kind.startswith("_mail_")]
    for number in range(count):
        writer = Writer(random.Random(seed * 1_000_003 + number), number)
        kind = kinds[number % len(kinds)]
        raw = globals()[kind](writer)
        eol = number // len(kinds) % 4
        if eol in {1, 3}:
            raw = raw.replace(b"\n", b"\r\n")
        if eol == 2:
            raw = b"From sender@example.jp Tue Nov 24 10:00:00 2026\n" + raw
        if eol == 3:  # procmail
            raw = b"From sender@example.jp Tue Nov 24 10:00:00 2026\n" + raw
        if number % 11 == 0:
            raw = raw.rstrip(b"\r\n")
        yield Mail(kind.removeprefix("_mail_"), raw, writer.names)


class Writer:
    """Draws texts, names and files for one mail."""

    def __init__(self, draw: random.Random, number: int) -> None:
        self.draw = draw
        self.number = number
        self.names: list[str] = []

    def text(self) -> str:
        return "".join(self.draw.sample(TEXTS, self.draw.randint(1, 3)))

    def name(self) -> str:
        return NAMES[(self.number * 7 + len(self.names) + self.draw.randrange(3)) % len(NAMES)]

    def hex(self, length: int) -> str:
        return f"{self.draw.getrandbits(4 * length):0{length}X}"

    def data(self) -> bytes:
        size = self.draw.choice((0, 1, 2, 3, 57, 100, 1000, 5000))
        return self.draw.randbytes(size) if self.draw.random() < 0.7 else zlib.compress(self.draw.randbytes(size))

    def named(self, name: str) -> str:
        self.names.append(name)
        return name


# Header


def _top(writer: Writer, subject: str = "資料送付の件", more: bytes = b"") -> bytes:
    raw_subject = {
        0: _word(subject, "iso-2022-jp"),
        1: _word(subject, "utf-8"),
        2: _jis(subject),
        3: subject.encode("utf-8"),
        4: subject.encode("cp932", "replace"),
    }[writer.number % 5]
    return (
        b"Return-Path: <yamada@example.jp>\nReceived: from mail.example.jp (mail.example.jp [192.0.2.1])\n\tby mx.example.com (Postfix)"
        b" with ESMTPS id 4XyZ12\n\tfor <sato@example.com>; Tue, 24 Nov 2026 10:00:00 +0900 (JST)\n"
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.jp; s=s1;\n\th=From:To:Subject:Date; bh="
        + base64.b64encode(writer.draw.randbytes(32))
        + b";\n\tb="
        + base64.b64encode(writer.draw.randbytes(200))
        + b"\nDate: Tue, 24 Nov 2026 10:00:00 +0900\nFrom: "
        + _word("山田 太郎", "iso-2022-jp")
        + b" <yamada@example.jp>\nTo: "
        + b",\n\t".join(b'"user %d" <user%d@example.com>' % (at, at) for at in range(writer.draw.choice((1, 3, 60))))
        + b"\nMessage-ID: <"
        + writer.hex(20).encode()
        + b"@example.jp>\nSubject: "
        + raw_subject
        + b"\n"
        + more
    )


def _jis(text: str) -> bytes:
    """Return ISO-2022-JP as Windows programs write it, with NEC characters and half-width kana as they are."""
    out = b""
    state = b"B"
    for character in text:
        if character.isascii():
            wanted, octets = b"B", character.encode()
        else:
            wanted, octets = b"J", _jis_octets(character)
        if wanted != state:
            out += b"\x1b$B" if wanted == b"J" else b"\x1b(B"
            state = wanted
        out += octets
    return out + (b"\x1b(B" if state == b"J" else b"")


def _jis_octets(character: str) -> bytes:
    try:
        octets = character.encode("euc_jis_2004")
    except UnicodeEncodeError:
        octets = "〓".encode("euc_jis_2004")
    if len(octets) != 2 or octets[0] == 0x8E:
        octets = "〓".encode("euc_jis_2004")
    return bytes(octet & 0x7F for octet in octets)


def _encoded(text: str, charset: str) -> bytes:
    return _jis(text) if charset == "iso-2022-jp" else text.encode(charset, "replace")


def _word(text: str, charset: str, fold: bytes = b"\n ") -> bytes:
    pieces = [text[at : at + 12] for at in range(0, len(text), 12)] or [""]
    return fold.join(
        b"=?" + charset.encode() + b"?B?" + base64.b64encode(_encoded(piece, charset)) + b"?=" for piece in pieces
    )


def _q_word(text: str) -> bytes:
    coded = "".join(
        c if c.isascii() and c.isalnum() else "".join(f"={octet:02X}" for octet in c.encode()) for c in text
    )
    return b"=?UTF-8?Q?" + coded.encode() + b"?="


# Names in parameters


def _plain(parameter: bytes, name: str) -> bytes:
    return b"; " + parameter + b'="' + name.encode() + b'"'


def _words_jis(parameter: bytes, name: str) -> bytes:
    return b";\n\t" + parameter + b'="' + _word(name, "iso-2022-jp") + b'"'


def _words_utf8(parameter: bytes, name: str) -> bytes:
    return b"; " + parameter + b'="' + _word(name, "UTF-8") + b'"'


def _words_tab(parameter: bytes, name: str) -> bytes:
    return b";\n\t" + parameter + b'="' + _word(name, "UTF-8", b"\n\t") + b'"'


def _words_q(parameter: bytes, name: str) -> bytes:
    return b"; " + parameter + b'="' + _q_word(name) + b'"'


def _extended(parameter: bytes, name: str) -> bytes:
    return b";\n " + parameter + b"*=UTF-8''" + quote(name, safe="").encode()


def _extended_jis(parameter: bytes, name: str) -> bytes:
    return b";\n " + parameter + b"*=ISO-2022-JP''" + quote(_jis(name), safe="").encode()


def _sections(parameter: bytes, name: str) -> bytes:
    coded = quote(name, safe="")
    pieces = []
    while coded:
        cut = min(len(coded), 60)
        while "%" in coded[max(cut - 2, 0) : cut] and cut < len(coded):
            cut -= 1
        pieces.append(coded[:cut])
        coded = coded[cut:]
    return b"".join(
        b";\n " + parameter + b"*%d*=" % at + (b"UTF-8''" if at == 0 else b"") + piece.encode()
        for at, piece in enumerate(pieces)
    )


def _raw(charset: str) -> Callable[[bytes, str], bytes]:
    def write(parameter: bytes, name: str) -> bytes:
        return b"; " + parameter + b'="' + _encoded(name, charset) + b'"'

    return write


def _fallback(parameter: bytes, name: str) -> bytes:
    ascii_name = name.encode("ascii", "replace").replace(b"?", b"_")
    return b"; " + parameter + b'="' + ascii_name + b'"' + _extended(parameter, name)


NAME_WRITERS: list[tuple[Callable[[bytes, str], bytes], Callable[[bytes, str], bytes]]] = [
    (_words_jis, _words_jis),  # Outlook Express, Becky!
    (_words_utf8, _words_utf8),  # Gmail
    (_words_tab, _words_tab),  # Outlook
    (_words_utf8, _sections),  # Thunderbird
    (_words_q, _extended),  # web mail
    (_extended, _extended),
    (_sections, _sections),
    (_words_jis, _extended_jis),
    (_raw("iso-2022-jp"), _raw("iso-2022-jp")),
    (_raw("cp932"), _raw("cp932")),
    (_raw("utf-8"), _raw("utf-8")),
    (_raw("euc_jp"), _raw("euc_jp")),
    (_words_utf8, _fallback),
]


def _representable(name: str, writer: Callable[[bytes, str], bytes]) -> bool:
    """Tell whether the writer's charset has all characters of the name, unchanged by a reader."""
    try:
        if writer in {_words_jis, _extended_jis, NAME_WRITERS[8][0]}:
            return all(c.isascii() or _jis_octets(c) != _jis_octets("〓") for c in name)
        if writer is NAME_WRITERS[9][0]:
            return name.encode("cp932").decode("cp932") == name
        if writer is NAME_WRITERS[11][0]:
            return name.encode("euc_jp").decode("euc_jp") == name
    except UnicodeEncodeError:
        return False
    return True


def _file(
    writer: Writer, content_type: bytes = b"application/octet-stream", more: bytes = b"", only: str | None = None
) -> bytes:
    name = only or writer.name()
    in_type, in_disposition = NAME_WRITERS[writer.draw.randrange(len(NAME_WRITERS))]
    if not _representable(name, in_type) or not _representable(name, in_disposition):
        in_type, in_disposition = _words_utf8, _sections
    if name.isascii():
        in_type = in_disposition = _plain
    writer.named(name)
    return (
        b"Content-Type: "
        + content_type
        + in_type(b"name", name)
        + b"\nContent-Transfer-Encoding: base64\n"
        + more
        + b"Content-Disposition: "
        + writer.draw.choice((b"attachment", b"attachment", b"inline"))
        + in_disposition(b"filename", name)
        + b"\n\n"
        + _base64(writer, writer.data())
    )


def _base64(writer: Writer, data: bytes) -> bytes:
    text = base64.b64encode(data)
    columns = writer.draw.choice((60, 64, 72, 76, 76, 76))
    lines = b"\n".join(text[at : at + columns] for at in range(0, len(text), columns))
    return lines + b"\n" * writer.draw.choice((0, 1, 1, 2))


# Texts


def _text(writer: Writer, subtype: bytes = b"plain") -> bytes:
    """Return the header and body of a text part."""
    text = writer.text()
    if subtype == b"html":
        text = (
            "<html><body><p>"
            + text.replace("\n", "<br>\n")
            + '</p><a href="https://example.jp/?a=b">x</a></body></html>\n'
        )
    choice = writer.draw.randrange(7)
    charset, encoding, body = [
        (b"ISO-2022-JP", b"7bit", _jis(text)),
        (b'"UTF-8"', b"8bit", text.encode()),
        (b"utf-8", b"base64", base64.encodebytes(text.encode())),
        (b"UTF-8", b"quoted-printable", binascii.b2a_qp(text.encode())),
        (b"Shift_JIS", b"8bit", text.encode("cp932", "replace")),
        (b'"iso-2022-jp"', b"base64", base64.encodebytes(_jis(text))),
        (b'"EUC-JP"', b"8bit", text.encode("euc_jp", "replace")),
    ][choice]
    extra = writer.draw.choice(
        (b"", b"", b"; format=flowed", b"; format=flowed; delsp=yes", b";\n\treply-type=original")
    )
    return (
        b"Content-Type: text/"
        + subtype
        + b"; charset="
        + charset
        + extra
        + b"\nContent-Transfer-Encoding: "
        + encoding
        + b"\n\n"
        + body
    )


def _parts(
    boundary: bytes, parts: list[bytes], preamble: bytes = b"", epilogue: bytes = b"", blanks: bytes = b""
) -> bytes:
    out = preamble
    for part in parts:
        out += b"--" + boundary + blanks + b"\n" + part + b"\n"
    return out + b"--" + boundary + b"--" + blanks + b"\n" + epilogue


def _multipart(subtype: bytes, boundary: bytes, parts: list[bytes], parameters: bytes = b"", **more: bytes) -> bytes:
    return (
        b"Content-Type: multipart/"
        + subtype
        + b'; boundary="'
        + boundary
        + b'"'
        + parameters
        + b"\n\n"
        + _parts(boundary, parts, **more)
    )


VERSION = b"MIME-Version: 1.0\n"


# Kinds


def _mail_plain(writer: Writer) -> bytes:
    return _top(writer) + VERSION + _text(writer)


def _mail_no_mime(writer: Writer) -> bytes:
    return _top(writer) + b"X-Mailer: form.cgi\n\n" + _jis(writer.text())


def _mail_web_form(writer: Writer) -> bytes:
    more = b"Content-Type: text/plain; charset=ISO-2022-JP\nX-Mailer: PHP/5.2.17\n\n"
    return _top(writer, more=more) + _jis("お名前: 山田\nご用件: " + writer.text())


def _mail_shift_jis_phone(writer: Writer) -> bytes:
    return (
        _top(writer)
        + VERSION
        + b'Content-Type: text/plain; charset="Shift_JIS"\nContent-Transfer-Encoding: 8bit\n\n'
        + writer.text().encode("cp932", "replace")
    )


def _mail_outlook(writer: Writer) -> bytes:
    stamp = f"_{writer.hex(4)}_{writer.hex(8)}.{writer.hex(8)}".encode()
    alternative = _multipart(b"alternative", b"----=_NextPart_001" + stamp, [_text(writer), _text(writer, b"html")])
    mixed = _multipart(
        b"mixed",
        b"----=_NextPart_000" + stamp,
        [alternative, _file(writer), _file(writer)],
        preamble=b"This is a multi-part message in MIME format.\n\n",
    )
    return (
        _top(writer) + VERSION + b"X-Mailer: Microsoft Outlook 16.0\nThread-Index: AdkQ\nContent-Language: ja\n" + mixed
    )


def _mail_exchange(writer: Writer) -> bytes:
    tail = f"_{writer.hex(32)}TYCP286MB{writer.hex(4)}JPNP_".encode()
    image = (
        b'Content-Type: image/png; name="image001.png"\nContent-Description: image001.png\nContent-Disposition: inline; filename="image001.png"; size=1234;\n\tcreation-date="Tue, 24 Nov 2026 01:00:00 GMT";\n\tmodification-date="Tue, 24 Nov 2026 01:00:00 GMT"\nContent-ID: <image001.png@01D9>\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(writer.data())
    )
    writer.named("image001.png")
    alternative = _multipart(b"alternative", b"_000" + tail, [_text(writer), _text(writer, b"html")])
    related = _multipart(b"related", b"_005" + tail, [alternative, image], b';\n\ttype="multipart/alternative"')
    more = (
        b"X-MS-Exchange-AntiSpam-MessageData-0:\n\t"
        + b"\n\t".join(base64.b64encode(writer.draw.randbytes(50)) for _ in range(40))
        + b"\n"
    )
    return _top(writer, more=more) + _multipart(b"mixed", b"_006" + tail, [related, _file(writer)]).replace(
        b"\n\n", b"\nMIME-Version: 1.0\n\n", 1
    )


def _mail_gmail(writer: Writer) -> bytes:
    stem = b"000000000000" + writer.hex(16).lower().encode()
    alternative = _multipart(b"alternative", stem + b"a", [_text(writer), _text(writer, b"html")])
    attached = _file(writer, b"application/pdf", b"X-Attachment-Id: f_lx%d\nContent-ID: <f_lx1>\n" % writer.number)
    return VERSION + _top(writer) + _multipart(b"mixed", stem + b"b", [alternative, attached])


def _mail_thunderbird(writer: Writer) -> bytes:
    boundary = b"------------" + base64.b64encode(writer.draw.randbytes(18)).replace(b"+", b"x").replace(b"/", b"y")
    more = b"User-Agent: Mozilla Thunderbird\nContent-Language: ja\n"
    return (
        _top(writer, more=more)
        + VERSION
        + _multipart(
            b"mixed",
            boundary,
            [_text(writer), _file(writer)],
            preamble=b"This is a multi-part message in MIME format.\n",
        )
    )


def _mail_apple(writer: Writer) -> bytes:
    stem = f"Apple-Mail=_{writer.hex(8)}-{writer.hex(4)}-{writer.hex(12)}".encode()
    inner = _multipart(
        b"mixed",
        stem[:-1] + b"z",
        [_text(writer, b"html"), _file(writer, b"image/jpeg", b"Content-Id: <A@apple>\n"), _text(writer, b"html")],
    )
    version = (
        b"Mime-Version: 1.0 (Mac OS X Mail 16.0 \\(3774.600.62\\))\n"
        if writer.number % 2
        else b"Mime-Version: 1.0 (Apple Message framework v1283)\n"
    )
    version = version.replace(b"\\(", b"").replace(b"\\)", b"")
    return _top(writer) + version + _multipart(b"alternative", stem, [_text(writer), inner]) + b"\n"


def _mail_single_attachment(writer: Writer) -> bytes:
    return _top(writer) + VERSION + _file(writer, b"application/pdf")


def _mail_becky(writer: Writer) -> bytes:
    name = next(n for n in NAMES[writer.number % 5 :] if not n.isascii() and _representable(n, _words_jis))
    writer.named(name)
    jis = _jis(name)
    part = (
        b'Content-Type: application/octet-stream;\n name="'
        + jis
        + b'"\nContent-Disposition: attachment;\n filename="'
        + jis
        + b'"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(writer.data())
    )
    return (
        _top(writer, more=b"X-Mailer: Becky! ver. 2.81 [ja]\n")
        + VERSION
        + _multipart(
            b"mixed",
            b"------_%s_MULTIPART_MIXED_" % writer.hex(16).encode(),
            [
                b'Content-Type: text/plain; charset="ISO-2022-JP"\nContent-Transfer-Encoding: 7bit\n\n'
                + _jis(writer.text()),
                part,
            ],
        )
    )


def _mail_shift_jis_names(writer: Writer) -> bytes:
    name = "機能一覧表.xls" if writer.number % 2 else "予定表"
    writer.named(name)
    raw = name.encode("cp932")
    part = (
        b'Content-Type: application/vnd.ms-excel; name="'
        + raw
        + b'"\nContent-Disposition: attachment; filename="'
        + raw
        + b'"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(writer.data())
    )
    return (
        _top(writer) + VERSION + _multipart(b"mixed", b"=_mixed %s_=" % writer.hex(20).encode(), [_text(writer), part])
    )


def _mail_phone_decorated(writer: Writer) -> bytes:
    image = (
        b'Content-Type: image/gif; name="20261124.gif"\nContent-Transfer-Encoding: base64\nContent-ID: <00@261124>\n\n'
        + base64.encodebytes(writer.data())
    )
    writer.named("20261124.gif")
    alternative = _multipart(
        b"alternative", b"--mailer_boundary_2_%d" % writer.number, [_text(writer), _text(writer, b"html")]
    )
    related = _multipart(b"related", b"--mailer_boundary_1_%d" % writer.number, [alternative, image])
    return _top(writer) + VERSION + _multipart(b"mixed", b"--mailer_boundary_0_%d" % writer.number, [related])


def _mail_signed_smime(writer: Writer) -> bytes:
    signature = (
        b'Content-Type: application/pkcs7-signature; name="smime.p7s"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="smime.p7s"\nContent-Description: S/MIME Cryptographic Signature\n\n'
        + base64.encodebytes(writer.draw.randbytes(1500))
    )
    signed = _multipart(b"mixed", b"inner%d" % writer.number, [_text(writer), _file(writer)])
    writer.named("smime.p7s")
    return (
        _top(writer)
        + VERSION
        + _multipart(
            b"signed",
            b"----%s" % writer.hex(32).encode(),
            [signed, signature],
            b'; protocol="application/pkcs7-signature"; micalg=sha-256',
            preamble=b"This is an S/MIME signed message\n\n",
        )
    )


def _armor(writer: Writer, kind: bytes) -> bytes:
    body = base64.b64encode(writer.draw.randbytes(900))
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return (
        b"-----BEGIN PGP "
        + kind
        + b"-----\nVersion: GnuPG v2\nComment: https://gnupg.org\n\n"
        + lines
        + b"\n=AbCd\n-----END PGP "
        + kind
        + b"-----\n"
    )


def _mail_signed_pgp(writer: Writer) -> bytes:
    signature = (
        b'Content-Type: application/pgp-signature; name="signature.asc"\nContent-Description: OpenPGP digital signature\nContent-Disposition: attachment; filename="signature.asc"\n\n'
        + _armor(writer, b"SIGNATURE")
    )
    writer.named("signature.asc")
    return (
        _top(writer)
        + VERSION
        + _multipart(
            b"signed",
            b"nextPart%d.abc" % writer.number,
            [_text(writer), signature],
            b'; micalg="pgp-sha256"; protocol="application/pgp-signature"',
            preamble=b"This is an OpenPGP/MIME signed message (RFC 4880 and 3156)\n",
        )
    )


def _mail_encrypted_pgp(writer: Writer) -> bytes:
    control = (
        b"Content-Type: application/pgp-encrypted\nContent-Description: PGP/MIME version identification\n\nVersion: 1\n"
    )
    data = (
        b'Content-Type: application/octet-stream; name="encrypted.asc"\nContent-Disposition: inline; filename="encrypted.asc"\n\n'
        + _armor(writer, b"MESSAGE")
    )
    writer.named("encrypted.asc")
    return (
        _top(writer)
        + VERSION
        + _multipart(b"encrypted", b"enc%d" % writer.number, [control, data], b'; protocol="application/pgp-encrypted"')
    )


def _mail_inline_pgp(writer: Writer) -> bytes:
    return (
        _top(writer)
        + VERSION
        + b"Content-Type: text/plain; charset=us-ascii\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nhello\n"
        + _armor(writer, b"SIGNATURE")
        + b"\n"
        + _armor(writer, b"MESSAGE")
    )


def _mail_smime_opaque(writer: Writer) -> bytes:
    writer.named("smime.p7m")
    return (
        _top(writer)
        + VERSION
        + b'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="smime.p7m"\n\n'
        + base64.encodebytes(writer.draw.randbytes(3000))
    )


def _original(writer: Writer) -> bytes:
    return (
        _top(writer)
        + VERSION
        + _multipart(b"mixed", b"orig%s" % writer.hex(12).encode(), [_text(writer), _file(writer)])
    )


def _report_status() -> bytes:
    return b"Content-Description: Delivery report\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\nArrival-Date: Tue, 24 Nov 2026 10:00:00 +0900 (JST)\n\nFinal-Recipient: rfc822; nobody@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown user\n"


def _mail_bounce_postfix(writer: Writer) -> bytes:
    notice = b"Content-Description: Notification\nContent-Type: text/plain; charset=us-ascii\n\nThis is the mail system at host mx.example.com.\n\n<nobody@example.com>: unknown user\n"
    returned = (
        b"Content-Description: Undelivered Message\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
        + _original(writer)
    )
    return (
        _top(writer, "Undelivered Mail Returned to Sender")
        + VERSION
        + _multipart(
            b"report",
            b"4XyZ12.%d/mx.example.com" % writer.number,
            [notice, _report_status(), returned],
            b"; report-type=delivery-status",
            preamble=b"This is a MIME-encapsulated message.\n\n",
        )
    )


def _mail_bounce_headers(writer: Writer) -> bytes:
    headers = (
        b"Content-Type: text/rfc822-headers\n\n"
        + _top(writer)
        + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="gone%d"\n' % writer.number
    )
    return (
        _top(writer, "配信エラー")
        + VERSION
        + _multipart(
            b"report",
            b"b%s=_?:" % writer.hex(8).encode(),
            [_text(writer), _report_status(), headers],
            b';\n report-type="delivery-status"',
        )
    )


def _mail_bounce_qmail(writer: Writer) -> bytes:
    original = _top(writer) + VERSION + b"Content-Type: text/plain; charset=ISO-2022-JP\n\n" + _jis(writer.text())
    return (
        _top(writer, "failure notice")
        + b"\nHi. This is the qmail-send program at example.jp.\nI'm afraid I wasn't able to deliver your message.\n\n<x@example.com>:\nno such user.\n\n--- Below this line is a copy of the message.\n\n"
        + original
    )


def _mail_receipt(writer: Writer) -> bytes:
    disposition = b"Content-Type: message/disposition-notification\n\nReporting-UA: example.com; Outlook\nFinal-Recipient: rfc822;sato@example.com\nOriginal-Message-ID: <a@example.jp>\nDisposition: manual-action/MDN-sent-manually; displayed\n"
    return (
        _top(writer, "開封済み: 資料")
        + VERSION
        + _multipart(
            b"report",
            b"----=_NextPart_%d" % writer.number,
            [_text(writer), disposition],
            b";\n\treport-type=disposition-notification",
        )
    )


def _mail_invitation(writer: Writer) -> bytes:
    event = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:打ち合わせ\nDTSTART:20261124T060000Z\nATTENDEE;CN=佐藤:mailto:sato@example.com\nEND:VEVENT\nEND:VCALENDAR\n"
    calendar = (
        b'Content-Type: text/calendar; charset="utf-8"; method=REQUEST\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(event.encode())
    )
    alternative = _multipart(
        b"alternative", b"alt%d" % writer.number, [_text(writer), _text(writer, b"html"), calendar]
    )
    attached = (
        b'Content-Type: application/ics; name="invite.ics"\nContent-Disposition: attachment; filename="invite.ics"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(event.encode())
    )
    writer.named("invite.ics")
    return (
        _top(writer, "打ち合わせ") + VERSION + _multipart(b"mixed", b"mix%d" % writer.number, [alternative, attached])
    )


def _mail_list_epilogue(writer: Writer) -> bytes:
    footer = (
        b"\n--\nML homepage: https://example.jp/ml/\n"
        + _jis("退会はこちら\n")
        + b"_______________________________________________\n"
    )
    more = b"List-Id: <ml.example.jp>\nPrecedence: list\nX-ML-Name: ml\n"
    return (
        _top(writer, "[ml 00123] 資料", more)
        + VERSION
        + _multipart(b"mixed", b"ml%d" % writer.number, [_text(writer), _file(writer)], epilogue=footer)
    )


def _mail_list_text_footer(writer: Writer) -> bytes:
    text = (
        b'Content-Type: text/plain; charset="iso-2022-jp"\nContent-Transfer-Encoding: quoted-printable\n\n'
        + binascii.b2a_qp(writer.text().encode("iso2022_jp", "replace"))
    )
    return (
        _top(writer, "[ml 00124] 資料")
        + VERSION
        + text
        + b"\n_______________________________________________\nml mailing list\nhttps://example.jp/?list=ml&user=abc\n"
    )


def _mail_list_part_footer(writer: Writer) -> bytes:
    footer = b'Content-Type: text/plain; charset="us-ascii"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline\n\n_______________________________________________\nml mailing list\n'
    return (
        _top(writer)
        + VERSION
        + _multipart(b"mixed", b"===============%d==" % writer.draw.getrandbits(63), [_text(writer), footer])
    )


def _mail_digest(writer: Writer) -> bytes:
    inner = [b"\n" + _original(writer) for _ in range(3)]
    return _top(writer) + VERSION + _multipart(b"digest", b"digest%d" % writer.number, inner)


def _mail_forwarded(writer: Writer) -> bytes:
    eml = (
        b'Content-Type: message/rfc822; name="forwarded.eml"\nContent-Disposition: attachment; filename="forwarded.eml"\n\n'
        + _original(writer)
    )
    writer.named("forwarded.eml")
    return _top(writer) + VERSION + _multipart(b"mixed", b"fw%d" % writer.number, [_text(writer), eml])


def _mail_forwarded_base64(writer: Writer) -> bytes:
    eml = (
        b"Content-Type: message/rfc822\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(_original(writer).replace(b"\n", b"\r\n"))
    )
    return _top(writer) + VERSION + _multipart(b"mixed", b"fw%d" % writer.number, [_text(writer), eml])


def _mail_newsletter(writer: Writer) -> bytes:
    more = (
        b"List-Unsubscribe: <https://example.com/u?"
        + base64.urlsafe_b64encode(writer.draw.randbytes(300))
        + b">\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\nX-Campaign: "
        + b"a" * 900
        + b"\n"
    )
    html = (
        b'Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<html><img src="data:image/png;base64,'
        + base64.b64encode(writer.draw.randbytes(3000))
        + b'">\n<style>\n'
        + b"a{color:#036}\n" * 300
        + b"</style></html>\n"
    )
    return (
        _top(writer, more=more)
        + VERSION
        + _multipart(b"alternative", b"_----------=_MCPart_%d" % writer.draw.getrandbits(30), [_text(writer), html])
    )


def _mail_padded_delimiters(writer: Writer) -> bytes:
    return (
        _top(writer)
        + VERSION
        + _multipart(
            b"mixed", b"pad%d" % writer.number, [_text(writer), _file(writer)], blanks=b"  \t", epilogue=b"\n\n"
        )
    )


def _mail_no_version(writer: Writer) -> bytes:
    return _top(writer) + _multipart(b"mixed", b"nov%d" % writer.number, [_text(writer), _file(writer)], preamble=b"\n")


def _mail_unquoted(writer: Writer) -> bytes:
    boundary = b"bound%d" % writer.number
    name = writer.named("my report 3.pdf")
    part = (
        b"Content-Type: application/pdf; name="
        + name.encode()
        + b"\nContent-Transfer-Encoding: Base64\nContent-Disposition: attachment; filename="
        + name.encode()
        + b"\n\n"
        + base64.encodebytes(writer.data())
    )
    return (
        _top(writer)
        + VERSION
        + b"Content-Type: multipart/mixed; boundary="
        + boundary
        + b"\n\n"
        + _parts(boundary, [_text(writer), part])
    )


def _mail_sloppy_types(writer: Writer) -> bytes:
    kind = [
        b"text/plain; charset=",
        b"text/plain; charset=us-ascii;",
        b"TEXT/PLAIN; CHARSET=US-ASCII",
        b'text/plain; charset = "utf-8"',
        b"text/plain;charset=utf-8;format=flowed",
        b"text",
    ][writer.number // 7 % 6]
    return _top(writer) + VERSION + b"Content-Type: " + kind + b"\n\n" + writer.text().encode()


def _mail_log_attached(writer: Writer) -> bytes:
    log = b"".join(
        b"2026-11-24 10:00:%02d [info] begin transaction %d -- ok\n--- %s\n" % (at % 60, at, writer.hex(40).encode())
        for at in range(50)
    )
    part = (
        b'Content-Type: text/plain; name="server.log"; charset=us-ascii\nContent-Disposition: attachment; filename="server.log"\n\n'
        + log
    )
    writer.named("server.log")
    return _top(writer) + VERSION + _multipart(b"mixed", b"log%d" % writer.number, [_text(writer), part])


def _mail_certificate(writer: Writer) -> bytes:
    body = base64.b64encode(writer.draw.randbytes(900))
    pem = (
        b"-----BEGIN CERTIFICATE-----\n"
        + b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        + b"\n-----END CERTIFICATE-----\n"
    )
    part = (
        b'Content-Type: text/plain; name="server.crt"\nContent-Disposition: attachment; filename="server.crt"\n\n'
        + pem * 3
    )
    writer.named("server.crt")
    return _top(writer) + VERSION + _multipart(b"mixed", b"crt%d" % writer.number, [_text(writer), part])


def _mail_patch(writer: Writer) -> bytes:
    patch = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n-begin\n+  begin 644\n--\n2.39.5\n\nContent of the file:\n  Content-Type: text/plain\n"
    return (
        _top(writer, "[PATCH] x")
        + VERSION
        + b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n"
        + patch
    )


def _mail_vcard_tnef(writer: Writer) -> bytes:
    card = (
        b'Content-Type: text/x-vcard; charset=utf-8; name="yamada.vcf"\nContent-Disposition: attachment; filename="yamada.vcf"\n\nBEGIN:VCARD\nPHOTO;ENCODING=b;TYPE=JPEG:\n'
        + b"".join(b" " + line + b"\n" for line in base64.encodebytes(writer.draw.randbytes(700)).splitlines())
        + b"END:VCARD\n"
    )
    tnef = (
        b'Content-Type: application/ms-tnef; name="winmail.dat"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="winmail.dat"\n\n'
        + base64.encodebytes(b"\x78\x9f\x3e\x22" + writer.data())
    )
    writer.named("yamada.vcf")
    writer.named("winmail.dat")
    return _top(writer) + VERSION + _multipart(b"mixed", b"tnef%d" % writer.number, [_text(writer), card, tnef])


def _mail_empty(writer: Writer) -> bytes:
    return _top(writer, "（件名なし）") + VERSION + b"Content-Type: text/plain; charset=utf-8\n\n"


def _mail_empty_text_part(writer: Writer) -> bytes:
    return (
        _top(writer)
        + VERSION
        + _multipart(
            b"mixed", b"empty%d" % writer.number, [b"Content-Type: text/plain; charset=utf-8\n\n", _file(writer)]
        )
    )
