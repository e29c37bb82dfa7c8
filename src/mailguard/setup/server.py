"""What all ways into a mail server need: the user of the filters, folders, the key, the configuration."""

from __future__ import annotations

import os
import pwd
import re

from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup import places
from mailguard.setup.plan import WrittenFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.setup.places import Places
    from mailguard.setup.plan import SetupPlan
    from mailguard.setup.postconf import PostfixFiles

_DOMAIN = re.compile(r"(?!localhost\b)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_DOMAINS = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")


def foundation(plan: SetupPlan, site: Places, copy: PostfixFiles | None, own_domains: tuple[str, ...]) -> None:
    """Plan user, folders, key and configuration where they are missing; ConfigurationError when we may not."""
    if os.geteuid() != 0:
        raise ConfigurationError(f"this changes the whole machine: run it as root (sudo mailguard setup {plan.name})")
    account(plan, site)
    plan.folder(site.etc, 0o755, "root")
    plan.folder(site.lib, 0o755, "root")
    plan.folder(site.home, 0o700, site.user)
    plan.folder(site.spool, 0o700, site.user)
    if not os.path.lexists(site.key):
        plan.key = site.key
    if not os.path.lexists(site.configuration):
        plan.file(WrittenFile(site.configuration, _configuration(plan, site, copy, own_domains).encode()))


def account(plan: SetupPlan, site: Places) -> None:
    """Plan the user of the filters; ConfigurationError when the one that is there cannot run the program."""
    try:
        pwd.getpwnam(site.user)
    except KeyError:
        plan.account = site.user
    user = "nobody" if plan.account else site.user
    done = places.attempt(places.as_user(user, [site.program, "--version"]))
    if done.returncode:
        raise ConfigurationError(
            f"{show(site.program)}: only root can run it ({show(done.stderr.strip(), 200)}); install it where all users"
            " may read it, such as in /opt/mailguard"
        )


def _configuration(plan: SetupPlan, site: Places, copy: PostfixFiles | None, own_domains: tuple[str, ...]) -> str:
    domains = list(own_domains) or _domains(copy)
    name = copy.value("myhostname") if copy else os.uname().nodename
    if not domains:
        plan.notes.append(f"no domain of yours is known: own_domain in {show(site.configuration)}, or --own-domain")
    text = site.rendered("mailguard.toml").replace('"mx.example.com"', _quoted(name))
    return with_log(text.replace('["example.com"]', f"[{', '.join(map(_quoted, domains))}]"), site)


def with_log(text: str, site: Places) -> str:
    """Return the configuration with a log file where there is no syslog(3): without it nobody would learn a thing."""
    return text if os.path.exists("/dev/log") else text.replace('"syslog"', _quoted(os.path.join(site.home, "log")))


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)  # a basic string of TOML


def _domains(copy: PostfixFiles | None) -> list[str]:
    """Return the domains whose mail comes to this Postfix, as far as main.cf names them and no table does."""
    words = " ".join(copy.value(name) for name in _DOMAINS).replace(",", " ").split() if copy else []
    return list(dict.fromkeys(word.lower() for word in words if _DOMAIN.fullmatch(word)))
