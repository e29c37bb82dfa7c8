"""The verb: a copy to each target, or into the spool, before the message goes on."""

from __future__ import annotations

from mailguard.delivery import DELIVERED, PERMANENT, Attempt, Copy
from mailguard.duplicate import attempt
from mailguard.duplicate.digest import examine
from mailguard.errors import ConfigurationError
from mailguard.findings import Finding, Result, show
from mailguard.spool.queue import Spool, UnavailableError, check_envelope, identifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailguard.delivery import Target
    from mailguard.envelope import Envelope
    from mailguard.settings import Settings
    from mailguard.spool.done import Place, Room
    from mailguard.spool.entry import Entry

    Work = list[tuple[Target, list[str]]]

VERB = "duplicate"
HOP_LIMIT = 100  # RFC 5321 6.3


class Conditions:
    """Which messages are copied; all conditions must hold.

    sender, recipient: tests for an address (recipients that fail get no copy, others do); larger_than, smaller_than:
    octets; sample: percent of messages, chosen by content; wanted: a test for the message itself.
    """

    __slots__ = ("larger_than", "recipient", "sample", "sender", "smaller_than", "wanted")

    def __init__(
        self,
        *,
        sender: Callable[[str], bool] | None = None,
        recipient: Callable[[str], bool] | None = None,
        larger_than: int | None = None,
        smaller_than: int | None = None,
        sample: float = 100.0,
        wanted: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.sender = sender
        self.recipient = recipient
        self.larger_than = larger_than
        self.smaller_than = smaller_than
        self.sample = sample
        self.wanted = wanted

    def recipients(self, envelope: Envelope) -> list[str]:
        """Return the recipients whose mail is copied."""
        unique = dict.fromkeys(envelope.recipients)
        return [recipient for recipient in unique if self.recipient is None or self.recipient(recipient)]

    def admits(self, raw: bytes, envelope: Envelope, digest: bytes) -> bool:
        """Tell whether the message is copied at all, as far as its recipients do not decide."""
        if self.sender is not None and not self.sender(envelope.sender or ""):
            return False
        if self.larger_than is not None and len(raw) <= self.larger_than:
            return False
        if self.smaller_than is not None and len(raw) >= self.smaller_than:
            return False
        if int.from_bytes(digest[:8], "big") >= self.sample / 100 * 2**64:
            return False
        return self.wanted is None or self.wanted(raw)


class Plan:
    """The options of the command.

    spool: opens it; seconds: how long the message may wait for deliveries, 0 leaves them all to --flush;
    pass_on_failure: let the message go although there is no copy.
    """

    __slots__ = ("pass_on_failure", "seconds", "selection", "spool", "targets")

    def __init__(
        self,
        targets: Sequence[Target],
        spool: Callable[[], Spool],
        *,
        seconds: float = attempt.SECONDS,
        pass_on_failure: bool = False,
        selection: Conditions | None = None,
    ) -> None:
        self.targets = targets
        self.spool = spool
        self.seconds = seconds
        self.pass_on_failure = pass_on_failure
        self.selection = selection or Conditions()


def duplicate(raw: bytes, plan: Plan, settings: Settings) -> Result:
    """Copy a message; the result is the message itself.

    ConfigurationError when an option is missing or the spool is not safe, UnavailableError when the message could be
    neither spooled nor delivered (it must come again), unless plan.pass_on_failure.
    """
    result = Result(VERB, [raw])
    digest, hops = examine(raw)
    work = _work(plan, settings.envelope)
    if not work or not plan.selection.admits(raw, settings.envelope, digest):
        result.findings.append(Finding("duplicate.not-selected", "", "info", "The options select no copy of it."))
    elif settings.dry_run:
        result.action = "copied"
        names = ", ".join(target.name for target, _ in work)
        result.findings.append(Finding("duplicate.selected", "", "info", f"A copy would go to {names}."))
    else:
        _copy(_Case(raw, digest, hops, work, result), plan, settings)
    return result


def _work(plan: Plan, envelope: Envelope) -> Work:
    """Return who gets a copy where; a store holds one for all."""
    if not plan.targets:
        raise ConfigurationError("--to is missing: where do the copies go?")
    check_envelope([envelope.sender or "", *envelope.recipients])
    if any(target.by_recipient for target in plan.targets) and (envelope.sender is None or not envelope.recipients):
        raise ConfigurationError("copies to a server or program need the envelope: --sender and --recipient")
    recipients = plan.selection.recipients(envelope)
    if not recipients and plan.selection.recipient is not None:
        return []
    return [(target, recipients if target.by_recipient else [""]) for target in plan.targets]


class _Case:
    """One message, what is to be done with it, and what is found out meanwhile."""

    __slots__ = ("digest", "hops", "raw", "result", "work")

    def __init__(self, raw: bytes, digest: bytes, hops: int, work: Work, result: Result) -> None:
        self.raw = raw
        self.digest = digest
        self.hops = hops
        self.work = work
        self.result = result

    def note(self, code: str, severity: str, what: str) -> None:
        """Add a finding."""
        self.result.findings.append(Finding(f"duplicate.{code}", "", severity, what))  # type: ignore[arg-type]

    def skip(self, places: Iterable[tuple[str, str]]) -> None:
        """Note who got the message before: (target name, recipient)."""
        for target, recipient in places:
            to = f" for {show(recipient)}" if recipient else ""
            self.note("already-delivered", "notice", f"{target} got this message{to} already; skipped.")


def _copy(case: _Case, plan: Plan, settings: Settings) -> None:
    try:
        spool = plan.spool()
    except UnavailableError as error:
        _deliver_unspooled(case, plan, settings, None, error)
        return
    with spool:
        try:
            entry = _spool(case, spool, settings)
        except UnavailableError as error:
            _deliver_unspooled(case, plan, settings, spool, error)
            return
        if entry is not None:
            try:
                _deliver(case, spool, entry, plan, settings)
            finally:
                entry.close()


def _spool(case: _Case, spool: Spool, settings: Settings) -> Entry | None:
    """Write the entry; None when there is nothing to deliver now."""
    sender = settings.envelope.sender
    entry = spool.put([case.raw], sender=sender, work=case.work, digest=case.digest, now=settings.now)
    case.result.action = "spooled"
    if entry is None:
        case.note("already-spooled", "notice", "The same message is in the spool already; no second copy was made.")
        return None
    skipped = entry.skip_done(settings.now)
    case.skip(skipped)
    if skipped:
        entry.save()
    if entry.pending:
        return entry
    entry.close()
    case.result.action = "copied"
    return None


def _deliver(case: _Case, spool: Spool, entry: Entry, plan: Plan, settings: Settings) -> None:
    if case.hops >= HOP_LIMIT:
        _hold_looping(case, entry, settings)
        return
    names = [name for name in entry.pending if plan.seconds and not spool.breakers.is_open(name, settings.now)]
    reports = attempt.deliver(spool, entry, names, plan.seconds, settings.now) if names else {}
    for name in entry.pending:
        if name in names:
            _report(case, name, reports.get(name))
        else:
            case.note("spooled", "info", f"{name}: left to --flush.")
    if reports.keys() == entry.pending.keys() and all(map(_complete, reports.values())):
        case.result.action = "copied"


def _hold_looping(case: _Case, entry: Entry, settings: Settings) -> None:
    """Keep one copy, in failed/: anybody can write Received fields, so they must not hide a message from the copy."""
    case.note("loop", "warning", f"{case.hops} Received fields: a loop? The copy is held in failed/.")
    for name, item in list(entry.pending.items()):
        refusal = Attempt()
        refusal.settle(item.recipients, PERMANENT, f"5.4.6 not sent: {case.hops} Received fields, a loop?")
        entry.settle(name, refusal, settings.now)


def _report(case: _Case, name: str, outcomes: attempt.Outcomes | None) -> None:
    if outcomes is None:
        case.note("slow", "notice", f"{name}: no final answer yet; it goes on in the background, from the spool.")
        return
    for recipient, (status, reply) in outcomes.items():
        to = f" for {show(recipient)}" if recipient else ""
        severity = "info" if status == DELIVERED else "danger" if status == PERMANENT else "notice"
        code = {DELIVERED: "delivered", PERMANENT: "refused"}.get(status, "deferred")
        case.note(code, severity, f"{name}{to}: {reply}")


def _complete(outcomes: attempt.Outcomes) -> bool:
    return all(status == DELIVERED for status, _ in outcomes.values())


def _deliver_unspooled(
    case: _Case, plan: Plan, settings: Settings, spool: Spool | None, problem: UnavailableError
) -> None:
    """Without room in the spool only complete delivery, now, lets the message go on.

    The message comes again and again until that succeeds, so nothing is delivered that cannot be remembered.
    """
    case.note("no-spool", "danger", f"The spool takes nothing: {problem}.")
    work, room = case.work, None
    try:
        if spool is None:
            raise problem
        room = spool.room(case.digest, _places(work), settings.now)
        work = _not_done(case, room)
    except UnavailableError as error:
        if not plan.pass_on_failure:  # else it does not come again for want of a copy
            raise UnavailableError(f"neither spooled nor delivered: {error}") from None
    try:
        complete = _deliver_now(case, work, plan, settings, room)
    finally:
        if room is not None:
            room.close()
    if complete:
        case.result.action = "copied"
    elif plan.pass_on_failure:
        case.result.action = "not-copied"
        case.note("lost", "danger", "There is NO copy of this message (--on-failure pass).")
    else:
        raise UnavailableError(f"neither spooled nor delivered: {problem}")


def _places(work: Work) -> list[Place]:
    return [(target.name, recipient) for target, recipients in work for recipient in recipients]


def _not_done(case: _Case, room: Room) -> Work:
    """Return who still has to get a copy, after earlier tries."""
    done = room.delivered
    case.skip(place for place in _places(case.work) if place in done)
    left = [
        (target, [recipient for recipient in recipients if (target.name, recipient) not in done])
        for target, recipients in case.work
    ]
    return [(target, recipients) for target, recipients in left if recipients]


def _deliver_now(case: _Case, work: Work, plan: Plan, settings: Settings, room: Room | None) -> bool:
    """Deliver all of it, straight from memory; tell whether that succeeded."""
    if case.hops >= HOP_LIMIT:
        return not work
    raw = case.raw
    copy = Copy(
        lambda offset, length: raw[offset : offset + length],
        len(raw),
        sender=settings.envelope.sender,
        identifier=identifier(case.digest, settings.envelope.sender, case.work),
        created=float(settings.now),
    )
    reports = attempt.deliver_unspooled(copy, work, plan.seconds or attempt.SECONDS, room) if work else {}
    for target, _ in work:
        if target.name in reports:
            _report(case, target.name, reports[target.name])
    return len(reports) == len(work) and all(map(_complete, reports.values()))
