"""A daemon for tests, on a socket that is there before it is, as a service manager gives it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from program import PROGRAM

ACTIVATED = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


class Daemon:
    def __init__(self, folder, environment, *options, shell=()):
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = str(folder / "socket")
        self.log = folder / "log"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(100)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", ACTIVATED, "sh", *shell, PROGRAM, "daemon", "--listen", self.path, *options],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.dup2(self.listener.fileno(), 3),  # noqa: PLW1509 (no threads here)
                pass_fds=(3,),
            )

    def refusals(self):
        return [line for line in self.log.read_text().splitlines() if "refused" in line]

    def kill(self):
        """End it without notice, and with it the socket."""
        self.listener.close()
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        self.listener.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)
