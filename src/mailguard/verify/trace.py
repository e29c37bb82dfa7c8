"""How a verdict came about, in lines for a person: the client, each DNS answer, each method, the walk."""

from __future__ import annotations

from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mailguard.findings import Result

_LONGEST_RECORD = 300


def lines(result: Result) -> Iterator[str]:
    """Yield the lines for a result of verify."""
    details = result.details
    if not details:
        return
    for name, fact in details["client"].items():
        if name != "reason":
            yield f"client: {name} {fact['value']} ({fact['source']})"
    if details["client"]["reason"]:
        yield f"client: {details['client']['reason']}"
    yield f"author: {details['author']['address'] or ', '.join(details['author']['domains']) or 'none'}"
    for answer in details["dns"]:
        records = "; ".join(show(record, _LONGEST_RECORD) for record in answer["records"])
        yield f"dns: {show(answer['name'])} {answer['type']}: {answer['status']}{f' {records}' if records else ''}"
    for record in result.results:
        yield from _method(record)
    for sealer in details["arc"]:
        yield f"arc: {sealer['instance']} sealed by {show(sealer['domain'])}, cv={sealer['cv']}: {sealer['results']}"
    for walk in details["walks"]:
        yield from _walk(walk)


def _method(record: Mapping[str, Any]) -> Iterator[str]:
    properties = "".join(f" {name}={show(value)}" for name, value in record["properties"].items() if value)
    reason = f" ({show(record['reason'])})" if record["reason"] else ""
    yield f"{record['method']}: {record['result']}{properties}{reason}"
    for step in record.get("evaluated", ()):
        yield f"  {step['domain']}: {step['record']}"
        passed = f", not by {' '.join(step['not_matched'])}" if step["not_matched"] else ""
        yield f"    {step['result'] or 'not finished'}{' by ' + step['matched'] if step['matched'] else ''}{passed}"


def _walk(walk: Mapping[str, Any]) -> Iterator[str]:
    for record in walk["records"]:
        tags = "".join(f" {name}={record[name]}" for name in ("p", "sp", "np", "psd") if record[name])
        yield f"walk: {show(record['domain'])} publishes{tags}"
    if walk["failed"]:
        yield f"walk: from {show(walk['start'])}, ended at {show(walk['failed'])}, which nobody answered"
    else:
        yield f"walk: from {show(walk['start'])}, organizational domain {show(walk['organizational_domain'])}"
