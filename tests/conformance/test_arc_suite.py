"""The ARC validation suite by ValiMail, in this process, with LF and CRLF."""

from __future__ import annotations

import pytest
from paths import SUITES
from signed_mail import Zone

from mailguard.message.tree import parse
from mailguard.verify import arc

yaml = pytest.importorskip("yaml")
SUITE = SUITES / "arc" / "arc-draft-validation-tests.yml"
NUMBER = 171

# The suite writes nothing where the last sealer itself says that the chain is broken; RFC 8617 5.2 step 2 calls it fail.
EXPECTED = {"pass": "pass", "fail": "fail", "none": "none", "": "fail"}


def cases():
    if not SUITE.exists():
        return []
    scenarios = yaml.safe_load_all(SUITE.read_bytes())
    return [(name, test, scenario["txt-records"]) for scenario in scenarios for name, test in scenario["tests"].items()]


def test_the_suite_is_complete():
    if not SUITE.exists():
        pytest.skip(f"the published suite is not here: {SUITE} (set MAILGUARD_SUITES)")
    assert len(cases()) == NUMBER


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("name", "test", "records"), [pytest.param(*case, id=case[0]) for case in cases()])
def test_chain(name, test, records, eol):
    resolver = Zone({domain: text.encode() for domain, text in records.items()})
    message = parse(test["message"].encode().replace(b"\n", eol))
    questions = arc.keys(message)
    chain = arc.verify(message, resolver)
    assert chain.result == EXPECTED[(test["cv"] or "").lower()], chain.reason
    assert set(resolver.asked) <= set(questions), "not prefetched"
