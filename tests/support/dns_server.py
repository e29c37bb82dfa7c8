"""An authoritative DNS server on loopback, with faults on request: UDP and TCP on the same free port.

zone: {name: [(type, value), ...]}; a TXT value is bytes or a list of strings (an empty list is a TXT record without
any string, which is illegal and exists), MX is (preference, name), everything else text.  The value DROP means that
the server says nothing, SERVFAIL that it fails; the type "*" stands for every type that the name does not have.
"""

from __future__ import annotations

import socket
import struct
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

DROP = "DROP"
SERVFAIL = "SERVFAIL"


class DnsServer:
    """`with DnsServer(zone) as server:` then `server.address` is HOST:PORT and `server.questions` what was asked.

    drop_first: so many requests are not answered, over UDP; truncate: every UDP answer is empty and truncated;
    garble: answers are cut in the middle of a record; forge: before each UDP answer comes one to another question;
    together: answers wait until so many UDP requests have come, so that who asks one after the other gets none.
    """

    def __init__(
        self, zone, *, drop_first=0, truncate=False, garble=False, forge=False, together=1, family=socket.AF_INET
    ):
        self.zone = {name.lower().encode("latin-1"): records for name, records in zone.items()}
        self.drop_first = drop_first
        self.truncate, self.garble, self.forge, self.together = truncate, garble, forge, together
        self.questions = []
        self._lock = threading.Lock()
        self._family = family

    def __enter__(self):
        host = "127.0.0.1" if self._family == socket.AF_INET else "::1"
        self._udp, self._tcp = self._bound(host)
        self.host, self.port = self._udp.getsockname()[:2]
        self.address = f"{self.host}:{self.port}" if self._family == socket.AF_INET else f"[{self.host}]:{self.port}"
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def _bound(self, host):
        for _ in range(20):  # the same port for both may be taken for TCP
            udp = socket.socket(self._family, socket.SOCK_DGRAM)
            udp.bind((host, 0))
            tcp = socket.socket(self._family)
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                udp.close()
                tcp.close()
                continue
            tcp.listen(16)
            return udp, tcp
        raise OSError("no port is free for UDP and TCP")

    def __exit__(self, *_):
        self._udp.sendto(b"", (self.host, self.port))  # wakes the thread, which then ends
        with socket.create_connection((self.host, self.port)):
            pass
        for thread in self._threads:
            thread.join(120)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self):
        waiting = []
        while True:
            request, peer = self._udp.recvfrom(4096)
            if not request:
                return
            if self.drop_first > 0:
                self.drop_first -= 1
                continue
            waiting.append((request, peer))
            if len(waiting) >= self.together:
                for pending in waiting:
                    self._answer_udp(*pending)
                waiting = []

    def _answer_udp(self, request, peer):
        answer = self.answer(request)
        if answer is None:
            return
        if self.forge:
            self._udp.sendto(self._another(request), peer)
        query = dns.message.from_wire(request)
        if self.truncate or len(answer) > (query.payload if query.edns >= 0 else 512):
            identifier, flags = struct.unpack("!HH", answer[:4])
            answer = struct.pack("!HHHHHH", identifier, flags | dns.flags.TC, 1, 0, 0, 0) + self._question_wire(request)
        self._udp.sendto(answer, peer)

    def _serve_tcp(self):
        while True:
            connection, _ = self._tcp.accept()
            with connection:
                head = connection.recv(2)
                if not head:
                    return
                answer = self.answer(connection.recv(struct.unpack("!H", head)[0]))
                if answer is not None:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    @staticmethod
    def _question_wire(request):
        end = 12
        while request[end]:
            end += 1 + request[end]
        return request[12 : end + 5]

    def _another(self, request):
        """A response with the right id, but to another question and with a record that would pass."""
        response = dns.message.make_response(dns.message.make_query("other.example", "TXT"))
        response.id = struct.unpack("!H", request[:2])[0]
        return response.to_wire()

    def answer(self, request):
        """Return the response in wire form, or None for silence."""
        query = dns.message.from_wire(request)
        name, rdtype = query.question[0].name, query.question[0].rdtype
        key = b".".join(name.labels[:-1]).lower()
        with self._lock:
            self.questions.append((key.decode("latin-1"), dns.rdatatype.to_text(rdtype)))
        rcode, records = self._records(key, dns.rdatatype.to_text(rdtype))
        if rcode is None:
            return None
        response = dns.message.make_response(query)
        flags = response.flags | dns.flags.RA | (dns.flags.AD if query.flags & dns.flags.AD else 0)
        body = b"".join(_wire(*record) for record in records)
        if self.garble:
            body = body[:-3]
        header = struct.pack("!HHHHHH", query.id, (flags & 0xFFF0) | rcode, 1, len(records), 0, 0)
        return header + self._question_wire(request) + body

    def _records(self, key, rdtype):
        found = []
        for _ in range(20):
            records = self.zone.get(key)
            if records is None:
                below = any(name.endswith(b"." + key) for name in self.zone)
                return (dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN), found
            values = [value for kind, value in records if kind == rdtype] or [
                value for kind, value in records if kind == "*"
            ]
            fault = next((value for value in values if value in (DROP, SERVFAIL)), None)
            if fault:
                return (None if fault == DROP else dns.rcode.SERVFAIL), []
            if values:
                return dns.rcode.NOERROR, [*found, *((key, rdtype, value) for value in values)]
            alias = next((value for kind, value in records if kind == "CNAME"), None)
            if alias is None:
                return dns.rcode.NOERROR, found
            found.append((key, "CNAME", alias))
            key = alias.rstrip(".").lower().encode("latin-1")
        return dns.rcode.NOERROR, found


def _wire(key, rdtype, value):
    rdata = _rdata(rdtype, value)
    kind = dns.rdatatype.from_text(rdtype)
    return _name(key) + struct.pack("!HHIH", kind, dns.rdataclass.IN, 60, len(rdata)) + rdata


def _name(key):
    return b"".join(bytes([len(label)]) + label for label in key.split(b".") if label) + b"\0"


def _rdata(rdtype, value):
    if rdtype == "TXT":
        strings = [value] if isinstance(value, bytes) else value
        return b"".join(map(_strings, strings))
    if rdtype == "MX":
        return struct.pack("!H", value[0]) + _name(value[1].encode("latin-1"))
    if rdtype in {"CNAME", "NS", "PTR"}:
        return _name(value.encode("latin-1"))
    return socket.inet_pton(socket.AF_INET if rdtype == "A" else socket.AF_INET6, value)


def _strings(text):
    pieces = [text[start : start + 255] for start in range(0, len(text), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)
