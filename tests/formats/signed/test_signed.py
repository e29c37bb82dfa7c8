"""S/MIME held against OpenSSL: what it takes out of a signed message was seen."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pytest
from cms_messages import ber, signed
from specimens import specimens

from mailguard.formats.detect import detect
from mailguard.formats.signed import cms
from mailguard.message.content import Content

COUNT = int(os.environ.get("MAILGUARD_MUTATIONS", "60"))
SPECIMENS = {name: one for (family, name), one in specimens("acts").items() if family == "signed"}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL is not installed")


def taken_out(data, tmp_path):
    """What OpenSSL gives as the signed content, whoever signed it; b"" for nothing."""
    path = tmp_path / "in.p7m"
    path.write_bytes(data)
    command = ["openssl", "cms", "-verify", "-noverify", "-nosigs", "-binary", "-inform", "DER", "-in", path]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).stdout


def dangerous(data, name="smime.p7m"):
    return detect(Content.of(data), [name], "application/pkcs7-mime").dangerous


@needs_openssl
@pytest.mark.parametrize("made", [signed, ber], ids=["DER", "BER"])
def test_what_was_signed_is_read_as_openssl_reads_it(made, tmp_path):
    content = b"Content-Type: text/plain\r\n\r\n" + b"0123456789" * 100
    data = made(content)
    found = cms.read(data)
    assert b"".join(data[start:end] for start, end in found.content) == content == taken_out(data, tmp_path)


@needs_openssl
def test_no_mutation_shows_openssl_a_program_that_was_called_harmless(tmp_path):
    chance = random.Random(1)
    seen = 0
    for _ in range(COUNT):
        data = bytearray(chance.choice([signed, ber])(SPECIMENS["signed file"].content and b"MZ" + bytes(60)))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(min(len(data), 120))
            data[at : at + chance.choice((0, 1))] = bytes(
                (chance.choice((0, 4, 0x24, 0x30, 0x80, 0xA0, chance.randrange(256))),)
            )
        if taken_out(bytes(data), tmp_path)[:2] == b"MZ":
            seen += 1
            assert dangerous(bytes(data)), data.hex()
    assert seen


@pytest.mark.parametrize("depth", [100, 9_999, 100_000])
def test_nesting_costs_nothing(depth):
    assert dangerous(b"\x30\x80" * depth) == ("document-unreadable",)
