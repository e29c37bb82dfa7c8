"""Faults of a site, and their repair: each must leave the mail waiting."""

from __future__ import annotations

import pytest


def without_key(site):
    site.key.rename(site.key.with_name("elsewhere"))


def with_key_again(site):
    site.key.with_name("elsewhere").rename(site.key)


def with_bad_configuration(site):
    mistyped = site.configuration.read_text().replace("\nwhen = ", "\nwehn = ")
    site.configuration.rename(site.configuration.with_name("elsewhere"))
    site.configuration.write_text(mistyped)


def with_good_configuration(site):
    site.configuration.with_name("elsewhere").replace(site.configuration)


def without_program(site):
    site.program.rename(site.program.with_name("elsewhere"))


def with_program_again(site):
    site.program.with_name("elsewhere").rename(site.program)


FAILURES = pytest.mark.parametrize(
    ("damage", "repair"),
    [
        pytest.param(without_key, with_key_again, id="without key"),
        pytest.param(with_bad_configuration, with_good_configuration, id="with bad configuration"),
        pytest.param(without_program, with_program_again, id="without program"),
    ],
)
