"""A Postfix whose content filter is mailguard, as `mailguard setup postfix` makes it."""

from __future__ import annotations

import contextlib

import pytest
from mail_system import USER, MailSystem, free_port, permitted_configuration

from mailguard.setup import content_filter
from mailguard.setup.carrying_out import carry_out
from mailguard.setup.places import Places
from mailguard.setup.postconf import PostfixFiles
from mailguard.setup.record import Record

BACK = pytest.mark.parametrize("back", ["sendmail", "smtp"])


@contextlib.contextmanager
def guarded(site, back, *, observing=False, switched_on=(), main="", master="", settings=()):
    """A mail system with mailguard as content filter; what was filtered comes `back` by sendmail or by SMTP.

    switched_on: what the script is told to do besides; main, master: lines that stand there before; settings: what is set afterwards.
    """
    port, second = free_port(), free_port()
    with permitted_configuration(site.folder / "etc"):
        smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
        system = MailSystem(site.folder, main=main, master=smtpd + master, port=port)
        places = places_of(site)
        (site.folder / "python").symlink_to("/usr/bin/python3")

        def setup():
            record = Record(places.records, "postfix")
            with PostfixFiles(places.postfix) as copy:
                plan = content_filter.plan(
                    places,
                    copy,
                    record,
                    enforce=not observing,
                    services=(f"127.0.0.1:{port}/inet",),
                    back=f"127.0.0.1:{second}" if back == "smtp" else "",
                )
            carry_out(plan, places, record)
            return plan

        system.setup = setup
        setup()
        script = site.folder / "filter.sh"
        for switch in switched_on:
            assert f"\n{switch}=\n" in script.read_text()
            script.write_text(script.read_text().replace(f"\n{switch}=\n", f"\n{switch}=yes\n"))
        if settings:
            system.set(*settings)
        with system:
            yield system


def places_of(site):
    """The places of a site of the tests, in its folder."""
    places = Places(str(site.program), USER)
    places.postfix = str(site.folder / "etc")
    places.etc = places.home = str(site.home)
    places.lib = str(site.folder)
    places.spool = str(site.work)
    places.records = str(site.folder / "records")
    return places
