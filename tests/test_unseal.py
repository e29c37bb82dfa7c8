"""What leaves the house leaves without its seal, and otherwise as it is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from message_generators import anything
from signed_mail import MESSAGE
from verbs import output, sealed
from verified_mail import FRIEND, STRANGER, judged, verified

from mailguard.message.tree import parse
from mailguard.unseal import unseal

INSIDE, OUTSIDE = "bob@rcpt.test", "eve@evil.example"


def unsealed(raw, recipients=(OUTSIDE,), own=("rcpt.test",)):
    return output(unseal(raw, recipients, own))


@pytest.mark.parametrize(
    ("recipients", "own", "goes"),
    [
        ([], [], True),
        ([OUTSIDE], ["rcpt.test"], True),
        ([INSIDE, OUTSIDE], ["rcpt.test"], True),
        ([INSIDE], ["rcpt.test"], False),
        ([INSIDE], ["test"], False),
        (["bob@mail.RCPT.test."], ["rcpt.test"], False),
        (["bob@notrcpt.test"], ["rcpt.test"], True),
        (["bob@rcpt.test@evil.example"], ["rcpt.test"], True),
        (["bob@"], ["rcpt.test"], True),
        (["bob"], [], False),
        ([INSIDE], [], True),
    ],
)
def test_the_seal_goes_where_one_recipient_is_outside(recipients, own, goes):
    raw = verified(MESSAGE, FRIEND)
    assert (b"Mailguard-Seal" not in unsealed(raw, recipients, own)) is goes


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("from_line", [b"", b"From joe@example.com Tue Nov 24 10:00:00 2026\n"])
def test_nothing_else_changes(eol, from_line):
    raw = from_line + MESSAGE.replace(b"\r\n", eol)
    assert unsealed(sealed(raw)) == raw
    assert unsealed(raw) == raw
    assert not unseal(raw, [OUTSIDE], []).changed
    twice = sealed(raw).replace(b"\nTo:", b"\nmailguard-seal : x\nTo:")
    assert unsealed(twice) == raw


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(anything(), anything().map(lambda raw: b"Mailguard-Seal: x\n y\n" + raw)))
def test_of_any_bytes_all_that_is_no_seal_stays(raw):
    out = unsealed(raw)
    assert not parse(out).root.field(b"mailguard-seal")
    assert unsealed(out) == out
    assert out == raw or b"ailguard" in raw


def test_the_same_message_cannot_be_sent_back_as_ours():
    own = verified(MESSAGE, {"client_address": "127.0.0.1", "sasl_username": "joe"}, own_domains=["example.com"])
    assert b"a=yes" in own
    assert not judged(own, STRANGER).authenticated  # and where verify does not know who connects:
    assert judged(own).authenticated
    assert not judged(unsealed(own)).authenticated


def test_as_a_command_and_in_a_chain(mailguard):
    raw = verified(MESSAGE, FRIEND)
    assert mailguard("unseal", "--log", "none", input=raw).stdout == unsealed(raw)
    kept = mailguard("unseal", "--log", "none", "--own-domain", "rcpt.test", "--recipient", INSIDE, input=raw)
    assert kept.stdout == raw
    chain = mailguard("run", "--log", "none", "verify | unseal", input=MESSAGE)
    assert (chain.returncode, chain.stderr) == (0, b"")
    assert b"Mailguard-Seal" not in chain.stdout
    assert chain.stdout.endswith(MESSAGE)
    assert mailguard("unseal", "--log", "none", "--own-domain", "a b", input=raw).returncode == 75
