"""The outer ZIP: one AES-256 entry with a neutral name (WinZip AE-2), by pyzipper with a faster encrypter.

This module is slow to import; the package does so where a capsule is really written or opened.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import sys

# pycryptodome prefers cffi, which parses C declarations at every start and takes longer than all of pyzipper for it;
# without cffi it uses ctypes.  So it does not get to see cffi while it is imported.
_hidden = "cffi" not in sys.modules
if _hidden:
    sys.modules["cffi"] = None  # type: ignore[assignment]
try:
    import pyzipper
    from Cryptodome.Cipher import AES
    from Cryptodome.Util.strxor import strxor
    from pyzipper.zipfile_aes import AESZipInfo, BaseZipEncrypter
finally:  # also where memory ends here: a worker has other messages after this one
    if _hidden:
        del sys.modules["cffi"]

from mailguard.capsule.guard import guarded  # noqa: E402
from mailguard.capsule.pieces import Pieces  # noqa: E402
from mailguard.errors import DataError  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "attachments.zip"

_PIECE = 1 << 20  # 65,536 counter blocks: their numbers within a piece are two bytes
_AE_2 = 2
_AES_256 = 3


def encrypt(plain: Pieces, password: bytes, salt: bytes, moment: tuple[int, ...], comment: bytes) -> Pieces:
    """Return the ZIP with `plain` as its only entry; moment: year to second, UTC, for the entry.

    What was encrypted is gone from `plain`.
    """
    file = Pieces()
    with _Archive(file, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.salt = salt
        archive.setpassword(password)
        archive.comment = comment
        entry = AESZipInfo(NAME, moment)
        entry.compress_type = pyzipper.ZIP_STORED
        entry.file_size = plain.size
        with archive.open(entry, "w") as writer:
            for piece in plain.taken():
                writer.write(piece)
    return file


def decrypt(capsule: bytes, password: bytes) -> bytes:
    """Return the content of the only entry.

    DataError when the password is wrong, the ZIP is damaged, or it is not of this form.  The content is not longer
    than the ZIP, because the entry must be stored.
    """
    with guarded("the ZIP is damaged, or the password is wrong"):
        archive = pyzipper.AESZipFile(io.BytesIO(capsule))
        entries = archive.infolist()
        if len(entries) != 1 or not _is_ours(entries[0]):
            raise DataError("this ZIP looks like ours, but its content is not: damaged or forged")
        archive.setpassword(password)
        try:
            reader = archive.open(entries[0])
        except RuntimeError:  # by this, pyzipper says that the two bytes of password verification differ
            raise DataError("wrong password") from None
        content: bytes = reader.read()
        if len(content) != entries[0].file_size:
            raise DataError("the ZIP is damaged: it is shorter than it says")
        return content


def _is_ours(entry: Any) -> bool:
    form = entry.filename, entry.compress_type, entry.wz_aes_version, entry.wz_aes_strength, entry.flag_bits & 1
    return bool(form == (NAME, pyzipper.ZIP_STORED, _AE_2, _AES_256, 1))


class _Archive(pyzipper.AESZipFile):  # type: ignore[misc]
    """Writes its entries with our encrypter and salt."""

    salt: bytes

    def get_encrypter(self) -> _Encrypter:
        return _Encrypter(self.pwd, self.salt)


class _Encrypter(BaseZipEncrypter):  # type: ignore[misc]
    """What pyzipper's own encrypter writes, with a given salt and several times as fast."""

    def __init__(self, password: bytes, salt: bytes) -> None:
        keys = hashlib.pbkdf2_hmac("sha1", password, salt, 1000, 66)
        self._salt = salt
        self._verification = keys[64:]
        self._keystream = _Keystream(keys[:32])
        self._code = hmac.new(keys[32:64], digestmod="sha1")

    def update_zipinfo(self, zipinfo: Any) -> None:
        zipinfo.wz_aes_vendor_id = pyzipper.zipfile_aes.WZ_AES_VENDOR_ID
        zipinfo.wz_aes_strength = _AES_256
        zipinfo.wz_aes_version = _AE_2

    def finalize_zipinfo(self, zipinfo: Any) -> None:
        """Leave the entry as it is: AE-2 depends on nothing that is known only now."""

    def encryption_header(self) -> bytes:
        return self._salt + self._verification

    def encrypt(self, data: bytes | memoryview) -> bytearray:
        encrypted = self._keystream.added_to(data)
        self._code.update(encrypted)
        return encrypted

    def flush(self) -> bytes:
        return self._code.digest()[:10]


class _Keystream:
    """AES in counter mode with the counter in little-endian order, from 1, as AE-2 wants it.

    Its library counts one block after the other.  Prepared counter blocks, encrypted all at once and added to the text,
    run at the speed of memory.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AES.new(key, AES.MODE_ECB)  # counter mode by hand
        self._position = 16  # block 0 is not used
        self._number = -1
        self._piece = bytearray(_PIECE)
        self._counters = _first_counters()

    def added_to(self, data: bytes | memoryview) -> bytearray:
        result = bytearray(len(data))
        with memoryview(data) as text, memoryview(result) as target:
            done = 0
            while done < len(result):
                keys = self._next(len(result) - done)
                end = done + len(keys)
                strxor(text[done:end], keys, output=target[done:end])  # type: ignore[arg-type] # any buffer will do
                done = end
        return result

    def _next(self, most: int) -> memoryview:
        number, inside = divmod(self._position, _PIECE)
        if number != self._number:
            self._number = number
            for index, byte in enumerate(number.to_bytes(6, "little")):
                self._counters[2 + index :: 16] = bytes([byte]) * (_PIECE // 16)
            self._cipher.encrypt(self._counters, output=self._piece)
        keys = memoryview(self._piece)[inside : inside + most]
        self._position += len(keys)
        return keys


def _first_counters() -> bytearray:
    """Return the counter blocks of a piece: two bytes count within it, those behind them hold its own number."""
    counters = bytearray(_PIECE)
    counters[0::16] = bytes(range(256)) * 256
    counters[1::16] = b"".join(bytes([high]) * 256 for high in range(256))
    return counters
