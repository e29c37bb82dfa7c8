"""The units of systemd that are shipped: who breaks into one of these services finds little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from paths import EXAMPLES

from mailguard.setup import daemon
from mailguard.setup.places import FILES, Places

UNITS = [
    Path(FILES, "mailguard-milter.service"),
    EXAMPLES / "check" / "mailguard-check.service",
    EXAMPLES / "duplicate" / "mailguard-flush.service",
]
"""The daemon's workers are the filters, which start a sandbox and see what a filter sees: mailguard-daemon(1)."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_service_is_exposed_to_two_of_ten_at_most(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1]) <= 2.0, done


@pytest.mark.parametrize("name", [daemon.SERVICE, daemon.SOCKET])
def test_a_user_gets_the_units_without_what_is_for_root(name, tmp_path):
    site = Places("/bin/true")
    site.daemon = "/run/user/1000/mailguard/daemon/socket"
    own = daemon._of_a_user(site.rendered(name))
    assert "User=" not in own
    assert "/usr/bin/install" not in own
    assert site.daemon in own
    if shutil.which("systemd-analyze"):
        for each in (daemon.SERVICE, daemon.SOCKET):
            (tmp_path / each).write_text(daemon._of_a_user(site.rendered(each)))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", tmp_path / name],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Unknown" not in done.stderr
        assert name not in done.stderr
