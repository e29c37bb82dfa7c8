"""The file of conversations with a million mails in it: its size, a look, what a look costs a mail, and to learn one."""

import os
import time

from bench import processes
from verbs import KEY, NOW, RING, quarantined, rules, sealed, site, verdict

from mailguard.correspondence import conversations
from mailguard.correspondence.replies import Watch

MAILS = 1_000_000
AT_ONCE = 5000
LOOKS = 20_000
ANSWERS = 300


def measure():
    with processes.folder() as folder:
        path = os.path.join(folder, "conversations")
        conversations.create(path, RING, NOW)
        for start in range(0, MAILS, AT_ONCE):
            conversations.learn(path, RING, NOW, lambda _, start=start: batches(range(start, start + AT_ONCE)))
        yield (
            "size of the file with a million mails, each with one recipient",
            os.path.getsize(path) / 1e6,
            ("<=", 100),
            "MB",
        )
        yield "a look, with its mail opened for it", looks(path) * 1e3, ("<=", 1), "ms"
        yield "what an answer costs more, in a running milter", answers(path) * 1e3, ("<=", 1), "ms"
        yield "to learn one mail", learned(path) * 1e3, None, "ms"


def batches(numbers):
    """What is learned from mails with these numbers: the recipient, his organization and our own."""
    for_each = [(b"%d@rcpt.test" % number, number % 9999) for number in numbers]
    yield [
        (name, mark)
        for name, who in for_each
        for mark in (b"a%d@p%d.test" % (who, who), b"@p%d.test" % who, b"@rcpt.test")
    ]
    yield [(name,) for name, _ in for_each]


def looks(path):
    begun = time.perf_counter()
    for number in range(0, MAILS, MAILS // LOOKS):
        with conversations.OpenConversations(path, RING) as known:
            assert known.has(b"%d@rcpt.test" % number), number
    return (time.perf_counter() - begun) / LOOKS


def answers(path):
    raw = b"From: a@p1.test\nReferences: <1@rcpt.test> <10000@rcpt.test>\nContent-Type: image/png\n\nx\n"
    raw = sealed(raw, verdict(author_domain="p1.test"), KEY)
    costs = []
    for watch in (Watch(path), None):
        begun = time.process_time()
        for _ in range(ANSWERS):
            quarantined(bytes(bytearray(raw)), rules("suspicious", watch=watch), site())
        costs.append((time.process_time() - begun) / ANSWERS)
    return costs[0] - costs[1]


def learned(path):
    begun = time.perf_counter()
    for number in range(MAILS, MAILS + 100):
        conversations.learn(path, RING, NOW, lambda _, number=number: batches([number]))
    return (time.perf_counter() - begun) / 100
