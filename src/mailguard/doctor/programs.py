"""The packages of Python that mailguard needs."""

from __future__ import annotations

import re

from mailguard.doctor.row import FAILURE, GOOD, WARNING, Row
from mailguard.errors import installation
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.doctor.row import Setup

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;]*+(?:;.*extra == [\"']([a-z]+)[\"'].*)?")
_MODULES = {
    "dkimpy": "dkim",
    "dnspython": "dns.resolver",
    "libarchive-c": "libarchive",
    "lxml": "lxml.etree",
    "oletools": "oletools.olevba",
    "pillow": "PIL.Image",
    "pymilter": "Milter",
    "pyspf": "spf",
    "python-magic": "magic",
}
"""What to import of packages that are named otherwise than their module."""


def packages(_setup: Setup) -> Iterator[Row]:
    """Import every package that is required, and those of the extras that are installed."""
    for extra, names in _requirements().items():
        versions = {name: _version(name) for name in names}
        missing = sorted(name for name, version in versions.items() if version is None)
        title = f"extra {extra}" if extra else "packages"
        install = installation(extra)
        if extra and len(missing) == len(names):
            state = WARNING if extra == "sanitize" else GOOD
            yield Row(title, state, "not installed", install if state == WARNING else "")
            continue
        broken = [(name, problem) for name in versions if name not in missing and (problem := _problem(name))]
        for name, problem in broken:
            yield Row(title, FAILURE, f"{name} cannot be loaded: {problem}", install)
        if missing:
            yield Row(title, FAILURE, f"missing: {', '.join(missing)}", install)
        if not missing and not broken:
            yield Row(title, GOOD, ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))


def _requirements() -> dict[str, list[str]]:
    """Return the names of distributions by extra, "" for those without."""
    from importlib.metadata import PackageNotFoundError, requires

    found: dict[str, list[str]] = {"": []}
    try:
        lines = requires("mailguard") or []
    except PackageNotFoundError:
        lines = []
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is not None and match[1].lower() != "mailguard":
            found.setdefault(match[2] or "", []).append(match[1].lower())
    found.pop("all", None)  # the others together
    return found


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return show(version(name), 30)
    except PackageNotFoundError:
        return None


def _problem(name: str) -> str:
    """Import a package; return what goes wrong, "" when nothing."""
    from importlib import import_module

    try:
        import_module(_MODULES.get(name, name.replace("-", "_")))
    except Exception as error:  # noqa: BLE001 (a library that is missing below it may raise anything)
        return show(f"{type(error).__name__}: {error}")
    return ""
