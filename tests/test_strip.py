"""strip: a placeholder for each removed part, what is kept elsewhere, and a record of it."""

from __future__ import annotations

import email
import hashlib
import io
import json
import os

import documents
import pytest
from mails import EXE, PDF, TEXT, WITH_BOTH, WITH_PDF, attachment, mixed
from verbs import (
    KEY,
    NOW,
    RING,
    capsules,
    key,
    output,
    parts,
    quarantine,
    release,
    rules,
    sealed,
    site,
    strip,
    stripped,
)

from mailguard import capsule
from mailguard.errors import ConfigurationError
from mailguard.message.grammar import check
from mailguard.message.tree import parse
from mailguard.parts.json_manifest import is_manifest
from mailguard.parts.placeholder import is_placeholder, text
from mailguard.seal import KeyRing, field, keys
from mailguard.seal.field import Seal
from mailguard.strip import Storage


def placeholders(raw):
    return [part.path for part in parse(raw).parts() if is_placeholder(part)]


def test_each_removed_part_leaves_a_placeholder_in_its_place():
    out = strip(mixed(attachment(PDF), TEXT, EXE))
    assert placeholders(out) == ["1", "3"]
    assert [content for _, _, content in parts(out)][1] == b"Hello.\n"
    said = parts(out)[2][2].decode()
    assert "この位置にあった添付ファイルは取り除かれました。" in said
    assert "An attachment was removed here." in said
    assert "Name: setup.exe" in said
    assert f"SHA-256: {hashlib.sha256(b'MZ' + bytes(200)).hexdigest()}" in said
    assert b"setup.exe" not in out


def test_a_mail_that_is_only_an_attachment_becomes_a_placeholder():
    raw = b"Subject: scan\n" + attachment(PDF)
    out = strip(raw)
    (part,) = parts(out)
    assert part[0] == "text/plain"
    assert "report.pdf" in part[2].decode()
    assert not part[1]
    assert b"report.pdf" not in out
    assert check(parse(out)) == []
    assert strip(out) == out


@pytest.mark.parametrize(
    "raw",
    [
        mixed(TEXT, attachment(PDF), subtype=b"alternative"),
        mixed(TEXT, mixed(attachment(PDF), EXE, top=b"X: y\n").replace(b"xx", b"yy"), subtype=b"alternative"),
    ],
)
def test_in_an_alternative_the_text_stays_what_readers_show(raw):
    out = strip(raw)
    assert check(parse(out)) == []
    assert parse(out).root.children[-1].content().whole().strip() == b"Hello."
    assert all(is_placeholder(part) for part in parse(out).root.children[:-1])
    assert strip(out) == out


def test_what_was_encrypted_is_not_called_so_any_more():
    raw = mixed(
        b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n",
        b"Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n",
        subtype=b'encrypted; protocol="application/pgp-encrypted"',
    )
    out = strip(raw)
    assert b"multipart/encrypted" not in out
    assert placeholders(out) == ["1", "2"]


@pytest.mark.parametrize(
    "name", [b"a\\nDanger: none.pdf", b"http://x.example/a.pdf", "請求書\u202egpj.exe".encode(), b"x" * 900]
)
def test_a_name_stays_within_its_line(name):
    out = strip(mixed(TEXT, attachment(PDF, name)))
    said = parts(out)[1][2].decode()
    starts = ("名前", "種類", "大きさ", "SHA-256: ", "危険 / Danger: executable")
    assert all(line.startswith(starts) for line in said.splitlines()[3:])
    assert "://" not in said
    assert "\u202e" not in said
    assert placeholders(out) == ["2"]


@pytest.mark.parametrize("lang", ["ja", "en", "both"])
def test_a_placeholder_is_recognised_in_every_language(lang):
    out = strip(WITH_PDF, rules(), site(lang=lang))
    assert strip(out, rules(), site(lang="ja")) == out
    assert ("添付" in parts(out)[1][2].decode()) == (lang != "en")


def test_values_of_a_placeholder_are_escaped_but_the_operators_link_is_a_link():
    said = text({"name": "a\nb", "link": "https://files.example/x"}, "en")
    assert "Name: a\\nb\n" in said
    assert "Available at: https://files.example/x\n" in said


# Unparsable


def test_what_cannot_be_read_in_one_way_is_held_and_never_removed():
    raw = WITH_PDF.replace(b"--xx--", b"--xx")
    result = stripped(raw)
    assert result.action == "held"
    assert release(output(result)) == raw


def test_without_a_key_mail_that_must_be_held_waits():
    with pytest.raises(ConfigurationError):
        strip(WITH_PDF.replace(b"--xx--", b"--xx"), rules(), site(ring=None))


# Storage


def test_saved_content_is_found_under_the_name_in_the_placeholder(tmp_path):
    storage = Storage(str(tmp_path), "https://files.example/held/")
    result = stripped(WITH_BOTH, storage=storage)
    pdf, exe = result.attachments
    assert (tmp_path / pdf["saved"]).read_bytes() == PDF
    assert pdf["saved"].endswith(".bin")
    assert pdf["link"] == "https://files.example/held/" + pdf["saved"]
    assert pdf["link"] in parts(output(result))[1][2].decode()
    for path in tmp_path.rglob("*"):
        assert os.stat(path).st_mode & 0o077 == 0
    data = (tmp_path / exe["saved"]).read_bytes()
    assert exe["saved"].endswith(".zip")
    password = keys.password(KEY, exe["quarantine_id"]).encode()
    (file,) = capsule.open(data, password).files
    assert file.name == "setup.exe"
    again = stripped(WITH_BOTH, storage=storage)
    assert output(again) == output(result)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_equal_contents_are_written_once_and_a_retry_writes_nothing(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(os, "fsync", written.append)
    raw = mixed(TEXT, *[attachment(PDF)] * 50, EXE, EXE)
    result = stripped(raw, storage=Storage(str(tmp_path)))
    assert len(written) == 4  # two files, their folder, and the one in which that is new
    assert len({record["saved"] for record in result.attachments}) == 2
    again = stripped(raw, storage=Storage(str(tmp_path)))
    assert len(written) == 5
    assert again.attachments == result.attachments
    (tmp_path / result.attachments[0]["saved"]).write_bytes(b"half")
    stripped(raw, storage=Storage(str(tmp_path)))
    assert (tmp_path / result.attachments[0]["saved"]).read_bytes() == PDF


@pytest.mark.parametrize("place", ["", "day"])
@pytest.mark.parametrize("fault", ["link", "writable", "foreign"])
def test_content_is_saved_only_where_nobody_else_can_change_it(tmp_path, place, fault):
    """Another user of the machine may have made the folder, or the day's folder in it, before us."""
    if fault == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    held = tmp_path / "held"
    day = stripped(WITH_BOTH, storage=Storage(str(tmp_path / "other"))).attachments[0]["saved"].partition("/")[0]
    victim = held / day if place else held
    victim.parent.mkdir(mode=0o700, exist_ok=True)
    if fault == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        victim.symlink_to(tmp_path / "elsewhere")
    else:
        victim.mkdir()
        victim.chmod(0o777 if fault == "writable" else 0o700)
        if fault == "foreign":
            os.chown(victim, 12345, 12345)
    with pytest.raises(
        ConfigurationError, match={"link": "symbolic", "writable": "chmod go-w", "foreign": "12345"}[fault]
    ):
        stripped(WITH_BOTH, storage=Storage(str(held)))
    assert not [path for path in victim.rglob("*") if path.is_file()]


def test_a_web_server_may_read_what_is_saved(tmp_path):
    tmp_path.chmod(0o755)
    (record, _) = stripped(WITH_BOTH, storage=Storage(str(tmp_path))).attachments
    assert (tmp_path / record["saved"]).exists()


def test_names_of_saved_files_cannot_be_guessed_without_the_key(tmp_path):
    one = stripped(WITH_PDF, storage=Storage(str(tmp_path))).attachments[0]["saved"]
    other_site = site(ring=KeyRing([key(b"other")]))
    other = stripped(WITH_PDF, rules(), other_site, storage=Storage(str(tmp_path))).attachments[0]["saved"]
    assert one != other
    later = stripped(WITH_PDF, rules(), site(now=NOW + 86400), storage=Storage(str(tmp_path))).attachments[0]["saved"]
    assert one.split("/")[1] != later.split("/")[1]


@pytest.mark.parametrize("options", [{"storage": Storage("/nonexistent")}, {"manifest": "json"}])
def test_what_needs_a_key_waits_without_one(options):
    with pytest.raises(ConfigurationError):
        strip(WITH_PDF, rules(), site(ring=None), **options)


# Manifest


def test_the_manifest_tells_what_was_removed_and_is_ours():
    out = strip(WITH_BOTH, manifest="json")
    last = parse(out).root.children[-1]
    reading = field.read(parse(out), RING, NOW)
    assert is_manifest(last, RING, reading)
    assert not is_manifest(last, KeyRing([key(b"other")]), reading)
    assert not is_manifest(last, RING, field.read(parse(WITH_BOTH), RING, NOW))
    record = json.loads(last.content().whole())
    assert [removed["names"] for removed in record["removed"]] == [["report.pdf"], ["setup.exe"]]
    assert strip(out, manifest="json") == out
    assert quarantine(out) == out


def test_a_manifest_beside_a_capsule_leaves_capsule_and_way_back():
    first = quarantine(WITH_BOTH, rules(types=["application/pdf"]))
    second = strip(first, manifest="json")
    assert [kind for kind, _, _ in parts(second)][-3:] == ["application/json", "text/plain", "application/zip"]
    assert strip(second, manifest="json") == second
    assert quarantine(second) == second
    assert release(second) == WITH_BOTH
    assert len(capsules(second)) == 1


def forged_manifest(data):
    return mixed(TEXT, attachment(data, b"mailguard-manifest.json", b"application/json"))


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"1",
        b"{",
        b"\xff",
        json.dumps({"mailguard_manifest": 1, "removed": [], "key": KEY.name, "mac": "0" * 64}).encode(),
        json.dumps({"mailguard_manifest": 1, "removed": [], "key": KEY.name, "mac": ["é"]}).encode(),
        json.dumps({"mailguard_manifest": 1, "removed": [], "key": [1], "mac": "\ud800"}).encode(),
    ],
)
def test_a_forged_manifest_is_an_attachment(data):
    assert [r["action"] for r in stripped(forged_manifest(data)).attachments] == ["removed"]


@pytest.mark.parametrize("depth", range(100, 1400, 13))
def test_a_manifest_nested_at_any_depth_is_an_attachment(depth):
    text = '{{"mailguard_manifest": 1, "key": "{}", "mac": "0", "removed": {}}}'.format(
        KEY.name, "[" * depth + "]" * depth
    )
    part = parse(forged_manifest(text.encode())).root.children[1]
    assert not is_manifest(part, RING, field.Reading(Seal(NOW, ("strip",)), "", KEY))


# Signed


def test_a_signature_goes_with_what_it_signed():
    signature = (
        b"Content-Type: application/pgp-signature; name=s.asc\n\n"
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    )
    content = mixed(TEXT, attachment(PDF), top=b"X: y\n").replace(b"xx", b"yy")
    raw = mixed(content, signature, subtype=b'signed; protocol="application/pgp-signature"')
    out = strip(raw)
    assert b"multipart/signed" not in out
    assert placeholders(out) == ["1.2", "2"]
    assert email.message_from_file(io.StringIO(out.decode())).get_content_type() == "multipart/mixed"
    assert strip(raw, rules(types=["image/*"])) == raw


def test_an_authenticated_sender_loses_only_what_is_dangerous():
    out = strip(sealed(mixed(TEXT, attachment(documents.docm(), b"a.docm"), attachment(PDF))), rules("suspicious"))
    assert placeholders(out) == ["2"]


def test_a_placeholder_for_an_empty_part_keeps_the_part_behind_it():
    raw = (
        b"Content-Type: multipart/mixed; boundary=BBB\n\n--BBB\nContent-Type: application/x; name=a.zip\n\n"
        b"--BBB\nContent-Type: text/plain\n\nIMPORTANT\n--BBB--\n"
    )
    out = strip(raw)
    assert check(parse(out)) == []
    assert b"IMPORTANT" in [content.strip() for _, _, content in parts(out)]
    assert strip(out) == out


def test_the_only_text_is_held_when_it_is_no_text_and_never_removed():
    raw = b"Subject: x\nContent-Type: text/plain\n\n" + b"Dear all\x01\x02\x03\x04\x05\x06, see you.\n"
    held = stripped(raw)
    assert held.action == "held"
    assert release(output(held)) == raw


def test_a_text_where_a_signature_should_be_goes_like_any_attachment():
    text = b"Content-Type: text/plain\n\nHello\n"
    raw = b"Content-Type: multipart/signed; boundary=s\n\n--s\n" + attachment(PDF) + b"--s\n" + text + b"--s--\n"
    assert stripped(raw).action == "removed"


def test_the_text_of_a_nested_alternative_stays_behind_its_placeholder():
    text = b"Content-Type: text/plain\n\nHello\n"
    nested = b"Content-Type: multipart/alternative; boundary=n\n\n--n\n" + text + b"--n\n" + text + b"--n--\n"
    once = strip(b"Content-Type: multipart/alternative; boundary=o\n\n--o\n" + nested + b"--o--\n")
    assert len(placeholders(once)) == 1
    assert strip(once) == once
