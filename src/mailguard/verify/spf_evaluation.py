"""pyspf, run on our resolver and with its faults fenced in.

What is ours: the DNS (pyspf's own is a global function), limits on the length of records and terms (pyspf's expressions
take quadratic time), DNS errors in `ptr` (RFC 7208 5.5), void lookups counted per term and not for hosts that merely
lack the client's address family, explanations fetched only after a fail, and the look ahead that asks for everything
a record refers to at once.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from time import monotonic

import spf

from mailguard.dns import BADNAME, LIMIT, OK
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from mailguard.dns import Answer, Question, Resolver
    from mailguard.verify.spf import SpfResult

_LONGEST_RECORD = 8192  # a record should fit 512 (RFC 7208 3.4); flattened ones reach a few thousand
_LONGEST_TERM = 512
_LONGEST_EXPLANATION = 1024
_MACROS = 16  # in one name or explanation; each may insert the whole sender
_FORESEEN = 40  # questions asked ahead: the ten terms that may look up, and the hosts of some mx
_TERM = re.compile(
    r"[-+?~]?(?:(?P<all>all)|(?P<mechanism>include|exists|a|mx|ptr|ip4|ip6)(?::(?P<target>[^/]++(?:/(?![0-9])[^/]*+)*))?"
    r"(?P<prefix>/[0-9/]*+)?|redirect=(?P<redirect>.++))",
    re.IGNORECASE,
)


class EvaluatedRecord:
    """One SPF record on the way: whose it is, its text, and what came of it.

    result: None when it could not be evaluated to its end; mechanism: the term that matched, None when no term of this
    record itself did, or when the record is an included one.
    """

    __slots__ = ("domain", "mechanism", "result", "text")

    def __init__(self, domain: str, text: str) -> None:
        self.domain = domain
        self.text = text
        self.result: str | None = None
        self.mechanism: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the step as written by --json: with the terms that did not match, in their order."""
        terms = self.text.split()[1:]
        passed = terms[: terms.index(self.mechanism)] if self.mechanism in terms else []
        return {
            "domain": show(self.domain),
            "record": show(self.text, 500),
            "result": self.result,
            "matched": None if self.mechanism is None else show(self.mechanism),
            "not_matched": [show(term) for term in passed if "=" not in term],
        }


def evaluate(evaluations: Iterable[Evaluation]) -> None:
    """Ask for what the records refer to, level by level and for all identities at once, then judge each."""
    identities = list(evaluations)
    level: list[tuple[Evaluation, Question]] = [(identity, (identity.d, "TXT")) for identity in identities]
    seen: set[Question] = set()
    for _ in range(spf.MAX_LOOKUP):  # no evaluation goes deeper
        level = [(identity, question) for identity, question in level if question not in seen][: _FORESEEN - len(seen)]
        if not level or identities[0].late():
            break
        seen.update(question for _, question in level)
        for identity in identities:
            identity.resolver.prefetch([question for own, question in level if own is identity])
        level = [(identity, further) for identity, question in level for further in identity.consequences(*question)]
    for identity in identities:
        identity.judge()


class Evaluation(spf.query):  # type: ignore[misc]
    """One check_host() (RFC 7208 4) for one identity.

    result: what is judged, and where the judgement is written; local: its local-part; client: the IP address;
    helo: for macros; stamp: time (seconds since the epoch) and receiver, for macros; end: when to give up (monotonic).
    """

    def __init__(
        self,
        result: SpfResult,
        local: str,
        client: str,
        helo: str,
        stamp: tuple[float, str],
        resolver: Resolver,
        end: float,
    ) -> None:
        super().__init__(i=client, s=f"{local}@{result.domain}", h=helo)
        self.l, self.o, self.d = local, result.domain, result.domain  # pyspf divides at the first @
        self.t, self.r = str(int(stamp[0])), stamp[1]
        self.resolver = resolver
        self._result = result
        self._end = end
        self._voids: dict[int, list[Question]] = {}
        self._explanations: dict[str, tuple[str, str]] = {}

    def late(self) -> bool:
        """Whether the time is up."""
        return monotonic() > self._end

    def judge(self) -> None:
        """Write the result; never raises because of DNS or envelope."""
        result = self._result
        try:
            result.result, _, text = self.check()
            result.mechanism = self.mechanism
            result.reason = self._reason(result)
            if result.result == "fail":
                result.explanation = self._explained(text)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (pyspf meets hostile records here)
            result.result = "permerror"
            result.reason = f"the record cannot be evaluated ({type(error).__name__})"

    def check0(self, spf: str | None, recursion: int) -> tuple[str, int, str]:
        """Evaluate one record, and keep it for the trace."""
        step = EvaluatedRecord(self.d, spf or "")
        if spf:
            self._result.evaluated.append(step)
        self.mechanism = None
        outcome: tuple[str, int, str] = super().check0(spf, recursion)
        step.result = outcome[0]
        step.mechanism = None if recursion else self.mechanism
        return outcome

    def _reason(self, result: SpfResult) -> str:
        client, domain = self.c, show(result.domain)
        if result.result in {"temperror", "permerror"}:
            return show(": ".join([self.prob, *self.mech]))
        if result.result == "none":
            return f"{domain} publishes no SPF record"
        by = f"by {show(self.mechanism)} of {domain}" if self.mechanism else f"by default of {domain}"
        words = {"pass": "permitted", "fail": "not permitted", "softfail": "not permitted (softly)"}
        return f"{client} is {words.get(result.result, 'neither permitted nor denied')} {by}"

    # The DNS, as pyspf calls it.

    def dns(self, name: Any, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        """Return the records of `name`, TXT as lists of one string; raises TempError and PermError."""
        answer = self._answer(str(name), qtype)
        if answer.temporary:
            raise spf.TempError(f"{answer.status} for {qtype} {show(str(name))}")
        if answer.status == LIMIT:
            raise spf.PermError(f"too many DNS lookups or records, for {qtype} {show(str(name))}")
        if answer.status not in {OK, BADNAME} and not ignore_void:
            self._count_void(str(name), qtype)
        if qtype == "MX":
            self.resolver.prefetch((exchange, self.A) for _, exchange in answer.exchanges[: spf.MAX_MX])
        return [(text,) for text in answer.texts] if qtype == "TXT" else list(answer.records)

    def _answer(self, name: str, qtype: str) -> Answer:
        if self.late():
            raise spf.TempError("SPF took too long")
        return self.resolver.query(name, qtype, macro=True)

    def _count_void(self, name: str, qtype: str) -> None:
        """RFC 7208 4.6.4 limits "terms" with void lookups: the hosts of one mx are one term."""
        self._voids.setdefault(self.lookups, []).append((name, qtype))
        if len(self._voids) > spf.MAX_VOID_LOOKUPS:
            self._forgive_other_family()
        if len(self._voids) > spf.MAX_VOID_LOOKUPS:
            raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} void lookups")

    def _forgive_other_family(self) -> None:
        """Forget the hosts that exist after all, only without addresses of the client's family."""
        other = "A" if self.A == "AAAA" else "AAAA"
        voids = [question for questions in self._voids.values() for question in questions if question[1] == self.A]
        self.resolver.prefetch((name, other) for name, _ in voids)
        hosts = {question for question in voids if self._answer(question[0], other).status == OK}
        self._voids = {
            term: left
            for term, questions in self._voids.items()
            if (left := [one for one in questions if one not in hosts])
        }

    def dns_txt(self, domainname: str, rr: str = "TXT", ignore_void: bool = False) -> list[bytes]:
        """Return the TXT records of a name; raises PermError for an SPF record that is too long to be examined."""
        texts: list[bytes] = super().dns_txt(domainname, rr, ignore_void)
        if any(spf.RE_SPF.match(text) and not _examinable(text) for text in texts):
            raise spf.PermError("SPF record or term too long", domainname)
        return texts

    def validated_ptrs(self) -> list[str]:
        """Return the confirmed names of the client; a DNS error is no match and no temperror (RFC 7208 5.5)."""
        try:
            names = [str(name) for name in self.dns_ptr(self.i)[: spf.MAX_PTR]]
        except spf.TempError:
            return []
        self.resolver.prefetch((name, self.A) for name in names)
        return [name for name in names if self._confirmed(name)]

    def _confirmed(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False

    # Explanations (RFC 7208 6.2): pyspf fetches them before it knows the result; we note them and fetch one at most.

    def get_explanation(self, spec: str) -> str:
        """Return a mark that stands for the explanation at `spec`."""
        mark = f"\0{len(self._explanations)}"
        self._explanations[mark] = (spec, self.d)
        return mark

    def _explained(self, mark: str) -> str | None:
        if mark not in self._explanations:
            return None
        spec, self.d = self._explanations[mark]
        try:
            texts = self.dns_txt(spec, ignore_void=True)
            if len(texts) == 1 and len(texts[0]) <= _LONGEST_EXPLANATION:
                return str(self.expand(spf.to_ascii(texts[0]), stripdot=False))
        except (spf.TempError, spf.PermError):
            return None
        return None

    def expand(self, s: str, stripdot: bool = True) -> str:
        """Expand macros; raises PermError."""
        if s.count("%{") > _MACROS:
            raise spf.PermError("too many macros")
        return str(super().expand(s, stripdot))

    # The look ahead.

    def consequences(self, name: str, rdtype: str) -> Iterable[Question]:
        """Return what the evaluation may ask next because of an answer."""
        if rdtype not in {"TXT", "MX", "PTR"}:
            return []
        answer = self.resolver.query(name, rdtype)
        if rdtype == "TXT":
            records = [text for text in answer.texts if spf.RE_SPF.match(text)]
            return self._references(records[0].decode(), name) if _usable(records) else []
        names = [exchange for _, exchange in answer.exchanges] if rdtype == "MX" else answer.names
        return [(host, self.A) for host in names[: spf.MAX_MX]]

    def _references(self, record: str, domain: str) -> Iterator[Question]:
        original, self.d = self.d, domain
        try:
            for term in record.split(" ")[1:]:
                match = _TERM.fullmatch(term)
                if match is None:
                    continue
                if match["all"] or self._decides(match):
                    return
                yield from self._question(match)
        finally:
            self.d = original

    def _decides(self, match: re.Match[str]) -> bool:
        """Whether an ip4 or ip6 term matches the client, so that nothing after it will be asked."""
        if (match["mechanism"] or "").lower() not in {"ip4", "ip6"}:
            return False
        try:
            return self.ipaddr in ip_network((match["target"] or "") + (match["prefix"] or ""), strict=False)
        except ValueError:
            return False

    def _question(self, match: re.Match[str]) -> Iterator[Question]:
        mechanism = (match["mechanism"] or "redirect").lower()
        target = match["redirect"] or match["target"] or self.d
        if "%{p" in target.lower() or mechanism in {"ip4", "ip6"}:
            return
        rdtype = {"a": self.A, "mx": "MX", "exists": "A", "ptr": "PTR"}.get(mechanism, "TXT")
        try:
            yield (self.ipaddr.reverse_pointer if rdtype == "PTR" else self.expand(target)), rdtype
        except (spf.PermError, ValueError):
            return


def _examinable(record: bytes) -> bool:
    return len(record) <= _LONGEST_RECORD and all(len(term) <= _LONGEST_TERM for term in record.split(b" "))


def _usable(records: list[bytes]) -> bool:
    return len(records) == 1 and records[0].isascii() and _examinable(records[0])
