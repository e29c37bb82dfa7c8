"""All mail that comes into a Postfix by SMTP through a content filter (Postfix's FILTER_README, "advanced")."""

from __future__ import annotations

import os

from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup.observation import kept
from mailguard.setup.plan import SetupPlan
from mailguard.setup.server import foundation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.places import Places
    from mailguard.setup.postconf import PostfixFiles
    from mailguard.setup.record import Record

TRANSPORT = "guard"
BACK = "127.0.0.1:10026"
_ENTRANCES = ("smtp/inet", "smtpd/pass")
"""Where mail comes in; behind postscreen(8) that is the service smtpd."""
_FACTS = "${sender} ${client_address} ${client_helo} ${queue_id} ${sasl_username} ${recipient}"
_ROOM = 1 << 20
# What comes back was checked when it arrived; it is neither filtered nor refused again.  By sendmail(1) it comes in
# through pickup(8), which has no content_filter.
_BACK_OPTIONS = {
    "content_filter": "",
    "receive_override_options": "no_unknown_recipient_checks,no_header_body_checks,no_milters",
    "smtpd_client_restrictions": "",
    "smtpd_helo_restrictions": "",
    "smtpd_sender_restrictions": "",
    "smtpd_relay_restrictions": "permit_mynetworks,reject",
    "smtpd_recipient_restrictions": "permit_mynetworks,reject",
    "smtpd_data_restrictions": "",
    "mynetworks": "127.0.0.0/8",
}


def plan(
    site: Places,
    copy: PostfixFiles,
    record: Record,
    *,
    enforce: bool | None = None,
    services: tuple[str, ...] = (),
    back: str = "",
    own_domains: tuple[str, ...] = (),
) -> SetupPlan:
    """Plan the content filter.

    services: where mail comes in, as `smtp/inet`; back: how it comes back, HOST:PORT of a service for it, or "" for
    sendmail(1), or as it is now.  ConfigurationError when something stands in the way that is for the site to decide.
    """
    made = SetupPlan("postfix")
    foundation(made, site, copy, own_domains)
    script = os.path.join(site.lib, "filter.sh")
    made.file(kept(script, site.rendered("filter.sh"), enforce, record, 0o755))
    made.file(kept(os.path.join(site.lib, "reinject.py"), site.rendered("reinject.py"), None, record, 0o755))
    entrances = services or (entrance(copy),)
    for each in entrances:
        _check(copy, each)
    _limits(copy, record, entrances, back)
    # One filter run per recipient, so that each gets the policy and the password of his own.  Without this line all
    # recipients of a mail share one run, and the strictest policy of all holds for it.
    copy.set("main", f"{TRANSPORT}_destination_recipient_limit", "1")
    _transport(copy, site, script, back)
    if back:
        _way_back(copy, entrances[0], back)
    for each in entrances:
        copy.set("option", f"{each}/content_filter", f"{TRANSPORT}:dummy")
    made.mail_server_files = copy.files()
    made.settings = copy.settings
    made.postfix = copy.folder
    return made


def entrance(copy: PostfixFiles) -> str:
    """Return where mail comes in; ConfigurationError where that is somewhere else."""
    for name in _ENTRANCES:
        if name in copy.services("smtpd"):
            return name
    raise ConfigurationError("no service smtp runs smtpd(8) in master.cf; where mail comes in: --service NAME/TYPE")


def _check(copy: PostfixFiles, entrance: str) -> None:
    """Refuse where another filter stands: which of the two comes first is for the site to say."""
    if entrance not in copy.services("smtpd"):
        raise ConfigurationError(f"{show(entrance)}: no service of master.cf that runs smtpd(8)")
    for where, other in (
        ("main.cf", copy.value("content_filter")),
        (entrance, copy.option(entrance, "content_filter")),
    ):
        if other and not other.startswith(f"{TRANSPORT}:"):
            raise ConfigurationError(
                f"{where}: content_filter = {show(other)}: mail goes through another filter already; which comes first"
                " is for you to say: mailguard setup milter goes beside it"
            )


def _limits(copy: PostfixFiles, record: Record, entrances: tuple[str, ...], back: str) -> None:
    """Make room for mail that grows in the filter: a quarter and a megabyte; no limit becomes smaller, 0 is none.

    Each service keeps the limit that it has now, and a mailbox that is smaller than the largest message, which stops
    all mail to it, grows too.
    """
    now = room = copy.number("message_size_limit")
    largest = _largest(copy, record)
    if now:
        own = [copy.limit(each, "message_size_limit") or largest for each in entrances]
        accepted = max(min(limit, largest) for limit in own)
        room = max(now, accepted + accepted // 4 + _ROOM)
    for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
        mailbox = copy.number(name)
        if mailbox and (not room or mailbox < room):
            copy.set("main", name, str(room))
    if room == largest:
        return
    for service in copy.services("smtpd"):
        if service != f"{back or BACK}/inet" and copy.limit(service, "message_size_limit") is None:
            copy.set("option", f"{service}/message_size_limit", str(largest))
    copy.set("main", "message_size_limit", str(room))


def _largest(copy: PostfixFiles, record: Record) -> int:
    """Return the largest mail that the site accepts: its own limit, not one that we raised on the way."""
    name = "message_size_limit"
    raised = record.ours("main", name, copy.written(name))
    return int(raised.before or copy.default(name)) if raised else copy.number(name)


def _transport(copy: PostfixFiles, site: Places, script: str, back: str) -> None:
    """Ask for the service that runs the filter; one that runs it already stays as the site wants it."""
    name = f"{TRANSPORT}/unix"
    now = copy.service(name)
    if now is not None:
        if f"argv={script}" not in now:
            raise ConfigurationError(f"master.cf: {name} is a service of yours: {show(now)}")
        if not back:
            return
    # No flag R, D or F: mailguard reads the mail as it came.
    line = (
        f"{TRANSPORT} unix - n n - 10 pipe flags=q user={site.user} null_sender= argv={script} {back or 'sendmail'}"
        f" {_FACTS}"
    )
    if now is None or f"argv={script} {back} " not in now:
        copy.set("service", name, line)


def _way_back(copy: PostfixFiles, entrance: str, back: str) -> None:
    """Ask for the service that takes mail back, in the same chroot as that where it comes in."""
    if copy.service(f"{back}/inet") is None:
        chroot = (copy.service(entrance) or "").split()[4]
        options = " ".join(f"-o {name}={value}" for name, value in _BACK_OPTIONS.items())
        copy.set("service", f"{back}/inet", f"{back} inet n - {chroot} - 10 smtpd {options}")
