"""PDF: what acts, carries files or points elsewhere is gone; pages and text stay; bombs cost little."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zlib

import pikepdf
import pypdfium2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pdf_documents import annotation, new
from pdf_threats import HOST, THREATS, attached, ordinary, page_action
from pikepdf import Array, Dictionary, Name

from mailguard.formats import codes
from mailguard.formats.detect import detect
from mailguard.formats.disarmed import KEPT, Disarmed, Options, Refused
from mailguard.formats.pdf.disarm import disarm
from mailguard.message.content import Content

DANGEROUS_KEYS = frozenset(
    "/JS /JavaScript /AA /XFA /EmbeddedFiles /EF /AF /RichMediaContent /Collection /Movie /Sound /FFilter /Win /Renditions"  # noqa: SIM905
    " /AdditionalStreams".split()
)
CHOSEN_NAMES = frozenset({"/AA", "/JS"})
HARMLESS_ACTIONS = frozenset({"/GoTo", "/URI", "/Named"})
HARMLESS_ANNOTATIONS = frozenset({"/Link", "/Text", "/Widget", "/Popup"})


def everything(data):
    """Yield every dictionary of every object of the file, reachable or not, nested ones too."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        waiting = [pdf.trailer, *pdf.objects]
        for _ in range(100_000):
            if not waiting:
                return
            value = waiting.pop()
            if isinstance(value, (Dictionary, pikepdf.Stream)):
                yield value
                waiting += [item for item in dict(value.items()).values() if nested(item)]
            elif isinstance(value, Array):
                waiting += [item for item in value if nested(item)]
        raise AssertionError("too much to look at")


def nested(value):
    return isinstance(value, (Dictionary, pikepdf.Stream, Array)) and not value.is_indirect


def suspicious(data):
    """What a second reader, written apart from the product, finds."""
    found = set()
    for value in everything(data):
        keys = set(value.keys())
        found |= keys & DANGEROUS_KEYS - (CHOSEN_NAMES if names_things(value, keys) else frozenset())
        if "/Rect" in keys and str(value.get("/Subtype")) not in HARMLESS_ANNOTATIONS:
            found.add(str(value.get("/Subtype")))
        for key in keys & {"/A", "/PA", "/NA", "/OpenAction", "/Next"}:
            action = value[key]
            if isinstance(action, Dictionary) and "/S" in action and str(action["/S"]) not in HARMLESS_ACTIONS:
                found.add(str(action["/S"]))
            elif isinstance(action, Array) and any(isinstance(item, Dictionary) and "/S" in item for item in action):
                found.add(key)
    return found


def names_things(dictionary, keys):
    """Tell whether a dictionary is one of fonts or the like, whose names an author chose."""
    return not keys & {"/Type", "/Subtype", "/S", "/T"} and not any(
        isinstance(value, pikepdf.String) for _, value in dictionary.items()
    )


def unpacked(data):
    """All octets of the document, with object streams and everything else that unpacks unpacked."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        output = io.BytesIO()
        pdf.save(
            output,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
            stream_decode_level=pikepdf.StreamDecodeLevel.generalized,
            compress_streams=False,
        )
        return output.getvalue()


def pages(data):
    pdf = pypdfium2.PdfDocument(data)
    for page in pdf:
        yield page.render(scale=1).to_pil().tobytes(), page.get_textpage().get_text_range()


def refusal(data, options=None):
    with pytest.raises(Refused) as caught:
        disarm(data, "application/pdf", options or Options())
    assert caught.value.code in codes.REFUSALS
    return caught.value.code


@pytest.mark.parametrize("mode", ["disable", "generate"])
@pytest.mark.parametrize("linearize", [False, True])
def test_an_ordinary_document_comes_back_as_it_came(mode, linearize):
    data = new(object_stream_mode=pikepdf.ObjectStreamMode[mode], linearize=linearize)
    result = disarm(data, "application/pdf", Options())
    assert (result.removed, result.data is data, result.mime, result.extension) == ((), True, "application/pdf", "pdf")


@pytest.mark.parametrize("name", sorted(THREATS))
def test_what_acts_is_gone_and_the_pages_stay(name):
    change, code = THREATS[name]
    data = new(change)
    assert HOST.encode() in unpacked(data)
    result = disarm(data, "application/pdf", Options())
    assert code in result.removed
    assert set(result.removed) <= set(codes.REMOVED)
    assert suspicious(result.data) == set()
    assert HOST.encode() not in unpacked(result.data)
    assert not re.search(
        rb"/(?:JavaScript|JS|Launch|AA|EmbeddedFile|XFA|SubmitForm|GoToR|GoToE|Movie)\b", unpacked(result.data)
    )
    assert detect(Content.of(result.data), ["a.pdf"], "application/pdf").dangerous == ()
    assert list(pages(result.data)) == list(pages(ordinary()))
    again = disarm(result.data, "application/pdf", Options())
    assert again.data is result.data


def test_a_script_in_the_trailer_is_gone():
    data = ordinary().replace(b"trailer <<", b"trailer <</JS(x) ")
    assert suspicious(data) == {"/JS"}
    result = disarm(data, "", Options())
    assert (result.removed, suspicious(result.data)) == (("javascript",), set())


SUSPICIOUS_BY_MEANING = {"open-link", "named", "file-link", "script-link", "unc-link", "external-stream", "reference", "postscript", "base", "catalog"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(THREATS) - SUSPICIOUS_BY_MEANING))
def test_the_second_reader_sees_the_threat_before(name):
    assert suspicious(new(THREATS[name][0]))


def test_everything_at_once_and_twice_the_same_octets():
    def change(pdf):
        for name, (one, _) in THREATS.items():
            if name != "catalog":
                one(pdf)

    data = new(change)
    one, two = (disarm(data, "application/pdf", Options()) for _ in range(2))
    assert one.data == two.data
    assert suspicious(one.data) == set()


def test_ordinary_links_stay_and_go_where_they_must():
    assert b"https://example.com/" in unpacked(disarm(new(page_action), "", Options()).data)
    result = disarm(ordinary(), "", Options(KEPT - {"hyperlinks"}))
    assert result.removed == ("hyperlink",)
    assert b"example.com" not in unpacked(result.data)


def test_comments_and_metadata_go_where_they_must():
    result = disarm(ordinary(), "", Options(frozenset({"hyperlinks"})))
    assert result.removed == ("comment", "metadata")
    assert b"remark" not in unpacked(result.data)
    assert b"Somebody" not in unpacked(result.data)


def test_embedded_files_that_may_stay_pass_the_policy():
    seen = []

    def member(content, names, _options):
        seen.append((bytes(content), list(names)))
        return Disarmed(b"harmless", "text/plain", "txt", ("script",))

    data = new(attached)
    result = disarm(data, "", Options(KEPT | {"embedded_files"}, member=member))
    assert result.removed == ("member-changed",)
    with pikepdf.open(io.BytesIO(result.data)) as pdf:
        assert pdf.attachments["evil.exe"].get_file().read_bytes() == b"harmless"
    assert HOST.encode() not in unpacked(result.data)


@pytest.mark.parametrize("names", ["/Dests", "/RoleMap"])
def test_names_that_an_author_chose_are_no_keys(names):
    def change(pdf):
        font = pdf.pages[0].obj.Resources.Font.F1
        pdf.pages[0].obj.Resources.Font = Dictionary({"/F1": font, "/AA": font, "/JS": font, "/F": font})
        if names == "/Dests":
            pdf.Root.Dests = Dictionary({"/AA": Array([pdf.pages[0].obj, Name.Fit])})
        else:
            pdf.Root.StructTreeRoot = Dictionary(RoleMap=Dictionary({"/AA": Name.Span, "/Sound": Name.P}))

    data = new(change)
    assert disarm(data, "", Options()).data is data


def test_an_older_revision_is_gone():
    old = new(page_action)
    with pikepdf.open(io.BytesIO(old)) as pdf:
        number = pdf.pages[1].obj.objgen[0]
        page = Dictionary(pdf.pages[1].obj)
        del page["/AA"]
        body = b"%d 0 obj\n%s\nendobj\n" % (number, page.unparse())
        size, root = int(pdf.trailer.Size), pdf.Root.objgen[0]
    start = int(re.findall(rb"startxref\s+(\d+)", old)[-1])
    table = b"xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size %d/Root %d 0 R/Prev %d>>\n" % (
        number,
        len(old),
        size,
        root,
        start,
    )
    data = old + body + table + b"startxref\n%d\n%%%%EOF\n" % (len(old) + len(body))
    assert b"JavaScript" in unpacked(old)
    result = disarm(data, "", Options())
    assert "ambiguous-markup" in result.removed
    assert not re.search(rb"JavaScript|/JS\b", result.data)
    assert disarm(result.data, "", Options()).data is result.data
    assert list(pages(result.data)) == list(pages(ordinary()))


@pytest.mark.parametrize("tail", [b"PK\3\4 hidden", b"\n%PDF-1.4 hidden"])
def test_what_follows_the_end_is_gone(tail):
    result = disarm(ordinary() + tail, "", Options())
    assert result.removed == ("hidden-content",)
    assert b"hidden" not in result.data


def test_what_stands_before_the_beginning_is_gone():
    result = disarm(b"MZ\x90 hidden\n" + ordinary(), "", Options())
    assert result.removed
    assert result.data.startswith(b"%PDF-")
    assert b"hidden" not in result.data


def test_a_broken_table_is_repaired():
    data = ordinary().replace(b"startxref", b"startxxxx")
    result = disarm(data, "", Options())
    assert result.removed == ("cross-reference",)
    assert list(pages(result.data)) == list(pages(ordinary()))


def signed(change):
    def both(pdf):
        signature = pdf.make_indirect(
            Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), ByteRange=[0, 1, 2, 3], Contents=b"\0" * 20)
        )
        field = annotation(pdf, Subtype=Name.Widget, FT=Name.Sig, T="s", V=signature)
        pdf.Root.AcroForm = Dictionary(Fields=[field], SigFlags=3)
        pdf.Root.Perms = Dictionary(DocMDP=signature)
        if change:
            change(pdf)

    return new(both)


def test_a_signature_stays_where_nothing_changes_and_goes_where_something_does():
    data = signed(None)
    assert disarm(data, "", Options()).data is data
    result = disarm(signed(page_action), "", Options())
    assert result.removed == ("invalid-signature", "javascript")
    assert b"ByteRange" not in unpacked(result.data)


def encrypted(user="", owner="owner", algorithm=6):
    return new(
        page_action,
        encryption=pikepdf.Encryption(owner=owner, user=user, R=algorithm, aes=algorithm >= 4, metadata=algorithm >= 4),
    )


@pytest.mark.parametrize("algorithm", [3, 4, 6])
def test_an_owner_password_alone_is_no_secret(algorithm):
    data = encrypted(algorithm=algorithm)
    result = disarm(data, "", Options())
    assert result.removed == ("encryption", "javascript")
    assert b"/Encrypt" not in result.data
    assert list(pages(result.data)) == list(pages(ordinary()))


def test_a_document_with_a_password_is_refused_unless_the_password_is_known():
    data = encrypted(user="secret")
    assert refusal(data) == "encrypted"
    result = disarm(data, "", Options(passwords=(b"wrong", b"secret")))
    assert "encryption" in result.removed


@pytest.mark.parametrize("data", [b"", b"text", b"%PDF-1.7\n%%EOF\n", b"%PDF-1.4\ntrailer<</Root 1 0 R>>"])
def test_what_is_no_document_is_refused(data):
    assert refusal(data) == "damaged"


def test_a_million_objects_are_refused():
    objects = b"".join(b"%d 0 obj<</A %d 0 R>>endobj\n" % (number, number + 1) for number in range(1, 1_000_001))
    objects += b"1000002 0 obj<</Type/Catalog/Pages 1000003 0 R/PieceInfo 1 0 R>>endobj\n"
    objects += b"1000003 0 obj<</Type/Pages/Count 1/Kids[1000004 0 R]>>endobj\n"
    objects += b"1000004 0 obj<</Type/Page/MediaBox[0 0 9 9]/Parent 1000003 0 R>>endobj\n"
    assert refusal(b"%PDF-1.4\n" + objects + b"trailer<</Root 1000002 0 R>>\n%%EOF\n") == "over-limit"


def test_an_array_of_a_million_dictionaries_is_refused():
    array = b"<</Type/Catalog/Pages 2 0 R/PieceInfo[" + b"<<>>" * 1_500_000 + b"]>>"
    pages_ = b"<</Type/Pages/Count 1/Kids[3 0 R]>>endobj 3 0 obj<</Type/Page/MediaBox[0 0 9 9]/Parent 2 0 R>>"
    data = b"%PDF-1.4\n1 0 obj" + array + b"endobj 2 0 obj" + pages_ + b"endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    assert refusal(data) in {"over-limit", "damaged"}


def test_an_object_stream_that_unpacks_without_end_is_refused():
    bomb = zlib.compress(b"1 0 " + b" " * (400 << 20))
    begin = b"%PDF-1.5\n1 0 obj<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length "
    stream = b"5 0 obj<</Type/XRef/Size 6/W[1 2 1]/Index[0 6]/Root 2 0 R/Length 24>>stream\n"
    first = begin + b"%d>>stream\n" % len(bomb) + bomb + b"\nendstream endobj\n"
    rows = (
        bytes((0, 0, 0, 0, 1, 0, 9, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 1, *len(first).to_bytes(2, "big"), 0))
        if len(first) < 65536
        else bytes(24)
    )
    data = first + stream + rows + b"\nendstream endobj\nstartxref\n%d\n%%%%EOF\n" % len(first)
    assert refusal(data) in {"damaged", "over-limit"}


def test_nested_arrays_end_somewhere():
    data = ordinary().replace(b"/Type /Catalog", b"/Evil " + b"[" * 100_000 + b"]" * 100_000 + b"/Type /Catalog")
    try:
        disarm(data, "", Options())
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017


SAMPLES = [
    new(),
    *(new(change) for change, _ in (THREATS["open-action"], THREATS["attachment"], THREATS["rich-media"])),
]
PIECES = [
    b"<<",
    b">>",
    b"[",
    b"/JS(x)",
    b"/A<</S/JavaScript/JS(x)>>",
    b"0 R",
    b"endobj",
    b"stream\n",
    b"\0",
    b"#41",
    b"/AA 1 0 R",
    b"9 0 R",
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(PIECES), st.integers(0, 12)), max_size=5),
)
@example(SAMPLES[0], [(117, b"/JS(x)", 0)])  # in the document information
@example(SAMPLES[1], [(680, b"/JS(x)", 0)])  # among the names of fonts
@example(SAMPLES[1], [(680, b"/AA 1 0 R", 0)])
@example(new(attached), [(165, b"/A<</S/JavaScript/JS(x)>>", 0)])  # again in the document information
def test_nothing_but_a_refusal_escapes_and_the_second_reader_finds_nothing(sample, changes):
    data = sample
    for somewhere, piece, length in changes:
        position = somewhere % len(data)
        data = data[:position] + piece + data[position + length :]
    try:
        result = disarm(data, "", Options())
    except Refused as refused:
        assert refused.code in codes.REFUSALS  # noqa: PT017
    else:
        assert suspicious(result.data) == set()
        # A title that only spells the name of a threat is hidden content to the quick look, however often it is written.
        assert set(disarm(result.data, "", Options()).removed) <= {"hidden-content"}


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a_document_of_libreoffice_is_not_changed(tmp_path):
    source = tmp_path / "a.html"
    source.write_text("<h1>Title</h1><p>Text <a href='https://example.com/'>link</a></p>")
    command = [
        "soffice",
        f"-env:UserInstallation=file://{tmp_path}/profile",
        "--headless",
        "--convert-to",
        "pdf:writer_web_pdf_Export",
    ]
    subprocess.run([*command, "--outdir", str(tmp_path), str(source)], check=True, capture_output=True, timeout=120)
    data = (tmp_path / "a.pdf").read_bytes()
    assert disarm(data, "application/pdf", Options()).data is data
