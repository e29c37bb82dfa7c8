"""What the options and the configuration say, as plain values for commands and drivers."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.envelope import Envelope
    from mailguard.findings import Finding, Result


def paths() -> list[str]:
    """Return where a configuration file is looked for when neither option nor environment names one, in this order."""
    home = os.environ.get("HOME")
    base = os.environ.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else None)
    own = [os.path.join(base, "mailguard", "mailguard.toml")] if base else []
    return [*own, "/etc/mailguard/mailguard.toml"]


class Settings:
    """What all filters share.

    now: seconds since 1970, the only clock a verb may read; fixed: whether an option named it; key_file, json,
    journal: paths or None; log: "syslog", "stderr", "none" or a path; dry_run: report only, without any effect on files
    or peers; explain: findings on stderr; memory_limit: octets that a message may take besides five times its own size,
    0 for no limit.
    """

    __slots__ = ("dry_run", "envelope", "explain", "fixed", "journal", "json", "key_file", "log", "memory_limit", "now")

    def __init__(  # noqa: PLR0913 (plain values)
        self,
        envelope: Envelope,
        now: int,
        *,
        key_file: str | None = None,
        dry_run: bool = False,
        explain: bool = False,
        json: str | None = None,
        log: str = "syslog",
        journal: str | None = None,
        memory_limit: int = 0,
    ) -> None:
        self.envelope = envelope
        self.now = now
        self.fixed = False
        self.key_file = key_file
        self.dry_run = dry_run
        self.explain = explain
        self.json = json
        self.log = log
        self.journal = journal
        self.memory_limit = memory_limit

    def at(self, envelope: Envelope, now: int) -> Settings:
        """Return the settings for a message with this envelope and time; what options say about them wins."""
        settings = Settings(
            self.envelope.over(envelope),
            self.now if self.fixed else now,
            key_file=self.key_file,
            dry_run=self.dry_run,
            explain=self.explain,
            json=self.json,
            log=self.log,
            journal=self.journal,
            memory_limit=self.memory_limit,
        )
        settings.fixed = self.fixed
        return settings


class Filter:
    """A filter with its options, ready for any number of messages: what a command line of a filter means.

    verb: its name; transform: the message as bytes and the settings for it -> Result; settings: as the options say;
    unread: what stands for `transform` where that failed, and reads nothing but the header, with the finding that says
    so; None where nothing else is done.
    """

    __slots__ = ("settings", "transform", "unread", "verb")

    def __init__(
        self,
        verb: str,
        transform: Callable[[bytes, Settings], Result],
        settings: Settings,
        unread: Callable[[bytes, Finding, Settings], Result] | None = None,
    ) -> None:
        self.verb = verb
        self.transform = transform
        self.settings = settings
        self.unread = unread
