"""The keys and names of a PDF (ISO 32000-2) by which something acts, and those that may stay."""

from __future__ import annotations

from mailguard.formats.codes import danger

NAMED = frozenset({"/NextPage", "/PrevPage", "/FirstPage", "/LastPage"})
ACTION_KEYS = {
    "/GoTo": frozenset({"/Type", "/S", "/D", "/SD"}),
    "/Named": frozenset({"/Type", "/S", "/N"}),
    "/URI": frozenset({"/Type", "/S", "/URI", "/IsMap"}),
}
ACTIONS = {
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/SubmitForm": "form",
    "/ResetForm": "action",
    "/ImportData": "form",
    "/GoToR": "external-relationship",
    "/GoToE": "embedded-file",
    "/GoToDp": "action",
    "/Thread": "action",
    "/Rendition": "rich-media",
    "/Movie": "rich-media",
    "/Sound": "rich-media",
    "/RichMediaExecute": "rich-media",
    "/GoTo3DView": "rich-media",
    "/Hide": "action",
    "/SetOCGState": "action",
    "/Trans": "action",
}
# Keys whose value is an action, and whose value is a set of actions that start by themselves.
ACTION_SLOTS = ("/A", "/PA", "/NA", "/OpenAction")
REMOVED_KEYS = {
    "/AA": "action",
    "/JS": "javascript",
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/XFA": "xfa",
    "/EmbeddedFiles": "embedded-file",
    "/Collection": "embedded-file",
    "/Renditions": "rich-media",
    "/AlternatePresentations": "rich-media",
    "/RichMediaContent": "rich-media",
    "/RichMediaSettings": "rich-media",
    "/RichMedia": "rich-media",
    "/3DD": "rich-media",
    "/3DA": "rich-media",
    "/3DV": "rich-media",
    "/Movie": "rich-media",
    "/Sound": "rich-media",
    "/Requirements": "action",
    "/SpiderInfo": "unknown-part",
    "/URLS": "unknown-part",
    "/IDS": "unknown-part",
    "/OPI": "unknown-part",
    "/SV": "unknown-part",
    "/FFilter": "external-relationship",
    "/FDecodeParms": "external-relationship",
    "/RF": "embedded-file",
    "/EF": "embedded-file",
    "/AF": "embedded-file",
}
FILE_KEYS = ("/F", "/UF", "/DOS", "/Mac", "/Unix", "/FS")
METADATA_KEYS = ("/Metadata", "/PieceInfo", "/LastModified")
MARKUP = frozenset(
    "/Text /FreeText /Line /Square /Circle /Polygon /PolyLine /Highlight /Underline /Squiggly /StrikeOut /Stamp"  # noqa: SIM905
    " /Caret"
    " /Ink /Popup /Redact".split()
)
ANNOTATIONS = MARKUP | {"/Link", "/Widget", "/Watermark", "/PrinterMark", "/TrapNet"}
REFUSED_ANNOTATIONS = {
    "/FileAttachment": "embedded-file",
    "/Sound": "rich-media",
    "/Movie": "rich-media",
    "/Screen": "rich-media",
    "/3D": "rich-media",
    "/RichMedia": "rich-media",
    "/Projection": "rich-media",
}
NAME_TREES = frozenset({"/Dests", "/AP", "/Pages", "/Templates"})
CATALOG = frozenset(
    "/Type /Version /Extensions /Pages /PageLabels /Names /Dests /ViewerPreferences /PageLayout /PageMode /Outlines"  # noqa: SIM905
    " /Threads /OpenAction /URI /AcroForm /Metadata /StructTreeRoot /MarkInfo /Lang /OutputIntents /PieceInfo"
    " /OCProperties /Perms /Legal /DSS".split()
)
# The second half belongs to a stream of cross-references (ISO 32000-2, 7.5.8.2).
TRAILER = frozenset(
    {
        "/Root",
        "/Info",
        "/ID",
        "/Size",
        "/Encrypt",
        "/Prev",
        "/Type",
        "/W",
        "/Index",
        "/Filter",
        "/DecodeParms",
        "/Length",
    }
)
# In their values the keys are names that the author chose.
CHOSEN_NAMES = frozenset(
    "/Font /XObject /ExtGState /ColorSpace /Pattern /Shading /Properties /CharProcs /Colorants /Dests /RoleMap"  # noqa: SIM905
    " /ClassMap /Info"
    " /N /R /D".split()
)

DANGEROUS = frozenset(
    {name for table in (ACTIONS, REMOVED_KEYS, REFUSED_ANNOTATIONS) for name, code in table.items() if danger(code)}
    | {"/EmbeddedFile", "/NeedsRendering", "/AdditionalStreams", "/Thread"}
)
"""A document without any of these names, however spelt, and without the name of another file, has nothing dangerous."""
ACTING = frozenset(
    {"/JavaScript", "/Launch", "/RichMedia", "/Rendition", "/XFA", "/SubmitForm", "/ImportData", "/GoToE"}
)
"""Names by which no ordinary document says what an action or an annotation is, not even where nothing leads to it."""
ACTING_KEYS = frozenset({"/JavaScript", "/XFA"})
"""Those of them that lead to scripts by being a key."""
