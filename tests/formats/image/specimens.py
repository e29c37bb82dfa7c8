"""Pictures that some program takes for something else, and pictures that are nothing else."""

import archive_files
import documents
import pictures
from specimens import Specimen

_ENDINGS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif"}
_BEHIND = {
    "ZIP": documents.zipped({"a.txt": b"text"}),
    "Java": documents.zipped({"META-INF/MANIFEST.MF": b"Main-Class: A\n", "A.class": b"\xca\xfe\xba\xbe"}),
    "RAR": archive_files.rar_5(("a.txt", b"text")),
    "7z": archive_files.seven_zip(),
    "cabinet": archive_files.cabinet(("a.txt", b"text")),
    "tar": archive_files.tar(("a.txt", b"text")),
}


def acts():
    """Pictures with an archive behind them, which unpackers find, and one that is a document too."""
    pairs = [(kind, label) for kind in _ENDINGS for label in _BEHIND]
    return {
        f"{label} behind {kind}": Specimen(pictures.encoded(kind) + _BEHIND[label], f"a.{_ENDINGS[kind]}")
        for kind, label in pairs
    } | {
        "PDF in a comment of JPEG": Specimen(
            b"\xff\xd8\xff\xfe\x00\x0c%PDF-1.7\n\n" + pictures.encoded("JPEG")[2:] + documents.pdf(b"/S /JavaScript"),
            "a.jpg",
        ),
    }


def ordinary():
    """Pictures of each kind, with metadata, and with something behind them that no program looks for."""
    return (
        {f"picture.{ending}": Specimen(pictures.encoded(kind), f"a.{ending}") for kind, ending in _ENDINGS.items()}
        | {f"{name}.bin": Specimen(data, "a.bin") for name, data in pictures.METADATA.items()}
        | {"icon.ico": Specimen(pictures.encoded("ICO"), "a.ico")}
        | {"octets behind the end.jpg": Specimen(pictures.encoded("JPEG") + b"\0" * 16, "a.jpg")}
    )


CHANGED = {
    "picture.tif": "nobody can say what else is in a TIFF: each is encoded anew",
    "icon.ico": "icons are not among the pictures that are encoded anew: it is held",
    "octets behind the end.jpg": "what is behind a picture goes, whatever it is",
}
