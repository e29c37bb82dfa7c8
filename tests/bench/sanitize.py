"""sanitize beside strip on mail with nothing to do, and on office documents beside zipfile."""

import time

from bench import processes, sanitize_office, startup
from verbs import sealed, verdict

from mailguard.seal.keys import parse_key

BODY = b"Hello, this is a line of an ordinary text.\n"
TEXTS = {"short": startup.PLAIN, "of 1 MB": startup.PLAIN + BODY * 25_000}


def measure():
    with processes.folder() as folder:
        key = processes.key_file(folder)
        strip, sanitize = (
            [processes.MAILGUARD, verb, "--log", "none", "--key-file", key] for verb in ("strip", "sanitize")
        )
        for name, source in sources(folder, key).items():
            reference, ours = in_turns(strip, sanitize, source)
            goal = None if name == "text and HTML" else ("<=", 1.3)
            yield (
                f"sanitize: plain mail, {name}" if goal else f"sanitize: {name}",
                ours.cpu / reference.cpu,
                goal,
                "x strip",
            )
    yield from sanitize_office.measure()


def sources(folder, key):
    """Return name: file; those that went through `verify` carry its seal."""
    with open(key) as file:
        signer = parse_key(file.read())
    found = {name: processes.file(folder, name, raw) for name, raw in TEXTS.items()}
    for name, raw in TEXTS.items():
        seal = verdict(time=int(time.time()))
        found[f"{name}, verified"] = processes.file(folder, f"{name}-sealed", sealed(raw, seal, signer))
    found["text and HTML"] = processes.file(folder, "alternative", startup.ALTERNATIVE)
    return found


def in_turns(strip, sanitize, source):
    return processes.in_turns(15, lambda: processes.run(strip, source), lambda: processes.run(sanitize, source))
