"""Every threat of the table goes through the look of quarantine too: look and disarm agree about what is dangerous."""

from __future__ import annotations

import pytest
from mails import TEXT, attachment, mixed
from threats import THREATS
from verbs import output, parts, rules, site

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.message.content import Content
from mailguard.sanitize import sanitize
from mailguard.sanitize.command import Sandbox
from mailguard.sanitize.policy import parse as policy

DISARM = policy(
    '[[rule]]\ntype = ["application/*", "text/*", "image/*", "message/*", "multipart/*"]\naction = "disarm"\n'
    'remove = ["metadata", "hyperlinks", "comments"]\n',
    "test",
)


def taken_out(name):
    """The codes of what sanitize took out of the attachment, or why it was held."""
    threat = THREATS[name]
    label = b"text/html" if threat.name.endswith("html") else b"application/octet-stream"
    raw = mixed(TEXT, attachment(threat.content, threat.name.encode(), label))
    result = sanitize(raw, rules(), lambda: DISARM, site(), Sandbox)
    assert parts(output(result))[1][2] != threat.content
    record = result.attachments[0]
    return {*record.get("removed", ()), *([record["reason"]] if "reason" in record else ())}


@pytest.mark.parametrize("name", THREATS)
def test_what_sanitize_takes_out_because_it_is_dangerous_is_dangerous_to_quarantine(name):
    threat = THREATS[name]
    if not detect(Content.of(threat.content), [threat.name], "application/octet-stream").dangerous:
        acting = {code for code in taken_out(name) if codes.danger(code)}
        assert not acting, "or the code is tidying: see formats/codes.py"
