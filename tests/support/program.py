"""Where the installed program lies."""

from __future__ import annotations

import os
import sysconfig

PROGRAM = os.path.join(sysconfig.get_path("scripts"), "mailguard")
