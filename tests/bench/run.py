"""`mailguard run` with a chain in one process, against the shell pipe of single filters."""

import base64
import functools
import os

from bench import processes
from bench.startup import PLAIN

CHAIN = ("verify --dns-load zone --client-address 192.0.2.1", "quarantine --name '*.js'", "strip --name '*.js'")


def attached(name, content, count=1):
    part = (
        f'--b\nContent-Type: application/octet-stream; name="{name}"\nContent-Transfer-Encoding: base64\n\n'
    ).encode() + base64.encodebytes(content)
    return PLAIN.replace(b"\n\n", b"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n") + (
        part * count + b"--b--\n"
    )


def measure():
    mails = {
        "plain mail": PLAIN,
        "20 files that stay": attached("a.txt", b"text\n" * 200, 20),
        "10 MB that stay": attached("a.bin", os.urandom(10 << 20)),
        "a file that is held": attached("a.js", b"shell.Run()\n"),
    }
    with processes.folder() as folder:
        key = processes.key_file(folder)
        zone = processes.file(folder, "zone", b"example.com TXT v=spf1 -all\n")
        common = f"--log none --key-file {key}"
        chain = [command.replace(" zone ", f" {zone} ") for command in CHAIN]
        pipe = " | ".join(f"{processes.MAILGUARD} {command} {common}" for command in chain)
        whole = [processes.MAILGUARD, "run", *common.split(), " | ".join(chain)]
        for name, raw in mails.items():
            source = processes.file(folder, "mail", raw)
            jobs = [functools.partial(processes.run, command, source) for command in (["sh", "-c", pipe], whole)]
            several, one = processes.in_turns(7, *jobs)
            yield f"run: verify | quarantine | strip, {name}", one.cpu / several.cpu, ("<=", 0.6), "x CPU of the pipe"
            yield f"run: the same, {name}", one.wall / several.wall, None, "x time of the pipe"
