"""What was there before: written durably before anything is changed, so that --undo finds its way from every half.

A file is restored byte for byte while it is as setup left it.  `ours` are the digests of all that setup wrote or was
about to write, so a power cut between two files, or two runs one after the other, are no change of the site's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os

from mailguard import safefile
from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.setup.plan import Setting, content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailguard.setup.plan import SetupPlan, WrittenFile

_VERSION = 1


class Original:
    """A file of the site: path; before: its octets, None where there was none; mode, owner; ours: digests.

    is_shared: only some of its lines are ours; whole: False when the site changed such a file between two runs of ours:
    then only our own lines can be taken back.
    """

    __slots__ = ("before", "is_shared", "mode", "ours", "owner", "path", "whole")

    def __init__(self, file: WrittenFile) -> None:
        self.path = file.path
        self.before = file.before
        self.mode = file.mode
        self.owner = file.owner
        self.ours: list[str] = []
        self.is_shared = file.is_shared
        self.whole = True

    def is_ours(self, now: bytes | None) -> bool:
        """Tell whether the file is as setup wrote it."""
        return now is not None and digest(now) in self.ours

    def as_dict(self) -> dict[str, Any]:
        """Return it as written into the record."""
        before = None if self.before is None else base64.b64encode(self.before).decode("ascii")
        values = {name: getattr(self, name) for name in ("path", "mode", "owner", "ours", "is_shared", "whole")}
        return values | {"before": before}

    @classmethod
    def read(cls, values: dict[str, Any]) -> Original:
        """Return what `as_dict` wrote."""
        self = cls.__new__(cls)
        for name in ("path", "mode", "ours", "is_shared", "whole"):
            setattr(self, name, values[name])
        self.owner = tuple(values["owner"]) if values["owner"] else None
        self.before = None if values["before"] is None else base64.b64decode(values["before"])
        return self


class Record:
    """What setup did for one of its names, all runs together.

    files: in the order in which they are written; settings: of Postfix, by kind and name, with all values that setup
    gave them; folders and services that were made; postfix: its configuration folder, "" for none.
    """

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(folder, f"{name}.json")
        self.files: dict[str, Original] = {}
        self.settings: dict[tuple[str, str], tuple[str | None, list[str]]] = {}
        self.folders: list[str] = []
        self.services: list[str] = []
        self.postfix = ""
        raw = content(self.path)
        self.is_there = raw is not None
        if raw is not None:
            self._read(raw)

    def _read(self, raw: bytes) -> None:
        try:
            values = json.loads(raw)
            if values["version"] != _VERSION:
                raise ConfigurationError(f"{show(self.path)}: written by another version of mailguard")
            self.files = {each["path"]: Original.read(each) for each in values["files"]}
            self.settings = {(kind, name): (before, ours) for kind, name, before, ours in values["settings"]}
            self.folders, self.services, self.postfix = values["folders"], values["services"], values["postfix"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{show(self.path)}: damaged: {show(repr(error))}") from None

    def wrote(self, path: str, now: bytes) -> bool:
        """Tell whether a file has what setup wrote into it."""
        kept = self.files.get(os.path.realpath(path))
        return kept is not None and kept.is_ours(now)

    def take_in(self, plan: SetupPlan) -> None:
        """Note all that the plan will change, and write the record down."""
        for file in (*plan.files, *plan.mail_server_files):
            self._note(file)
        for each in plan.settings:
            before, ours = self.settings.get((each.kind, each.name), (each.before, []))
            self.settings[each.kind, each.name] = (before, [*ours, each.after])
        self.folders += [path for path, _, _ in plan.folders]
        self.services += [name for name in plan.services if name not in self.services]
        self.postfix = plan.postfix or self.postfix
        self._write()

    def _note(self, file: WrittenFile) -> None:
        kept = self.files.get(file.path)
        if kept is None:
            kept = self.files[file.path] = Original(file)
        elif file.before != kept.before and not (file.before is not None and kept.is_ours(file.before)):
            kept.whole = not file.is_shared
            kept.before, kept.ours = file.before, []
        kept.ours.append(digest(file.after))

    def _write(self) -> None:
        folder = os.path.dirname(self.path)
        os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
        os.close(safefile.open_folder(folder, create=True))
        values = {
            "version": _VERSION,
            "files": [kept.as_dict() for kept in self.files.values()],
            "settings": [(kind, name, before, ours) for (kind, name), (before, ours) in self.settings.items()],
            "folders": self.folders,
            "services": self.services,
            "postfix": self.postfix,
        }
        safefile.replace(self.path, [json.dumps(values, indent=1).encode("ascii"), b"\n"])
        self.is_there = True

    def forget(self) -> None:
        """Remove the record: everything is undone."""
        os.unlink(self.path)

    def ours(self, kind: str, name: str, value: str | None) -> Setting | None:
        """Return the setting to be taken back, when its value is one that setup gave it."""
        before, ours = self.settings.get((kind, name), (None, []))
        if value is None or value.split() not in [each.split() for each in ours]:
            return None
        return Setting(kind, name, before, value)


def digest(data: bytes) -> str:
    """Return the digest by which a file is known again."""
    return hashlib.sha256(data).hexdigest()
