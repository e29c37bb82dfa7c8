"""No message costs more than its account: `PYTHONPATH=tests:tests/support python -m bench.bounds --count 1000 --seed 1`.

Message N of a seed is always the same, so that a run can be done in pieces (--start), and a failure again.  Prints each
failure with its number, writes the message into --keep, and at the end which share of the account was used.  Status 1 when
a message cost more, ended in what would be status 75, or did not come back exactly.
"""

import argparse
import gc
import random
import sys
import time
from pathlib import Path

import bounds


def message(seed, number):
    """Return message `number` of a seed."""
    return bounds.mutated(random.Random(f"{seed} {number}"), bounds.corpus())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--keep", type=Path, help="folder for messages that fail")
    given = parser.parse_args()
    started = time.monotonic()
    for raw in bounds.corpus()[:20]:
        bounds.complaints(raw)  # what is loaded once is nobody's
    bounds.worst.clear()
    gc.collect()
    gc.freeze()  # as a filter does
    failed = done = 0
    for number in range(given.start, given.start + given.count):
        if time.monotonic() - started > given.seconds:
            break
        raw = message(given.seed, number)
        found = bounds.complaints(raw)
        done += 1
        if found:
            failed += 1
            print(f"seed {given.seed}, message {number}: {'; '.join(found)}", flush=True)
            if given.keep:
                (given.keep / f"{given.seed}-{number}.eml").write_bytes(raw)
    for verb, (memory, seconds) in bounds.worst.items():
        print(f"{verb}: at most {memory:.0%} of the memory and {seconds:.0%} of the time that a message may cost")
    print(f"{done} messages from {given.start} on with seed {given.seed}, {failed} failed")
    sys.exit(bool(failed or not done))


if __name__ == "__main__":
    main()
