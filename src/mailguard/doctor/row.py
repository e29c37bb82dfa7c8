"""What a look at this machine needs to know, and what it says."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GOOD = "good"
WARNING = "warning"
FAILURE = "failure"
STATES = (GOOD, WARNING, FAILURE)
"""In the order of their weight."""


class Row:
    """What was seen: name of the thing, state, what is with it (shown already), and how to repair it ("" when good)."""

    __slots__ = ("name", "repair", "state", "what")

    def __init__(self, name: str, state: str, what: str, repair: str = "") -> None:
        self.name = name
        self.state = state
        self.what = what
        self.repair = repair

    def as_dict(self) -> dict[str, str]:
        """Return the row as written by --json."""
        return {"name": self.name, "state": self.state, "what": self.what, "repair": self.repair}


class Setup:
    """Where things are, as options and configuration say.

    key_file: None for the usual places; files: configured files by the name of the option that names them; spools:
    folders of duplicate and strip; nameservers: HOST[:PORT], none for those of the system; postfix: its configuration
    folder; procmailrc: files of recipes; units: folders of systemd's units; signing: the options of sign, by their
    names.  Lists without doubles.
    """

    __slots__ = ("files", "key_file", "nameservers", "postfix", "procmailrc", "signing", "spools", "units")

    def __init__(
        self,
        key_file: str | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
        *,
        spools: Sequence[str] = (),
        nameservers: Sequence[str] = (),
        postfix: str = "/etc/postfix",
        procmailrc: Sequence[str] = (),
        units: Sequence[str] = (),
        signing: Mapping[str, str] | None = None,
    ) -> None:
        self.key_file = key_file
        self.files = dict(files or {})
        self.spools = spools
        self.nameservers = nameservers
        self.postfix = postfix
        self.procmailrc = procmailrc
        self.units = units
        self.signing = dict(signing or {})
