"""The test list of publicsuffix.org, in the mode that compares with RFC 7489."""

from __future__ import annotations

import re
from pathlib import Path

import publicsuffixlist
import pytest

from mailguard.dns.names import domain_name
from mailguard.verify.organization import is_public_suffix, registered_domain

LIST = Path(publicsuffixlist.__file__).with_name("test_psl.txt")
NUMBER = 78


def cases():
    if not LIST.exists():
        return []
    lines = re.findall(r"^checkPublicSuffix\((null|'.*'), (null|'.*')\);", LIST.read_text("utf-8"), re.MULTILINE)
    return [tuple(None if text == "null" else text.strip("'") for text in line) for line in lines]


def test_the_list_is_complete():
    if not LIST.exists():
        pytest.skip("this release of publicsuffixlist has no test_psl.txt")
    assert len(cases()) == NUMBER


@pytest.mark.parametrize(("name", "registered"), cases())
def test_registered_domain(name, registered):
    asked = domain_name(name or "")
    if asked is None:  # null and a leading dot: no name at all
        assert registered is None
        return
    found = registered_domain(asked)
    if registered is None:  # a suffix, which stands for itself in DMARC
        assert found == asked
        assert registered_domain(f"x.{asked}") != registered_domain(f"y.{asked}")
    else:
        assert found == domain_name(registered)


def test_it_is_what_the_library_says():
    library = publicsuffixlist.PublicSuffixList()
    rules = Path(publicsuffixlist.PSLFILE).read_text("utf-8").splitlines()
    for rule in rules[::7]:
        suffix = domain_name(rule.lstrip("!*.")) if rule and not rule.startswith("//") else None
        for name in (f"a.{suffix}", f"b.a.{suffix}") if suffix else ():
            assert registered_domain(name) == (library.privatesuffix(name) or name), name


@pytest.mark.parametrize(("name", "registered"), cases())
def test_what_is_registered_is_no_public_suffix(name, registered):
    if registered is not None:
        assert not is_public_suffix(domain_name(registered))


@pytest.mark.parametrize(
    "suffix", ["com", "co.uk", "kobe.jp", "c.kobe.jp", "ck", "www2.ck", "xn--55qx5d.cn", "k12.ak.us"]
)
def test_icann_suffixes_are_public(suffix):
    assert is_public_suffix(suffix)


@pytest.mark.parametrize(
    "domain", ["example.com", "city.kobe.jp", "www.ck", "github.io", "blogspot.com", "a.b.example"]
)
def test_names_of_one_owner_are_not_public(domain):
    assert not is_public_suffix(domain)
