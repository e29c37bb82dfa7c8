"""Tokens and stop codes: nobody can make one, and each is good for one address."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard.check import token as tokens
from mailguard.seal import keys

NOW = 1_795_000_000
ADDRESS = "alice@example.com"


@pytest.fixture(scope="module")
def ring():
    return keys.KeyRing([keys.parse_key(keys.new_key())])


@pytest.fixture(scope="module")
def token(ring):
    return tokens.make(ring.active, ADDRESS, NOW)


def test_a_token_is_good_for_its_address_until_it_expires(ring, token):
    assert tokens.is_valid(ring, token, ADDRESS, NOW)
    assert tokens.is_valid(ring, token, ADDRESS, NOW + tokens.LIFETIME)
    assert not tokens.is_valid(ring, token, ADDRESS, NOW + tokens.LIFETIME + 1)
    assert not tokens.is_valid(ring, token, "bob@example.com", NOW)


def test_mail_systems_may_change_the_case_of_a_token(ring, token):
    assert tokens.is_valid(ring, token.upper(), ADDRESS, NOW)
    assert tokens.name(token.upper()) == tokens.name(token)


def test_a_token_fits_into_a_local_part(token):
    assert len(f"check+{token}") <= 64
    assert tokens.TOKEN.fullmatch(token.encode())


def test_a_changed_token_is_none(ring, token):
    for at in range(len(token)):
        other = token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]
        assert not tokens.is_valid(ring, other, ADDRESS, NOW)


@given(st.text(max_size=60) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=42, max_size=42))
@settings(max_examples=100, deadline=None)
def test_no_text_is_a_token_or_a_stop_code(ring, text):
    assert not tokens.is_valid(ring, text, ADDRESS, NOW)
    assert tokens.stopped_name(ring, text) is None


def test_the_last_letter_has_one_spelling(ring, token):
    variants = [token[:-1] + letter for letter in "abcdefghijklmnopqrstuvwxyz234567"]
    assert sum(tokens.is_valid(ring, variant, ADDRESS, NOW) for variant in variants) == 1


def test_tokens_differ(ring):
    assert len({tokens.make(ring.active, ADDRESS, NOW) for _ in range(100)}) == 100


def test_another_site_makes_other_tokens_and_an_old_key_still_counts(ring, token):
    other = keys.parse_key(keys.new_key())
    assert not tokens.is_valid(keys.KeyRing([other]), token, ADDRESS, NOW)
    assert tokens.is_valid(keys.KeyRing([other, *ring.keys]), token, ADDRESS, NOW)


def test_a_key_that_recipients_could_guess_makes_no_valid_token():
    key = keys.key_from_passwords("alice@example.com secret")
    assert not tokens.is_valid(keys.KeyRing([key]), tokens.make(key, ADDRESS, NOW), ADDRESS, NOW)


def test_names_have_128_bits_and_give_the_token_away_to_nobody(ring, token):
    for name in (tokens.name(token), tokens.page_name(ring.active, token)):
        assert len(bytes.fromhex(name)) == 16
        assert token not in name
    assert tokens.page_name(ring.active, token) == tokens.page_name(ring.active, token.upper())


def test_tokens_are_found_wherever_they_stand(token):
    raw = f"To: check+{token.upper()}@example.org\r\nIn-Reply-To: <{token}.1@example.org>".encode()
    assert list(tokens.candidates(raw)) == [token]
    assert list(tokens.candidates(f"x{token}".encode())) == []
    many = b" ".join(tokens.make(keys.parse_key(keys.new_key()), ADDRESS, NOW).encode() for _ in range(60))
    assert len(list(tokens.candidates(many))) == 50


def test_a_stop_code_works_for_ever_and_for_every_tag(ring):
    code = tokens.stop_code(ring.active, "Alice+one@example.com")
    name = tokens.stopped_name(ring, code.upper())
    assert name in tokens.stopped_names(ring, "alice+two@example.com")
    assert name not in tokens.stopped_names(ring, "bob@example.com")
    other = keys.parse_key(keys.new_key())
    assert tokens.stopped_name(keys.KeyRing([other]), code) is None
    assert name in tokens.stopped_names(keys.KeyRing([other, *ring.keys]), ADDRESS)
    assert len(f"check+{tokens.STOP}{code}") <= 64


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("alice@example.com", "alice@example.com"),
        (" Alice.B+tag@EXAMPLE.com ", "Alice.B+tag@example.com"),
        ("alice@例え.jp", "alice@xn--r8jz45g.jp"),
        ("alice@localhost", None),
        ("alice@a_b.example.com", None),  # no reply could come from there: From names no such domain
        ("alice@-a.example.com", None),
        ("bob%example.org@example.com", None),
        ("example.org!bob@example.com", None),
        ("alice@[192.0.2.1]", None),
        ('"a b"@example.com', None),
        ("a..b@example.com", None),
        ("alice@example.com\r\nBcc: bob@example.com", None),
        ("alice@example.com>", None),
        ("a,b@example.com", None),
        ("@example.com", None),
        ("alice", None),
        ("", None),
        ("é@example.com", None),
        (f"{'a' * 65}@example.com", None),
    ],
)
def test_only_plain_addresses_are_taken(text, address):
    assert tokens.mailbox(text) == address


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_no_address_breaks_a_header_line(text):
    address = tokens.mailbox(text)
    assert address is None or (address.isascii() and address.isprintable() and not set(' <>(),;:"\\') & set(address))


def test_plus_tags_are_folded():
    assert tokens.folded("Alice+news@Example.com") == "alice@example.com"
    assert tokens.folded("+x@example.com") == "+x@example.com"
