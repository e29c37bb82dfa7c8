"""No message of n octets costs more than f(n): see `bounds` for f, and `bench.bounds` for longer runs by hand."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import bounds
import pytest
from paths import TESTS

from mailguard.message import parameters

SECONDS = os.environ.get("MAILGUARD_BOUNDS_SECONDS", "60" if os.environ.get("MAILGUARD_CI") else "15")
SEED = os.environ.get("MAILGUARD_SEED", "1")


@pytest.mark.skipif(not bounds.usable(), reason="/proc/self/clear_refs, which this system lacks, tells the peak")
def test_no_mutated_message_costs_more_than_its_account():
    done = subprocess.run(
        [sys.executable, "-m", "bench.bounds", "--count", "1000000", "--seconds", SECONDS, "--seed", SEED],
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS}/support"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-4000:]


def test_the_account_notices_what_doubles(monkeypatch):
    """The fault that was: each reading of a boundary doubled the readings."""

    def doubled(_value):
        found = [b"a"]
        for _ in range(21):
            found += [text + b"a" for text in list(found)]
        return found

    monkeypatch.setattr(parameters, "boundaries", doubled)
    raw = b"From: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n"
    assert any("MiB" in complaint or " s for" in complaint for complaint in bounds.complaints(raw))


def test_a_message_of_a_seed_is_always_the_same():
    made = [bounds.mutated(random.Random(f"1 {number}"), bounds.corpus()) for number in range(50)]
    assert made == [bounds.mutated(random.Random(f"1 {number}"), bounds.corpus()) for number in range(50)]
    assert len(set(made)) > 40
    assert all(0 < len(raw) <= bounds.LARGEST for raw in made)
