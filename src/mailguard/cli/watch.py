"""`mailguard check watch`: look at many domains again and again, and say what changed."""

from __future__ import annotations

import click

from mailguard.cli.options import key_file_option, now_option
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mailguard.check.watch import Look

_LARGEST_LIST = 1 << 20
_MOST_DOMAINS = 10_000
STATE = "/var/lib/mailguard/check/watch"


def diagnosis_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `scan` and `watch` that say how a domain is looked at."""
    for option in (
        click.option("--lang", type=click.Choice(("ja", "en")), default="en", help="Language (default: en)."),
        click.option("--lab", is_flag=True, help="Connect to private and own addresses too, for tests."),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.IntRange(1, 3600),
            default=180,
            help="Stop with a domain then (default: 180).",
        ),
        click.option("--blocklist", metavar="ZONE", multiple=True, help="Ask this block list instead of the usual."),
        click.option("--ca-file", metavar="FILE", help="Trust these authorities instead of the system's."),
        click.option("--nameserver", metavar="HOST[:PORT]", multiple=True, help="Ask this name server; repeatable."),
        now_option,
        key_file_option,
    ):
        function = option(function)
    return function


def asked_name(text: str) -> str:
    """Return the domain that somebody means: a name, in any script, a web address or a mailbox; UsageError for none."""
    from ipaddress import ip_address

    from mailguard.dns.names import domain_name

    wanted = text.strip().partition("://")[2] or text.strip()
    wanted = wanted.partition("/")[0].rpartition("@")[2].removesuffix(".")
    try:
        ip_address(wanted.strip("[]"))
    except ValueError:
        name = domain_name(wanted)
    else:
        name = None
    if name is None or "." not in name:
        raise click.UsageError(f"not a domain name: {show(text)}")
    return name


@click.command("watch")
@click.argument("names", metavar="LIST", type=click.File("rb"))
@diagnosis_options
@click.option("--state", metavar="DIR", default=STATE, help=f"What was seen last (default: {STATE}).")
@click.option("--json", "json_file", metavar="FILE", help="Append a line for each domain to this file.")
@click.option("--prometheus", metavar="FILE", help="Write the metrics of all domains to this file.")
@click.option("--days", type=click.IntRange(0, 3650), default=14, help="What ends so soon is a failure (default: 14).")
@click.pass_context
def watch_command(
    ctx: click.Context,
    /,
    names: Any,
    state: str,
    json_file: str | None,
    prometheus: str | None,
    days: int,
    lang: str,
    **options: Any,
) -> None:
    """Look at every domain of LIST, one a line, and compare with the last look.

    Status 0: nothing changed, 1: something did, 2: for the worse, or something ends soon, 3: unknown.
    """
    import json
    import os

    from mailguard import safefile
    from mailguard.check import watch
    from mailguard.check.scan import scan
    from mailguard.cli.diagnosis import settings

    domains = _read(names.read(_LARGEST_LIST + 1))
    os.close(safefile.open_folder(state, create=True))
    if json_file:
        safefile.check_append(json_file)
    looks: list[Look] = []
    with safefile.locked(state):
        for domain in domains:
            found = watch.look(scan(domain, settings(**options)), state, days)
            looks.append(found)
            _say(found, lang)
            if json_file:
                safefile.append(json_file, json.dumps(found.as_dict(), separators=(",", ":")).encode() + b"\n")
        if prometheus:
            safefile.replace(prometheus, [watch.metrics(looks)], mode=0o644)
    statuses = {look.status for look in looks}
    ctx.exit(next((status for status in (watch.WORSE, watch.UNSEEN, watch.CHANGED) if status in statuses), 0))


def _read(raw: bytes) -> list[str]:
    """Return the domains of a list; what follows a # is a comment."""
    if len(raw) > _LARGEST_LIST:
        raise ConfigurationError("the list of domains is too long")
    lines = [line.partition("#")[0].strip() for line in raw.decode("utf-8", "replace").splitlines()]
    domains = list(dict.fromkeys(asked_name(line) for line in lines if line))
    if not domains or len(domains) > _MOST_DOMAINS:
        raise ConfigurationError(f"the list has {len(domains)} domains; it may have 1 to {_MOST_DOMAINS}")
    return domains


def _say(look: Look, lang: str) -> None:
    """Write what is new: a line for the domain, and one for each change and each end that is near."""
    from mailguard.check import catalogue
    from mailguard.check.export import shown_name

    verdict, domain = look.report.verdict, look.report.domain
    click.echo(f"{show(shown_name(domain))}: {verdict.word(lang)}")
    sentences = {
        (each.check, each.subject, each.reason): catalogue.sentence(each, lang, domain) for each in look.report.outcomes
    }
    for sign, changes in (("-", look.worse), ("+", look.better)):
        for check, subject, before, now, reason in changes:
            became = f"{catalogue.STATES[before][lang]} -> {catalogue.STATES[now][lang]}"
            said = sentences.get((check, subject, reason), "")
            click.echo(f"  {sign} {check} {show(subject)}: {became}: {said}".replace(" : ", ": "))
    for check, subject, when in look.soon:
        left = max(0, (when - look.report.started) // 86400)
        text = {"ja": f"あと {left} 日で終わります", "en": f"ends in {left} days"}[lang]
        click.echo(f"  ! {check} {show(subject)}: {text}")
