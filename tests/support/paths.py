"""Where things lie: this project, its examples, published test data beside it, and what tests/run unpacked."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
SUPPORT = TESTS / "support"
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"
GOLDEN = TESTS / "golden"
CASES = TESTS / "cases"
ARTEFACTS = TESTS / "artefacts"
SUITES = Path(os.environ.get("MAILGUARD_SUITES") or ROOT.parent / "shared" / "suites")
PARSERS = Path(os.environ.get("MAILGUARD_PARSERS") or ROOT / ".parsers")
