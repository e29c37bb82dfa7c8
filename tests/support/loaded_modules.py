"""A filter that tells what it has loaded."""

from __future__ import annotations

LOADED = """
import os, sys
sys.argv = ["mailguard", {verb!r}, "--log", "none", *{more!r}]
def tell(status):
    os.write(2, " ".join(sorted(sys.modules)).encode())
    real(status)
real, os._exit = os._exit, tell
from mailguard.__main__ import main
main()
"""
