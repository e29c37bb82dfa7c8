"""Results fields as other verifiers write them, and an independent reader of ours."""

from __future__ import annotations

import re

from hypothesis import strategies as st


def independent(raw):
    """Read a field by RFC 8601 2.2 with nothing but the RFC in mind; raise AssertionError for anything else.

    Returns (authserv-id, [(method, result, [(name, value)])]).
    """
    eol = b"\r\n" if b"\r\n" in raw else b"\n"
    assert raw.endswith(eol)
    lines = raw.removesuffix(eol).split(eol)
    assert all(line and not line.isspace() for line in lines)
    assert all(line[:1] in b" \t" for line in lines[1:])
    text = b"".join(lines).decode("ascii")
    assert re.fullmatch(r"[\t -~]*", text)
    name, _, rest = text.partition(": ")
    assert name == "Authentication-Results"
    token = r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+"
    quoted = r'"(?:[^"\\]|\\.)*"'
    mailbox = rf"(?:{token})?@{token}"
    lexer = re.compile(rf"\s*(?:(?P<value>{mailbox}|{token}|{quoted})|(?P<mark>[;=]))")
    items, position = [], 0
    while position < len(rest):
        match = lexer.match(rest, position)
        assert match, rest[position:]
        position = match.end()
        items.append(match["value"] or match["mark"])
    groups = [[]]
    for item in items:
        if item == ";":
            groups.append([])
        else:
            groups[-1].append(item)
    ((authserv_id,), *rest_groups) = groups
    if rest_groups == [["none"]]:
        return plain(authserv_id), []
    results = []
    for group in rest_groups:
        assert len(group) % 3 == 0
        assert all(equals == "=" for equals in group[1::3])
        pairs = list(zip(group[::3], map(plain, group[2::3]), strict=True))
        assert all('"' not in key for key, _ in pairs)
        results.append((*pairs[0], pairs[1:]))
    return plain(authserv_id), results


def plain(value):
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


NASTY = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='"\\;=\r\n\t (),@a.\0\x1b\u202eé', max_size=60),
    st.sampled_from(
        ["a" * 400, "x; dmarc=pass", "x\r\nFrom: a@b", "a@example.com", '"', "\\", "(", "山" * 100, " " * 200]
    ),
)


EXCHANGE = (
    b"Authentication-Results: spf=pass (sender IP is 192.0.2.7)\r\n smtp.mailfrom=example.com; dkim=pass (signature was\r\n"
    b" verified) header.d=example.com;dmarc=pass action=none\r\n header.from=example.com;compauth=pass reason=100\r\n"
)


GOOGLE = (
    b"Authentication-Results: mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=gZ5/abcd;\r\n"
    b"       spf=pass (google.com: domain of joe@example.com designates 192.0.2.7 as permitted sender)"
    b" smtp.mailfrom=joe@example.com;\r\n       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.com\r\n"
)


RSPAMD = (
    b"Authentication-Results: mx.example.net;\r\n\tdkim=pass header.d=example.com header.s=s1 header.b=gZ5/abcd;\r\n"
    b'\tdmarc=pass (policy=none) header.from=example.com;\r\n\tspf=pass (mx.example.net: domain of "joe@example.com"'
    b" designates 192.0.2.7 as permitted sender) smtp.mailfrom=joe@example.com\r\n"
)


OPENDKIM = (
    b"Authentication-Results: mx.example.net;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=example.com"
    b" header.i=@example.com header.a=rsa-sha256 header.s=s1 header.b=gZ5abcd;\r\n\tdkim-atps=neutral\r\n"
)


OPENDMARC = b"Authentication-Results: mx.example.net; dmarc=pass (p=none dis=none) header.from=example.com\r\n"
