"""The SPF record of a domain as it stands, for any client (RFC 7208): what it costs and whom it lets through."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network

from mailguard.check import misspelt
from mailguard.check.outcome import FAILURE, GOOD, WARNING, Outcome
from mailguard.check.routing import failed, silent
from mailguard.dns import OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.check.outcome import State
    from mailguard.dns import Answer, Question, Resolver

MAX_LOOKUPS = 10
MAX_VOIDS = 2
MAX_EXCHANGES = 10  # that one term "mx" may lead to (RFC 7208 4.6.4)
_MOST_LOOKUPS = 60  # that are counted at all
_LONGEST_RECORD = 8192
_WIDE = {4: 16, 6: 32}  # shorter prefixes are nobody's mail servers
_EVERYBODY = {4: 4, 6: 8}

_VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)
_MECHANISM = re.compile(
    r"(?P<qualifier>[-+?~]?)(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)(?P<rest>[:/].*+)?", re.IGNORECASE
)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*+)=(.*+)")
_DUAL_PREFIX = re.compile(r"(?:/(3[0-2]|[12]?[0-9]))?(?://(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?")
_TOP = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TARGET = re.compile(r"(?:[!-$&-~]|%\{[slodiphcrtvSLODIPHCRTV][0-9]*+[rR]?[.+,/_=-]*+\}|%%|%_|%-)+")


class _Malformed(ValueError):  # noqa: N818 (a property of the record, not a failure)
    """The text is the term."""


class Term:
    """One mechanism: qualifier (+, -, ~, ?), name, target domain ("" for none), prefix lengths (IPv4, IPv6)."""

    __slots__ = ("name", "prefixes", "qualifier", "target", "text")

    def __init__(self, text: str) -> None:
        match = _MECHANISM.fullmatch(text)
        if match is None:
            raise _Malformed(text)
        self.text = text
        self.qualifier = match["qualifier"] or "+"
        self.name = match["name"].lower()
        rest = match["rest"] or ""
        self.target, prefix = rest.removeprefix(":"), ""
        if self.name in {"a", "mx"}:
            self.target, prefix = _divided(self.target if rest.startswith(":") else rest)
        lengths = _DUAL_PREFIX.fullmatch(prefix)
        if lengths is None or not self._well_formed(rest):
            raise _Malformed(text)
        self.prefixes = int(lengths[1] or 32), int(lengths[2] or 128)

    def _well_formed(self, rest: str) -> bool:
        if self.name == "all":
            return not rest
        if self.name in {"ip4", "ip6"}:
            return self.network is not None
        named = rest.startswith(":")
        if not named:
            return self.name in {"a", "mx"} or (self.name == "ptr" and not rest)
        return _is_target(self.target)

    @property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The range of an ip4 or ip6 term."""
        try:
            return (IPv4Network if self.name == "ip4" else IPv6Network)(self.target, strict=False)
        except ValueError:
            return None


def _is_target(text: str) -> bool:
    """Whether it is a domain-spec: macros, or a name of two labels or more whose last is no number (RFC 7208 7.1)."""
    if "%" in text or not _TARGET.fullmatch(text):
        return bool(_TARGET.fullmatch(text))
    above, dot, last = text.removesuffix(".").rpartition(".")
    return bool(above and dot and _TOP.fullmatch(last) and not last.isdigit())


def _divided(rest: str) -> tuple[str, str]:
    """Divide at the slash that begins the prefix length; macros may hold slashes."""
    start = rest.find("/", len(rest.rstrip("0123456789/")))
    return (rest, "") if start < 0 else (rest[:start], rest[start:])


class SpfRecord:
    """An SPF record: terms, the target of redirect= ("" for none), after: what stands after `all`, which nobody reads.

    Raises ValueError with the bad term.
    """

    __slots__ = ("after", "redirect", "terms", "text")

    def __init__(self, raw: bytes) -> None:
        self.text = raw.decode("utf-8", "backslashreplace")
        self.terms: list[Term] = []
        self.redirect = ""
        seen: set[str] = set()
        for word in self.text.split(" ")[1:]:
            modifier = _MODIFIER.fullmatch(word)
            if modifier is not None:
                name = modifier[1].lower()
                if name in seen or (name in {"redirect", "exp"} and not _is_target(modifier[2])):
                    raise _Malformed(word)
                if name in {"redirect", "exp"}:
                    seen.add(name)
                self.redirect = modifier[2] if name == "redirect" else self.redirect
            elif word:
                self.terms.append(Term(word))
        names = [term.name for term in self.terms]
        end = names.index("all") + 1 if "all" in names else len(names)
        self.after = [term.text for term in self.terms[end:]]
        if "all" in names:
            self.redirect = ""

    @property
    def all(self) -> Term | None:
        """The first term `all`."""
        return next((term for term in self.terms if term.name == "all"), None)


def texts(answer: Answer) -> list[bytes]:
    """Return the SPF records among TXT records."""
    return [text for text in answer.texts if _VERSION.match(text)]


class RecordWalk:
    """What evaluating a record can cost: lookups, voids; problems: (state, reason, values, severity) on the way."""

    def __init__(self, resolver: Resolver) -> None:
        self.lookups = 0
        self.voids = 0
        self.problems: list[tuple[State, str, dict[str, str], str | None]] = []
        self.unanswered: tuple[Question, Answer] | None = None
        self._resolver = resolver
        self._waiting: list[tuple[SpfRecord, str, bool, tuple[str, ...]]] = []

    def run(self, record: SpfRecord, domain: str) -> None:
        """Walk through the record and everything it includes; the limit on lookups ends every walk."""
        self._waiting = [(record, domain, True, (domain,))]
        while self._waiting and self.lookups < _MOST_LOOKUPS:
            current, place, passes, path = self._waiting.pop()
            for term in current.terms:
                if term.name == "all":
                    if passes and term.qualifier == "+":
                        self._note(FAILURE, "pass-all", term.text, "critical")
                    break
                if self.lookups >= _MOST_LOOKUPS:
                    break
                self._term(term, place, path, passes=passes and term.qualifier == "+")
            if current.redirect:
                self.lookups += 1
                self._follow(f"redirect={current.redirect}", current.redirect, path, passes=passes)

    def _note(self, state: State, reason: str, term: str, severity: str | None = None) -> None:
        problem = (state, reason, {"term": term}, severity)
        if problem not in self.problems and len(self.problems) < 20:
            self.problems.append(problem)

    def _term(self, term: Term, place: str, path: tuple[str, ...], *, passes: bool) -> None:
        if term.name in {"ip4", "ip6"}:
            network = term.network
            if network is not None and passes:
                self._range(term, network.version, network.prefixlen)
            return
        self.lookups += 1
        if term.name == "include":
            self._follow(term.text, term.target, path, passes=passes)
        elif term.name == "ptr":
            self._note(WARNING, "ptr", term.text, "informational")
        elif term.name in {"a", "mx"}:
            if passes:
                self._range(term, 4, term.prefixes[0])
                self._range(term, 6, term.prefixes[1])
            self._void(term, term.target or place)

    def _range(self, term: Term, version: int, length: int) -> None:
        if length <= _EVERYBODY[version]:
            self._note(FAILURE, "pass-all", term.text, "critical")
        elif length < _WIDE[version]:
            self._note(WARNING, "wide", term.text, "medium")

    def _void(self, term: Term, name: str) -> None:
        """Count a void lookup where no client could find anything."""
        if "%" in name:
            return
        answers = [self._resolver.query(name, rdtype) for rdtype in (("MX",) if term.name == "mx" else ("A", "AAAA"))]
        for answer in answers:
            if silent(answer):
                self.unanswered = self.unanswered or ((name, "MX" if term.name == "mx" else "A"), answer)
            if len(answer.exchanges) > MAX_EXCHANGES:
                self._note(FAILURE, "exchanges", term.text)
        if not any(answer.status == OK or silent(answer) for answer in answers):
            self.voids += 1

    def _follow(self, text: str, target: str, path: tuple[str, ...], *, passes: bool) -> None:
        target = target.lower().removesuffix(".")
        if "%" in target:
            return
        if target in path:
            self._note(FAILURE, "loop", text)
            return
        answer = self._resolver.query(target, "TXT")
        records = texts(answer)
        if silent(answer):
            self.unanswered = self.unanswered or ((target, "TXT"), answer)
        elif len(records) != 1:
            self.voids += not answer.records
            self._note(FAILURE, "include", text)
        elif len(records[0]) > _LONGEST_RECORD:
            self._note(FAILURE, "long", text)
        else:
            try:
                self._waiting.append((SpfRecord(records[0]), target, passes, (*path, target)))
            except _Malformed as error:
                self._note(FAILURE, "syntax", str(error))


def check(domain: str, resolver: Resolver) -> list[Outcome]:
    """Judge the SPF record of a domain."""
    answer = resolver.query(domain, "TXT")
    if silent(answer):
        return [failed("spf", domain, "TXT", answer)]
    records = texts(answer)
    evidence = [record.decode("utf-8", "backslashreplace") for record in records]
    if not records:
        return [_absent(answer)]
    if len(records) != 1:
        return [Outcome("spf", FAILURE, "multiple", {"count": len(records)}, evidence)]
    if len(records[0]) > _LONGEST_RECORD:
        return [Outcome("spf", FAILURE, "long", {}, evidence)]
    try:
        record = SpfRecord(records[0])
    except _Malformed as error:
        return [Outcome("spf", FAILURE, "syntax", {"term": str(error)}, evidence)]
    walk = RecordWalk(resolver)
    walk.run(record, domain)
    return _judged(record, walk, evidence)


def _absent(answer: Answer) -> Outcome:
    meant = misspelt.find("spf", answer.texts)
    if meant:
        return Outcome("spf", FAILURE, "misspelt", {"record": meant[0]}, meant)
    return Outcome("spf", FAILURE, "missing")


def _judged(record: SpfRecord, walk: RecordWalk, evidence: list[str]) -> list[Outcome]:
    values = {"record": record.text, "lookups": walk.lookups, "voids": walk.voids}
    found = [
        Outcome("spf", state, reason, values | more, evidence, severity=severity)
        for state, reason, more, severity in walk.problems
    ]
    if walk.lookups > MAX_LOOKUPS:
        found.append(Outcome("spf", FAILURE, "lookups", values, evidence))
    if walk.voids > MAX_VOIDS:
        found.append(Outcome("spf", FAILURE, "voids", values, evidence))
    if record.after:
        more = {"term": " ".join(record.after)}
        found.append(Outcome("spf", WARNING, "after-all", values | more, evidence, severity="medium"))
    if record.all is None and not record.redirect:
        found.append(Outcome("spf", WARNING, "open-ended", values, evidence))
    elif record.all is not None and record.all.qualifier == "?":
        found.append(Outcome("spf", WARNING, "neutral-all", values, evidence))
    if walk.unanswered is not None:
        (name, rdtype), answer = walk.unanswered
        found.append(failed("spf", name, rdtype, answer))
    return found or [Outcome("spf", GOOD, "good", values, evidence)]
