"""Archives: see archive_files."""

import archive_files
from specimens import Specimen

_ENDINGS = {
    archive_files.ZIP: "zip", archive_files.TAR: "tar", archive_files.GZIP: "gz", archive_files.BZIP2: "bz2",
    archive_files.XZ: "xz",
}  # fmt: skip


def acts():
    """Archives with a program in it, or that programs read differently."""
    threats = archive_files.THREATS | archive_files.FOREIGN_THREATS
    return {name: Specimen(content, "a.bin") for name, content in threats.items()}


def ordinary():
    """Archives of texts."""
    return {
        name: Specimen(content, f"a.{_ENDINGS[mime]}", mime) for name, (content, mime) in archive_files.ORDINARY.items()
    } | {name: Specimen(*one) for name, one in archive_files.FOREIGN.items()}


CHANGED = dict.fromkeys(archive_files.FOREIGN, "only its own programs know all corners of the format: it becomes a ZIP")
