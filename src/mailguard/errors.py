"""The kinds of failure, and what a mail system should do about each.

A filter has three answers: done (0), try again (75), and a refusal that the operator asked for (77).
75 is the only status that every mail system reads as "try again"; a traceback (1), a usage error (2) and
most of sysexits.h bounce mail somewhere.  This module is the only place that knows the numbers.
"""

from __future__ import annotations

EX_DATAERR = 65
EX_TEMPFAIL = 75
EX_NOPERM = 77


def installation(extra: str = "") -> str:
    """Say how an extra gets into this installation; the name alone is that of another program at PyPI."""
    import sys

    wanted = f"'.[{extra}]'" if extra else "--force-reinstall ."
    return f"in the folder of mailguard's sources: {sys.prefix}/bin/pip install {wanted}"


class MailguardError(Exception):
    """A failure of the site: the message stays where it is and is tried again.

    `dsn` is the enhanced status code (RFC 3463) that opens the one line on stderr.
    `ordinary_status` is the status of commands that are no filters.
    """

    status = EX_TEMPFAIL
    dsn = "4.3.0"
    ordinary_status = 1


class ConfigurationError(MailguardError):
    """The operator must act (configuration, usage, key, missing program); mail waits meanwhile."""

    dsn = "4.3.5"


class RefusedMail(MailguardError):  # noqa: N818 (a decision, not an error)
    """A refusal that the operator asked for."""

    status = EX_NOPERM
    dsn = "5.7.1"


class DataError(MailguardError):
    """Input that a command for people cannot work with (a damaged ZIP, a foreign id); never used by filters."""

    status = EX_DATAERR
    dsn = "5.6.0"
    ordinary_status = EX_DATAERR


class ContentLimit(BaseException):
    """The message asks for more work than one message may cost: it is held whole, with status 0.

    No Exception, because the driver raises it wherever the time is over: an `except Exception` on the way, ours or a
    library's, must not swallow it.  `code` is the stable finding code, for example `limit.parts`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
