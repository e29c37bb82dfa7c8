"""Drawings in SVG, and those that act."""

from __future__ import annotations

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10" height="10"{}>{}</svg>'


def drawing(inner="", attributes=""):
    return SVG.format(attributes, inner).encode()


ORDINARY = drawing(
    '<title>t</title><defs><linearGradient id="a"><stop offset="0" stop-color="#fff"/></linearGradient>'
    "<style>.c{fill:url(#a);stroke:rgb(1,2,3)}</style></defs><path class='c' d='M0,0L1-1z' style='opacity:.5'/>"
    '<use xlink:href="#p"/><circle id="p" r="3"/><a href="https://example.com/"><text>Text</text></a>'
)


THREATS = {
    "script": (drawing("<script>alert(1)</script>"), "script"),
    "handler": (drawing(attributes=' onload="alert(1)"'), "handler"),
    "foreign": (
        drawing('<foreignObject><div xmlns="http://www.w3.org/1999/xhtml"><form/></div></foreignObject>'),
        "form",
    ),
    "javascript": (drawing('<a xlink:href="javascript:alert(1)"><text>x</text></a>'), "script"),
    "animate": (drawing('<a id="x"><animate attributeName="href" to="javascript:alert(1)"/></a>'), "active-content"),
    "set": (drawing('<set attributeName="onload" to="alert(1)"/>'), "active-content"),
    "remote": (drawing('<image href="http://evil.example/x.png"/>'), "remote-image"),
    "use": (drawing('<use href="http://evil.example/x.svg#a"/>'), "unknown-part"),
    "data": (drawing('<use href="data:image/svg+xml;base64,AAAA#a"/>'), "script"),
    "import": (drawing("<style>@import 'http://evil.example/x.css';</style>"), "style"),
    "url": (drawing('<path style="fill:url(http://evil.example/x)"/>'), "style"),
    "escaped": (drawing(r'<path style="fill:u\72l(http://evil.example/x)"/>'), "style"),
    "sheet": (b'<?xml-stylesheet href="http://evil.example/x.css"?>' + drawing(), "external-relationship"),
    "foreign-script": (drawing('<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>'), "script"),
    "event": (drawing('<g xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="x"/>'), "unknown-part"),
    "instruction": (drawing("<?php evil ?>"), "unknown-part"),
    "feimage": (drawing('<filter><feImage href="http://evil.example/"/></filter>'), "remote-image"),
    "comment": (drawing("<!-- <script>alert(1)</script> --><path onclick='x()'/>"), "handler"),
}
