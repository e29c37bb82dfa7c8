"""Style rules by an allow-list of properties, functions and characters; nothing that is fetched from elsewhere."""

from __future__ import annotations

import re

from mailguard.formats.links import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailguard.formats.disarmed import Options

_PROPERTY = re.compile(
    r"[*_]?(?:mso-[\w-]+|panose-1|tab-stops|tab-interval|layout-grid[\w-]*|text-[\w-]+|font(?:-[\w-]+)?|line-[\w-]+|line"
    r"|margin(?:-[\w-]+)?|padding(?:-[\w-]+)?|border(?:-[\w-]+)?|background(?:-[\w-]+)?|list-style(?:-[\w-]+)?"
    r"|color|width|height|(?:min|max)-(?:width|height)|display|float|clear|position|top|left|right|bottom|z-index"
    r"|overflow(?:-[\w-]+)?|visibility|opacity|vertical-align|white-space|word-[\w-]+|letter-spacing|direction"
    r"|unicode-[\w-]+|table-layout|caption-side|empty-cells|cursor|quotes|content|counter-[\w-]+|page|page-break-[\w-]+"
    r"|break-[\w-]+|orphans|widows|size|src|outline(?:-[\w-]+)?|box-(?:shadow|sizing|decoration-break)|clip|zoom"
    r"|hyphens|(?:flex|grid|align|justify|place|gap|order|row|column|object|inset)(?:-[\w-]+)?|columns|resize|tab-size"
    r"|user-select|pointer-events|transform(?:-[\w-]+)?|transition(?:-[\w-]+)?|scrollbar-[\w-]+|writing-mode|ruby-[\w-]+"
    r"|-webkit-(?!binding)[\w-]+|-moz-(?!binding)[\w-]+|-ms-(?!behavior|filter)[\w-]+|-o-(?!link)[\w-]+|punctuation-[\w-]+"
    r"|speak|volume|azimuth|image-rendering|color-scheme|appearance|aspect-ratio|all|fill|stroke|accent-color|marks)",
    re.IGNORECASE,
)
# A string ends with its line, and each of these ends a line.
_STRING = r"\"(?:[^\"\\<\n\r\f]|\\[^\n\r\f<])*\"|'(?:[^'\\<\n\r\f]|\\[^\n\r\f<])*'"
_TOKEN = re.compile(
    r"(?P<url>url)\(\s*+(?P<target>\"[^\"\\<\n\r\f]*+\"|'[^'\\<\n\r\f]*+'|[^\"'()\\<\s]*+)\s*+\)"
    rf"|(?P<function>[^\W\d][\w-]*+)\(|{_STRING}|[\w\s#%.,+*/!|-]++(?<![\w-])|[\w\s#%.,+*/!|)-]",
    re.IGNORECASE,
)
_FUNCTIONS = frozenset(
    """
    -moz-linear-gradient -o-linear-gradient -webkit-gradient -webkit-linear-gradient attr calc clamp color-stop
    counter cubic-bezier format from hsl hsla linear-gradient local matrix max min minmax radial-gradient rect
    repeat repeating-linear-gradient rgb rgba rotate scale scalex scaley skew steps to translate translatex
    translatey var
    """.split()  # noqa: SIM905 (a list of words reads better)
)
_DECLARATION = re.compile(rf"(?:[^;\"'()\n{{}}]|\n|{_STRING}|\((?:[^()\"'{{}}]|{_STRING}|\([^()]*+\))*\))*(?:;|\Z)")
_RULE = re.compile(rf"(?P<head>(?:[^{{}}<\\@;\"']|\\\.|{_STRING})*)\{{(?P<body>(?:[^{{}}\"']|{_STRING})*)\}}")
_SPACE = re.compile(r"(?:\s|<!--|-->)+")
# What is no comment within a string or an address; the last of these has no end.
_COMMENT = re.compile(
    rf"/\*|(?P<whole>{_STRING}|url\(\s*+(?:[^\"'()\\<\s]*+\s*+\)|(?=[\"'])))|url\(|[\"']", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?:url|src|image|image-set|cross-fade|element|expression)\s*+\(", re.IGNORECASE)
_GROUP = re.compile(r"@(?:media|supports)\b(?P<condition>[^{}<\\@;\"']{0,400})\{", re.IGNORECASE)
_BLOCK = re.compile(r"@(?:font-face|page|list|-ms-viewport|viewport)\b(?=[^{}<\\@;]{0,100}\{)", re.IGNORECASE)


def declarations(text: str, options: Options) -> str:
    """Return the harmless ones of these declarations, as they are written; the same text if all of them are."""
    stripped = without_comments(text)
    harmless: list[str] = []
    position = 0
    while position < len(stripped):
        match = _DECLARATION.match(stripped, position)
        if match is None or match.end() == position:
            return "".join(harmless)
        if _harmless(match[0].rstrip(";"), options):
            harmless.append(match[0])
        position = match.end()
    result = "".join(harmless)
    return text if result == stripped and "/*/" not in text else result


def without_comments(text: str) -> str:
    """Return rules without their comments; a doubtful one leaves ";<" behind, with which no rule begins."""
    kept: list[str] = []
    position = copied = 0
    while match := _COMMENT.search(text, position):
        if match[0] != "/*":
            if "/*" in match[0] or match["whole"] is None:
                return "".join((*kept, text[copied : match.start()], ";<"))
            position = match.end()
            continue
        kept.append(text[copied : match.start()])
        end = text.find("*/", match.end())
        if end < 0 or "<" in text[match.start() : end]:
            return "".join((*kept, ";<", text[match.start() :]))
        position = copied = end + 2
    return "".join((*kept, text[copied:]))


def _harmless(declaration: str, options: Options) -> bool:
    name, colon, value = declaration.partition(":")
    if not colon:
        return not name.strip()
    return bool(_PROPERTY.fullmatch(name.strip())) and _value(value, options)


def _value(value: str, options: Options) -> bool:
    position = 0
    while position < len(value):
        token = _TOKEN.match(value, position)
        if token is None:
            return False
        if token["url"] and not picture(token["target"].strip("\"'"), options):
            return False
        if token["function"] and token["function"].lower() not in _FUNCTIONS:
            return False
        position = token.end()
    return True


def sheet(text: str, options: Options) -> str:
    """Return the harmless rules of a style sheet; the same text if all of them are."""
    stripped = without_comments(text)
    result = "".join(_rules(stripped, options))
    return text if result == stripped and "/*/" not in text else _SPACE.sub(" ", result)


def _rules(text: str, options: Options) -> Iterator[str]:
    """Yield what may stay; behind something that is not understood nothing does."""
    position = depth = 0
    while position < len(text):
        if space := _SPACE.match(text, position):
            yield space[0]
            position = space.end()
        elif text[position] == "}" and depth:
            depth -= 1
            yield "}"
            position += 1
        elif depth < 4 and (group := _GROUP.match(text, position)) and not _ADDRESS.search(group["condition"]):
            depth += 1
            yield group[0]
            position = group.end()
        else:
            begin = block.end() if (block := _BLOCK.match(text, position)) else position
            rule = _RULE.match(text, begin)
            # No selector has one, and behind one that has no end other programs see strings begin elsewhere.
            if rule is None or _ADDRESS.search(rule["head"]):
                break
            body = declarations(rule["body"], options)
            yield f"{text[position:begin]}{rule['head']}{{{body}}}"
            position = rule.end()
    yield "}" * depth
