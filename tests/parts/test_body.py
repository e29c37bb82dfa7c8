"""What is body text, what may stay beside it, and that everything else is an attachment."""

from __future__ import annotations

import base64

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from japanese_corpus import mails
from signed_parts import OIDS, der, signed_data

from mailguard.formats.image import parts as images
from mailguard.formats.signed.cms import is_detached
from mailguard.message.tree import parse
from mailguard.parts.body import layout

PNG = documents.png()
TEXT = b"Content-Type: text/plain\n\nHello.\n"
HTML = b"Content-Type: text/html\n\n<p>Hello.</p><img src='cid:logo@x'>\n"
PDF = b"Content-Type: application/pdf; name=a.pdf\n\n%PDF-\n"
MESSAGE = b"Content-Type: message/rfc822\n\nSubject: inner\n\nbody\n"


def multi(subtype, *entities, boundary=b"xx", parameters=b""):
    body = b"".join(b"--" + boundary + b"\n" + entity + b"\n" for entity in entities)
    return (
        b"Content-Type: multipart/"
        + subtype
        + b"; boundary="
        + boundary
        + parameters
        + b"\n\n"
        + body
        + b"--"
        + boundary
        + b"--\n"
    )


def inner(subtype, *entities):
    return multi(subtype, *entities, boundary=b"yy")


def b64(head, data):
    return head + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)


def image(data=PNG, head=b"Content-Type: image/png; name=logo.png\nContent-ID: <logo@x>\nContent-Disposition: inline"):
    return b64(head, data)


def roles(raw, **options):
    found = layout(parse(raw).root, **options)
    return tuple([part.path for part in group] for group in (found.body, found.kept, found.attachments))


@pytest.mark.parametrize(
    ("raw", "body", "kept", "attachments"),
    [
        (TEXT, ["1"], [], []),
        (HTML, ["1"], [], []),
        (b"Subject: x\n\n", ["1"], [], []),
        (PDF, [], [], ["1"]),
        (b"Content-Type: text/plain; name=a.txt\n\nx\n", [], [], ["1"]),
        (b"Content-Disposition: attachment\n\nx\n", [], [], ["1"]),
        (b"Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n", [], [], ["1"]),
        (MESSAGE, [], [], ["1"]),
        (multi(b"mixed", TEXT, PDF), ["1"], [], ["2"]),
        (multi(b"mixed", PDF, TEXT), ["2"], [], ["1"]),
        (multi(b"mixed", TEXT, TEXT), ["1"], [], ["2"]),
        (multi(b"mixed", TEXT, HTML), ["1"], [], ["2"]),
        (multi(b"mixed", MESSAGE, TEXT), ["2"], [], ["1"]),
        (multi(b"alternative", TEXT, HTML), ["1", "2"], [], []),
        (multi(b"alternative", TEXT, HTML, PDF), ["1", "2"], [], ["3"]),
        (multi(b"alternative", TEXT, TEXT), ["1"], [], ["2"]),
        (multi(b"alternative", TEXT, inner(b"related", HTML, PDF)), ["1", "2.1"], [], ["2.2"]),
        (multi(b"alternative", TEXT, inner(b"mixed", HTML, PDF)), ["1", "2.1"], [], ["2.2"]),
        (multi(b"mixed", inner(b"alternative", TEXT, HTML), PDF), ["1.1", "1.2"], [], ["2"]),
        (multi(b"mixed", inner(b"alternative", TEXT, HTML), TEXT), ["1.1", "1.2"], [], ["2"]),
        (multi(b"related", HTML, PDF), ["1"], [], ["2"]),
        (multi(b"related", PDF, TEXT), [], [], ["1", "2"]),
        (multi(b"digest", b"\nSubject: one\n\nx\n", b"\nSubject: two\n\nx\n"), [], [], ["1", "2"]),
        (multi(b"encrypted", b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n", TEXT), [], [], ["1", "2"]),
        (multi(b"parallel", TEXT, PDF), ["1"], [], ["2"]),
        (multi(b"mixed", b"Content-Type: text/enriched\n\nx\n", TEXT), ["2"], [], ["1"]),
    ],
)
def test_readers_show_the_body_and_the_rest_is_attached(raw, body, kept, attachments):
    assert roles(raw) == (body, kept, attachments)


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.4\n", b"{\\rtf1}", b"\x00\x01", b"MIME-Version: 1.0\n\nx", b"<?xml version='1.0'?>", b"begin 644 a.exe\n",
        b"x\x07y" * 9, b" \n %PDF-",
    ],
)  # fmt: skip
def test_what_somebody_could_open_as_a_file_is_no_text(content):
    assert roles(b"Content-Type: text/plain\n\n" + content) == ([], [], ["1"])
    assert roles(multi(b"mixed", b64(b"Content-Type: text/html", content), TEXT)) == (["2"], [], ["1"])


@pytest.mark.parametrize(
    "name", [b"; name=a.txt", b"; filename=a.txt", b"; name*=utf-8''a.txt", b'; name*0="a"; name*1=".hta"']
)
def test_a_text_with_any_name_is_an_attachment(name):
    assert roles(b"Content-Type: text/plain" + name + b"\n\nx\n") == ([], [], ["1"])


# Inline images


def test_a_picture_that_the_html_shows_stays():
    raw = multi(b"related", HTML, image())
    assert roles(raw) == (["1"], ["2"], [])
    assert roles(raw, keep_inline=False) == (["1"], [], ["2"])


HEAD = b"Content-Type: image/png; name=logo.png\nContent-ID: <logo@x>"


@pytest.mark.parametrize(
    "part",
    [
        image(PNG + b"x"),
        image(PNG[:-1]),
        image(b"MZ" + PNG),
        image(PNG + documents.zipped({"a.js": b"x"})),
        image(head=HEAD.replace(b"logo@x", b"other@x")),
        image(head=HEAD.replace(b"logo.png", b"logo.png.exe")),
        image(head=HEAD.replace(b"logo.png", b"logo.hta")),
        image(head=HEAD.replace(b"image/png", b"image/jpeg")),
        image(head=HEAD.replace(b"image/png", b"image/svg+xml")),
        image(head=HEAD + b"\nContent-Disposition: attachment"),
        image(head=HEAD + b"\nContent-ID: <logo@x>"),
        image(head=HEAD.partition(b"\n")[0]),
        image(documents.SVG, HEAD.replace(b"image/png", b"image/svg+xml").replace(b".png", b".svg")),
        b64(HEAD, PNG) + b"=AAAA\n",
    ],
)
def test_a_picture_in_any_other_form_is_an_attachment(part):
    assert roles(multi(b"related", HTML, part)) == (["1"], [], ["2"])


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        (b"image/gif", b"a.gif", documents.GIF),
        (b"image/jpeg", b"a.jpeg", documents.JPEG),
        (b"image/webp", b"a.webp", documents.WEBP),
    ],
)
def test_each_kind_of_raster_picture_stays_whole_only(kind, name, data):
    head = b"Content-Type: " + kind + b"; name=" + name + b"\nContent-ID: <logo@x>"
    assert roles(multi(b"related", HTML, image(data, head)))[1] == ["2"]
    assert roles(multi(b"related", HTML, image(data + b"PK", head)))[1] == []
    assert roles(multi(b"related", HTML, image(data[:-1], head)))[1] == []


def png_of(*chunks):
    return PNG[:8] + b"".join(len(data).to_bytes(4, "big") + kind + data + bytes(4) for kind, data in chunks)


IHDR = (b"IHDR", PNG[16:29])
IDAT = (b"IDAT", b"x")
IEND = (b"IEND", b"")


def webp_of(*chunks):
    body = b"WEBP" + b"".join(
        kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("kind", "data", "whole"),
    [
        ("png", png_of(IHDR, IDAT, IEND), True),
        ("png", png_of(IHDR, (b"tEXt", b"Author"), IDAT, IEND), True),
        ("png", png_of(IHDR, IEND), False),
        ("png", png_of((b"IHDR", bytes(13)), IDAT, IEND), False),
        ("png", png_of(IHDR, (b"EVIL", b"x"), IDAT, IEND), False),
        ("png", png_of(IHDR, IHDR, IDAT, IEND), False),
        ("png", png_of(IHDR, IDAT, (b"IEND", b"x")), False),
        ("webp", webp_of((b"VP8L", b"x")), True),
        ("webp", webp_of((b"VP8X", bytes(10)), (b"ALPH", b"x"), (b"VP8 ", b"x"), (b"EXIF", b"x")), True),
        ("webp", webp_of((b"VP8X", bytes(10)), (b"ANIM", bytes(6)), (b"ANMF", b"x")), True),
        ("webp", webp_of(), False),
        ("webp", webp_of((b"VP8X", bytes(10))), False),
        ("webp", webp_of((b"EXIF", b"x"), (b"VP8L", b"x")), False),
        ("webp", webp_of((b"VP8L", b"x"), (b"EVIL", b"x")), False),
        ("webp", b"RIFF\x0c\0\0\0WEBPMZ\x90\0\x03\0\0\0", False),
        ("jpeg", b"\xff\xd8\xff\xfe\0\x06evil\xff\xd9", False),
        ("jpeg", documents.JPEG[: documents.JPEG.index(b"\xff\xda")] + b"\xff\xd9", False),
    ],
)
def test_an_image_has_a_picture_and_only_what_its_format_knows(kind, data, whole):
    assert images.is_whole(f"image/{kind}".encode(), data) is whole


@pytest.mark.parametrize(
    "mark",
    [b"MSCF\0\0\0\0", b"ustar", b"CD001", bytes.fromhex("d0cf11e0a1b11ae1"), b"<ScRipt", b"<HTA:application"],
)
def test_an_image_with_the_mark_of_another_format_does_not_stay(mark):
    assert not images.is_whole(b"image/png", png_of(IHDR, (b"tEXt", mark), IDAT, IEND))


# Signatures, reports, invitations

ARMOR = b"-----BEGIN PGP SIGNATURE-----\nVersion: x\n\nAAAA\n=BBBB\n-----END PGP SIGNATURE-----"
PGP = b'; protocol="application/pgp-signature"; micalg=pgp-sha256'
SIGNATURE = b"Content-Type: application/pgp-signature; name=signature.asc\n\n"
SMIME = b"Content-Type: application/pkcs7-signature; name=smime.p7s"


def ber(tag, *contents):
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


@pytest.mark.parametrize("armor", [ARMOR, ARMOR + b"\n", ARMOR.replace(b"\n", b"\r\n"), ARMOR + b"\n\n"])
def test_a_signature_over_the_text_stays(armor):
    assert roles(multi(b"signed", TEXT, SIGNATURE + armor, parameters=PGP)) == (["1"], ["2"], [])


def test_an_smime_signature_over_the_text_stays():
    protocol = b'; protocol="application/pkcs7-signature"'
    data = signed_data()
    assert roles(multi(b"signed", TEXT, b64(SMIME, data), parameters=protocol)) == (["1"], ["2"], [])
    assert roles(multi(b"signed", TEXT, b64(SMIME, data + b"MZ"), parameters=protocol)) == (["1"], [], ["2"])
    assert roles(multi(b"signed", TEXT, b64(SMIME, b"MZ" + data), parameters=protocol)) == (["1"], [], ["2"])
    renamed = SMIME.replace(b"p7s", b"exe")
    assert roles(multi(b"signed", TEXT, b64(renamed, data), parameters=protocol)) == (["1"], [], ["2"])


CONTENT = (der(0xA0, der(0x04, b"MZ")),)


@pytest.mark.parametrize(
    ("data", "detached"),
    [
        (signed_data(), True),
        (signed_data(ber), True),
        (signed_data(content=CONTENT), False),
        (signed_data(ber, content=CONTENT), False),
        (signed_data(behind=[der(0x04, b"MZ")]), False),
        (signed_data(ber) + b"MZ\0\0", False),
        (signed_data(signers=der(0x04, b"MZ")), False),
        (signed_data()[:-1], False),
        (b"\x30\x80" + OIDS[1] + b"MZ" * 30 + b"\0\0", False),
        (b"\x30\x80" * 30_000, False),
        (b"", False),
    ],
)
def test_an_smime_signature_holds_nothing_but_signatures(data, detached):
    assert is_detached(data) is detached


@given(st.data())
def test_a_changed_smime_signature_raises_nothing(data):
    changed = bytearray(signed_data(data.draw(st.sampled_from([der, ber]))))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert is_detached(bytes(changed)) in {True, False}


def names_of_each_kind(name):
    """Mails with a part that would stay, under this name without extension."""
    named = b'; name="' + name
    yield multi(b"related", HTML, image(head=HEAD.replace(b"; name=logo", named).replace(b".png", b'.png"')))
    protocol = b'; protocol="application/pkcs7-signature"'
    head = SMIME.replace(b"; name=smime", named).replace(b".p7s", b'.p7s"')
    yield multi(b"signed", TEXT, b64(head, signed_data()), parameters=protocol)
    yield multi(b"report", TEXT, DSN.replace(b"\n", named + b'.txt"\n', 1))
    yield multi(b"alternative", TEXT, CALENDAR.replace(b"\n", named + b'.ics"\n', 1))


@pytest.mark.parametrize("name", ["logo", "a.b", "請求書\u3000一", "Screenshot 10.02.11\u202fAM"])
def test_what_may_stay_does_so_under_an_ordinary_name(name):
    assert [roles(raw) for raw in names_of_each_kind(name.encode())] == [(["1"], ["2"], [])] * 4


@pytest.mark.parametrize(
    "name",
    [
        "a.hta" + " " * 200,
        "a.exe ",
        "a.exe  x",
        "a.exe" + "\u3164" * 20,
        "a.exe" + "\u2800" * 20,
        "a\u202eb",
        "a.exe:b",
        "x" * 300,
    ],
)
def test_what_may_stay_goes_under_a_name_that_hides_something(name):
    assert [roles(raw) for raw in names_of_each_kind(name.encode())] == [(["1"], [], ["2"])] * 4


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        (b"<!-- cid:logo@x -->", []),
        (b"<!-- <!-- cid:logo@x --> x", []),
        (b"<!-- cid:logo@x", []),
        (b"<!--><img src='cid:logo@x'>", ["2"]),
        (b"<!--[if !mso]><!--><img src='cid:logo@x'><!--<![endif]-->", ["2"]),
        (b"<!-- x --><img src='cid:logo@x'><!-- y -->", ["2"]),
        (b"<!--" * 200_000 + b"cid:logo@x", []),
    ],
)
def test_an_image_that_only_a_comment_names_is_an_attachment(html, kept):
    raw = multi(b"related", b"Content-Type: text/html\n\n" + html + b"\n", image())
    assert roles(raw)[1] == kept


@pytest.mark.parametrize(
    "raw",
    [
        multi(b"signed", TEXT, SIGNATURE + b"MZ" + ARMOR, parameters=PGP),
        multi(b"signed", TEXT, SIGNATURE + ARMOR + b"\nmore", parameters=PGP),
        multi(b"signed", TEXT, SIGNATURE.replace(b".asc", b".js") + ARMOR, parameters=PGP),
        multi(b"signed", TEXT, SIGNATURE + ARMOR, parameters=PGP.replace(b"pgp-s", b"pkcs7-s")),
        multi(b"mixed", TEXT, SIGNATURE + ARMOR),
        multi(b"signed", TEXT, b64(SIGNATURE[:-2], ARMOR + b"\n" + b"A" * 70_000), parameters=PGP),
    ],
)
def test_what_only_claims_to_be_a_signature_is_an_attachment(raw):
    assert roles(raw) == (["1"], [], ["2"])


DSN = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n"
HEADERS = b"Content-Type: text/rfc822-headers\n\nSubject: x\n"


def test_the_machine_readable_parts_of_reports_stay_and_the_returned_message_does_not():
    assert roles(multi(b"report", TEXT, DSN, MESSAGE)) == (["1"], ["2"], ["3"])
    assert roles(multi(b"report", TEXT, DSN, HEADERS)) == (["1"], ["2", "3"], [])
    for kind in (b"disposition-notification", b"feedback-report"):
        part = b"Content-Type: message/" + kind + b"\n\nVersion: 1\n"
        assert roles(multi(b"report", TEXT, part)) == (["1"], ["2"], [])
    assert roles(multi(b"mixed", TEXT, DSN)) == (["1"], [], ["2"])
    assert roles(multi(b"report", TEXT, DSN.replace(b"status", b"status; name=a.exe", 1))) == (["1"], [], ["2"])
    assert roles(multi(b"report", TEXT, DSN + b"\0")) == (["1"], [], ["2"])
    assert roles(multi(b"report", TEXT, DSN + b"x" * (1 << 20))) == (["1"], [], ["2"])


CALENDAR = b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\nEND:VCALENDAR\n"


def test_an_invitation_stays_in_the_alternative_of_the_text():
    raw = multi(b"alternative", TEXT, CALENDAR)
    assert roles(raw) == (["1"], ["2"], [])
    assert roles(raw, keep_calendar=False) == (["1"], [], ["2"])
    assert roles(multi(b"mixed", TEXT, CALENDAR)) == (["1"], [], ["2"])
    assert roles(multi(b"alternative", CALENDAR)) == ([], [], ["1"])


def test_an_invitation_stays_when_the_html_comes_with_images():
    event = b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n"
    image = (
        b"Content-Type: image/png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(PNG)
    )
    found = layout(parse(multi(b"alternative", inner(b"related", HTML, image), event)).root)
    assert [part.content_type for part in found.kept] == [b"text/calendar", b"image/png"]
    assert not found.attachments


def test_an_image_stays_when_its_name_lies_far_into_the_html():
    html = HTML.replace(b"<p>", b" " * 65495 + b"<p>")
    for blanks in range(0, 30, 3):
        image = (
            b"Content-Type: image/png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(PNG)
        )
        found = layout(parse(multi(b"related", html.replace(b"<p>", b" " * blanks + b"<p>"), image)).root)
        assert not found.attachments


@pytest.mark.parametrize(
    "line",
    [
        b"ATTACH:x",
        b"attach;VALUE=BINARY:AA",
        b"ATT\n ACH:x",
        b"ATT\r\n\tACH:x",
        b"A\n\tTTACH:x",
        b"X:y\rATTACH:x",
        b" ATTACH:y",
        b"a.ATTACH:y",
        b"X-Y;VALUE=BINARY;ENCODING=BASE64:AA",
        b'X-Y;VALUE="binary":AA',
        b"X-Y;ENCODING=B:AA",
        b"X-Y;ENCODING=QUOTED-PRINTABLE:=41",
        b"X-Y;ENC\n ODING=BASE64:AA",
        b"STRUCTURED-DATA;VALUE=TEXT:<x/>",
        b"IMAGE;VALUE=URI:data:image/png\\;base64\\,AA",
        b"URL:data:text/html\\,x",
        b"URL:java\r\n\tscript:x",
        b"X-ALT-DESC;FMTTYPE=text/html:<script>x</script>",
        b"X-ALT-DESC;FMTTYPE=text/html:<img src=x one\n rror=x>",
        b"X-ALT-DESC;FMTTYPE=text/html:<img src=x\\nonerror =x>",
        b"X:y\x0bATTACH",
        b"X:y\x0cATTACH",
        b"X:\x1b$B",
        b"X:\xc2\x85ATTACH",
        b"X:\xe2\x80\xa8ATTACH",
        b"X:\xe2\x80\xa9ATTACH",
        b"X:\xff",
        b"X:y\rZ",
    ],
)
def test_an_invitation_with_a_file_or_active_content_is_an_attachment(line):
    calendar = CALENDAR.replace(b"SUMMARY:x", line + b"\nSUMMARY:x")
    if line.startswith(b" "):
        calendar = calendar.replace(b"BEGIN:VEVENT\n ", b"BEGIN:VEVENT\n\n ")
    assert roles(multi(b"alternative", TEXT, calendar)) == (["1"], [], ["2"])


def test_an_invitation_may_say_what_people_say():
    text = (
        b"ATTENDEE:mailto:a@b.example\nDESCRIPTION;LANGUAGE=ja:on = x; metadata: y; attach it; \xe4\xbc\x9a\xe8\xad\xb0\n"
        b"X-ALT-DESC;FMTTYPE=text/html:<a href='https://x.example'>Join once</a>"
    )
    calendar = CALENDAR.replace(b"SUMMARY:x", text)
    assert roles(multi(b"alternative", TEXT, calendar)) == (["1"], ["2"], [])


@pytest.mark.parametrize(
    ("charset", "kept"),
    [
        (b"utf-8", ["2"]),
        (b'"UTF-8"', ["2"]),
        (b"us-ascii", ["2"]),
        (b"utf-7", []),
        (b"utf-16", []),
        (b"iso-2022-jp", []),
        (b"utf-8; charset=utf-7", []),
        (b"utf-8; charset*=''utf-7", []),
        (b"utf-8; charset*0=utf-7", []),
    ],
)
def test_an_invitation_in_another_character_set_is_an_attachment(charset, kept):
    calendar = CALENDAR.replace(b"REQUEST", b"REQUEST; charset=" + charset, 1)
    assert roles(multi(b"alternative", TEXT, calendar))[1] == kept


def test_each_part_has_exactly_one_role():
    for mail in mails(200):
        message = parse(mail.raw)
        found = layout(message.root)
        given = [*found.body, *found.kept, *found.attachments]
        assert len(given) == len(set(given))
        leaves = []
        waiting = [message.root]
        while waiting:
            part = waiting.pop()
            waiting.extend(part.children) if part.is_multipart else leaves.append(part)
        assert set(given) == set(leaves)
