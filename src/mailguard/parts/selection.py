"""The options by which an operator chooses attachments."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ALWAYS = "always"
UNAUTHENTICATED = "unauthenticated"
SUSPICIOUS = "suspicious"


class Selection:
    """The options of a filter that choose attachments.

    when: ALWAYS, UNAUTHENTICATED or SUSPICIOUS; types, names, keep_types, keep_names: globs, lower case;
    larger_than: decoded octets.
    """

    __slots__ = ("keep_calendar", "keep_inline", "keep_names", "keep_types", "larger_than", "names", "types", "when")

    def __init__(
        self,
        when: str = SUSPICIOUS,
        *,
        types: Sequence[str] = (),
        names: Sequence[str] = (),
        larger_than: int | None = None,
        keep_types: Sequence[str] = (),
        keep_names: Sequence[str] = (),
        keep_inline: bool = True,
        keep_calendar: bool = True,
    ) -> None:
        self.when = when
        self.types = tuple(glob.lower() for glob in types)
        self.names = tuple(glob.lower() for glob in names)
        self.larger_than = larger_than
        self.keep_types = tuple(glob.lower() for glob in keep_types)
        self.keep_names = tuple(glob.lower() for glob in keep_names)
        self.keep_inline = keep_inline
        self.keep_calendar = keep_calendar
