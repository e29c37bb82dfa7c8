"""What each finding of the grammar check means: code -> (what, why, reference).

The codes are stable; logs and policies rely on them.  `why` says what a mail reader makes of it that we did not see.
"""

from __future__ import annotations

_BOUNDARY = "RFC 2046 5.1.1"
_HEADER = "RFC 5322 2.2"

RULES: dict[str, tuple[str, str, str]] = {
    "header.bare-cr": (
        "a carriage return without line feed stands in the header",
        "some readers end the line or the header there",
        "RFC 5322 2.3",
    ),
    "header.blank-before-name": (
        "the header begins with a blank",
        "some readers take the line for a field, others for a continuation or for the body",
        _HEADER,
    ),
    "header.blank-continuation": (
        "a continuation line holds only blanks",
        "some readers take it for the empty line that ends the header",
        "RFC 5322 3.2.2",
    ),
    "header.control": (
        "a control character stands in the header",
        "some readers end the line there, drop the character or cut the value",
        _HEADER,
    ),
    "header.name": (
        "a field name holds blanks or other forbidden characters",
        "some readers accept the field, others ignore it or end the header there",
        _HEADER,
    ),
    "header.no-colon": (
        "a header line has no colon",
        "some readers begin the body there, so that the fields below it do not count",
        _HEADER,
    ),
    "header.no-end": (
        "a part has no empty line after its header",
        "readers disagree where its header ends and which fields count",
        "RFC 2046 5.1",
    ),
    "header.nul": (
        "a NUL octet stands in the header",
        "some readers end the value there, others drop the octet",
        "RFC 5322 4",
    ),
    "header.overlong": (
        "a header line or a structured field is longer than any honest program writes",
        "some readers cut it and see another value",
        "RFC 5322 2.1.1",
    ),
    "mime.after-close": (
        "a delimiter line stands behind the closing one",
        "some readers show another part there",
        _BOUNDARY,
    ),
    "mime.ambiguous-boundary": (
        "the boundary can be read in several ways",
        "readers that take another one see other parts",
        "RFC 2045 5.1",
    ),
    "mime.base64-in-text": (
        "unmarked base64 stands in text",
        "some programs decode it to a file",
        "RFC 2045 6.8",
    ),
    "mime.base64-syntax": (
        "base64 with foreign characters, inner padding, incomplete groups or empty lines",
        "readers stop, skip or go on differently, so that they see different content",
        "RFC 4648 3.3, 12",
    ),
    "mime.boundary-characters": (
        "a boundary is longer than 70 characters or holds characters that it must not",
        "readers cut or read it differently",
        _BOUNDARY,
    ),
    "mime.boundary-prefix": (
        "a line begins with a boundary but goes on",
        "readers that compare only the beginning see another part there",
        _BOUNDARY,
    ),
    "mime.boundary-unused": (
        "the boundary of a multipart occurs nowhere",
        "some readers show the whole as text, others guess another boundary",
        _BOUNDARY,
    ),
    "mime.conflicting-names": (
        "the names of a part have different extensions",
        "readers open it by different programs",
        "RFC 2183 2.3",
    ),
    "mime.content-type-syntax": (
        "the Content-Type cannot be read in one way",
        "some readers see another type, or parts inside",
        "RFC 2045 5.1",
    ),
    "mime.control-in-text": (
        "a NUL octet stands in content that is no binary",
        "some readers end the content there",
        "RFC 2045 2.8",
    ),
    "mime.delimiter-inside-line": (
        "a delimiter stands within a line",
        "some readers see a part begin there",
        _BOUNDARY,
    ),
    "mime.duplicate-content-disposition": (
        "two different Content-Disposition fields",
        "some readers take the first, some the last",
        "RFC 2045 3",
    ),
    "mime.duplicate-content-transfer-encoding": (
        "two different Content-Transfer-Encoding fields",
        "some readers decode by the first, some by the last",
        "RFC 2045 3",
    ),
    "mime.duplicate-content-type": (
        "two different Content-Type fields",
        "some readers take the first, some the last, and see other parts",
        "RFC 2045 5",
    ),
    "mime.duplicate-mime-version": (
        "two different MIME-Version fields",
        "some readers ignore MIME altogether",
        "RFC 2045 4",
    ),
    "mime.duplicate-parameter": (
        "a parameter stands twice with different values",
        "some readers take the first, some the last",
        "RFC 2045 5.1",
    ),
    "mime.empty-multipart": (
        "a multipart without a part",
        "some readers show its text as a part",
        _BOUNDARY,
    ),
    "mime.encoded-message": (
        "a nested message in quoted-printable",
        "readers that do not decode it read other fields and parts than those that do",
        "RFC 2046 5.2.1",
    ),
    "mime.encoded-multipart": (
        "a multipart with an encoding",
        "some readers decode the whole before they look for parts",
        "RFC 2045 6.4",
    ),
    "mime.external-body": (
        "content that the reader fetches from elsewhere",
        "nobody can inspect it here",
        "RFC 2046 5.2.3",
    ),
    "mime.fields-in-body": (
        "the body or a text between parts begins with Content- fields",
        "some readers take them for the header of a part",
        "RFC 2046 5.1",
    ),
    "mime.file-in-text": (
        "a uuencoded, yEnc or BinHex file stands in text",
        "some readers show it as an attachment",
        "RFC 2045 6.3",
    ),
    "mime.folded-encoding": (
        "the value of Content-Transfer-Encoding stands on a continuation line",
        "some readers do not find it and decode nothing",
        "RFC 5322 2.2.3",
    ),
    "mime.missing-boundary": (
        "a multipart without boundary",
        "some readers guess one",
        _BOUNDARY,
    ),
    "mime.missing-close": (
        "a multipart without closing delimiter line",
        "readers disagree where its last part ends",
        _BOUNDARY,
    ),
    "mime.parameter-sections": (
        "sections of a parameter are missing, doubled, out of order or without charset",
        "readers put them together differently",
        "RFC 2231 3",
    ),
    "mime.partial": (
        "a fragment of a message",
        "the reader puts fragments together after they passed every filter",
        "RFC 2046 5.2.2",
    ),
    "mime.parts-in-text": (
        "a body without Content-Type looks like parts",
        "some readers guess that it is a multipart",
        "RFC 2045 5.2",
    ),
    "mime.quoted-printable-syntax": (
        "quoted-printable with an equals sign that begins no code",
        "readers keep or drop it and see different content",
        "RFC 2045 6.7",
    ),
    "mime.reused-boundary": (
        "two multiparts use the same boundary",
        "readers assign the delimiter lines differently and see other parts",
        _BOUNDARY,
    ),
    "mime.too-many-boundaries": (
        "more boundaries than an honest message of this size has",
        "they cannot all be looked for",
        _BOUNDARY,
    ),
    "mime.undeclared-delimiter": (
        "a line looks like a delimiter of a multipart that is not open there",
        "some readers see a part begin there",
        _BOUNDARY,
    ),
    "mime.unknown-encoding": (
        "the Content-Transfer-Encoding is none of the five of MIME",
        "some readers guess an encoding, others decode nothing",
        "RFC 2045 6.1",
    ),
    "mime.version": (
        "the MIME-Version is not 1.0",
        "some readers ignore MIME altogether",
        "RFC 2045 4",
    ),
}
LIMIT = ("the message is over a limit", "what lies behind it was not seen", "")
