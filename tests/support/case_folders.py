"""The folders of whole messages in and out."""

from __future__ import annotations

from paths import TESTS

CASES = sorted(path.parent for path in (TESTS / "cases").glob("*/*/in.eml"))


CLOCK = "2026-09-21T14:13:20Z"
