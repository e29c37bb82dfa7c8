"""What would repair a record of DMARC or TLS-RPT: every other tag stays, and where it stands."""

from __future__ import annotations

from mailguard.check import amended, misspelt, policies
from mailguard.check.changes import Change, Repair
from mailguard.dns import OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailguard.check.outcome import Outcome
    from mailguard.check.scene import Scene

_WORDS = {"strict": "s", "relaxed": "r", "yes": "y", "no": "n", "true": "y", "false": "n"}


def dmarc(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Yield DMARC records: that which is there with one thing changed."""
    reason, values, domain = outcome.reason, outcome.values, scene.domain
    if reason == "foreign-reports":
        name = f"{values.get('place')}._report._dmarc.{values.get('target')}"
        yield scene.change(name, "TXT", [], [b"v=DMARC1"])
        return
    place = f"_dmarc.{values.get('place', domain).removeprefix('_dmarc.')}"
    texts = scene.resolver.query(place, "TXT").texts
    records = [text for text in texts if policies.is_dmarc(text)] or [
        text for text in texts if misspelt.find("dmarc", [text])
    ]
    if reason == "misplaced":
        above = [text for text in scene.resolver.query(domain, "TXT").texts if policies.is_dmarc(text)]
        for text in _careful(amended.respelt(values.get("record", ""), "DMARC1")):
            if scene.resolver.query(place, "CNAME").status != OK:
                yield Repair([Change(domain, "TXT", above, []), Change(place, "TXT", [], [text.encode()])])
        return
    for text in filter(None, _dmarc_texts(outcome, scene, records)):
        yield scene.change(place, "TXT", records, [text.encode()])


def _dmarc_texts(outcome: Outcome, scene: Scene, records: Sequence[bytes]) -> Iterable[str]:
    values = outcome.values
    record, report = values.get("record", ""), scene.mailbox()
    if outcome.reason == "multiple":
        return sorted((each.decode("utf-8", "backslashreplace") for each in records), key=_strength)
    if outcome.reason == "misspelt":
        return _careful(amended.respelt(record, "DMARC1"))
    if outcome.reason in {"odd-reports", "dead-reports"}:
        return _reported(record, values.get("target", ""), report)
    if outcome.reason == "odd-value":
        return _known_value(record, values.get("tag", ""))
    if outcome.reason == "missing":
        return [f"v=DMARC1; p=none; rua={report}" if report else "v=DMARC1; p=none"]
    return [_one_tag(outcome, record, report, own=values.get("place") == scene.domain)]


def _one_tag(outcome: Outcome, record: str, report: str, *, own: bool) -> str:
    """Return the record with one tag set or dropped, "" where that is not known."""
    tags, tag = amended.Tags(record), outcome.values.get("tag", "").partition("=")[0]
    policy = tags.get("p")
    wanted = {
        "malformed": ("p", "none"),
        "none": ("p", "quarantine" if own else ""),  # one step at a time
        "no-reports": ("rua", report),
        "subdomains": (tag, policy),
        "testing": ("t", None),
        "psd": ("psd", None),
        "obsolete": (tag, None),
    }
    name, value = wanted.get(outcome.reason, ("", ""))
    if value is None:
        return str(tags.drop(name))
    return str(tags.set(name, value)) if value else ""


def _known_value(record: str, text: str) -> Iterator[str]:
    """Yield the record with the value that was meant, and without the tag, which then has its default."""
    name, _, value = text.partition("=")
    if value.lower() in _WORDS:
        yield str(amended.Tags(record).set(name, _WORDS[value.lower()]))
    yield str(amended.Tags(record).drop(name))


def _careful(text: str) -> list[str]:
    """Return a record that was not in force as it was meant, and as a beginning that only watches."""
    return [text, str(amended.Tags(text).set("p", "none"))]


def _strength(record: str) -> int:
    order = ("none", "quarantine", "reject")
    policy = amended.Tags(record).get("p").lower()
    return order.index(policy) if policy in order else len(order)


def _reported(record: str, target: str, report: str) -> Iterator[str]:
    """Yield records without a place for reports that takes none: written as it was meant, left out, another one."""
    rua = amended.Tags(record).get("rua")
    if "@" in target and ":" not in target:
        yield str(amended.Tags(record).set("rua", rua.replace(target, f"mailto:{target}")))
    kept = amended.without_report(record, target)
    yield kept or (str(amended.Tags(record).set("rua", report)) if report else "")


def tlsrpt(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Yield TLS-RPT records: that which is there, read as it was meant, or a first one."""
    place = f"_smtp._tls.{scene.domain}"
    texts = scene.resolver.query(place, "TXT").texts
    records = [text for text in texts if policies.is_tlsrpt(text)] or [
        text for text in texts if misspelt.find("tlsrpt", [text])
    ]
    report = scene.mailbox()
    wanted = [amended.respelt(record.decode("utf-8", "backslashreplace"), "TLSRPTv1") for record in records]
    if outcome.reason == "dead":
        wanted = [amended.without_report(text, outcome.values["target"]) for text in wanted[:1]]
    if report:
        wanted.append(f"v=TLSRPTv1; rua={report}")
    for text in filter(None, wanted):
        yield scene.change(place, "TXT", records, [text.encode()])
