"""`mailguard setup`: puts mailguard into the way of mail, and takes it out again."""

from __future__ import annotations

import os
import sys

import click

from mailguard.commands import ORDINARY
from mailguard.errors import ConfigurationError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mailguard.setup.places import Places
    from mailguard.setup.plan import SetupPlan
    from mailguard.setup.postconf import PostfixFiles
    from mailguard.setup.record import Record

_NAMES = ("postfix", "milter", "procmail", "maildrop", "daemon")
_OBSERVING = (
    "mail passes unchanged, the log tells what would have happened; when it says what you expect: mailguard setup {}"
    " --enforce"
)


@click.command("setup", short_help=ORDINARY["setup"])
@click.argument("name", type=click.Choice(_NAMES), metavar="|".join(_NAMES))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--enforce/--observe", default=None, help="Act on mail, or only watch (the default in the beginning).")
@click.option("--undo", is_flag=True, help="Restore what was there before.")
@click.option("--own-domain", "own_domains", metavar="DOMAIN", multiple=True, help="A domain of yours.")
@click.option("--service", "services", metavar="NAME/TYPE", multiple=True, help="Where mail comes in (master.cf).")
@click.option("--back", metavar="HOST:PORT", default="", help="Give mail back by SMTP, to a service of its own.")
@click.option("--postfix", metavar="DIR", default="/etc/postfix", help="Configuration of Postfix.")
@click.option("--recipient", metavar="ADDR", default="postmaster", help="Who gets the test mail (postmaster).")
def command(name: str, dry_run: bool, yes: bool, undo: bool, recipient: str, **given: Any) -> None:
    """Put mailguard into the way of mail: postfix (a content filter), milter, procmail, maildrop; or the daemon.

    Shows what is changed and asks, writes it, lets the doctor look, and sends a test mail through.  Mail passes
    unchanged until --enforce.  What was there is kept, and --undo restores it.  Status 0 when all is well, 1 when not.
    """
    from mailguard.setup.record import Record

    site = _places(name, given["postfix"])
    record = Record(site.records, name)
    if undo:
        _undo(site, record, yes=yes, dry_run=dry_run)
        return
    with _postfix(name, site) as copy:
        plan = _plan(name, site, copy, record, given)
        _carry_out(plan, site, record, yes=yes, dry_run=dry_run)
        if not dry_run:
            click.get_current_context().exit(_prove(name, site, copy, given["services"], recipient))


def _places(name: str, postfix: str) -> Places:
    import pwd

    from mailguard.setup.places import Mine, Places

    own = name in {"procmail", "maildrop"} or (name == "daemon" and os.geteuid() != 0)
    site = Mine(pwd.getpwuid(os.geteuid())) if own else Places()
    site.postfix = postfix
    return site


def _postfix(name: str, site: Places) -> Any:
    from contextlib import nullcontext

    from mailguard.setup.postconf import PostfixFiles

    return PostfixFiles(site.postfix) if name in {"postfix", "milter"} else nullcontext()


def _plan(name: str, site: Places, copy: PostfixFiles, record: Record, given: dict[str, Any]) -> SetupPlan:
    from mailguard.setup import content_filter, daemon, mailbox, milter
    from mailguard.setup.places import Mine

    enforce, domains = given["enforce"], given["own_domains"]
    if name == "postfix":
        return content_filter.plan(
            site,
            copy,
            record,
            enforce=enforce,
            services=given["services"],
            back=given["back"],
            own_domains=domains,
        )
    if name == "milter":
        return milter.plan(site, copy, record, enforce=enforce, own_domains=domains)
    if name == "daemon":
        return daemon.plan(site, record)
    assert isinstance(site, Mine)
    return mailbox.plan(name, site, postfix=site.postfix, enforce=enforce)


def _carry_out(plan: SetupPlan, site: Places, record: Record, *, yes: bool, dry_run: bool) -> None:
    from mailguard.setup import carrying_out

    for line in plan.lines(whole=dry_run):
        click.echo(line)
    if plan.is_empty:
        click.echo("nothing to change")
    elif not dry_run:
        _ask("do this?", yes=yes)
        carrying_out.carry_out(plan, site, record)
        click.echo("done")


def _ask(question: str, *, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("nobody is here to be asked: --yes does it, --dry-run only shows it")
    if not yes:
        click.confirm(question, abort=True)


def _undo(site: Places, record: Record, *, yes: bool, dry_run: bool) -> None:
    from mailguard.setup import carrying_out

    if not record.is_there:
        freed = carrying_out.requeue(site.postfix) if record.name == "postfix" and os.geteuid() == 0 else 0
        click.echo(f"{freed} mails that waited for the filter go on" if freed else "nothing to undo")
        return
    for path, kept in record.files.items():
        click.echo(f"{'remove' if kept.before is None else 'restore'} {show(path)}")
    if not dry_run:
        _ask("undo this?", yes=yes)
        for line in carrying_out.undo(site, record):
            click.echo(f"note: {line}")
        click.echo("undone")


def _prove(name: str, site: Places, copy: PostfixFiles, services: tuple[str, ...], recipient: str) -> int:
    """Let the doctor look and a test mail pass; the status of the command."""
    well = True
    for good, line in (*_doctor(site), *_trial(name, site, copy, services, recipient)):
        click.echo(line)
        well = well and good
    if not well:
        click.echo(f"mend this, or take it back: mailguard setup {name} --undo")
    elif _is_observing(name, site):
        click.echo(_OBSERVING.format(name))
    return 0 if well else 1


def _doctor(site: Places) -> Iterator[tuple[bool, str]]:
    import json

    from mailguard.doctor.row import FAILURE, GOOD
    from mailguard.setup import places

    done = places.attempt(places.as_user(site.user, [site.program, "doctor", "--json", "--postfix", site.postfix]))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    yield bool(rows), f"doctor: {sum(row['state'] == GOOD for row in rows)} good" + ("" if rows else done.stderr)
    for row in rows:
        if row["state"] != GOOD:
            yield row["state"] != FAILURE, f"  {row['state']}: {row['name']}: {row['what']} -> {row['repair']}"


def _trial(
    name: str, site: Places, copy: PostfixFiles, services: tuple[str, ...], recipient: str
) -> Iterator[tuple[bool, str]]:
    from mailguard.setup import content_filter, trial

    if name in {"postfix", "milter"}:
        yield from trial.by_smtp(site, copy, services[0] if services else content_filter.entrance(copy), recipient)
    elif name != "daemon":
        yield from trial.by_program(name, site)


def _is_observing(name: str, site: Places) -> bool:
    from mailguard.setup import mailbox, milter
    from mailguard.setup.observation import is_observing
    from mailguard.setup.plan import content

    paths = {
        "postfix": os.path.join(site.lib, "filter.sh"),
        "milter": os.path.join(site.units, milter.UNIT),
        **{each: os.path.join(getattr(site, "folder", ""), recipes) for each, (_, recipes) in mailbox.RECIPES.items()},
    }
    return name in paths and is_observing((content(paths[name]) or b"").decode("utf-8", "replace"))
