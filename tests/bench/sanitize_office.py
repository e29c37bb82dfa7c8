"""Disarm a .docx of 1 MB, against reading and rewriting it with zipfile."""

import io
import os
import random
import zipfile

from bench.engine import best

from mailguard.formats.disarmed import Options
from mailguard.formats.office import disarm as office

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="png" '
    'ContentType="image/png"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_SPACE = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def document(text, picture, code="PAGE"):
    """Make a document: octets of text (compressed about 1:4), octets of a picture, the code of one field."""
    chosen = random.Random(1)
    runs = []
    size = 0
    while size < text:
        words = " ".join(
            chosen.choice(("alpha", "beta", "gamma", "delta")) + str(chosen.random())[2:8] for _ in range(9)
        )
        runs.append(f'<w:p><w:pPr><w:jc w:val="both"/></w:pPr><w:r><w:rPr><w:b/></w:rPr><w:t>{words}</w:t></w:r></w:p>')
        size += len(runs[-1])
    field = f'<w:p><w:r><w:fldChar w:fldCharType="begin"/><w:instrText>{code}</w:instrText><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    body = (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        f"{''.join(runs)}{field}</w:body></w:document>"
    )
    root = f'<Relationships xmlns="{_SPACE}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>'
    inner = f'<Relationships xmlns="{_SPACE}"><Relationship Id="r1" Type="{_OFFICE}/image" Target="media/a.png"/></Relationships>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", root)
        file.writestr("word/_rels/document.xml.rels", inner)
        file.writestr("word/document.xml", body)
        file.writestr("word/media/a.png", b"\x89PNG\r\n\x1a\n" + os.urandom(picture))
    return buffer.getvalue()


def rewritten(content):
    """What a program does that only reads and writes the parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return buffer.getvalue()


def measure():
    for what, text, picture in (("text", 3_200_000, 10_000), ("pictures", 200_000, 950_000)):
        for state, code in (("ordinary", "PAGE"), ("with DDE", "DDEAUTO cmd")):
            content = document(text, picture, code)
            assert (office.disarm(content, "", Options()).data is content) == (code == "PAGE")
            ours = best(lambda content=content: office.disarm(content, "", Options()), 5)
            reference = best(lambda content=content: rewritten(content), 5)
            name = f"sanitize .docx of {len(content) / 1e6:.1f} MB of {what}, {state}"
            yield name, ours / reference, ("<=", 3), "x zipfile"
