"""What a signature leaves open: genuine mail of the large providers counts, and no relabelled message ever does.

Every case is signed as its provider signs, comes through a forwarder (so that only the signature speaks for the author),
and is judged by the whole verb.  An attack changes what is not signed: the signature still passes, as the RFC says, and
nobody is authenticated.
"""

from __future__ import annotations

import base64
import quopri

import pytest
from signed_mail import record, sign
from verbs import output
from verified_mail import STRANGER, judged, methods, reported, zone

from mailguard.verify import natural

GMAIL = "to:subject:message-id:date:from:mime-version:from:to:cc:subject:date:message-id:reply-to"
MICROSOFT = "From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck"
YAHOO = "Date:From:To:Subject:References:From:Subject:Reply-To"
AMAZON = "Subject:From:To:Date:Mime-Version:Content-Type:References:Message-Id"
APPLE = "from:content-type:mime-version:subject:message-id:date:to"
OPENDKIM = "From:To:Subject:Date:Message-ID:Content-Type"
KEYS = "".join(
    f"test._domainkey.{domain} TXT {record().decode()}\n"
    for domain in ("example-com.20230601.gappssmtp.com", "amazonses.com", "lists.example")
)
KEYS += "_dmarc.lists.example TXT v=DMARC1; p=quarantine\n"
TOP = (
    b"From: Joe <joe@example.com>\r\nTo: suzie@example.net\r\nSubject: dinner\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
)
TEXT = "Hello Suzie,\r\n\r\nis dinner ready?  こんにちは\r\n-- \r\nJoe\r\n".encode()
PAGE = (
    b'<html><head><meta charset="utf-8"></head>\r\n<body><p>Hello <a href="https://example.com/?id=12">S</a></p>'
    b"\r\n</body></html>\r\n"
)
JAPANESE = "こんにちは、鈴木さん。\r\n夕食はできましたか。 1\\2\r\n".encode("iso-2022-jp")


def entity(kind: str, content: bytes, *more: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"Content-Type: {kind}", *more)).encode() + b"\r\n" + content


def encoded(kind: str, content: bytes, encoding: str = "base64") -> bytes:
    body = base64.encodebytes(content) if encoding == "base64" else quopri.encodestring(content)
    body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return entity(kind, body, f"Content-Transfer-Encoding: {encoding}")


def multipart(subtype: str, *parts: bytes, boundary: str = "0000001", more: str = "") -> bytes:
    text = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return entity(f'multipart/{subtype}; boundary="{boundary}"{more}', text)


PLAIN_PART = entity('text/plain; charset="UTF-8"', TEXT)
PAGE_PART = encoded('text/html; charset="UTF-8"', PAGE, "quoted-printable")
ALTERNATIVE = multipart("alternative", PLAIN_PART, PAGE_PART, boundary="inner")
PDF = entity(
    'application/pdf; name="a.pdf"', base64.encodebytes(b"%PDF-1.4 ").replace(b"\n", b"\r\n"),
    'Content-Disposition: attachment; filename="a.pdf"', "Content-Transfer-Encoding: base64", "Content-ID: <f_1>",
)  # fmt: skip
PICTURE = entity(
    'image/png; name="a.png"', base64.encodebytes(b"\x89PNG").replace(b"\n", b"\r\n"),
    'Content-Disposition: inline; filename="a.png"', "Content-Transfer-Encoding: base64", "Content-ID: <ii_1>",
)  # fmt: skip
BOUNCE = entity("message/delivery-status", b"Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\n")
PGP = entity("application/pgp-signature", b"-----BEGIN PGP SIGNATURE-----\r\n-----END PGP SIGNATURE-----\r\n")
UTF_8 = 'text/plain; charset="UTF-8"'
HTML_8 = 'text/html; charset="UTF-8"'

# How each provider signs: name, entity, h=, and d= where it is another one.
GENUINE = {
    "Gmail: text": (entity(UTF_8, TEXT), GMAIL),
    "Gmail: text in base64": (encoded(UTF_8, TEXT), GMAIL),
    "Gmail: text in quoted-printable": (encoded(UTF_8, TEXT, "quoted-printable"), GMAIL),
    "Gmail: alternative": (ALTERNATIVE, GMAIL),
    "Gmail: mixed": (multipart("mixed", ALTERNATIVE, PDF), GMAIL),
    "Gmail: related": (multipart("related", ALTERNATIVE, PICTURE), GMAIL),
    "Gmail: text of an SMTP client": (entity("text/plain; charset=us-ascii; format=flowed", b"Hi.\r\n"), GMAIL),
    "Gmail: text without type": (b"\r\nHi.\r\n", GMAIL),
    "Gmail: bounce": (
        multipart("report", entity("text/plain", b"No.\r\n"), BOUNCE, more="; report-type=delivery-status"), GMAIL
    ),
    "Gmail: signed by PGP": (
        multipart("signed", PLAIN_PART, PGP, more='; micalg=pgp-sha256; protocol="application/pgp-signature"'), GMAIL
    ),
    "Microsoft 365: HTML in quoted-printable": (encoded('text/html; charset="utf-8"', PAGE, "quoted-printable"), MICROSOFT),
    "Microsoft 365: HTML in base64": (encoded('text/html; charset="utf-8"', PAGE), MICROSOFT),
    "Microsoft 365: text in 7bit": (
        entity('text/plain; charset="us-ascii"', b"Hi.\r\n", "Content-Transfer-Encoding: 7bit"), MICROSOFT
    ),
    "Microsoft 365: Japanese in base64": (encoded("text/plain; charset=iso-2022-jp", JAPANESE), MICROSOFT),
    "Microsoft 365: alternative": (multipart("alternative", PLAIN_PART, PAGE_PART), MICROSOFT),
    "Microsoft 365: mixed": (
        multipart("mixed", ALTERNATIVE, PDF).replace(b"\r\n\r\n", b"\r\nContent-Language: en-US\r\n\r\n", 1), MICROSOFT
    ),
    "Microsoft 365: one PDF": (encoded("application/pdf; name=a.pdf", b"%PDF-1.4" * 20), MICROSOFT),
    "Yahoo: text": (encoded(UTF_8, TEXT), YAHOO),
    "Yahoo: alternative": (ALTERNATIVE, YAHOO),
    "Yahoo: Japanese text": (
        entity("text/plain; charset=iso-2022-jp", JAPANESE, "Content-Transfer-Encoding: 7bit"), YAHOO
    ),
    "Amazon SES: alternative": (ALTERNATIVE, AMAZON),
    "Amazon SES: HTML": (encoded(HTML_8, PAGE, "quoted-printable"), AMAZON),
    "iCloud: text": (encoded("text/plain; charset=utf-8", TEXT, "quoted-printable"), APPLE),
    "iCloud: mixed": (multipart("mixed", PLAIN_PART, PDF), APPLE),
    "OpenDKIM: a text shown inline": (entity(UTF_8, TEXT, "Content-Disposition: inline"), OPENDKIM),
    "OpenDKIM: a multipart with a description": (
        ALTERNATIVE.replace(b"\r\n\r\n", b"\r\nContent-Description: Multipart message\r\n\r\n", 1), OPENDKIM
    ),
}  # fmt: skip


def signed(content: bytes, names: str, **tags) -> bytes:
    return sign(TOP + content, h=names, **tags)


def forwarded(raw: bytes, **options):
    return judged(raw, STRANGER, zone(KEYS), **options)


@pytest.mark.parametrize("form", ["relaxed/relaxed", "simple/simple"])
@pytest.mark.parametrize("name", GENUINE)
def test_genuine_mail_is_authenticated_as_its_provider_signs_it(name, form):
    content, names = GENUINE[name]
    for change in (bytes, lambda raw: raw.replace(b"\r\n", b"\n")):
        result = forwarded(change(signed(content, names, c=form)))
        assert result.authenticated, result.results
        assert (methods(output(result))["dkim"], methods(output(result))["dmarc"]) == (["pass"], ["pass"])
        assert "dkim.content-unsigned" not in {each.code for each in result.findings}


def said(raw, **options):
    """Return (results of DKIM, result of DMARC, authenticated)."""
    result = forwarded(raw, **options)
    found = methods(output(result))
    return found["dkim"], found["dmarc"][0], result.authenticated


def test_google_workspace_counts_with_a_key_of_its_customer():
    both = sign(signed(ALTERNATIVE, GMAIL), h=GMAIL, d="example-com.20230601.gappssmtp.com")
    assert said(both) == (["pass", "pass"], "pass", True)
    alone = signed(ALTERNATIVE, GMAIL, d="example-com.20230601.gappssmtp.com")
    assert said(alone) == (["pass"], "fail", False)


def test_amazon_ses_counts_with_a_key_of_its_customer():
    both = sign(signed(ALTERNATIVE, AMAZON), h=AMAZON + ":Feedback-ID", d="amazonses.com")
    assert said(both) == (["pass", "pass"], "pass", True)
    assert said(signed(ALTERNATIVE, AMAZON, d="amazonses.com")) == (["pass"], "fail", False)


def test_a_mailing_list_speaks_for_itself_only():
    original = signed(PLAIN_PART, GMAIL)
    changed = original.replace(b"Subject: ", b"Subject: [l] ").replace(
        b"-- \r\nJoe", b"-- \r\nJoe\r\n____\r\nlist footer"
    )
    relayed = sign(changed, h="from:to:subject:date:message-id:mime-version:content-type:list-id", d="lists.example")
    assert said(relayed) == (["pass", "fail"], "fail", False)
    munged = changed.replace(b"Joe <joe@example.com>", b"Joe via l <l@lists.example>")
    relayed = sign(munged, h="from:to:subject:date:message-id:mime-version:content-type", d="lists.example")
    assert said(relayed) == (["pass", "fail"], "pass", True)


def test_what_the_type_says_is_reported_where_nobody_is_authenticated():
    result = forwarded(signed(entity("text/plain", PAGE), GMAIL))
    (dkim,) = (each for each in reported(output(result)) if each.method == "dkim")
    assert (dkim.result, dkim.reason) == ("pass", "content-type is not signed, and the body looks like HTML")
    (finding,) = (each for each in result.findings if each.code == "dkim.content-unsigned")
    assert "The signature of example.com authenticates nobody: content-type is not signed" in finding.what
    assert result.details["verdict"]["reason"].startswith("DMARC pass for example.com, but content-type is not signed")


def test_a_second_signature_that_covers_everything_counts():
    content = encoded("text/html; charset=utf-7", PAGE)
    every = OPENDKIM + ":content-transfer-encoding"
    assert said(signed(content, GMAIL)) == (["pass"], "pass", False)
    assert said(sign(signed(content, GMAIL), h=every)) == (["pass", "pass"], "pass", True)
    assert said(sign(signed(content, every), h=GMAIL)) == (["pass", "pass"], "pass", True)


def test_where_the_domain_has_no_record_the_same_holds():
    bare = zone(KEYS).replace("_dmarc.example.com       TXT  v=DMARC1; p=reject", "")
    assert judged(signed(ALTERNATIVE, GMAIL), STRANGER, bare).authenticated
    relabelled = signed(ALTERNATIVE, GMAIL).replace(b"multipart/alternative", b"text/plain")
    assert not judged(relabelled, STRANGER, bare).authenticated
    assert methods(output(judged(relabelled, STRANGER, bare)))["dkim"] == ["pass"]


# Attacks: name: (signed entity, h=, what the attacker writes instead of its header)

ECHO = b"Hello,\r\n\r\nyou wrote:\r\n--evil\r\nContent-Type: text/html\r\n\r\n<a href=x>pay</a>\r\n--evil--\r\n\r\nBye.\r\n"
NESTED = multipart("mixed", multipart("alternative", PLAIN_PART, PAGE_PART, boundary="inner"), PDF)
UTF_7 = b"Hello +ADw-script+AD4-\r\n"
FLOWED = b"see http://example.com/ \r\n.evil.example/ now\r\n"
HTML_ATTACHMENT = multipart(
    "mixed", entity("text/plain", b"A customer sent this:\r\n"),
    entity("text/html", PAGE, "Content-Disposition: attachment; filename=x.html"),
)  # fmt: skip
SHIFT_JIS = "ソ表示\r\n".encode("shift_jis")
KOI8 = "привет\r\n".encode("koi8-r")
UTF_16 = "hello\r\n".encode("utf-16-le").replace(b"\n\0", b"\n\0")
LINK = b"https://example.com/?u=2Eevil=2Eexample\r\n"
ATTACKS = {
    "the boundary is one that stands in signed text": (entity(UTF_8, ECHO), GMAIL, "multipart/mixed; boundary=evil"),
    "the boundary is an inner one": (NESTED, GMAIL, "multipart/mixed; boundary=inner"),
    "the boundary is a longer one": (NESTED, GMAIL, 'multipart/mixed; boundary="0000001--"'),
    "the boundary is missing": (NESTED, GMAIL, "multipart/mixed"),
    "the boundary stands twice": (NESTED, GMAIL, "multipart/mixed; boundary=0000001; boundary=inner"),
    "the boundary in sections": (NESTED, GMAIL, "multipart/mixed; boundary*0=0000; boundary*1=001"),
    "the boundary in a comment": (NESTED, GMAIL, "multipart/mixed; boundary=0000001 (; boundary=inner)"),
    "a multipart becomes text": (ALTERNATIVE, GMAIL, UTF_8),
    "a multipart becomes HTML": (ALTERNATIVE, GMAIL, HTML_8),
    "a multipart loses its type": (ALTERNATIVE, GMAIL, None),
    "a multipart becomes a message": (ALTERNATIVE, GMAIL, "message/rfc822"),
    "a multipart becomes a digest": (NESTED, GMAIL, "multipart/digest; boundary=0000001"),
    "a multipart becomes something else": (NESTED, GMAIL, "multipart/x-mixed-replace; boundary=0000001"),
    "files become alternatives": (HTML_ATTACHMENT, GMAIL, "multipart/alternative; boundary=0000001"),
    "files become resources": (multipart("mixed", ALTERNATIVE, PDF), GMAIL, "multipart/related; boundary=0000001"),
    "alternatives become files": (ALTERNATIVE, GMAIL, "multipart/mixed; boundary=inner"),
    "resources become files": (
        multipart("related", ALTERNATIVE, PICTURE), GMAIL, "multipart/mixed; boundary=0000001"
    ),
    "parts become a report": (
        NESTED, GMAIL, "multipart/report; report-type=delivery-status; boundary=0000001"
    ),
    "parts become a signed message": (
        NESTED, GMAIL, 'multipart/signed; protocol="application/pgp-signature"; boundary=0000001'
    ),
    "a report of another kind": (
        multipart("report", entity("text/plain", b"No.\r\n"), BOUNCE), GMAIL,
        "multipart/report; report-type=disposition-notification; boundary=0000001",
    ),
    "a report becomes files": (
        multipart("report", entity("text/plain", b"No.\r\n"), BOUNCE), GMAIL, "multipart/mixed; boundary=0000001"
    ),
    "a signature of another protocol": (
        multipart("signed", PLAIN_PART, PGP), GMAIL,
        'multipart/signed; protocol="application/pkcs7-signature"; boundary=0000001',
    ),
    "another root of what is related": (
        multipart("related", ALTERNATIVE, PICTURE), GMAIL, 'multipart/related; start="<ii_1>"; boundary=0000001'
    ),
    "another type of the root": (
        multipart("related", ALTERNATIVE, PICTURE), GMAIL, 'multipart/related; type="image/png"; boundary=0000001'
    ),
    "a name for a multipart": (NESTED, GMAIL, 'multipart/mixed; boundary=0000001; name="a.exe"'),
    "text becomes HTML": (entity(UTF_8, b"Hello <b>Suzie</b>\r\n"), GMAIL, HTML_8),
    "text that begins with an address becomes HTML": (
        entity(UTF_8, b"<joe@example.com> wrote: <b>x</b>\r\n"), GMAIL, HTML_8
    ),
    "text that begins like HTML becomes HTML": (
        entity(UTF_8, b"<html><script>alert(1)</script>\r\n-- \r\nSent by example.com\r\n"), GMAIL, HTML_8
    ),
    "text that holds HTML in quoted-printable": (entity(UTF_8, b"=3Chtml=3E=3C/html=3E\r\n"), GMAIL, HTML_8),
    "HTML becomes text": (entity(HTML_8, PAGE), GMAIL, UTF_8),
    "HTML loses its type": (entity(HTML_8, PAGE), GMAIL, None),
    "text becomes a calendar": (entity(UTF_8, b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), GMAIL, "text/calendar"),
    "text becomes a file": (entity(UTF_8, TEXT), GMAIL, "application/octet-stream"),
    "text becomes enriched": (entity(UTF_8, TEXT), GMAIL, "text/enriched"),
    "text becomes a message": (entity(UTF_8, b"From: a@b.example\r\n\r\nHi.\r\n"), GMAIL, "message/rfc822"),
    "text becomes a part of a message": (
        entity(UTF_8, TEXT), GMAIL, "message/partial; id=x; number=1; total=1"
    ),
    "text becomes an address of a file": (
        entity(UTF_8, TEXT), GMAIL, "message/external-body; access-type=URL; URL=https://evil.example"
    ),
    "text gets a name": (entity(UTF_8, TEXT), GMAIL, UTF_8 + '; name="a.html"'),
    "text gets a name in sections": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "; name*0=a; name*1=.html"),
    "UTF-7": (entity("text/plain", UTF_7), GMAIL, "text/plain; charset=utf-7"),
    "UTF-7 under another name": (entity("text/plain", UTF_7), GMAIL, "text/plain; charset=unicode-1-1-utf-7"),
    "UTF-16": (entity("text/plain", b"Hello.\r\n"), GMAIL, "text/plain; charset=utf-16le"),
    "UTF-16 by its mark": (
        encoded("text/plain; charset=utf-16", UTF_16), GMAIL, "text/plain; charset=iso-8859-1"
    ),
    "UTF-32": (entity("text/plain", b"Hello...\r\n"), GMAIL, "text/plain; charset=utf-32"),
    "EBCDIC": (entity("text/plain", b"Hello\r\n"), GMAIL, "text/plain; charset=cp037"),
    "HZ": (entity("text/plain", b"Hello ~{<:Ky~}\r\n"), GMAIL, "text/plain; charset=hz-gb-2312"),
    "a charset that nobody knows": (entity("text/plain", b"Hello\r\n"), GMAIL, "text/plain; charset=x-user-defined"),
    "ISO-2022-JP becomes ASCII": (
        entity("text/plain; charset=iso-2022-jp", JAPANESE), GMAIL, "text/plain; charset=us-ascii"
    ),
    "ISO-2022-JP becomes UTF-8": (entity("text/plain; charset=iso-2022-jp", JAPANESE), GMAIL, UTF_8),
    "ISO-2022-JP becomes Korean": (
        entity("text/plain; charset=iso-2022-jp", JAPANESE), GMAIL, "text/plain; charset=iso-2022-kr"
    ),
    "ISO-2022-JP that swallows lines": (
        entity("text/plain", b"Hi \x1b$B\r\nno longer seen\r\n\x1b(B there\r\n"), GMAIL, "text/plain; charset=iso-2022-jp"
    ),
    "ISO-2022-JP that swallows words": (
        entity("text/plain", b"Hi \x1b$Bnot seen\x1b(B there\r\n"), GMAIL, "text/plain; charset=iso-2022-jp"
    ),
    "ISO-2022-JP with unusual shifts": (
        entity("text/plain", b"Hi \x1b.A\x1bN! there\r\n"), GMAIL, "text/plain; charset=iso-2022-jp"
    ),
    "UTF-8 becomes Latin": (entity(UTF_8, TEXT), GMAIL, "text/plain; charset=iso-8859-1"),
    "UTF-8 becomes Shift_JIS": (entity(UTF_8, TEXT), GMAIL, "text/plain; charset=shift_jis"),
    "UTF-8 loses its charset": (entity(UTF_8, TEXT), GMAIL, "text/plain"),
    "Shift_JIS, whose characters end in ASCII": (
        entity("text/plain; charset=shift_jis", SHIFT_JIS), GMAIL, "text/plain; charset=shift_jis"
    ),
    "Cyrillic becomes what it is not": (
        entity("text/plain; charset=koi8-r", KOI8), GMAIL, "text/plain; charset=euc-jp"
    ),
    "the charset stands twice": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "; charset=utf-7"),
    "lines flow together": (entity(UTF_8, FLOWED), GMAIL, UTF_8 + "; format=flowed"),
    "lines flow together without a blank": (entity(UTF_8, FLOWED), GMAIL, UTF_8 + "; format=flowed; delsp=yes"),
    "lines lose their blanks": (entity(UTF_8, b"Hi.\r\n"), GMAIL, UTF_8 + "; delsp=yes"),
    "an encoding is added to text": (
        entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Transfer-Encoding: base64"
    ),
    "quoted-printable is added to a link": (
        entity(UTF_8, LINK), GMAIL, UTF_8 + "\r\nContent-Transfer-Encoding: quoted-printable"
    ),
    "quoted-printable is added by Microsoft's way": (
        entity(UTF_8, LINK), MICROSOFT, UTF_8 + "\r\nContent-Transfer-Encoding: quoted-printable"
    ),
    "quoted-printable is taken away": (encoded(HTML_8, PAGE, "quoted-printable"), MICROSOFT, HTML_8),
    "base64 is taken away": (encoded(HTML_8, PAGE), MICROSOFT, HTML_8),
    "base64 becomes quoted-printable": (
        encoded(HTML_8, PAGE), MICROSOFT, HTML_8 + "\r\nContent-Transfer-Encoding: quoted-printable"
    ),
    "base64 becomes uuencode": (
        encoded(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Transfer-Encoding: x-uuencode"
    ),
    "a short text becomes base64": (
        entity(UTF_8, b"Test\r\n"), GMAIL, UTF_8 + "\r\nContent-Transfer-Encoding: base64"
    ),
    "an encoding is added to a multipart": (
        NESTED, GMAIL, "multipart/mixed; boundary=0000001\r\nContent-Transfer-Encoding: base64"
    ),
    "an encoding is added to Microsoft's multipart": (
        NESTED, MICROSOFT, 'multipart/mixed; boundary="0000001"\r\nContent-Transfer-Encoding: quoted-printable'
    ),
    "an encoding is added to a message": (
        entity("message/rfc822", b"From: a@b.example\r\n\r\nHi.\r\n"), MICROSOFT,
        "message/rfc822\r\nContent-Transfer-Encoding: base64",
    ),
    "a second type below": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Type: text/html"),
    "the same type again": (entity(UTF_8, TEXT), GMAIL, UTF_8 + f"\r\nContent-Type: {UTF_8}"),
    "a second type, signed once": (entity(UTF_8, TEXT), MICROSOFT, f"text/html\r\nContent-Type: {UTF_8}"),
    "a second encoding": (
        encoded(UTF_8, TEXT), GMAIL,
        UTF_8 + "\r\nContent-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit",
    ),
    "a type with a blank before its colon": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Type : text/html"),
    "a type behind a bare CR": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nX-A: b\rContent-Type: text/html"),
    "a type with a NUL in its name": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-\0Type: text/html"),
    "a type below a line of blanks": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\n \r\nContent-Type: text/html"),
    "a line without colon": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nX-A"),
    "a type with a comment": (entity(UTF_8, TEXT), GMAIL, "text/(html)plain"),
    "a type without subtype": (entity(UTF_8, TEXT), GMAIL, "text"),
    "another encoding hidden in a comment": (
        entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Transfer-Encoding: (base64) 8bit"
    ),
    "a disposition": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Disposition: attachment"),
    "a disposition with a name": (
        entity(UTF_8, TEXT), MICROSOFT, UTF_8 + "\r\nContent-Disposition: inline; filename=a.html"
    ),
    "a place": (entity(HTML_8, PAGE), MICROSOFT, HTML_8 + "\r\nContent-Location: https://evil.example/"),
    "a base": (entity(HTML_8, PAGE), MICROSOFT, HTML_8 + "\r\nContent-Base: https://evil.example/"),
    "a description of a text": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Description: a.html"),
    "an encoding of the web": (entity(UTF_8, TEXT), GMAIL, UTF_8 + "\r\nContent-Encoding: gzip"),
    "another version of MIME": (entity(UTF_8, TEXT), OPENDKIM, UTF_8 + "\r\nMIME-Version: 2.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_relabelled_message_authenticates_nobody(name):
    content, names, written = ATTACKS[name]
    raw = signed(content, names)
    body = content.partition(b"\r\n\r\n")[2]
    head = raw[: raw.rindex(b"Content-Type: ", 0, len(raw) - len(body))]
    attacked = head + (b"" if written is None else f"Content-Type: {written}\r\n".encode()) + b"\r\n" + body
    if name == "another version of MIME":
        attacked = attacked.replace(b"MIME-Version: 1.0\r\n", b"")
    result = forwarded(attacked)
    found = methods(output(result))
    assert found["dkim"] == ["pass"], "the attack must reach the check"
    assert found["dmarc"] == ["pass"]
    assert not result.authenticated
    assert "dkim.content-unsigned" in {each.code for each in result.findings}


@pytest.mark.parametrize("place", [0, 1])
def test_what_stands_outside_the_parts_authenticates_nobody(place):
    first, last = ALTERNATIVE.replace(b"--inner\r\n", b"Pay here.\r\n--inner\r\n", 1), ALTERNATIVE + b"Pay here.\r\n"
    assert said(signed((first, last)[place], GMAIL)) == (["pass"], "pass", False)
    everything = OPENDKIM + ":content-transfer-encoding:mime-version"
    assert said(signed((first, last)[place], everything)) == (["pass"], "pass", True)


def test_unfinished_parts_authenticate_nobody():
    assert said(signed(ALTERNATIVE.replace(b"--inner--\r\n", b""), GMAIL)) == (["pass"], "pass", False)
    assert said(signed(ALTERNATIVE.replace(b"--inner--", b"--inner--\r\n--inner--"), GMAIL)) == (
        ["pass"],
        "pass",
        False,
    )


def test_blanks_that_relaxed_canonicalization_lets_anybody_add_do_not_open_a_way():
    flowed = signed(entity(UTF_8, b"Hi\r\nthere.\r\n"), GMAIL)
    assert said(flowed)[2]
    attacked = flowed.replace(b"Hi\r\n", b"Hi \r\n").replace(UTF_8.encode(), UTF_8.encode() + b"; format=flowed")
    assert said(attacked) == (["pass"], "pass", False)


def test_blanks_behind_base64_do_not_make_it_plain():
    raw = signed(encoded(HTML_8, PAGE), MICROSOFT)
    spaced = raw.replace(b"=\r\n", b"= \r\n").rstrip(b"\r\n") + b" \t\r\n"
    assert said(spaced) == (["pass"], "pass", True)
    assert said(spaced.replace(b"Content-Transfer-Encoding: base64\r\n", b"")) == (["pass"], "pass", False)


def test_what_decides_is_looked_at_once_for_any_number_of_signatures(monkeypatch):
    looked = []
    encodings = natural.encodings
    monkeypatch.setattr(natural, "encodings", lambda *body: looked.append(1) or encodings(*body))
    raw = encoded(UTF_8, TEXT)
    raw = sign(TOP + raw, h=GMAIL)
    for _ in range(10):
        raw = sign(raw, h=GMAIL)
    assert said(raw) == (["pass"] * 11, "pass", True)
    assert len(looked) == 1
