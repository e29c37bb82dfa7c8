"""A mail server all of whose words are attacks on a page: `hostile_server.py ADDRESS CERTIFICATE FOLDER`.

It takes every mail and keeps it in the folder.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from pathlib import Path

ATTACK = '<script>alert("{0}")</script><img src=//evil.test/{0} onerror=alert("{0}")>'


class Conversation:
    def __init__(self, connection, context, folder):
        self.connection, self.context, self.folder = connection, context, folder
        self.encrypted = False
        self.file = connection.makefile("rb")

    def say(self, code, word, more=()):
        lines = [ATTACK.format(word), *more]
        replies = [f"{code}-{line}\r\n" for line in lines[:-1]] + [f"{code} {lines[-1]}\r\n"]
        self.connection.sendall("".join(replies).encode())

    def run(self):
        self.say(220, "greeting")
        while line := self.file.readline(2000):
            verb = line.strip().partition(b" ")[0].upper().decode("latin-1")
            if verb == "EHLO":
                more = [] if self.encrypted else ["STARTTLS"]
                self.say(250, "ehlo", [*more, f"AUTH {ATTACK.format('auth')}", ATTACK.format("keyword")])
            elif verb == "STARTTLS":
                self.say(220, "starttls")
                self.connection = self.context.wrap_socket(self.connection, server_side=True)
                self.file, self.encrypted = self.connection.makefile("rb"), True
            elif verb == "DATA":
                self.say(354, "data")
                self.take()
                self.say(250, "taken")
            elif verb == "QUIT":
                return
            else:
                self.say(250, verb.lower())

    def take(self):
        lines = []
        while (line := self.file.readline(2000)) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        number = len(list(self.folder.iterdir()))
        part = self.folder.with_name("part")
        part.write_bytes(b"".join(lines))
        part.rename(self.folder / str(number))


def serve(connection, context, folder):
    with contextlib.suppress(OSError), connection:
        Conversation(connection, context, folder).run()


def main(address, certificate, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server((address, 25)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, context, Path(folder)), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
