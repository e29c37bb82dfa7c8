"""The file of conversations: which Message-IDs are ours, and who is part of the conversation of each.

It holds marks of 8 octets, HMACs under the site key: one for each Message-ID, one for each Message-ID together with
each party.  Nobody without the key learns from it who writes to whom, or can choose marks that collide; with a million
mails an id that is not ours is taken for ours once in 10**12 looks.

The file is a page of text, and for each generation, the newest first, pages of 512 marks: the first bits of a mark say
in which page it stands, so one page is read for a look, however large the file is.  A mark is written into its free
place in the page; when a page is full, the file is written anew with twice the pages, or, when there are as many as may
be, with an empty generation before it in place of the last one.  Whoever reads needs no lock: a mark is there or not,
the mark of a Message-ID is written when those of its parties are on the disk, and a file that is written anew replaces
the old one.
"""

from __future__ import annotations

import hmac
import os
import stat

from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailguard.seal import KeyRing

    Batch = Iterable[tuple[bytes, ...]]

GENERATIONS = 2
MOST_BITS = 13  # 8192 pages of a generation, 32 MiB, about 3 million marks
LONGEST = 365 * 86400  # seconds after which a new generation begins

_TITLE = b"mailguard-conversations-1"
_PAGE = 4096
_MARK = 8
_NO_MARK = bytes(_MARK)
_PIECE = 1 << 20
_MOST_REWRITES = 40  # 13 doublings and a new generation


class _Generation:
    """Pages of marks: made with the key of this name, since this Unix time, 2**bits pages from `start` on."""

    __slots__ = ("bits", "key_name", "since", "start")

    def __init__(self, key_name: str, since: int, bits: int = 0) -> None:
        self.key_name = key_name
        self.since = since
        self.bits = bits
        self.start = _PAGE

    @property
    def size(self) -> int:
        return _PAGE << self.bits

    def page(self, mark: bytes) -> int:
        """Return where the page of a mark begins."""
        return self.start + (int.from_bytes(mark, "big") >> (8 * _MARK - self.bits)) * _PAGE


class Conversations:
    """An open file of conversations, for looks at one moment.

    ConfigurationError when it is not there, is no such file, or was made with a key that the ring does not have.
    """

    __slots__ = ("_descriptor", "_generations", "_keys")

    def __init__(self, path: str, ring: KeyRing | None, descriptor: int) -> None:
        self._descriptor = descriptor
        self._generations = _generations(descriptor, path)
        self._keys = _secrets(self._generations, ring, path)

    def has(self, *values: bytes) -> bool:
        """Tell whether there is a mark of these values: a Message-ID, or a Message-ID and a party."""
        return any(self._holds(generation, self.mark(generation, values)) for generation in self._generations)

    def mark(self, generation: _Generation, values: Sequence[bytes]) -> bytes:
        """Return the mark of these values in a generation."""
        code = hmac.digest(self._keys[generation.key_name], b"\0".join(values), "sha256")[:_MARK]
        return code if code != _NO_MARK else b"\1" * _MARK

    @property
    def newest(self) -> _Generation:
        """The generation into which marks go."""
        return self._generations[0]

    def _holds(self, generation: _Generation, mark: bytes) -> bool:
        return _stands(mark, os.pread(self._descriptor, _PAGE, generation.page(mark)))


def _stands(mark: bytes, page: bytes) -> bool:
    place = page.find(mark)
    while place >= 0 and place % _MARK:
        place = page.find(mark, place + 1)
    return place >= 0


class OpenConversations:
    """A context in which the file is open for looks; nothing is locked or written."""

    __slots__ = ("_descriptor", "_path", "_ring")

    def __init__(self, path: str, ring: KeyRing | None) -> None:
        self._path = path
        self._ring = ring

    def __enter__(self) -> Conversations:
        self._descriptor = _open(self._path, os.O_RDONLY)
        try:
            return Conversations(self._path, self._ring, self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def create(path: str, ring: KeyRing, now: int) -> None:
    """Make an empty file where there is none; MailguardError when it cannot be written."""
    from mailguard import safefile

    if not os.path.lexists(path):
        newest = _Generation(ring.active.name, now)
        try:  # noqa: SIM105 (contextlib is slow to import)
            safefile.create(path, [_heading([newest]), bytes(newest.size)])
        except FileExistsError:
            pass  # somebody else was faster


def learn(path: str, ring: KeyRing, now: int, marked: Callable[[Conversations], Iterable[Batch]]) -> None:
    """Put marks into the file.

    marked: asked, under the lock of the file, for batches of (Message-ID, party) or (Message-ID,); each batch is on the
    disk before the next one is begun.  Safe at any moment of a crash, and may be repeated.
    ConfigurationError when it is no such file, MailguardError when it cannot be written.
    """
    for _ in range(_MOST_REWRITES):
        descriptor = _locked(path)
        try:
            generations = _generations(descriptor, path)
            newest = generations[0]
            if now - newest.since > LONGEST or not all(_is_usable(each, ring) for each in generations):
                _replace(path, descriptor, [_Generation(ring.active.name, now), *generations], ring)
            elif _write(Conversations(path, ring, descriptor), descriptor, marked):
                return
            elif newest.bits < MOST_BITS and newest.key_name == ring.active.name:
                _replace(path, descriptor, generations, ring, double=True)
            else:
                _replace(path, descriptor, [_Generation(ring.active.name, now), *generations], ring)
        except OSError as error:
            raise MailguardError(f"{show(path)}: {error.strerror}") from None
        finally:
            os.close(descriptor)
    raise MailguardError(f"{show(path)}: others write it anew again and again")


def _is_usable(generation: _Generation, ring: KeyRing) -> bool:
    return ring.find(generation.key_name) is not None


def _write(opened: Conversations, descriptor: int, marked: Callable[[Conversations], Iterable[Batch]]) -> bool:
    """Write what is not there yet; False when a page is full."""
    newest = opened.newest
    for batch in marked(opened):
        changed = False
        for values in batch:
            mark = opened.mark(newest, values)
            start = newest.page(mark)
            page = os.pread(descriptor, _PAGE, start)
            if _stands(mark, page):
                continue
            used = -(-len(page.rstrip(b"\0")) // _MARK) * _MARK
            if used == _PAGE:
                return False
            os.pwrite(descriptor, mark, start + used)
            changed = True
        if changed:
            os.fdatasync(descriptor)
    return True


def _replace(
    path: str, descriptor: int, generations: Sequence[_Generation], ring: KeyRing, *, double: bool = False
) -> None:
    """Write the file anew with these generations, as far as there may be so many and their keys are there.

    double: the first gets twice the pages; otherwise the first is new and empty, and the others are copied.
    """
    from mailguard import safefile

    first, *others = generations
    kept = [each for each in others if _is_usable(each, ring)][: GENERATIONS - 1]
    begun = _Generation(first.key_name, first.since, first.bits + double)

    def chunks() -> Iterator[bytes]:
        yield _heading([begun, *kept])
        yield from _halves(descriptor, first) if double else [bytes(begun.size)]
        for generation in kept:
            yield from _pieces(descriptor, generation)

    status = os.fstat(descriptor)
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    safefile.replace(path, chunks(), stat.S_IMODE(status.st_mode), owner)


def _halves(descriptor: int, generation: _Generation) -> Iterator[bytes]:
    """Yield the pages of a generation with twice as many: the next bit of its mark says in which a mark goes."""
    for number, start in enumerate(range(generation.start, generation.start + generation.size, _PAGE)):
        page = os.pread(descriptor, _PAGE, start)
        boundary = ((2 * number + 1) << (8 * _MARK - 1 - generation.bits)).to_bytes(_MARK, "big")
        marks = [page[place : place + _MARK] for place in range(0, _PAGE, _MARK)]
        marks = [mark for mark in marks if mark != _NO_MARK]
        yield b"".join(mark for mark in marks if mark < boundary).ljust(_PAGE, b"\0")
        yield b"".join(mark for mark in marks if mark >= boundary).ljust(_PAGE, b"\0")


def _pieces(descriptor: int, generation: _Generation) -> Iterator[bytes]:
    end = generation.start + generation.size
    for start in range(generation.start, end, _PIECE):
        yield os.pread(descriptor, min(_PIECE, end - start), start)


def _heading(generations: Sequence[_Generation]) -> bytes:
    lines = [f"{each.key_name} {each.bits} {each.since}".encode("ascii") for each in generations]
    return b"".join(line + b"\n" for line in (_TITLE, *lines)).ljust(_PAGE, b"\0")


def _generations(descriptor: int, path: str) -> list[_Generation]:
    """Read the first page; ConfigurationError when it is none of ours, or the pages behind it are not all there."""
    heading = os.pread(descriptor, _PAGE, 0)
    title, *lines = heading.rstrip(b"\0").decode("ascii", "replace").split("\n")
    generations = []
    start = _PAGE
    for line in lines[:-1]:
        words = line.split(" ")
        if len(words) != 3 or not (words[1].isdecimal() and words[2].isdecimal()) or int(words[1]) > MOST_BITS:
            break
        generation = _Generation(words[0], int(words[2]), int(words[1]))
        generation.start = start
        start += generation.size
        generations.append(generation)
    if title != _TITLE.decode() or len(generations) != len(lines) - 1 or not 0 < len(generations) <= GENERATIONS:
        raise ConfigurationError(f"{show(path)}: is no file of conversations")
    if os.fstat(descriptor).st_size != start:
        raise ConfigurationError(f"{show(path)}: the file of conversations is damaged: its size is wrong")
    return generations


def _secrets(generations: Iterable[_Generation], ring: KeyRing | None, path: str) -> dict[str, bytes]:
    keys = {each.key_name: ring.find(each.key_name) if ring is not None else None for each in generations}
    missing = [name for name, key in keys.items() if key is None]
    if missing:
        raise ConfigurationError(
            f"{show(path)}: the key file lacks key {show(missing[0])}, with which they were learned"
        )
    return {name: key.derive("conversations") for name, key in keys.items() if key is not None}


def _open(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise ConfigurationError(f"{show(path)}: the file of conversations: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigurationError(f"{show(path)}: the file of conversations is not a regular file")
    return descriptor


def _locked(path: str) -> int:
    """Open the file and wait until it is ours; whoever held it may have put another one in its place."""
    import fcntl

    while True:
        descriptor = _open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, FileNotFoundError):
                continue
            raise MailguardError(f"{show(path)}: {error.strerror}") from None
        os.close(descriptor)
