"""The questions to the DNS that decide about an author and can be foreseen, asked before any method runs."""

from __future__ import annotations

from mailguard.dns.names import is_within
from mailguard.verify import dmarc, organization, spf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailguard.dns import Question, Resolver
    from mailguard.envelope import Envelope


def ask(
    resolver: Resolver,
    authors: Sequence[str],
    envelope: Envelope,
    keys: Sequence[Question],
    may_be_akin: Callable[[str], bool],
    *,
    walks: bool,
) -> None:
    """Ask without waiting for the answers, but for the author's own walk where a signer or sender may be his sibling.

    authors: the author domains; keys: those of the signatures; may_be_akin: whether a domain may be of an author's
    organization; walks: organizations are found by the tree walk.
    """
    authors = authors[: dmarc.MAX_DOMAINS]
    asked = spf.lookups(envelope)
    # HELO speaks for nobody beside MAIL FROM.
    speakers = [*map(_signer, keys), *[name for name, rdtype in asked if rdtype == "TXT"][:1]]
    akin = [name for name in dict.fromkeys(speakers) if name not in authors and may_be_akin(name)]
    below = [name for name in akin if is_within(name, authors)]
    resolver.prefetch(
        [
            *(question for author in authors for question in dmarc.lookups(author)),
            *asked,
            *_walks(below),
            *(key for key in keys if may_be_akin(_signer(key))),
        ]
    )
    siblings = [name for name in akin if name not in below]
    if siblings and walks:
        found = [organization.walk(author, resolver) for author in authors]
        owners = [walk.organizational_domain for walk in found if not walk.failed]
        resolver.prefetch(_walks([name for name in siblings if is_within(name, owners)]))


def _walks(names: Sequence[str]) -> Iterator[Question]:
    return (question for name in names[: dmarc.MAX_DOMAINS] for question in organization.walk_questions(name))


def _signer(key: Question) -> str:
    return key[0].partition("._domainkey.")[2]
