"""What sanitize takes out because it is dangerous is a danger that quarantine knows."""

from __future__ import annotations

import pytest

from mailguard.formats import codes
from mailguard.formats.dangers import CODES


@pytest.mark.parametrize("code", sorted({**codes.REMOVED, **codes.REFUSALS}))
def test_every_code_is_a_danger_or_tidying(code):
    assert codes.danger(code) in {"", *CODES}


def test_no_code_stands_in_both_tables():
    assert not codes.REMOVED.keys() & codes.REFUSALS.keys()
