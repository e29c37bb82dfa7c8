"""What would repair a finding, as far as it can be known: records that are there with one thing changed.

Each finding has candidates in order of preference; `rehearsal` tries them and keeps the first that helps.  No name is
invented: a host that does not exist yet comes with the record that makes it exist.
"""

from __future__ import annotations

from mailguard.check import amended, misspelt, policy_repairs, sender_policy, transport_policy
from mailguard.check.changes import Change, Repair
from mailguard.check.outcome import GOOD
from mailguard.check.scene import providers
from mailguard.dns import OK
from mailguard.verify import client as connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailguard.check.outcome import Outcome
    from mailguard.check.scene import Scene
    from mailguard.dns import Record

_USUAL_HOSTS = ("mail", "mx", "smtp")
_AGE = 1209600


def candidates(outcome: Outcome, scene: Scene) -> Iterator[Repair]:
    """Yield what may repair an outcome, the best first."""
    propose = _PROPOSALS.get(outcome.check)
    if propose is not None:
        yield from (repair for repair in propose(outcome, scene) if repair is not None and repair.pasted)


def _spf(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    domain, answer = scene.domain, scene.resolver.query(scene.domain, "TXT")
    records = sender_policy.texts(answer) or [text for text in answer.texts if misspelt.find("spf", [text])]
    shown = [record.decode("utf-8", "backslashreplace") for record in records]
    alike = [each for each in scene.outcomes if (each.check, each.reason) == ("spf", outcome.reason)]
    terms = [each.values["term"] for each in alike if "term" in each.values]
    wanted = _first_spf(scene) if outcome.reason == "missing" else amended.spf(outcome.reason, shown, terms)
    texts = [wanted and scene.mechanism and amended.with_mechanism(wanted, scene.mechanism), wanted]
    if any(each.check == "spf.result" and each.state == GOOD for each in scene.outcomes):
        texts.reverse()  # the server may send already, perhaps only because everybody may
    for text in filter(None, texts):
        yield scene.change(domain, "TXT", records, [text.encode()])


def _first_spf(scene: Scene) -> str:
    """Return the first SPF record of a domain: those who take its mail may send it, and others are only suspect."""
    exchanges = scene.resolver.query(scene.domain, "MX").exchanges
    hosts = [name.lower().strip(".") for _, name in exchanges]
    if exchanges and not any(hosts):
        return "v=spf1 -all"
    terms = [
        term
        for ending, term in providers()["senders"].items()
        if any(host == ending or host.endswith("." + ending) for host in hosts)
    ]
    if hosts:
        return " ".join(["v=spf1", *dict.fromkeys(terms or ["mx"]), "~all"])
    return "v=spf1 a ~all" if scene.addresses(scene.domain) else ""


def _spf_result(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Let the server that sent the mail send; the record of somebody else is not ours to change."""
    place = outcome.values.get("value", "")
    records = sender_policy.texts(scene.resolver.query(place, "TXT"))
    if not scene.mechanism or not scene.owns(place) or len(records) > 1:
        return
    if records:
        text = amended.with_mechanism(records[0].decode("utf-8", "backslashreplace"), scene.mechanism)
    else:
        first = _first_spf(scene) if place == scene.domain else "v=spf1 ~all"
        text = amended.with_mechanism(first or "v=spf1 ~all", scene.mechanism)
    if text:
        yield scene.change(place, "TXT", records, [text.encode()])


def _spf_helo(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    place = outcome.values.get("helo", "")
    records = sender_policy.texts(scene.resolver.query(place, "TXT"))
    if not scene.owns(place):
        return
    if not records:
        yield scene.change(place, "TXT", [], [b"v=spf1 a -all"])
    elif len(records) == 1 and scene.mechanism:
        text = amended.with_mechanism(records[0].decode("utf-8", "backslashreplace"), scene.mechanism)
        yield scene.change(place, "TXT", records, [text.encode()]) if text else None


def _mx(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    answer, reason = scene.resolver.query(scene.domain, "MX"), outcome.reason
    named = outcome.values.get("hosts", "").split(", ")
    gone = [record for record in answer.exchanges if record[1].lower() in named]
    if reason == "null-mixed":
        gone = [record for record in answer.exchanges if not record[1].strip(".")]
        yield scene.change(scene.domain, "MX", gone, [])
    elif reason == "implicit":
        yield scene.change(scene.domain, "MX", [], [(10, scene.domain)])
    elif reason == "unused":
        yield scene.change(scene.domain, "MX", [], [(0, "")])
    elif reason == "alias":
        yield _unaliased(gone, scene)
    elif reason == "literal":
        yield _named(gone, scene)
        yield scene.change(scene.domain, "MX", gone, [])
    elif reason == "unresolved" and len(gone) < len(answer.exchanges):
        yield scene.change(scene.domain, "MX", gone, [])


def _unaliased(gone: Sequence[tuple[int, str]], scene: Scene) -> Repair | None:
    """Name the host itself instead of its alias."""
    wanted: list[Record] = []
    for preference, name in gone:
        target = name
        for _ in range(5):
            target = next(iter(scene.resolver.query(target, "CNAME").names), target).lower()
        if not scene.addresses(target):
            return None
        wanted.append((preference, target))
    return scene.change(scene.domain, "MX", gone, wanted)


def _named(gone: Sequence[tuple[int, str]], scene: Scene) -> Repair | None:
    """Name the host that has an address: one that is there, or else one that the record makes."""
    if len(gone) != 1:
        return None
    preference, literal = gone[0]
    address = connection.client_address(literal.strip("[]"))
    if address is None:
        return None
    host, made = _host(str(address), scene)
    if not host:
        return None
    return Repair([*made, Change(scene.domain, "MX", gone, [(preference, host)])])


def _host(address: str, scene: Scene, *preferred: str) -> tuple[str, list[Change]]:
    """Return the name of a host with this address, and the record that makes it where it does not exist yet."""
    there = [name.lower().strip(".") for _, name in scene.resolver.query(scene.domain, "MX").exchanges]
    usual = [f"{label}.{scene.domain}" for label in _USUAL_HOSTS]
    for name in filter(None, (*preferred, *there, *usual)):
        if any(connection.client_address(each) == connection.client_address(address) for each in scene.addresses(name)):
            return name, []
    for name in (*(each for each in preferred if "." in each and scene.owns(each)), *usual):
        if not scene.addresses(name) and scene.resolver.query(name, "CNAME").status != OK:
            return name, [Change(name, "AAAA" if ":" in address else "A", [], [address])]
    return "", []


def _sts_record(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    place = f"_mta-sts.{scene.domain}"
    texts = scene.resolver.query(place, "TXT").texts
    records = [text for text in texts if transport_policy.is_announced(text)] or [
        text for text in texts if misspelt.find("mtasts", [text])
    ]
    if outcome.reason != "missing":
        spelt = (
            amended.Tags(amended.respelt(records[0].decode("utf-8", "backslashreplace"), "STSv1")) if records else None
        )
        if spelt and len(records) == 1 and spelt.get("id").isalnum():
            yield scene.change(place, "TXT", records, [f"v=STSv1; id={spelt.get('id')};".encode()])
        yield scene.change(place, "TXT", records, [f"v=STSv1; id={scene.now};".encode()])
        return
    for repair in _sts_policy(outcome, scene):
        if repair is not None:
            yield Repair([Change(place, "TXT", records, [f"v=STSv1; id={scene.now};".encode()])], file=repair.file)


def _sts_policy(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Change the policy that is there, or write a first one; a new policy needs a new id."""
    place = f"_mta-sts.{scene.domain}"
    records = [text for text in scene.resolver.query(place, "TXT").texts if transport_policy.is_announced(text)]
    hosts = [
        name.lower().strip(".")
        for _, name in sorted(scene.resolver.query(scene.domain, "MX").exchanges)
        if name.strip(".")
    ]
    wrong = [
        name
        for each in scene.outcomes
        if each.check == "mx.exists" and each.reason in {"literal", "unresolved", "alias"}
        for name in each.values.get("hosts", "").split(", ")
    ]
    for text in _policies(outcome, scene.policy, list(dict.fromkeys(hosts or [scene.domain])), wrong):
        marked = [f"v=STSv1; id={scene.now};".encode()]
        yield Repair(
            [Change(place, "TXT", records, marked)] if records and outcome.reason in _EDITED else [], file=text
        )


_EDITED = frozenset({"testing", "short", "unmatched"})


def _policies(outcome: Outcome, policy: str, hosts: Sequence[str], wrong: Sequence[str]) -> list[str]:
    """Return texts of policies; wrong: names of MX that should not be there."""
    lines = [line.strip() for line in policy.splitlines() if line.strip()]
    if outcome.reason == "unmatched":
        missing = [f"mx: {host}" for host in outcome.values.get("missing", "").split(", ") if host not in wrong]
        place = max((number for number, line in enumerate(lines) if line.startswith("mx")), default=len(lines) - 1) + 1
        return ["\n".join([*lines[:place], *missing, *lines[place:]])]
    if outcome.reason == "testing":
        return ["\n".join("mode: enforce" if line.startswith("mode") else line for line in lines)]
    if outcome.reason == "short":
        return ["\n".join(f"max_age: {_AGE}" if line.startswith("max_age") else line for line in lines)]
    named = "\n".join(f"mx: {host}" for host in hosts[: transport_policy.MOST_PATTERNS])
    return [f"version: STSv1\nmode: {mode}\n{named}\nmax_age: {_AGE}" for mode in ("enforce", "testing")]


def _tlsa(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    name = f"_25._tcp.{outcome.subject}"
    digests = scene.digests.get(outcome.subject, [])
    records = scene.resolver.query(name, "TLSA").names
    if digests and records and outcome.reason != "unsigned":
        wanted = [f"3 1 1 {digest}" for digest in dict.fromkeys(digests)]
        yield scene.change(name, "TLSA", [record for record in records if record.lower() not in wanted], wanted)


def _delegated(outcome: Outcome, _: Scene) -> Iterator[Repair | None]:
    """Of a zone that is signed only the DS record is missing, which the registrar publishes."""
    records = [text for text in outcome.values.get("ds", "").split("; ") if text]
    if outcome.reason == "no-ds" and records:
        yield Repair([Change(outcome.values["zone"], "DS", [], records)])


def _caa(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Name the authority in use, for this host alone: who issues for others at the domain is not known."""
    host = outcome.subject
    issuer = providers()["issuers"].get(scene.issuers.get(host, ""))
    if issuer is None or not scene.owns(host) or host == scene.domain:
        return
    place = outcome.values.get("place", host)
    records = scene.resolver.query(place, "CAA").names if place == host else ()
    closed = [record for record in records if record.split(" ")[1:2] == ["issue"]]
    yield scene.change(host, "CAA", closed, [f'0 issue "{issuer}"'])


def _pointer(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Name in the reverse zone the host that has the address."""
    values = outcome.values
    pointer = values.get("pointer", "")
    answer = scene.resolver.query(pointer, "PTR")
    named = [name.lower() for name in answer.names if scene.owns(name.lower())]
    preferred = [outcome.subject, values.get("helo", ""), *named]
    host, made = _host(values.get("address", ""), scene, *preferred)
    if host:
        known = [name for name in answer.names if name.lower() == host]
        gone = [name for name in answer.names if name.lower() != host]
        pointed = [] if known and not gone else [Change(pointer, "PTR", gone, [host])]
        yield Repair([*made, *pointed])


def _helo(outcome: Outcome, scene: Scene) -> Iterator[Repair | None]:
    """Give the name that the address has, or let the name that is given have the address."""
    address = connection.client_address(outcome.values.get("address"))
    if address is None:
        return
    names = [name.lower() for name in scene.resolver.query(address.reverse_pointer, "PTR").names]
    given = outcome.values.get("helo", "").lower()
    host, made = _host(str(address), scene, *names, given)
    if host:
        yield Repair(made, helo="" if host == given else host)


_PROPOSALS: dict[str, Callable[[Outcome, Scene], Iterator[Repair | None]]] = {
    "spf": _spf,
    "spf.result": _spf_result,
    "spf.helo": _spf_helo,
    "dmarc": policy_repairs.dmarc,
    "tlsrpt": policy_repairs.tlsrpt,
    "mx.exists": _mx,
    "mtasts.record": _sts_record,
    "mtasts.policy": _sts_policy,
    "mtasts.match": _sts_policy,
    "dane.tlsa": _tlsa,
    "caa": _caa,
    "dnssec.domain": _delegated,
    "dnssec.mx": _delegated,
    "mx.ptr": _pointer,
    "fcrdns": _pointer,
    "helo": _helo,
}
