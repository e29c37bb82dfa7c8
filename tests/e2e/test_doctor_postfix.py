"""The doctor before a real Postfix that runs, with what `mailguard setup` wrote."""

from __future__ import annotations

import json

from guarded_postfix import BACK, guarded


def looked(site):
    done = site.run("doctor", "--json", "--nameserver", "127.0.0.1:1", "--postfix", str(site.folder / "etc"), raw=b"")
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


@BACK
def test_the_user_of_the_filter_finds_key_and_postfix_in_order(site, back):
    with guarded(site, back):
        found = {row["name"]: row["state"] for row in looked(site)}
    assert found["key"] == found["temporary files"] == found["packages"] == found["master.cf: guard"] == "good"
    assert not [name for name in found if name.startswith(("main.cf", "key owner"))]


@BACK
def test_a_mistake_in_the_files_of_the_running_postfix_is_found(site, back):
    with guarded(site, back):
        master = site.folder / "etc" / "master.cf"
        master.write_text(
            master.read_text().replace(" null_sender=", "").replace("content_filter=guard", "content_filter=gone")
        )
        found = [row for row in looked(site) if row["name"] == "master.cf: guard"]
    assert [row["state"] for row in found] == ["warning"]
    assert "MAILER-DAEMON" in found[0]["what"]
