"""Whether the other filters would act on a message: what --when other than `always` copies."""

from __future__ import annotations

from mailguard import memory
from mailguard.errors import ContentLimit
from mailguard.formats import confined
from mailguard.message.grammar import check
from mailguard.message.tree import parse
from mailguard.outcome.assessment import Choice, assess
from mailguard.parts.selection import Selection
from mailguard.seal import field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailguard.correspondence.replies import Watch
    from mailguard.site import Site


def acted_on(
    when: str, site: Site, known: Callable[[str], bool] | None, watch: Watch | None = None
) -> Callable[[bytes], bool]:
    """Return the test for messages: true for senders as `when` names them, and for whatever would be acted on.

    What cannot be understood is copied.
    """
    rules = Choice(Selection(when), known, watch=watch)

    def wanted(raw: bytes) -> bool:
        try:
            with memory.Limit(site.memory_limit, len(raw)):
                message = parse(raw)
                if message.limit is not None or check(message):
                    return True
                assessment = assess(message, field.read(message, site.ring, site.now), rules, site)
        except (ContentLimit, MemoryError):
            return True
        finally:
            confined.dismiss()
        return assessment.condition.everything or bool(assessment.chosen)

    return wanted
