"""Office Open XML, read by zipfile and lxml alone; by oletools where it knows the threat."""

from __future__ import annotations

import io
import re
import zipfile

from lxml import etree
from openpyxl.formula.tokenizer import Token, Tokenizer

from detectors.oletools_peers import fields, macro_storage, macros, relationships

LINKS = re.compile(r"(?:https?|mailto):|#")


def trees(content: bytes):
    """(name, tree) of every part that is XML."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for name in package.namelist():
            data = package.read(name)
            if data.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n")[:1] == b"<" and not name.endswith((".htm", ".html")):
                yield name, etree.fromstring(data, parser)


def members(pattern: str):
    """A detector: parts of the package with such a name."""

    def detector(content: bytes) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return [name for name in package.namelist() if re.search(pattern, name, re.IGNORECASE)]

    return detector


def octets(begin: bytes):
    """A detector: parts of the package that begin so, whatever they are called."""

    def detector(content: bytes) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return [name for name in package.namelist() if package.read(name).startswith(begin)]

    return detector


def xpath(expression: str):
    """A detector: what stands in any part."""

    def detector(content: bytes) -> list[str]:
        return [name for name, tree in trees(content) if tree.xpath(expression)]

    return detector


def elements(*names: str):
    """A detector: elements with these local names."""
    return xpath("//*[" + " or ".join(f"local-name()='{name}'" for name in names) + "]")


def related(*kinds: str):
    """A detector: relationships of which the type ends so, within the package or not."""
    test = " or ".join(f"substring(@Type, string-length(@Type) - {len(kind) - 1}) = '{kind}'" for kind in kinds)
    return xpath(f"//*[local-name()='Relationship'][{test}]")


def outside(content: bytes) -> list[str]:
    """Targets outside the package, web and mail addresses of hyperlinks apart."""
    found = []
    for name, tree in trees(content):
        for one in (
            tree.xpath("//*[local-name()='Relationship'][@TargetMode='External']") if name.endswith("rels") else ()
        ):
            target = one.get("Target", "")
            link = one.get("Type", "").endswith("/hyperlink") and LINKS.match(target)
            if not link and re.search(r"[:/\\]", target):  # not a bare name in the folder of the document
                found.append(target)
    return found


def instructions(pattern: str):
    """A detector: the instructions of the fields of a part, put together from their runs."""

    def detector(content: bytes) -> list[str]:
        found = []
        for _, tree in trees(content):
            runs = tree.xpath("//*[local-name()='instrText' or local-name()='delInstrText']//text()")
            simple = tree.xpath("//@*[local-name()='instr']")
            found += re.findall(pattern, "\n".join(["".join(runs), *simple]), re.IGNORECASE)
        return found

    return detector


def addresses(content: bytes) -> list[str]:
    """Attributes of any element, relationships apart, that hold an address on the network."""
    found = []
    for name, tree in trees(content):
        if not name.endswith(".rels") and name != "[Content_Types].xml":
            found += [value for value in tree.xpath("//@*") if re.match(r"(?:https?:|file:)?//", value)]
    return found


def formulas(*functions: str):
    """A detector: cells and names that call one of these, as openpyxl reads a formula; "|": a link to a program."""

    def detector(content: bytes) -> list[str]:
        found = []
        for _, tree in trees(content):
            for node in tree.xpath("//*[local-name()='f' or local-name()='definedName']"):
                found += called("=" + "".join(node.itertext()), functions)
        return found

    return detector


def called(formula: str, functions: tuple[str, ...]) -> list[str]:
    """What a formula calls, by name or as a value, of these functions."""
    if "|" in functions:
        return re.findall(r"[\w.]+\s*\|\s*'[^']*'\s*!", formula)
    found = []
    for token in Tokenizer(formula).items:
        word = re.sub(r"^(?:_xlfn\.|_xlws\.|_xleta\.)*", "", token.value.rstrip("(")).upper()
        if word in functions and token.type in {Token.FUNC, Token.OPERAND}:
            found.append(word)
    return found


DDE = instructions(r"\bDDE(?:AUTO)?\b.*|DDE\w* .*")
ACTIONS = xpath("//@action[starts-with(translate(., 'P', 'p'), 'ppaction://')]")
DETECTORS = {
    "macros": (macros, members("vbaProject")),
    "macros called a picture": (macro_storage, related("/vbaProject")),
    "DDE over runs": (fields, DDE),
    "DDE in a comment of XML": (fields, DDE),
    "DDE in alternative content": (DDE, instructions("PAGE")),
    "DDE by a simple field": (fields, DDE),
    "DDE by QUOTE": (fields, instructions("QUOTE [0-9 ]+")),
    "DDE in a deletion": (DDE,),
    "DDE in UTF-16": (fields, DDE),
    "picture from elsewhere": (fields, instructions("INCLUDEPICTURE.*")),
    "macro button": (fields, instructions("MACROBUTTON")),
    "field link behind a switch": (fields, instructions("ms-msdt")),
    "field link behind a switch without value": (fields, instructions("file:")),
    "second target of a field link": (fields, instructions("file:")),
    "DDE in text of the code": (xpath("//*[local-name()='fldChar']"),),
    "field link to ms-msdt": (fields, instructions("ms-msdt")),
    "template": (relationships, outside),
    "frame": (relationships, outside),
    "link to ms-msdt": (relationships, outside),
    "link to a share": (relationships, outside),
    "embedded object": (elements("OLEObject"), octets(b"\xd0\xcf\x11\xe0"), related("/oleObject")),
    "linked object": (relationships, outside),
    "package": (related("/package"), octets(b"MZ")),
    "ActiveX": (elements("control"), related("/control"), members("activeX")),
    "custom menus": (related("/extensibility"), elements("customUI")),
    "VML with link": (addresses,),
    "embedded font": (elements("embedRegular"), related("/font"), members("odttf$")),
    "other document": (elements("altChunk"), related("/aFChunk"), members("htm$")),
    "mail merge": (elements("mailMerge"),),
    "form macro": (elements("entryMacro"),),
    "video": (elements("webVideoPr"), xpath("//@embeddedHtml")),
    "formula with DDE": (formulas("|"),),
    "formula that loads": (formulas("WEBSERVICE"),),
    "formula that calls": (formulas("CALL"),),
    "formula in two pieces": (formulas("|"),),
    "function by name": (formulas("WEBSERVICE"),),
    "function in a name": (formulas("HYPERLINK"),),
    "publishing": (elements("webPublishItem"), addresses),
    "link by formula": (formulas("HYPERLINK"),),
    "automatic name": (xpath("//*[local-name()='definedName'][contains(@name, 'Auto_Open')]"),),
    "macro sheet": (elements("macrosheet"), related("/xlMacrosheet"), members("macrosheets/")),
    "DDE link": (fields, elements("ddeLink")),
    "book elsewhere": (relationships, outside),
    "query": (elements("connections"), related("/connections")),
    "program on click": (ACTIONS,),
    "macro on click": (ACTIONS,),
    "object by animation": (xpath("//*[local-name()='cmd'][@type='verb']"),),
    "object in slide": (relationships, outside, elements("oleObj")),
    "picture in slide from elsewhere": (outside, xpath("//@*[local-name()='link']")),
    "SVG with script": (members(r"\.svg$"), xpath("//@onload")),
}  # fmt: skip
