"""A Postfix whose content filter is mailguard, as the example sets it up."""

from __future__ import annotations

import contextlib

import pytest
from mail_system import EXAMPLES, USER, MailSystem, free_port, permitted_configuration, rendered

BACK = pytest.mark.parametrize("back", ["sendmail", "smtp"])


OBSERVING = "observe=--dry-run"


@contextlib.contextmanager
def guarded(site, back, *, observing=False, sanitizing=False, main=None):
    """A mail system with mailguard as content filter; what was filtered comes `back` by sendmail or by SMTP."""
    port, second = free_port(), free_port()
    script = site.folder / "filter.sh"
    reinject = site.folder / "reinject.py"
    replaced = {
        "/opt/mailguard/bin/mailguard": str(site.program),
        "/usr/local/lib/mailguard/reinject.py": str(reinject),
        "/var/spool/mailguard": str(site.work),
        "/var/lib/mailguard/known": str(site.home / "known"),
    }
    replaced |= {} if observing else {OBSERVING: "observe="}
    replaced |= {"\nsanitize=\n": "\nsanitize=yes\n"} if sanitizing else {}
    script.write_text(rendered("postfix/filter.sh", replaced))
    script.chmod(0o755)
    reinject.write_text(rendered("postfix/reinject.py", {"/opt/mailguard/bin/python": "/usr/bin/python3"}))
    reinject.chmod(0o755)
    replaced = {
        "\nsmtp ": f"\n127.0.0.1:{port} ",
        "/usr/local/lib/mailguard/filter.sh": str(script),
        "user=mailguard": f"user={USER}",
        " y ": " n ",  # no chroot: it would need files that Debian's own start script copies
    }
    if back == "smtp":
        replaced["127.0.0.1:10026"] = f"127.0.0.1:{second}"
    master = rendered({"sendmail": "postfix/master.cf", "smtp": "postfix/master-smtp.cf"}[back], replaced)
    main = (EXAMPLES / "postfix/main.cf").read_text() if main is None else main
    with (
        permitted_configuration(site.folder / "etc"),
        MailSystem(site.folder, main=main, master=master, port=port) as system,
    ):
        yield system
