"""Pages, drawings and XML beside those that are files: each threat of test_html in a page, and other encodings."""

import gzip

import hostile_pages
from specimens import Specimen

_SVG = b'<svg xmlns="http://www.w3.org/2000/svg">%s</svg>'
_SCRIPT = "<html><body><p>x</p><script>evil()</script></body></html>"
_JAPANESE = '<html><head><meta charset="%s"></head><body><p>請求書を送ります。表示と能力</p></body></html>'


def acts():
    """Pages that act, and those that fetch something."""
    declaration = '<?xml version="1.0" encoding="Shift_JIS"?>\n<x:a xmlns:x="http://www.w3.org/1999/xhtml">'
    return {
        **{name: Specimen(hostile_pages.AROUND % threat, "a.html") for name, threat in hostile_pages.THREATS.items()},
        "drawing, compressed": Specimen(gzip.compress(_SVG % b"<script>evil()</script>"), "a.svgz", "image/svg+xml"),
        "page in UTF-16": Specimen(b"\xff\xfe" + _SCRIPT.encode("utf-16-le"), "a.html"),
        "page in UTF-16 without a mark": Specimen(_SCRIPT.encode("utf-16-be"), "a.html"),
        "drawing in UTF-16": Specimen((_SVG % b"<script/>").decode().encode("utf-16"), "a.svg"),
        "XML in Shift_JIS": Specimen(f"{declaration}表<x:script>evil()</x:script></x:a>".encode("cp932"), "a.xml"),
        "page with marks of ISO-2022-JP": Specimen(b"<html><body><p>\x1b$B<script>evil()</script>\x1b(B</p>", "a.html"),
        "page with marks in a word": Specimen(b"<html><body><p>x<scr\x1b(Bipt>evil()</script>", "a.html"),
        "page with NULs": Specimen(b"<html><body><p>x</p><scr\0ipt>evil()</script></body></html>", "a.html"),
        "page by its type alone": Specimen(b"invoice <img src=x onerror=evil()>", "a.dat", "text/html"),
        "XML by its type alone": Specimen(
            b'<a xmlns:_="http://www.w3.org/1999/xhtml"><_:script/></a>', "a.dat", "text/xml; charset=utf-8"
        ),
    }  # fmt: skip


def ordinary():
    """Pages in the encodings of Japan."""
    return {
        f"page in {charset}": Specimen((_JAPANESE % charset).encode(charset), "a.html", f"text/html; charset={charset}")
        for charset in ("utf-8", "shift_jis", "euc-jp", "iso-2022-jp")
    }


_WEB = "what a page shows from the web or names there is no danger to the class: sanitize takes it out by its policy"
_OLD = "no browser in use does anything with it; sanitize keeps only what it knows"
OUTSIDE = {
    **dict.fromkeys(
        (
            "base", "stylesheet", "remote picture", "set of pictures", "condition", "preload", "film",
            "style import", "set of addresses", "address by function", "address by name", "address of a font",
            "pointer", "unclosed style", "style address", "style escape", "filter", "drawing of Word",
            "base hidden in a comment by a stray quote", "style hidden in a comment by a stray quote",
            "unknown element with an address", "unknown attribute with an address",
        ),
        _WEB,
    ),
    **dict.fromkeys(
        (
            "blob link", "ping", "link to a share", "link by backslashes", "SVG as a picture", "data binding",
            "drawing by any prefix", "background that is a word", "action behind a stray quote",
        ),
        _OLD,
    ),
}  # fmt: skip
CHANGED = {}
