"""An ARC set on what this site has judged: others accept it, and nothing that a stranger can write gets under it."""

from __future__ import annotations

import json
import os

import dkim
import documents
import japanese_corpus
import pytest
from arc_sets import KEY as LISTS
from arc_sets import seal as arc_seal
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mails import attachment, mixed
from message_generators import anything
from signed_mail import MESSAGE, Zone, ed25519_key, private_pem, record, rsa_key, write_key
from verbs import KEY, NOW, RING, output, quarantine, sealed, site
from verified_mail import FRIEND, US, verified, zone

from mailguard.errors import ConfigurationError
from mailguard.message.tree import parse
from mailguard.milter import edit
from mailguard.seal import field as seal_field
from mailguard.seal.field import Seal
from mailguard.sign import sign
from mailguard.unseal import unseal
from mailguard.verify import arc, arc_set
from mailguard.verify.arc_set import SigningKey

DOMAIN, SELECTOR = "gate.example", "arc1"
OURS = f"{SELECTOR}._domainkey.{DOMAIN}"
SIGNER = SigningKey(private_pem(rsa_key(1024)).decode(), DOMAIN, SELECTOR, "key")
ZONE = Zone({OURS: record(), LISTS: record()})
HELD = mixed(
    b"Content-Type: text/plain\n\nHello\n", attachment(documents.docm(), b"a.docm"), top=b"From: a@b.example\n"
)


def signed(raw, key=SIGNER, **changed):
    return sign(raw, key, site(**changed))


def judged(raw, **changed):
    """Let verify judge a message with its chain."""
    more = f"{LISTS} TXT {record().decode()}"
    return verified(raw, FRIEND, zone(more), chain=True, **changed)


def chained(number, raw=MESSAGE):
    sets = []
    for instance in range(1, number + 1):
        raw, sets = arc_seal(raw, instance, before=sets)
    return raw


def by_dkimpy(raw):
    records = {f"{OURS}.".encode(): record(), f"{LISTS}.".encode(): record()}
    return dkim.arc_verify(raw, dnsfunc=lambda name, timeout=5: records.get(name))[0]


def check(raw, out, number=1):
    """Everybody accepts the set, and below it stands the message as it was."""
    start = parse(raw).start
    assert out.startswith(raw[:start])
    assert out.endswith(raw[start:])
    found = arc.verify(parse(out), ZONE)
    assert (found.result, found.uncovered) == ("pass", "")
    assert [sealer.domain for sealer in found.sealers][number - 1 :] == [DOMAIN]
    assert found.sealers[-1].cv == ("none" if number == 1 else "pass")
    assert by_dkimpy(out) == dkim.CV_Pass
    added = out[start : len(out) - len(raw) + start]
    assert max(map(len, added.splitlines())) <= 100
    return added


def unsigned(raw, reason, **changed):
    result = signed(raw, **changed)
    assert (result.changed, output(result)) == (False, raw)
    assert [finding.code for finding in result.findings] == ["arc.unsigned"]
    assert reason in result.findings[0].what, result.findings[0].what


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("from_line", [b"", b"From joe@example.com Tue Nov 24 10:00:00 2026\n"])
@pytest.mark.parametrize(
    "raw",
    [
        MESSAGE,
        HELD,
        b"From: a@b.example\r\nSubject:\r\nX:  y \r\n\tz\r\n\r\n",
        b"From: a@b.example\r\n\r\n\r\n\r\n \r\n",
        b"From: a@b.example\r\n",
        b"From: a@b.example\r\nSubject: \xe5\xb1\xb1 \x1b$B;qNA\x1b(B \x83\x40\r\n\r\n8-bit \xe9\xff \t \r\n.\r\nFrom x\r\n",
        b"From: a@b.example\r\nTo: " + b", ".join(b"u%d@b.example" % n for n in range(200)) + b"\r\n\r\nno end",
        b"From: a@b.example\r\n" + b"DKIM-Signature: v=1; a=b\r\n" * 60 + b"\r\nx\r\n",
        b"From: a@b.example\r\n" + b"References: <" + b"x" * 5000 + b">\r\n\r\nx\r\n",
    ],
    ids=range(9),
)
def test_others_accept_the_set_and_no_other_byte_changes(raw, from_line, eol):
    raw = judged(from_line + raw.replace(b"\r\n", b"\n").replace(b"\n", eol))
    result = signed(raw)
    assert (result.changed, result.action) == (True, "signed")
    added = check(raw, output(result))
    assert added.count(b"\n") == added.count(eol)
    for name in (b"ARC-Seal: i=1;", b"ARC-Message-Signature: i=1;", b"ARC-Authentication-Results: i=1;"):
        assert added.count(name) == 1
    assert f"{US};".encode() in added
    assert b"spf=pass" in added


def test_japanese_mail_of_all_programs_too():
    for mail in list(japanese_corpus.mails(60)):
        raw = judged(mail.raw)
        check(raw, output(signed(raw)))


def test_names_of_any_length_are_folded_so_that_others_accept_them():
    for length in (*range(1, 62, 6), 62):
        key = SigningKey(private_pem(rsa_key(1024)).decode(), f"{'d' * length}.a", "s" * length, "key")
        out = output(signed(judged(MESSAGE), key))
        resolver = Zone({key.question[0]: key.record})
        assert arc.verify(parse(out), resolver).result == "pass", length


def test_the_set_says_what_was_true_when_the_message_came():
    """Quarantine changes the body, so the DKIM signature and the newest set of the chain are broken: ours holds."""
    came = chained(2, HELD.replace(b"\n", b"\r\n"))
    held = quarantine(judged(came))
    assert held != judged(came)
    assert arc.verify(parse(held), ZONE).result == "fail"
    out = output(signed(held))
    check(held, out, number=3)
    assert b"arc=pass" in parse(out).fields[2].value


def test_the_seal_stays_valid_and_can_be_taken_off():
    raw = judged(MESSAGE)
    out = output(signed(raw))
    assert seal_field.read(parse(out), RING, NOW).verdict is not None
    left = output(unseal(out, [], []))
    assert b"Mailguard-Seal" not in left
    assert arc.verify(parse(left), ZONE).result == "pass"


def test_a_second_run_changes_nothing():
    for raw in (MESSAGE, chained(3)):
        once = output(signed(judged(raw)))
        again = signed(once)
        assert (again.changed, output(again), again.findings) == (False, once, [])
        assert output(signed(judged(raw))) == once


@pytest.mark.parametrize("transport", [b"Received: from a by b; x\r\n", b"X-Spam: no\r\n", b"Return-Path: <a@b>\r\n"])
def test_transport_between_the_filters_and_behind_them_breaks_nothing(transport):
    between = transport + judged(MESSAGE)
    out = transport + output(signed(between))
    assert arc.verify(parse(out.replace(b"\r\n", b"\n")), ZONE).result == "pass"


def test_nothing_but_our_verdict_is_signed():
    forged = f"Authentication-Results: {US}; dmarc=pass header.from=bank.example\r\n".encode()
    unsigned(MESSAGE, "no verdict")
    unsigned(forged + MESSAGE, "no verdict")
    unsigned(judged(MESSAGE), "no verdict", now=NOW + 8 * 86400)
    unsigned(judged(MESSAGE).replace(b"dinner", b"supper"), "no verdict")
    unsigned(forged + judged(MESSAGE), "no verdict")
    unsigned(judged(MESSAGE).replace(b"a=no", b"a=yes").replace(b"a=yes", b"a=no"), "no verdict", ring=None)
    out = output(signed(judged(forged + MESSAGE)))
    assert b"bank.example" not in out
    # A field of another name is not ours, and stays where it is.
    other = b"Authentication-Results: other.example; dmarc=pass header.from=bank.example\r\n"
    assert output(signed(judged(other + MESSAGE))).count(b"bank.example") == 1
    # Without results, or with two of them, nobody knows what to sign.
    bare = sealed(MESSAGE, Seal(NOW, ["verify"], authserv_id=US), KEY)
    unsigned(bare, "results that verify wrote")
    unsigned(sealed(forged + forged + MESSAGE, Seal(NOW, ["verify"], authserv_id=US), KEY), "results that verify wrote")


def test_a_chain_that_does_not_hold_is_left_alone():
    unsigned(judged(chained(2).replace(b"Hi.", b"Ho.")), "does not hold")
    unsigned(judged(chained(2).replace(b"cv=pass", b"cv=fail")), "broken")
    unsigned(judged(chained(2).replace(b"i=1;", b"i=7;")), "broken")
    unsigned(judged(b"ARC-Seal: i=1; x\r\n" + MESSAGE), "broken")
    unsigned(judged(chained(50)), "50 sets")
    assert signed(judged(chained(49))).changed
    unsigned(verified(chained(2), FRIEND), "nobody has judged")
    # Its key cannot be asked for now.
    unsigned(verified(chained(1), FRIEND, zone(f"{LISTS} * SERVFAIL"), chain=True), "does not hold")
    # Somebody between the filters sets his own.
    above, *_ = chained(1).partition(b"From:")[0:1]
    unsigned(above + judged(MESSAGE), "another server")


@pytest.mark.parametrize("line", [b"Subject : x", b"no colon", b"X: a\rFrom: b@c.example", b"X: \0", b"X\xff: y"])
def test_a_malformed_header_gets_no_set(line):
    raw = verified(b"From: a@b.example\r\n" + line + b"\r\n\r\nx\r\n", FRIEND)
    unsigned(raw, "malformed")


def test_whatever_the_library_does_the_message_passes(monkeypatch):
    raw = judged(MESSAGE)

    def fails(*_):
        raise IndexError("boom")

    for answer, reason in (
        (fails, "IndexError"),
        (lambda *_: b" a=b\r\n", "does not accept"),
        (lambda *_: b" x\r\nSubject: y\r\n", "ValueError"),
        (lambda *_: b" x\r\n\r\nbody", "ValueError"),
        (lambda *_: b"", "ValueError"),
    ):
        monkeypatch.setattr(SigningKey, "sign", answer)
        unsigned(raw, reason)
    monkeypatch.undo()
    other = SigningKey(private_pem(rsa_key(1024)).decode(), DOMAIN, SELECTOR, "key")
    other.record = record(2048)  # a signature that nobody can verify
    unsigned_result = signed(raw, other)
    assert not unsigned_result.changed
    assert "does not accept" in unsigned_result.findings[0].what


def test_the_library_sees_no_mail(monkeypatch):
    """What costs dkimpy quadratic time never reaches it; nothing is measured, in quadratic time this would not end."""
    seen = []
    real = dkim.ARC

    def recording(message, **options):
        seen.append(message)
        return real(message, **options)

    monkeypatch.setattr(dkim, "ARC", recording)
    blanks = b" " * 400_000
    raw = judged(
        b"From: a@b.example\r\nSubject: x" + blanks + b"y\r\n\t" * 3000 + b"z\r\n\r\n" + blanks + b"\r\n" + blanks
    )
    check_ = output(signed(raw))
    assert arc.verify(parse(check_), ZONE).result == "pass"
    assert len(seen) == 2
    assert sum(map(len, seen)) < 20_000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(anything())
def test_of_any_bytes_all_stay(raw):
    raw = judged(raw)
    result = signed(raw)
    start = parse(raw).start if result.changed else 0
    assert output(result).endswith(raw[start:])
    if result.changed:
        assert arc.verify(parse(output(result)), ZONE).result == "pass"
    else:
        assert output(result) == raw


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 600))
def test_whoever_changes_what_is_signed_breaks_the_set(new, place):
    out = output(signed(judged(MESSAGE)))
    body = out.index(b"From: Joe")
    changed = out[:body] + out[body:][:place] + new + out[body:][place:]
    found = arc.verify(parse(changed), ZONE)
    fields = {field.name for field in parse(changed).fields} - {field.name for field in parse(out).fields}
    if found.result == "pass":  # blanks, or a field that nobody goes by
        assert fields or b"".join(changed.split()) == b"".join(out.split())


def test_a_milter_only_inserts_fields():
    """One order for each field of verify and sign, and none about the body."""
    came = MESSAGE
    result = signed(judged(came))
    packets = list(edit.packets(came, [output(result)], leading=True))
    assert len(packets) == 5
    assert all(packet[4:5] == b"i" for packet in packets)


# Keys


def key_error(text, domain=DOMAIN, selector=SELECTOR):
    with pytest.raises(ConfigurationError) as error:
        SigningKey(text.decode(), domain, selector, "/the/file")
    return str(error.value)


def test_only_a_key_that_receivers_accept_is_taken():
    pkcs8 = serialization.PrivateFormat.PKCS8
    for text in (
        private_pem(rsa_key(2048), pkcs8),
        private_pem(rsa_key(1024)).replace(b"\n", b"\r\n"),
        b"a comment\n" + private_pem(rsa_key(1024)) + b"trailing\n",
    ):
        key = SigningKey(text.decode(), "Gate.Example.", "ARC1", "file")
        assert (key.domain, key.question) == (DOMAIN, (OURS, "TXT"))
    assert key.record == record(tags=b"v=DKIM1; k=rsa; ")
    assert "no RSA key" in key_error(private_pem(ed25519_key(), pkcs8))
    assert "encrypted" in key_error(private_pem(rsa_key(1024), pkcs8, b"secret"))
    assert "no RSA key" in key_error(b"")
    assert "damaged" in key_error(private_pem(rsa_key(1024)).replace(b"\nM", b"\nA"))
    good = private_pem(rsa_key(1024))
    assert "no name for a key" in key_error(good, "example")
    assert "no name for a key" in key_error(good, "a..b")
    assert "no name for a key" in key_error(good, selector="x" * 64)
    assert "at most 64" in key_error(good, f"{'d' * 60}.example")


def sign_options(path):
    return ["sign", "--log", "none", "--arc", "--domain", DOMAIN, "--selector", SELECTOR, "--private-key", path]


def test_a_site_fault_is_75(mailguard, tmp_path):
    path = write_key(tmp_path / "arc.pem")
    assert mailguard(*sign_options(path), input=MESSAGE).returncode == 0
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "short").write_bytes(b"x")
    os.chmod(tmp_path / "short", 0o600)
    for wrong in ("link", "short", "none"):
        process = mailguard(*sign_options(tmp_path / wrong), input=MESSAGE)
        assert (process.returncode, process.stdout) == (75, b"")
        assert process.stderr.startswith(b"4.3.5 mailguard: ")
    path.chmod(0o640)
    assert b"chmod 600" in mailguard(*sign_options(path), input=MESSAGE).stderr
    path.chmod(0o600)
    for missing in (4, 6, 8):  # --domain, --selector, --private-key
        options = sign_options(path)[: missing + 0] + sign_options(path)[missing + 2 :]
        assert mailguard(*options, input=MESSAGE).returncode == 75
    assert mailguard(*sign_options(path), "--key-file", tmp_path / "none", input=MESSAGE).returncode == 75
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        assert b"another user" in mailguard(*sign_options(path), input=MESSAGE).stderr


def test_as_commands_and_in_a_chain(mailguard, tmp_path):
    path = write_key(tmp_path / "arc.pem")
    (tmp_path / "zone").write_text(zone(f"{LISTS} TXT {record().decode()}"))
    clock = ["--now", "2026-11-24T12:00:00Z", "--log", "none"]
    verify = f"verify --arc --authserv-id {US} --dns-load {tmp_path}/zone"
    own = " ".join(["sign", *map(str, sign_options(path)[3:])])
    raw = chained(1)
    pipe = mailguard(*verify.split(), *clock, input=raw).stdout
    pipe = mailguard(*own.split(), *clock, input=pipe).stdout
    chain = mailguard("run", *clock, "--json", tmp_path / "json", f"{verify} | {own}", input=raw)
    assert (chain.returncode, chain.stderr, chain.stdout) == (0, b"", pipe)
    assert arc.verify(parse(pipe), ZONE).result == "pass"
    record_ = json.loads((tmp_path / "json").read_text().splitlines()[-1])
    assert (record_["verb"], record_["changed"], record_["findings"][0]["code"]) == ("sign", True, "arc.signed")
    bare = mailguard("run", *clock, f"{verify} | {own} | unseal", input=raw).stdout
    assert arc.verify(parse(bare), ZONE).result == "pass"
    assert b"Mailguard-Seal" not in bare


def test_the_record_is_printed_as_it_stands_in_a_zone_file(mailguard, tmp_path):
    process = mailguard(*sign_options(write_key(tmp_path / "arc.pem", rsa_key(2048))), "--print-record")
    name, _, strings = process.stdout.decode().partition(" IN TXT ")
    assert (process.returncode, name) == (0, f"{OURS}.")
    texts = strings.strip(" ()\n").split('"')[1::2]
    assert "".join(texts).encode() == record(2048, tags=b"v=DKIM1; k=rsa; ")
    assert max(map(len, texts)) <= 255


def test_the_names_that_are_signed_are_those_of_fields():
    assert len(set(arc_set._SIGNED)) == len(arc_set._SIGNED)
    assert arc_set._COMPLETE.issubset(arc_set._SIGNED)
    assert not {b"received", b"return-path", b"authentication-results", seal_field.NAME} & set(arc_set._SIGNED)
