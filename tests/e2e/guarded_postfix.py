"""A Postfix whose content filter is mailguard, as the example sets it up."""

from __future__ import annotations

import contextlib
import functools

import pytest
from mail_system import USER, MailSystem, free_port, permitted_configuration, rendered

BACK = pytest.mark.parametrize("back", ["sendmail", "smtp"])


OBSERVING = "observe=--dry-run"


@contextlib.contextmanager
def guarded(site, back, *, observing=False, sanitizing=False, main="", master="", settings=()):
    """A mail system with mailguard as content filter; what was filtered comes `back` by sendmail or by SMTP.

    main, master: lines that stand there before; settings: what is set after the recipe.
    """
    port, second = free_port(), free_port()
    script = site.folder / "filter.sh"
    reinject = site.folder / "reinject.py"
    replaced = {
        "/opt/mailguard/bin/mailguard": str(site.program),
        "/usr/local/lib/mailguard/reinject.py": str(reinject),
        "/var/spool/mailguard": str(site.work),
        "/var/lib/mailguard/known": str(site.home / "known"),
        "/var/lib/mailguard/conversations": str(site.home / "conversations"),
    }
    replaced |= {} if observing else {OBSERVING: "observe="}
    replaced |= {"\nsanitize=\n": "\nsanitize=yes\n"} if sanitizing else {}
    script.write_text(rendered("postfix/filter.sh", replaced))
    script.chmod(0o755)
    reinject.write_text(rendered("postfix/reinject.py", {"/opt/mailguard/bin/python": "/usr/bin/python3"}))
    reinject.chmod(0o755)
    with permitted_configuration(site.folder / "etc"):
        smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
        system = MailSystem(site.folder, main=main, master=smtpd + master, port=port)
        system.recipe = functools.partial(system.apply, recipe(script, port, second), back)
        system.recipe()
        if settings:
            system.set(*settings)
        with system:
            yield system


def recipe(script, port, second):
    """The shipped script that prints the lines, for this mail system."""
    replaced = {
        "entrance=smtp/inet": f"entrance=127.0.0.1:{port}/inet",
        "filter=/usr/local/lib/mailguard/filter.sh": f"filter={script}",
        "port=127.0.0.1:10026": f"port=127.0.0.1:{second}",
        "user=mailguard": f"user={USER}",
        "inet n - y - 10 smtpd": "inet n - n - 10 smtpd",  # no chroot: it needs files that Debian's start script copies
    }
    return rendered("postfix/postconf.sh", replaced)
