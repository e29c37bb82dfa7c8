"""What the options and the configuration say, as plain values for commands and drivers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.envelope import Envelope


class Settings:
    """What all filters share.

    now: seconds since 1970, the only clock a verb may read; key_file, json, journal: paths or None;
    log: "syslog", "stderr", "none" or a path; dry_run: report only, without any effect on files or peers;
    explain: findings on stderr.
    """

    __slots__ = ("dry_run", "envelope", "explain", "journal", "json", "key_file", "log", "now")

    def __init__(
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
    ) -> None:
        self.envelope = envelope
        self.now = now
        self.key_file = key_file
        self.dry_run = dry_run
        self.explain = explain
        self.json = json
        self.log = log
        self.journal = journal
