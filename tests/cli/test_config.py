"""The configuration file: defaults of options, and no mistake passes in silence."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mailguard import config
from mailguard.cli import options
from mailguard.errors import ConfigurationError
from mailguard.settings import paths


@click.command("strip")
@options.filter_options
@options.when_option()
@click.option("--type", multiple=True)
@click.option("--larger-than", type=options.Size())
@click.option("--keep-inline/--no-keep-inline", default=True)
@click.option("--to", "urls", multiple=True)
@click.option("--flush", "mode", flag_value="flush")
def strip(**values):
    settings = values.pop("settings")
    values |= {name: getattr(settings, name) for name in ("now", "log", "dry_run", "json", "key_file")}
    click.echo(repr(values))


def run(tmp_path, text, *arguments, env=None):
    path = tmp_path / "mailguard.toml"
    path.write_text(text)
    result = CliRunner().invoke(strip, ["--config", str(path), *arguments], env=env, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return eval(result.output)


def refused(tmp_path, text):
    with pytest.raises(ConfigurationError) as raised:
        run(tmp_path, text)
    return str(raised.value).removeprefix(f"{tmp_path}/")


def test_a_section_gives_defaults_of_its_command(tmp_path):
    text = """
        [strip]
        when = "always"
        type = ["image/*", "text/html"]
        larger_than = "1.5k"
        keep_inline = false
        to = ["maildir:/x"]
        [quarantine]
        not_looked_at_here = 1
    """
    values = run(tmp_path, text)
    assert values["when"] == "always"
    assert values["type"] == ("image/*", "text/html")
    assert values["larger_than"] == 1536
    assert values["keep_inline"] is False
    assert values["urls"] == ("maildir:/x",)


def test_options_win_over_the_section_and_the_section_over_common_keys(tmp_path):
    text = 'log = "none"\ndry_run = true\n[strip]\nlog = "stderr"\nwhen = "always"\n'
    assert run(tmp_path, text)["log"] == "stderr"
    assert run(tmp_path, text)["dry_run"] is True
    assert run(tmp_path, text, "--log", "syslog")["log"] == "syslog"
    assert run(tmp_path, text, "--when", "suspicious")["when"] == "suspicious"


def test_the_environment_wins_over_the_file(tmp_path):
    text = 'key_file = "/from/file"\n'
    assert run(tmp_path, text)["key_file"] == "/from/file"
    assert run(tmp_path, text, env={"MAILGUARD_KEY_FILE": "/from/environment"})["key_file"] == "/from/environment"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n[strip]\nlarger_then = '1k'\n", "mailguard.toml:3: larger_then is no key of [strip]"),
        ("[strip]\ntype = [\n 'a',\n 1,\n]\n", "mailguard.toml:2: type must be a list of texts"),
        ("[strip]\ntype = 'image/*'\n", "mailguard.toml:2: type must be a list of texts"),
        ("[strip]\nkeep_inline = 'no'\n", "mailguard.toml:2: keep_inline must be true or false"),
        ("[strip]\nwhen = true\n", "mailguard.toml:2: when must be a text or a number"),
        ("[strip]\nwhen = 'sometimes'\n", "mailguard.toml:2: when: 'sometimes' is not one of"),
        ("[strip]\nlarger_than = 'big'\n", "mailguard.toml:2: larger_than: 'big' is no size"),
        ("[strip]\nflush = true\n", "mailguard.toml:2: flush is no key of [strip]"),
        ("[strip]\nconfig = 'x'\n", "mailguard.toml:2: config is no key of [strip]"),
        ("json = '-'\n", "mailguard.toml:1: json: stdout is for the message"),
        ("when = 'always'\n", "mailguard.toml:1: when is no key that is common"),
        ("# [stripp]\n[stripp]\n", "mailguard.toml:2: there is no section [stripp]"),
        ("stripp.when = 1\n", "mailguard.toml:1: there is no section [stripp]"),
        ("strip = 1\n", "mailguard.toml:1: strip is no key that is common"),
        ("[[strip]]\n", "mailguard.toml:1: strip is no key that is common"),
        ("log = 'none'\nlog = 'none'\n", "mailguard.toml:2: Cannot overwrite a value"),
        ("log = 'none'\n[strip\n", "mailguard.toml:2: "),
        ("log = '''\n[strip]\nnosuch = 1\n'''\n[strip]\nnosuch = 1\n", "mailguard.toml:6: nosuch is no key"),
        ("[quarantine]\nnosuch = 1\n[strip]\n'nosuch' = 1\n", "mailguard.toml:4: nosuch is no key"),
        ('"a\\u001b[2J" = 1\n', "mailguard.toml:1: a\\x1b[2J is no key"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(tmp_path, text, complaint):
    assert refused(tmp_path, text).startswith(complaint)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "mailguard.toml").write_bytes(b"log = '\xff'")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        config.load(str(tmp_path / "mailguard.toml"), "strip", strip.params)


@given(st.text(st.sampled_from("[]='\"\n .,{}#\\aelog1strip_\x1b"), max_size=40))
@settings(max_examples=200)
def test_any_text_is_a_configuration_or_one_clear_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text)
    complaint = f"{path}:1: none"
    try:
        config.load(str(path), "strip", strip.params)
    except ConfigurationError as error:
        complaint = str(error)
    assert complaint.startswith(f"{path}:")
    assert complaint.isprintable()


def test_the_first_file_that_exists_counts(tmp_path, monkeypatch):
    monkeypatch.delenv("MAILGUARD_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert paths() == [str(tmp_path / "mailguard" / "mailguard.toml"), "/etc/mailguard/mailguard.toml"]
    (tmp_path / "mailguard").mkdir()
    (tmp_path / "mailguard" / "mailguard.toml").write_text("[strip]\nwhen = 'always'\n")
    assert config.load(None, "strip", strip.params) == {"when": "always"}


def test_without_a_home_only_the_system_is_asked(monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert paths() == ["/etc/mailguard/mailguard.toml"]


def test_a_file_that_may_not_be_read_is_an_error_and_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "mailguard" / "mailguard.toml").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="Is a directory"):
        config.load(None, "strip", strip.params)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1500", 1500), ("500k", 512_000), ("10M", 10 << 20), ("1.5G", 3 << 29), ("2kB", 2048), ("0.1k", 102)],
)
def test_sizes(text, size):
    assert options.Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1e3", "1,5k", "10 M", "1.k", "１", "9" * 13, "1.0000001k"])
def test_what_is_no_size(text):
    with pytest.raises(click.BadParameter):
        options.Size().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T09:00:01.999+09:00", 1),
        ("2026-01-31t09:00:00z", 1769850000),
        ("1969-12-31 23:59:59-00:00", -1),
    ],
)
def test_times_of_rfc_3339(text, seconds):
    assert options.Time().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "2026-01-31", "2026-01-31T09:00:00", "2026-02-31T09:00:00Z", "1769850000", "２026-01-31T09:00:00Z"]
)
def test_what_is_no_time(text):
    with pytest.raises(click.BadParameter):
        options.Time().convert(text, None, None)


def test_envelope_options_become_an_envelope():
    @click.command()
    @options.envelope_options
    def command(envelope):
        assert (envelope.sender, envelope.recipients, envelope.client_address) == ("", ("a@b", "c@d"), None)
        assert (envelope.queue_id, envelope.sasl_username) == ("4bX", None)

    arguments = ["--sender=<>", "--recipient=<a@b>", "--recipient", "c@d", "--client-address=unknown", "--queue-id=4bX"]
    result = CliRunner().invoke(command, [*arguments, "--sasl-username="], catch_exceptions=False)
    assert result.exit_code == 0, result.output
