"""Ordinary mail stays as it is: the ham of SpamAssassin's corpus (from npm, in the folder of the peer parsers)."""

from __future__ import annotations

import functools

import pytest
from paths import PARSERS
from verbs import output, release, rules, site

from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import load

HAM = PARSERS / "node_modules" / "@stdlib" / "datasets-spam-assassin" / "data"
# What acts in the pages of 2002: it runs, sends something, loads another page or file, or leads where no link may lead.
# Everything else, broken tags among it, is no reason to change a mail.
DANGEROUS = frozenset({"active-content", "form", "frame", "handler", "hyperlink", "rich-media", "script"})
# Containers of files that are not opened: whether something in them acts is not known.
UNOPENED = frozenset({"application/vnd.ms-tnef"})


@functools.cache
def results():
    mails = sorted(HAM.glob("*-ham-*/*.txt"))
    if not mails:
        pytest.skip(f"the SpamAssassin corpus is not installed in {PARSERS.name}")
    policy = load(None)
    found = {}
    for path in mails:
        raw = path.read_bytes()
        result = sanitize(raw, rules(), lambda: policy, site(), Sandbox)
        assert result.changed or output(result) == raw, path
        assert not result.changed or release(output(result)) == raw, path
        found[path.name] = result
    return found


def anomalous(result):
    return any(finding.code.startswith(("mime.", "header.", "limit.")) for finding in result.findings)


def for_no_danger(result):
    """Tell whether a message was changed although nothing in it acts or is of a dangerous kind."""
    changed = [record for record in result.attachments if record["action"] != "kept"]
    return (
        bool(changed)
        and not any(DANGEROUS.intersection(record.get("removed", ())) for record in changed)
        and not any(record["dangerous"] or record.get("detected_type") in UNOPENED for record in changed)
    )


def test_the_structure_of_at_most_one_in_a_thousand_is_in_doubt():
    found = results()
    assert len(found) > 4000
    assert sum(map(anomalous, found.values())) <= len(found) / 1000


def test_mail_is_hardly_ever_changed_for_no_danger():
    """At most one in a thousand.

    Those are a program in PHP that calls itself a page, a text in a kind of its own (text/enriched), a picture with
    octets behind its end, and a signature (S/MIME) of a kind that is not kept.
    """
    found = {name: result for name, result in results().items() if not anomalous(result)}
    assert sum(map(for_no_danger, found.values())) <= len(found) / 1000
