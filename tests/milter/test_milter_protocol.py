"""The bytes of the milter protocol, from mail servers and from anybody."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from milter_client import packet

from mailguard.milter import protocol
from mailguard.milter.listener import Address
from mailguard.milter.protocol import Agreement, ProtocolError


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20))), st.integers(1, 9))
def test_packets_come_out_as_they_went_in_however_they_are_cut(sent, size):
    data = b"".join(packet(bytes([letter]), rest) for letter, rest in sent)
    buffer, found = bytearray(), []
    for start in range(0, len(data), size):
        buffer += data[start : start + size]
        found += protocol.packets(buffer)
    assert found == sent
    assert not buffer


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_protocol_error(data):
    for read in (
        Agreement,
        protocol.texts,
        protocol.field,
        protocol.client_address,
        protocol.macros,
        lambda data: list(protocol.packets(bytearray(data))),
    ):
        try:
            read(data)
        except ProtocolError:
            continue


@pytest.mark.parametrize("length", [0, protocol.LARGEST + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_noticed_before_its_bytes_are_here(length):
    with pytest.raises(ProtocolError):
        list(protocol.packets(bytearray(struct.pack(">I", length))))


def offer(version=6, actions=0x1FF, flags=0x1FFFFF):
    return struct.pack(">III", version, actions, flags)


def test_postfix_agrees_that_only_the_end_of_a_message_is_answered_and_that_blanks_stay():
    agreement = Agreement(offer())
    assert agreement.leading
    assert agreement.silent == frozenset(b"CHMRTLNBU")
    assert agreement.packet() == packet(b"O", struct.pack(">III", 6, 0x13, 0x1FF080))


def test_recipients_are_answered_where_some_are_sent_away():
    assert ord("R") not in Agreement(offer(), answer_recipients=True).silent


def test_an_old_mail_server_gets_every_answer():
    agreement = Agreement(offer(version=2, actions=0x3F, flags=0x7F))
    assert (agreement.version, agreement.flags, agreement.leading, agreement.silent) == (2, 0, False, frozenset())


@pytest.mark.parametrize("data", [b"", offer(actions=0x01), offer(version=1), offer()[:-1]])
def test_a_mail_server_that_takes_no_changes_is_of_no_use(data):
    with pytest.raises(ProtocolError):
        Agreement(data)


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (b"host\0004\0\x19192.0.2.1\0", "192.0.2.1"),
        (b"host\0006\0\x19IPv6:2001:db8::1\0", "2001:db8::1"),
        (b"host\0006\0\x192001:db8::1\0", "2001:db8::1"),
        (b"localhost\0L\0\0/socket\0", None),
        (b"unknown\0U", None),
    ],
)
def test_the_address_of_the_client(data, address):
    assert protocol.client_address(data) == address


def test_macros_that_mean_something_are_kept_and_others_are_not():
    data = b"M{auth_authen}\0alice\0i\x004F0\0{mail_addr}\0x\0{cipher}\0\xff\0"
    assert protocol.macros(data) == {"auth_authen": "alice", "i": "4F0", "cipher": "\udcff"}


def test_a_reply_is_one_line_of_plain_text_without_formats():
    assert protocol.reply("550 5.7.1", "100%\r\n250 é") == packet(b"y", b"550 5.7.1 100%%??250 ?\0")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unix:/run/a.sock", ("/run/a.sock", "", 0, True)),
        ("inet:8890@127.0.0.1", ("", "127.0.0.1", 8890, True)),
        ("inet:8890@localhost", ("", "localhost", 8890, True)),
        ("inet6:8890@[::1]", ("", "::1", 8890, True)),
        ("inet:8890@192.0.2.1", ("", "192.0.2.1", 8890, False)),
        ("inet:8890@filter.example", ("", "filter.example", 8890, False)),
    ],
)
def test_where_to_listen(text, found):
    address = Address(text)
    assert (address.path, address.host, address.port, address.local) == found


@pytest.mark.parametrize("text", ["", "unix:", "unix:relative", "inet:8890", "inet:x@y", "inet:70000@h", "8890@h"])
def test_where_nobody_can_listen(text):
    with pytest.raises(ValueError, match=r"inet:PORT@HOST|port"):
        Address(text)
