"""Archives: see archive_files."""

import archive_files
from specimens import Specimen

_ENDINGS = {
    archive_files.ZIP: "zip", archive_files.TAR: "tar", archive_files.GZIP: "gz", archive_files.BZIP2: "bz2",
    archive_files.XZ: "xz",
}  # fmt: skip


def acts():
    """Archives with a program in it, or that programs read differently."""
    threats = archive_files.THREATS | {
        "tar behind other data": b"\0data" * 200 + archive_files.PROGRAMS["program in a tar"],
        "cabinet behind other data": b"\0data" * 200
        + b"MSCF"
        + bytes(4)
        + b"\x99\0\0\0"
        + bytes(4)
        + b"\x2c\0\0\0"
        + bytes(4)
        + b"\3\1\1\0\1\0"
        + bytes(99),
    }
    return {name: Specimen(content, "a.bin") for name, content in threats.items()}


def ordinary():
    """Archives of texts."""
    return {
        name: Specimen(content, f"a.{_ENDINGS[mime]}", mime) for name, (content, mime) in archive_files.ORDINARY.items()
    }
