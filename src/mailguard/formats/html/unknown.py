"""Elements and attributes that no program knows: leftovers of mailing software (`<tr:ad>`, `mreach_id=...`).

They are text to everybody.  What any standard or any old program gave a meaning is not among them, nor is anything that
carries an address or an expression; so a name that gets a meaning later has nothing to act with.
"""

from __future__ import annotations

import re

# All that HTML, SVG, MathML, VML and HTML+TIME define and the list of `tags.BODY` has not, by their local names.
_DEFINED_ELEMENT = re.compile(
    r"script|style|title|svg|math|i?frame|frameset|no(?:frames|embed|script|layer)|template|applet|object|embed|select"
    r"|textarea|xml|xmp|plaintext|listing|audio|video|source|track|canvas|bgsound|marquee|param|base|dialog|slot|form"
    r"|input|button|option|optgroup|selectedcontent|label|fieldset|legend|isindex|keygen|command|datalist|output|data"
    r"|meter|progress|portal|fencedframe|geolocation|permission|model|html|head|body|meta|link|image|picture|search"
    r"|area|map|img|a|i?layer|server|spacer|blink|comment|import|multicol|nextid|rb|rtc|shadow|content|element"
    r"|foreignobject|animate\w*|set|use|desc|handler|listener|discard|mpath|symbol|switch|fe[a-z]+|m[a-z]|mtext|mglyph"
    r"|malignmark|annotation(?:-xml)?|semantics|maction|shape\w*|fill|imagedata|stroke|textbox|rect|oval|group|media"
    r"|par|seq|excl|animation|ref|transitionfilter|cdata",
    re.IGNORECASE,
)
_ELEMENT = re.compile(r"(?:[a-z]\w{1,20}:)?[a-z]\w{1,30}", re.IGNORECASE | re.ASCII)
_DEFINED_PREFIX = re.compile(r"svg\w*|html|xhtml|xml\w*|xlink|mml|math\w*|vml|time|smil|xsl|xul|xbl", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z_]{1,30}", re.ASCII)
# The same for attributes, with those of old programs: data binding (IE 4), HTML+TIME, VML formulas, `dynsrc` (IE 2).
_DEFINED_ATTRIBUTE = re.compile(
    r"\w*(?:src|href|action|url|target|code|codebase|data|datafld|dataformatas|behavior|filter|style|command)\w*"
    r"|form\w*|background|icon|media|ping|srcdoc|srcset|download|archive|classid|object|method|enctype|http_?equiv|content|is|slot|part|usemap"
    r"|longdesc|poster|manifest|autofocus|autoplay|contextmenu|accesskey|nonce|integrity|implementation|namespace"
    r"|popover\w*|interestfor|sandbox|allow\w*|csp|begin|end|from|to|by|values|fmla|event|for|defer|async|loop|dynsrc"
)
_WORD = re.compile(r"[\w %-]{0,60}+", re.ASCII)
_LABELS = frozenset({"name", "id", "class"})


def attribute(name: str, value: str) -> bool:
    """Tell whether an attribute (lower case) is nobody's, and its value no more than a word or number."""
    return bool(_ATTRIBUTE.fullmatch(name) and _WORD.fullmatch(value)) and not _DEFINED_ATTRIBUTE.fullmatch(name)


def name(tag: str) -> bool:
    """Tell whether an element of this name is nobody's."""
    prefix, _, local = tag.rpartition(":")
    return (
        bool(_ELEMENT.fullmatch(tag))
        and not _DEFINED_ELEMENT.fullmatch(local)
        and not _DEFINED_PREFIX.fullmatch(prefix)
    )


def element(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether an element is nobody's and has nothing but a label (attributes: lower-case names)."""
    return name(tag) and attributes.keys() <= _LABELS and all(map(_WORD.fullmatch, attributes.values()))
