"""Password files: who has which password, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailguard.errors import ConfigurationError
from mailguard.passwords import Passwords

FILE = """# site passwords
bob@corp.co          first one
bob@corp.com\tsecond
@corp.com            third
corp.com             fourth
!boss@corp.com
日本.jp              パスワード#1
*                    last
"""


def passwords(text=FILE):
    return Passwords.parse(text, "passwords")


def problem(text):
    try:
        passwords(text).lookup(["bob@example.com"])
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        (["bob@corp.co"], "first one"),
        (["bob@corp.com"], "second"),
        (["BOB@Corp.Com"], "second"),
        (["rob@corp.com"], "third"),
        (["rob@mail.corp.com"], "fourth"),
        (["rob@corp.co"], "last"),
        (["boss@corp.com"], None),
        (["taro@xn--wgv71a.jp"], "パスワード#1"),
        (["rob@corp.com", "tom@corp.com"], "third"),
        (["rob@corp.com", "bob@corp.com"], None),
        (["rob@corp.com", "boss@corp.com"], None),
        ([], None),
    ],
)
def test_the_longest_pattern_gives_the_password_and_only_one_that_all_share_counts(recipients, expected):
    assert passwords().lookup(recipients) == (expected.encode() if expected else None)


def test_one_fixed_password_holds_for_unknown_recipients_too():
    assert passwords("* fixed\n").lookup([]) == b"fixed"
    assert passwords("* fixed\n").lookup(["a@example.com", "b@example.org"]) == b"fixed"


def test_a_recipient_without_a_line_has_no_password():
    assert passwords("@example.com one\n").lookup(["a@example.org"]) is None
    assert passwords("@example.com one\n").lookup(["a@example.com", "a@example.org"]) is None


@pytest.mark.parametrize(
    "line",
    [
        "bob@corp.com",
        "nonsense@ secret",
        "*@corp.com secret",
        "!bob@corp.com secret",
        "bob@corp.com sec\x07ret",
        "bob@corp.com tab\tsecret",
        "bob@corp.co another secret",
    ],
)
def test_a_bad_line_is_named_without_its_password(line):
    with pytest.raises(ConfigurationError, match=r"^passwords:2: ") as error:
        passwords(f"bob@corp.co one\n{line}\n")
    assert "secret" not in str(error.value)


def test_a_file_without_any_line_is_an_error():
    with pytest.raises(ConfigurationError, match="no password"):
        passwords("# nothing\n")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path, mode):
    path = tmp_path / "passwords"
    path.write_text(FILE)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Passwords.read(str(path))


def test_a_private_file_is_read(tmp_path):
    path = tmp_path / "passwords"
    path.write_text("\ufeff" + FILE.replace("\n", "\r\n"))
    path.chmod(0o400)
    assert Passwords.read(str(path)).lookup(["bob@corp.co"]) == b"first one"


@given(st.text(max_size=80))
def test_any_text_is_read_or_is_a_configuration_error_in_one_line(text):
    assert "\n" not in problem(text)
