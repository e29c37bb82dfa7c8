"""Address lists: which pattern matches which address, and which of several decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.addresses import AddressList, matching, parse_pattern
from mailguard.errors import ConfigurationError

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
LOCAL = st.from_regex(r"[a-z0-9._+-]{1,12}", fullmatch=True)


def listed(text):
    return AddressList.parse(text, "known")


def problem(text):
    try:
        listed(text)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("patterns", "address", "expected"),
    [
        ("bob@example.com", "bob@example.com", True),
        ("bob@example.com", "<Bob@EXAMPLE.com.>", True),
        ("bob@example.com", '"bob"@example.com', True),
        ("bob@corp.co", "bob@corp.com", False),
        ("bob@corp.com", "bob@corp.co", False),
        ("bob@corp.com", "rob.bob@corp.com", False),
        ("@corp.co", "bob@corp.com", False),
        ("@corp.com", "bob@corp.com", True),
        ("@corp.com", "bob@mail.corp.com", False),
        ("corp.com", "bob@mail.corp.com", True),
        ("corp.com", "bob@corp.com", True),
        ("corp.com", "bob@evilcorp.com", False),
        ("corp.com", "bob@corp.com.evil.example", False),
        ("corp.com", '"x@corp.com"@evil.example', False),
        ("evil.example", '"x@corp.com"@evil.example', True),
        ("evil@corp.com", "x@evil＠corp.com", False),
        ("@corp.com", "bob@ｃｏｒｐ．ｃｏｍ", True),
        ("@日本.jp", "taro@xn--wgv71a.jp", True),
        ("@XN--WGV71A.jp", "taro@日本。jp", True),
        ("@strasse.de", "a@straße.de", False),
        ("@xn--strae-oqa.de", "a@STRAßE.de", True),
        ("josé@example.com", "JOSE\u0301@example.com", True),
        ("[192.0.2.1]", "bob@[192.0.2.1]", None),
        ("@[192.0.2.1]", "bob@[192.0.2.1]", True),
        ("2.1]", "bob@[192.0.2.1]", None),
        ("*", "root", True),
        ("root", "root", False),
        ("*", "", False),
        ("*", "<>", False),
        ('""@corp.com', "bob@corp.com", False),
        ("corp.com\n!mail.corp.com", "a@x.mail.corp.com", False),
        ("!corp.com\nmail.corp.com", "a@x.mail.corp.com", True),
        ("corp.com\n!@corp.com\nbob@corp.com", "bob@corp.com", True),
        ("corp.com\n!@corp.com\nbob@corp.com", "rob@corp.com", False),
        ("bob@corp.com\n!bob@corp.com", "bob@corp.com", False),
        ("!bob@corp.com\nbob@corp.com", "bob@corp.com", False),
        ("*\n!corp.com", "a@corp.com", False),
        ("*\n!corp.com", "a@corp.org", True),
        ("# comment\n\nbob@corp.com # the boss\r\n", "bob@corp.com", True),
        ("bob#1@corp.com", "bob#1@corp.com", True),
    ],
)
def test_the_longest_pattern_that_matches_decides(patterns, address, expected):
    if expected is None:
        with pytest.raises(ConfigurationError):
            listed(patterns)
    else:
        assert listed(patterns).matches(address) is expected


@pytest.mark.parametrize(
    "line", ["bob@", "*@corp.com", "*.corp.com", "@", "!", "corp..com", "bob@co rp.com", "a@b.com, c@d.com", "/^x/"]
)
def test_a_line_that_is_no_pattern_is_named_with_file_and_line(line):
    with pytest.raises(ConfigurationError, match=r"^known:2: "):
        listed(f"ok@example.com\n{line}\n")


def test_a_file_is_read_with_byte_order_mark_and_errors_name_it(tmp_path):
    path = tmp_path / "known"
    path.write_bytes("\ufeffbob@example.com\r\n".encode())
    assert AddressList.read(str(path)).matches("bob@example.com")
    path.write_bytes(b"\xff\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        AddressList.read(str(path))
    with pytest.raises(ConfigurationError, match="No such file"):
        AddressList.read(str(tmp_path / "absent"))


@given(LOCAL, DOMAIN)
def test_a_mailbox_matches_itself_its_domain_and_every_parent_of_it(local, domain):
    address = f"{local}@{domain}"
    parents = [domain.split(".", cut)[-1] for cut in range(domain.count(".") + 1)]
    assert list(matching(address)) == [address, f"@{domain}", *parents, "*"]
    for pattern in matching(address):
        assert parse_pattern(pattern) == pattern
        assert listed(pattern.upper()).matches(address)


@given(LOCAL, DOMAIN, DOMAIN)
def test_no_domain_matches_another_that_only_begins_or_ends_like_it(local, domain, other):
    below = other == domain or other.endswith("." + domain)
    assert listed(domain).matches(f"{local}@{other}") is below
    assert listed(f"@{domain}").matches(f"{local}@{other}") is (other == domain)


@given(st.text(max_size=60))
def test_any_text_as_address_matches_or_not_but_never_fails(text):
    listed("*\n!example.com").matches(text)
    assert listed("a@b.c").matches(text + "@b.d") is False


@given(st.text(max_size=60))
def test_any_text_as_list_is_read_or_is_a_configuration_error(text):
    assert "\n" not in problem(text)


def test_a_huge_domain_costs_nothing():
    assert listed("b.c").matches("x@" + "a." * 1_000_000 + "b.c") is False


def test_a_list_says_whose_name_is_whose_and_which_domains_are_known():
    known = AddressList.parse(
        "Mary Boss <mary@corp.example>\n* <notifications@forge.example>\nMary Boss <@office.example>\n"
        "a@corp.example\n!b@other.example\nsub.example\n*\nx@[192.0.2.1]\n",
        "known",
    )
    assert known.persons == (
        ("mary@corp.example", "Mary Boss"),
        ("notifications@forge.example", "*"),
        ("@office.example", "Mary Boss"),
    )
    assert known.domains == ("corp.example", "forge.example", "office.example", "sub.example")
