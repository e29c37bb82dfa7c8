"""procmail and maildrop, started by a real Postfix for the mail of one user, with the shipped recipes."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from failures import FAILURES
from mail_system import READER, MailSystem, free_port, owned_folder, rendered
from messages import ATTACHMENT, FRIEND, STRANGER, TEXT, with_attachment

RECIPIENT = f"{READER}@local.test"
COMMANDS = {
    "procmailrc": "/usr/bin/procmail -p",
    "procmailrc.run": "/usr/bin/procmail -p",
    "sanitize/procmailrc": "/usr/bin/procmail -p",
    "maildroprc": "/usr/bin/maildrop",
}
RECIPE = pytest.mark.parametrize("recipe", COMMANDS)


@contextlib.contextmanager
def delivering(site, recipe, *, observing=False):
    """A mail system that gives the reader's mail to the recipe; he has a Maildir in his home."""
    for name in ("", "/new", "/cur", "/tmp"):
        owned_folder(site.home / f"Maildir{name}", READER)
    file = site.folder / recipe.replace("/", "-")
    replaced = {"/opt/mailguard/bin": str(site.folder), "$HOME": str(site.home)}
    file.write_text(rendered(recipe, replaced | ({} if observing else {" --dry-run": ""})))
    shutil.chown(file, READER)
    file.chmod(0o600)
    port = free_port()
    command = f"mailbox_command = {COMMANDS[recipe]} {file}\n"
    smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    with MailSystem(site.folder, main=command, master=smtpd, port=port) as system:
        yield system


def delivered(site):
    return [file.read_bytes() for file in (site.home / "Maildir/new").iterdir()]


def stored(raw):
    """The mail without the From_ line of local(8): procmail shows it to filters only, maildrop to the Maildir only."""
    return raw[raw.index(b"\n") + 1 :] if raw.startswith(b"From ") else raw


@RECIPE
def test_the_user_gets_the_notice_and_release_gives_back_what_the_filter_read(reader_site, recipe):
    raw = with_attachment()
    with delivering(reader_site, recipe) as system:
        system.send(raw, STRANGER, [RECIPIENT])
        system.until_idle()
        (message,) = delivered(reader_site)
    assert b"Body text \xe3\x81\x93\xe3\x82\x93\n" in message
    assert ATTACHMENT not in message
    released = reader_site.run("release", raw=message)
    assert (released.returncode, released.stderr) == (0, b"")
    assert any(released.stdout.endswith(stored(read)) for read in reader_site.read())
    assert released.stdout in reader_site.read() or recipe == "procmailrc.run"  # where verify was no process of its own
    assert raw.replace(b"\r\n", b"\n") in released.stdout


@RECIPE
def test_a_harmless_attachment_of_a_partner_arrives(reader_site, recipe):
    raw = with_attachment(attachment=TEXT, author=FRIEND)
    with delivering(reader_site, recipe) as system:
        system.send(raw, FRIEND, [RECIPIENT])
        system.until_idle()
        (message,) = delivered(reader_site)
    assert b"Authentication-Results: mx.rcpt.test;" in message
    assert raw.replace(b"\r\n", b"\n") in message


@RECIPE
def test_an_observed_mail_is_not_changed(reader_site, recipe):
    raw = with_attachment()
    with delivering(reader_site, recipe, observing=True) as system:
        system.send(raw, STRANGER, [RECIPIENT])
        system.until_idle()
        (message,) = delivered(reader_site)
    assert {stored(read) for read in reader_site.read()} == {stored(message)}
    assert raw.replace(b"\r\n", b"\n") in message


@RECIPE
@FAILURES
def test_a_failing_filter_defers_the_mail_which_arrives_after_the_repair(reader_site, recipe, damage, repair):
    raw = with_attachment()
    with delivering(reader_site, recipe) as system:
        damage(reader_site)
        system.send(raw, STRANGER, [RECIPIENT])
        system.until_deferred()
        assert not delivered(reader_site)
        repair(reader_site)
        system.flush()
        system.until_idle()
        (message,) = delivered(reader_site)
    assert ATTACHMENT not in message
    assert reader_site.run("release", raw=message).stdout.count(raw.replace(b"\r\n", b"\n")) == 1
