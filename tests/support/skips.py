"""Where everything was installed by tests/run, a skipped test hides a fault: with MAILGUARD_CI=1 it fails.

Loaded with `-p skips` and tests/support on PYTHONPATH.  Published test data stays outside the repository: tests that look for it name
$MAILGUARD_SUITES in their reason and may skip.
"""

from __future__ import annotations

import os

import pytest

ALLOWED = "MAILGUARD_SUITES"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _judged((yield))


def _judged(report):
    if os.environ.get("MAILGUARD_CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if ALLOWED not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be missing: {reason}"
    return report
