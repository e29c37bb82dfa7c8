"""Take parts out of a message by splices, so that what stays is a well-formed message and keeps its bytes.

All of this works on conforming messages only: every multipart is closed, and no boundary is in doubt.
"""

from __future__ import annotations

from mailguard.message.splice import Splice, apply, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from mailguard.findings import Chunk
    from mailguard.message.tree import Message, Part

    Entity = Sequence[Chunk]  # header and body in pieces, without final line end

_SECURED = frozenset({b"multipart/signed", b"multipart/encrypted"})


class Edits:
    """The splices of one message: those in its header, and those in its body."""

    __slots__ = ("body", "head", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.head: list[Splice] = []
        self.body: list[Splice] = []

    @property
    def header_end(self) -> int:
        """Where the header fields end, before the empty line."""
        root = self.message.root
        return root.fields[-1].end if root.fields else root.start

    def header(self) -> bytes:
        """Return the header fields after the edits, with a line end at their end."""
        root = self.message.root
        text = joined(apply(self.message.raw, self.head, root.start, self.header_end))
        return text if not text or text.endswith(b"\n") else text + self.message.eol

    def separator(self) -> bytes:
        """Return the empty line between header and body."""
        return self.message.raw[self.header_end : self.message.root.body] or self.message.eol

    def content(self) -> list[Chunk]:
        """Return the pieces of the body after the edits."""
        return apply(self.message.raw, self.body, self.message.root.body)

    def cut(self, parts: Iterable[Part]) -> None:
        """Remove parts with their delimiter lines; a multipart that loses all its parts goes too.  Never the root."""
        gone = _emptied(parts)
        self.body += [_with_delimiter(part) for part in gone if part.parent not in gone]

    def replace(self, entities: Mapping[Part, Entity]) -> None:
        """Put an entity in the place of each part.

        In a multipart/alternative the last member is what readers show: there the entities that would be all of a
        member come first instead.
        """
        gone = _emptied(entities)
        for part, entity in entities.items():
            member = part
            while member.parent is not None and member.parent in gone:
                member = member.parent
            above = member.parent
            if above is not None and above.content_type == b"multipart/alternative":
                first = above.delimiters[0]
                self.body.append(Splice(first, first, *_delimited(above.boundary, entity, self.message.eol)))
                self.body.append(_with_delimiter(member))
            else:
                # An empty body shares its line end with the delimiter behind it, which must stay a line of its own.
                shared = above is not None and above.delimiters[part.index : part.index + 1] == [part.end]
                self.body.append(Splice(part.start, part.end, *entity, self.message.eol if shared else b""))

    def unsign(self, parts: Iterable[Part]) -> None:
        """Make every multipart/signed or encrypted around these parts a multipart/mixed: it is not true any more."""
        eol = self.message.eol
        for signed in dict.fromkeys(above for part in parts for above in _around(part, _SECURED)):
            first, *others = signed.field(b"content-type")
            name = (signed.boundary or b"").replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            splices = [Splice(first.start, first.end, multipart_type(name, eol))]
            splices += [Splice(field.start, field.end) for field in others]  # equal ones would be different ones then
            target = self.head if signed.parent is None else self.body
            target += splices

    def append(self, entities: Sequence[Entity], boundary: bytes, before: Part | None = None) -> None:
        """End the message in these entities: in its own multipart/mixed, or in a new one around it.

        before: a part of its own multipart/mixed that must stay behind them.
        """
        root = self.message.root
        if root.content_type == b"multipart/mixed" and root.closed:
            pieces = [piece for entity in entities for piece in _delimited(root.boundary, entity, self.message.eol)]
            place = root.delimiters[-1 if before is None else before.index - 1]
            self.body.append(Splice(place, place, *pieces))
        else:
            moved = self._take_content_fields(boundary)
            opening = Splice(root.body, root.body, b"--", boundary, self.message.eol, moved, self.message.eol)
            closing = Splice(root.end, root.end, self.message.eol, *multipart(boundary, entities, self.message.eol))
            self.body = [opening, *self.body, closing]

    def become(self, entities: Sequence[Entity], boundary: bytes) -> None:
        """Make the message a multipart/mixed of nothing but these entities."""
        root = self.message.root
        self._take_content_fields(boundary)
        self.body = [Splice(root.body, len(self.message.raw), *multipart(boundary, entities, self.message.eol))]

    def _take_content_fields(self, boundary: bytes) -> bytes:
        """Make the header that of a new multipart/mixed; return the Content fields that it had, edited."""
        root, raw, eol = self.message.root, self.message.raw, self.message.eol
        fields = [field for field in root.fields if field.name.startswith(b"content-")]
        moved = b""
        for field in fields:
            inside = [splice for splice in self.head if field.start <= splice.start and splice.end <= field.end]
            moved += joined(apply(raw, inside, field.start, field.end))
            self.head = [splice for splice in self.head if splice not in inside]
        self.set_content_fields(multipart_type(boundary, eol))
        return moved if not moved or moved.endswith(b"\n") else moved + eol

    def set_content_fields(self, content_fields: bytes) -> None:
        """Put these fields in the place of the Content fields of the header, which is a MIME header then."""
        root, eol = self.message.root, self.message.eol
        fields = [field for field in root.fields if field.name.startswith(b"content-")]
        place = fields[0].start if fields else self.header_end
        line = b"" if place == root.start or self.message.raw[place - 1] == 10 else eol
        line += b"" if root.field(b"mime-version") else b"MIME-Version: 1.0" + eol
        self.head += [Splice(place, place, line + content_fields), *(Splice(f.start, f.end) for f in fields)]


def signatures_over(parts: Iterable[Part]) -> list[Part]:
    """Return the signature parts that become worthless when these parts go: they must go as well."""
    given = dict.fromkeys(parts)
    signed = dict.fromkeys(above for part in given for above in _around(part, {b"multipart/signed"}))
    last = [above.children[1] for above in signed if len(above.children) == 2]
    return [part for part in last if part not in given]


def multipart(boundary: bytes, entities: Iterable[Entity], eol: bytes) -> list[Chunk]:
    """Return the body of a multipart with these entities, the closing delimiter included."""
    pieces = [piece for entity in entities for piece in _delimited(boundary, entity, eol)]
    return [*pieces, b"--", boundary, b"--", eol]


def multipart_type(boundary: bytes, eol: bytes) -> bytes:
    """Return the Content-Type field of a multipart/mixed."""
    return b"Content-Type: multipart/mixed;" + eol + b'\tboundary="' + boundary + b'"' + eol


def free_boundary(raw: bytes, seed: bytes) -> bytes:
    """Return a boundary that depends on the seed only and does not occur in the message."""
    import hashlib

    number = 0
    while True:  # a message cannot contain more digests than it has room for
        name = b"=_mailguard_" + hashlib.sha256(b"%d " % number + seed).hexdigest()[:24].encode("ascii")
        if name not in raw:
            return name
        number += 1


def _delimited(boundary: bytes | None, entity: Entity, eol: bytes) -> list[Chunk]:
    return [b"--", boundary or b"", eol, *entity, eol]


def _with_delimiter(part: Part) -> Splice:
    above = part.parent
    assert above is not None
    return Splice(above.delimiters[part.index - 1], above.delimiters[part.index])


def _emptied(parts: Iterable[Part]) -> dict[Part, None]:
    """Return these parts and every multipart below the root that consists of them."""
    gone = dict.fromkeys(parts)
    left: dict[Part, int] = {}
    waiting = list(gone)
    while waiting:
        above = waiting.pop().parent
        if above is None or above.parent is None:
            continue
        left[above] = left.get(above, len(above.children)) - 1
        if not left[above] and above not in gone:
            gone[above] = None
            waiting.append(above)
    return gone


def _around(part: Part, content_types: Container[bytes]) -> Iterator[Part]:
    above = part.parent
    while above is not None:
        if above.content_type in content_types:
            yield above
        above = above.parent
