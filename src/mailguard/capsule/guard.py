"""Libraries that read hostile files fail in many ways; here they fail in one."""

from __future__ import annotations

from contextlib import contextmanager

from mailguard.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def guarded(problem: str) -> Iterator[None]:
    """Turn whatever zipfile, pyzipper, struct, zlib or json raise about bad input into DataError(problem).

    Out of memory and our own DataError pass.
    """
    import struct
    import zipfile
    import zlib

    import pyzipper

    broken = (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,  # with RecursionError and NotImplementedError
        TypeError,
        ValueError,
        pyzipper.BadZipFile,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    )
    try:
        yield
    except DataError:
        raise
    except broken:
        raise DataError(problem) from None
