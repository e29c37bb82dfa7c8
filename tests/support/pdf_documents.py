"""PDF documents, made object by object."""

from __future__ import annotations

import io

import pikepdf
from pikepdf import Array, Dictionary, Name

PAGE = b"BT /F1 24 Tf 20 60 Td (Hello text) Tj ET 0.2 0.5 0.9 rg 20 20 60 20 re f"


def written(pdf, **settings_):
    output = io.BytesIO()
    pdf.save(output, deterministic_id="encryption" not in settings_, **settings_)
    return output.getvalue()


def new(change=None, **settings_):
    """A PDF of two pages with text, a drawing, an ordinary link and an outline; `change` may add to it."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    for _ in range(2):
        contents = pdf.make_stream(PAGE)
        page = Dictionary(
            Type=Name.Page, MediaBox=[0, 0, 200, 100], Contents=contents, Resources=Dictionary(Font=Dictionary(F1=font))
        )
        pdf.pages.append(pikepdf.Page(page))
    link = Dictionary(S=Name.URI, URI=b"https://example.com/")
    annotation(pdf, Subtype=Name.Link, A=link)
    annotation(pdf, Subtype=Name.Link, A=Dictionary(S=Name.GoTo, D=[pdf.pages[1].obj, Name.Fit]))
    annotation(pdf, Subtype=Name.Text, Contents="a remark")
    annotation(pdf, Subtype=Name.Widget, FT=Name.Tx, T="field", V="value")
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Chapter", 0))
    pdf.Root.OpenAction = Array([pdf.pages[0].obj, Name.Fit])
    pdf.docinfo["/Author"] = "Somebody"
    if change:
        change(pdf)
    return written(pdf, **settings_)


def annotation(pdf, **keys):
    page = pdf.pages[0].obj
    added = pdf.make_indirect(Dictionary(Type=Name.Annot, Rect=[1, 1, 20, 20], **keys))
    page.Annots = Array([*page.get("/Annots", []), added])
    return added
