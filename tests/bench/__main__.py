"""Prints every ratio that the product promises beside its goal: `sh tests/bench/run [NAME...]`.

Everything is measured against a reference in the same run, on the installed package; status 1 when a goal is missed.
"""

import importlib
import os
import sys

NAMES = (
    "startup",
    "daemon",
    "engine",
    "quarantine",
    "dkim",
    "verify",
    "hostile",
    "check",
    "sanitize",
    "batch",
    "run",
    "conversations",
)


def main():
    names = sys.argv[1:] or NAMES
    missed = 0
    for name in names:
        for what, ratio, goal, unit in importlib.import_module(f"bench.{name}").measure():
            verdict = "" if goal is None else f"{goal[0]} {goal[1]:<5} " + ("ok" if reached(ratio, goal) else "MISSED")
            missed += verdict.endswith("MISSED")
            print(f"{what:<70} {ratio:8.2f} {unit:<34} {verdict}", flush=True)
    sys.stdout.flush()
    os._exit(1 if missed else 0)


def reached(ratio, goal):
    return ratio <= goal[1] if goal[0] == "<=" else ratio >= goal[1]


if __name__ == "__main__":
    main()
