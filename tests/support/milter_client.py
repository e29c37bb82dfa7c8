"""A mail server's side of the milter protocol, and a Postfix in small that applies what it is told."""

from __future__ import annotations

import socket
import struct

FINAL = b"actry"
EVERYTHING = 0x1FFFFF


def packet(letter: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data) + 1) + letter + data


class Client:
    """One connection; `events` of a mail are sent as far as the test wants them."""

    def __init__(self, address, flags=EVERYTHING, actions=0x1FF, version=6, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.send(b"O", struct.pack(">III", version, actions, flags))
        letter, data = self.receive()
        assert letter == b"O"
        self.version, self.actions, self.flags = struct.unpack(">III", data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, letter, data=b""):
        self.socket.sendall(packet(letter, data))

    def receive(self):
        """The next packet, without signs of life; (b"", b"") at the end of the connection."""
        while True:
            head = self._read(4)
            if not head:
                return b"", b""
            data = self._read(struct.unpack(">I", head)[0])
            if data[:1] != b"p":
                return data[:1], data[1:]

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def macros(self, stage, **values):
        words = b"".join(f"{name}\0{value}\0".encode() for name, value in values.items())
        self.send(b"D", stage + words)

    def connect(self, address="192.0.2.1", name="client.example", family=b"4"):
        self.send(b"C", name.encode() + b"\0" + family + struct.pack(">H", 25) + address.encode() + b"\0")

    def helo(self, name="client.example"):
        self.send(b"H", name.encode() + b"\0")

    def envelope(self, sender="<a@friend.test>", recipients=("<b@rcpt.test>",)):
        self.send(b"M", sender.encode() + b"\0")
        for each in recipients:
            self.send(b"R", each.encode() + b"\0")
        self.send(b"T")

    def message(self, fields, body, queue_id="4F00"):
        for name, value in fields:
            self.send(b"L", name + b"\0" + value + b"\0")
        self.send(b"N")
        for start in range(0, len(body), 65535):
            self.send(b"B", body[start : start + 65535])
        self.macros(b"E", i=queue_id)
        self.send(b"E")

    def mail(self, fields, body, **envelope):
        """A whole mail; returns the orders and the final packet."""
        self.envelope(**envelope)
        self.message(fields, body)
        return self.orders()

    def orders(self):
        orders = []
        while True:
            letter, data = self.receive()
            if letter in FINAL:
                return orders, (letter, data)
            orders.append((letter, data))


def applied(fields, body, orders):
    """What Postfix makes of orders: its own Received stands above the fields, and is not counted by name."""
    fields = [(b"Received", b" own"), *fields]
    replaced = []
    for letter, data in orders:
        if letter == b"b":
            replaced.append(data)
            continue
        number = struct.unpack(">I", data[:4])[0]
        name, value = data[4:-1].split(b"\0")
        if letter == b"i":
            fields.insert(number, (name, value))
            continue
        assert letter == b"m"
        places = [
            place for place, field in enumerate(fields) if place and field[0].strip().lower() == name.strip().lower()
        ]
        if value:
            fields[places[number - 1]] = (name, value)
        else:
            del fields[places[number - 1]]
    return fields[1:], b"".join(replaced) if replaced else body


def raw(fields, body):
    """The message that a filter sees."""
    lines = (name + b":" + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in fields)
    return b"".join(lines) + b"\r\n" + body
