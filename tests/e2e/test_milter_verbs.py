"""Every verb through the milter of a real Postfix, and many mails at once while it reloads, stops and starts."""

from __future__ import annotations

import os
import re
import signal

import pytest
from mail_system import RECIPIENTS, USER, owned_folder, until
from messages import STRANGER
from milter_mails import CASES, CHAIN, PIPELINES, Load
from milters import HELO, filtered, handed_over, send


@pytest.mark.parametrize("name", PIPELINES)
def test_what_is_delivered_is_what_the_verbs_write_and_the_copy_is_what_came(site, name):
    copies = owned_folder(site.folder / "copies", USER)
    for each in ("cur", "new", "tmp"):
        owned_folder(copies / each, USER)
    pipeline = f"duplicate --to maildir:{copies} --spool {site.home}/spool | {PIPELINES[name]}"
    with filtered(site, pipeline, main="local_header_rewrite_clients =\n") as (system, milter):
        arrived = {}
        for kind, raw in CASES.items():
            for port in (system.plain, system.port):
                before = system.delivered(RECIPIENTS[0])
                send(port, raw)
                system.until_idle()
                arrived[kind, port] = system.delivered(RECIPIENTS[0])[len(before) :]
        assert milter.metric('mails_total{outcome="failed"}') == 0
        assert milter.metric('mails_total{outcome="unchanged"}') == (name == "sanitize")
    facts = ("--client-address", "127.0.0.1", "--client-helo", HELO, "--sender", STRANGER, "--log", "none")
    for kind in CASES:
        [before], [after] = arrived[kind, system.plain], arrived[kind, system.port]
        handed = handed_over(before).replace(b"\n", b"\r\n")
        result = site.run("run", PIPELINES[name], *facts, "--recipient", RECIPIENTS[0], raw=handed)
        assert result.returncode == 0, result.stderr
        assert handed_over(after) == result.stdout.replace(b"\r\n", b"\n"), kind
        assert (kind == "text") or handed_over(after) != handed_over(before)
    stored = sorted(file.read_bytes().replace(b"\r\n", b"\n") for file in (copies / "new").iterdir())
    assert stored == sorted(handed_over(arrived[kind, system.plain][0]) for kind in CASES)


# Under load: the same mails, each with a number of its own


def test_mixed_mails_on_24_connections_with_a_new_configuration_again_and_again(site):
    with filtered(site, CHAIN) as (system, milter):
        with Load(system, milter) as load:
            for count, share in enumerate((0.1, 0.3, 0.5, 0.7), 1):
                load.until(share)
                milter.process.send_signal(signal.SIGHUP)
                until(lambda count=count: milter.metric('reloads_total{result="done"}') == count, milter.text)
        load.check()
        assert load.refused == []


def test_a_graceful_stop_under_load_loses_and_doubles_nothing(site):
    with filtered(site, CHAIN) as (system, milter):
        with Load(system, milter) as load:
            for share in (0.2, 0.5):
                load.until(share)
                milter.stop()
                assert milter.process.returncode == 0
                assert not os.path.exists(milter.socket)
                milter.start()
        load.check()
        assert all(400 <= code < 500 for code in load.refused)
        assert re.findall(r"finishes (\d+) mails", milter.text())[1:]
