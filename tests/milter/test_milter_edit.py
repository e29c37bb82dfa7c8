"""What filters change becomes the smallest orders, and the mail server that obeys them has what the filter wrote."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from milter_client import applied, raw

from mailguard.errors import MailguardError
from mailguard.milter import edit, protocol

NAMES = st.sampled_from([b"Received", b"Subject", b"subject", b"X-A", b"Content-Type", b"To "])
VALUES = st.sampled_from([b"", b" ", b" a", b"a", b" a\n b", b"\t\x83\x41", b" b", b" c\n\t\n d", b" a\rb"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
BODIES = st.sampled_from([b"", b"text\r\n", b"other\r\n", b"\r\n\r\nx", b"\0\x80\r\r\n"])


def parsed(packets):
    buffer = bytearray(b"".join(packets))
    found = [(bytes([letter]), data) for letter, data in protocol.packets(buffer)]
    assert not buffer
    return found


def orders(old, new, leading=True, anywhere=True):
    return parsed(edit.packets(old, new, leading=leading, anywhere=anywhere))


@given(FIELDS, BODIES, FIELDS, BODIES, st.integers(1, 50))
@settings(max_examples=400)
def test_the_orders_make_any_message_of_any_other(fields, body, new_fields, new_body, size):
    new = raw(new_fields, new_body)
    pieces = [memoryview(new)[start : start + size] for start in range(0, len(new), size)]
    found = orders(raw(fields, body), pieces)
    assert raw(*applied(fields, body, found)) == new


@given(FIELDS, FIELDS)
def test_a_mail_server_that_counts_hidden_fields_inserts_at_the_top_only_and_changes_no_name(fields, new_fields):
    found = orders(raw(fields, b""), [raw(new_fields, b"")], anywhere=False)
    assert raw(*applied(fields, b"", found)) == raw(new_fields, b"")
    assert {data[:4] for letter, data in found if letter == b"i"} <= {b"\0\0\0\1"}
    for data in (data for letter, data in found if letter == b"m" and not data.endswith(b"\0\0")):
        name = data[4:].split(b"\0")[0]
        same = [each for each, _ in fields if each.strip().lower() == name.strip().lower()]
        assert same[int.from_bytes(data[:4], "big") - 1] == name


@given(FIELDS, BODIES, st.data())
def test_a_field_more_is_one_order_and_the_body_is_not_sent(fields, body, data):
    place = data.draw(st.integers(0, len(fields)))
    new = [*fields[:place], (b"X-New", b" v"), *fields[place:]]
    found = orders(raw(fields, body), [raw(new, body)])
    assert [letter for letter, _ in found] == [b"i"]


@given(FIELDS, BODIES, st.data())
def test_a_field_less_is_one_order(fields, body, data):
    fields = [*fields, (b"X-Last", b" x")]
    place = data.draw(st.integers(0, len(fields) - 1))
    found = orders(raw(fields, body), [raw(fields[:place] + fields[place + 1 :], body)])
    assert [(letter, data[-1:]) for letter, data in found] == [(b"m", b"\0")]


@given(FIELDS, BODIES)
def test_a_message_that_stays_needs_no_order(fields, body):
    assert orders(raw(fields, body), [raw(fields, body)]) == []


def test_a_changed_value_is_changed_in_its_place():
    fields = [(b"Subject", b" a"), (b"Content-Type", b" text/plain"), (b"To", b" b")]
    new = [fields[0], (b"Content-Type", b" multipart/mixed;\n boundary=x"), fields[2]]
    assert orders(raw(fields, b"x"), [raw(new, b"x")]) == [
        (b"m", b"\0\0\0\1Content-Type\0 multipart/mixed;\n boundary=x\0")
    ]


def test_of_equal_names_the_right_one_is_meant():
    fields = [(b"X", b" %d" % number) for number in range(5)]
    new = [*fields[:3], (b"X", b" changed"), fields[4]]
    assert orders(raw(fields, b""), [raw(new, b"")]) == [(b"m", b"\0\0\0\4X\0 changed\0")]


def test_a_mail_server_that_adds_a_blank_gets_values_without_it():
    new = [(b"X", b" value"), (b"Y", b"  two")]
    found = orders(raw([], b""), [raw(new, b"")], leading=False)
    assert sorted(data[4:] for _, data in found) == [b"X\0value\0", b"Y\0 two\0"]


def test_a_new_body_comes_in_packets_that_every_mail_server_takes():
    body = bytes(range(256)) * 1000
    found = orders(raw([], b"old"), [raw([], b""), *[body[at : at + 7] for at in range(0, len(body), 7)]])
    assert [letter for letter, _ in found] == [b"b"] * 4
    assert max(len(data) for _, data in found) == 65535
    assert b"".join(data for _, data in found) == body


def test_an_empty_body_is_said():
    assert orders(raw([], b"old"), [raw([], b"")]) == [(b"b", b"")]


@pytest.mark.parametrize("head", [b"no field\r\n\r\n", b"X: a\0b\r\n\r\n"])
def test_a_header_that_cannot_be_sent_is_a_failure_of_the_site(head):
    with pytest.raises(MailguardError):
        orders(raw([], b""), [head])


def test_thousands_of_equal_fields_cost_a_moment():
    """Counted, not timed: what is compared stays a few times the number of fields."""
    fields = [(b"X-%d" % (number % 7), b" %d" % (number % 11)) for number in range(4000)]
    reverse = fields[::-1]
    counted = SimpleNamespace(steps=0)

    class Counting(bytes):
        def __eq__(self, other):
            counted.steps += 1
            return bytes.__eq__(self, other)

        __hash__ = bytes.__hash__

    field = SimpleNamespace
    before, after = (
        [field(bytes=Counting(name + value), name=name, value=value) for name, value in each]
        for each in (fields, reverse)
    )
    edit._pairs(before, after)
    assert counted.steps < 40 * len(fields)
