"""What every format module of `sanitize` takes and gives: options in, harmless content or a refusal out.

A module has one function, `disarm(content: bytes, mime: str, options: Options) -> Disarmed`.  It works by allow-lists,
raises nothing but `Refused` and `ContentLimit` for any content, and gives content without anything to remove back
unchanged.
"""

from __future__ import annotations

from mailguard.formats import budget
from mailguard.formats.budget import DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    MemberPolicy = Callable[[bytes, Sequence[str], "Options"], "Disarmed"]


FEATURES = ("comments", "embedded_files", "hyperlinks", "metadata", "remote_images")
"""The features of content that a policy can keep or remove; all of them are harmless without a person's click."""
KEPT = frozenset({"comments", "hyperlinks", "metadata"})
"""The features that stay unless a policy says something else."""


class Refused(Exception):  # noqa: N818 (an observation about content)
    """The content cannot be made harmless; code: why, one of those in `codes.REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ProgramRefused(Refused):
    """A program gave no result; program: its name; said: what it found, or what it wrote on stderr; not made safe."""

    def __init__(self, code: str, program: str, said: str = "") -> None:
        super().__init__(code)
        self.program = program
        self.said = said


class Disarmed:
    """Content that is harmless now.

    data: the content, the same object as the input where nothing was removed; mime, extension (without dot): its type,
    which may differ from that of the input (.docm becomes .docx); removed: codes in `codes.REMOVED`, sorted, each once.
    """

    __slots__ = ("data", "extension", "mime", "removed")

    def __init__(self, data: bytes, mime: str, extension: str, removed: tuple[str, ...] = ()) -> None:
        self.data = data
        self.mime = mime
        self.extension = extension
        self.removed = tuple(sorted(set(removed)))


class DisarmQuota(budget.Quota):
    """What one attachment may cost altogether, with all that is packed in it; too much is Refused("over-limit")."""

    __slots__ = ()

    @property
    def exceeded(self) -> Exception:
        """What says that there is too much."""
        return Refused("over-limit")


def _unknown(_content: bytes, _names: Sequence[str], _options: Options) -> Disarmed:
    raise Refused("unknown-type")


class Options:
    """Switches for one attachment; do not change them, only the quota counts.

    comments, embedded_files, hyperlinks, metadata, remote_images: True = may stay, False = is removed.
    depth: how many more containers may lie in each other; passwords: candidates for encrypted content; names: every
    name a reader could give this content, for formats that name what they carry after themselves (`a.js.gz`).
    member: deals with what a container carries: (content, every name a reader could give it, options) -> Disarmed.  It
    detects the type, disarms, and gives a text in place of what must be held; Refused only when the whole container
    has to be.  Hand it `options.deeper()`.
    """

    __slots__ = ("_features", "depth", "member", "names", "passwords", "quota")

    def __init__(
        self,
        kept: frozenset[str] = KEPT,
        *,
        quota: DisarmQuota | None = None,
        depth: int = DEPTH,
        passwords: tuple[bytes, ...] = (),
        names: Sequence[str] = (),
        member: MemberPolicy = _unknown,
    ) -> None:
        self._features = kept
        self.quota = quota or DisarmQuota()
        self.depth = depth
        self.passwords = passwords
        self.names = tuple(names)
        self.member = member

    @property
    def comments(self) -> bool:
        """Whether comments and tracked changes may stay."""
        return "comments" in self._features

    @property
    def embedded_files(self) -> bool:
        """Whether embedded files may stay, each disarmed by `member`."""
        return "embedded_files" in self._features

    @property
    def hyperlinks(self) -> bool:
        """Whether links that need a click (http, https, mailto) may stay."""
        return "hyperlinks" in self._features

    @property
    def metadata(self) -> bool:
        """Whether author, title, camera position and the like may stay."""
        return "metadata" in self._features

    @property
    def remote_images(self) -> bool:
        """Whether pictures that are fetched from elsewhere on opening may stay."""
        return "remote_images" in self._features

    def plain(self) -> tuple[tuple[str, ...], int, int, int, tuple[bytes, ...], tuple[str, ...]]:
        """Return all but `member` as values that another process can be given; see `of`."""
        quota = self.quota
        return (*self._features,), quota.members, quota.octets, self.depth, self.passwords, self.names

    @classmethod
    def of(cls, plain: Sequence[Any], member: MemberPolicy) -> Options:
        """Return the options that `plain` gave these values of."""
        features, members, octets, depth, passwords, names = plain
        quota = DisarmQuota(members, octets)
        return cls(frozenset(features), quota=quota, depth=depth, passwords=passwords, names=names, member=member)

    def deeper(self) -> Options:
        """Return the options for what lies inside, with the same quota; Refused("over-limit") when it is too deep."""
        if self.depth <= 0:
            raise Refused("over-limit")
        return Options(
            self._features, quota=self.quota, depth=self.depth - 1, passwords=self.passwords, member=self.member
        )
