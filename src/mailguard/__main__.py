"""The program `mailguard`: everything that can go wrong on the way to a command is caught here."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


_TRY_AGAIN = 75  # errors.py, which says so, may be what cannot be read


def main() -> NoReturn:
    """Run the command line and end the process.

    Whatever is not surely a command for people counts as a filter, mistyped commands included: they too stand in
    somebody's mail path, and a status other than 0 and 75 bounces mail there.
    """
    gc.disable()  # imports make no garbage
    # CPython 3.11 does not notice when only half of a .pyc file fits on the disk, and could never start again.
    sys.dont_write_bytecode = True
    try:
        from mailguard import streams
        from mailguard.commands import ORDINARY
    except BaseException as error:  # noqa: BLE001 (a disk that fails, no descriptors, no memory)
        os.write(2, b"4.3.0 mailguard: cannot be started: %a\n" % error)
        os._exit(_TRY_AGAIN)
    # Completion in a shell calls the program without any argument, which no mail system does.
    completing = len(sys.argv) == 1 and "_MAILGUARD_COMPLETE" in os.environ
    if completing or (len(sys.argv) > 1 and sys.argv[1] in ORDINARY):
        _people()
        os._exit(0)
    try:
        streams.begin()
        _hand_over()
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may pass)
        streams.fail(error)
    filter_message()


def _hand_over() -> None:
    """Let a server do the work, if there is one; otherwise return."""
    from mailguard.commands import FILTERS

    path = os.environ.get("MAILGUARD_DAEMON")
    if path and len(sys.argv) > 1 and sys.argv[1] in FILTERS:
        from mailguard.daemon.client import hand_over

        hand_over(path, sys.argv[1:])


def filter_message() -> NoReturn:
    """Run a filter in this process, which `streams.begin` has made fit for it, and end the process."""
    from mailguard import streams

    try:
        from mailguard.cli import simple

        raw = simple.run(sys.argv[1:])
        _find_packages()
        _invoke(raw)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 (not even SystemExit may pass)
        streams.fail(_plain(error))
    streams.leave(0)


def _find_packages() -> None:
    """Do what a start without `site` left out: only now more is needed than what stands beside this file."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()


def _invoke(raw: bytes | None) -> None:
    """Parse the arguments and run the filter that they mean; returns only after --help and --version.

    click's own main() would turn EPIPE into status 1.
    """
    from click.exceptions import Exit

    from mailguard import streams
    from mailguard.cli.group import mailguard

    if len(sys.argv) == 1 and os.isatty(0):
        sys.argv.append("--help")
    try:
        with mailguard.make_context("mailguard", sys.argv[1:]) as context:
            made = mailguard.invoke(context)
    except Exit as end:
        if end.exit_code == 0:
            return
        raise
    streams.run(made if isinstance(made, list) else [made], raw)


def _plain(error: BaseException) -> BaseException:
    """Turn click's errors into ours: a filter that was called wrongly waits for the operator."""
    click = sys.modules.get("click")
    if click is None or not isinstance(error, (click.ClickException, click.Abort)):
        return error
    from mailguard.cli.group import plain
    from mailguard.errors import ConfigurationError

    text = plain(error)
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    return ConfigurationError(f"{command.removeprefix('mailguard ')}: {text}" if " " in command else text)


def _people() -> None:
    """Run a command for people: messages begin with the program's name, statuses are the usual ones."""
    from mailguard import streams

    streams.occupy()
    # Where one was closed Python has None, on which libraries stumble; like this, only who writes results fails.
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(descriptor, mode, closefd=False)  # noqa: SIM115 (for the life of the process)
        for descriptor, (stream, mode) in enumerate(((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w")))
    )
    gc.enable()
    _find_packages()
    from mailguard.cli.group import mailguard
    from mailguard.errors import MailguardError

    try:
        mailguard.main(prog_name="mailguard")
    except MailguardError as error:
        streams.say(f"mailguard: {streams.describe(error)}\n".encode("utf-8", "backslashreplace"))
        sys.exit(error.ordinary_status)
    except Exception as error:  # noqa: BLE001 (standard output, a library that cannot be loaded, what nobody foresaw)
        streams.say(f"mailguard: {streams.describe(error)}\n".encode("utf-8", "backslashreplace"))
        os._exit(MailguardError.ordinary_status)  # an end in order would fail on the same output again


if __name__ == "__main__":
    main()
