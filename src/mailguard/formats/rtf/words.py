"""The destinations of RTF 1.9.1: what may stay, what goes and what that is called.

A destination decides what becomes of the text of a group.  All of them are in one of the two tables; any other control
word only sets a property, and a reader that does not know it passes over it.
"""

from __future__ import annotations

from mailguard.formats.codes import danger

KEPT = frozenset(
    (  # noqa: SIM905
        "rtf fonttbl filetbl colortbl stylesheet listtable listlevel leveltext levelnumbers list listname"
        " liststylename"
        " listpicture listoverridetable listoverride lfolevel revtbl rsidtbl pgptbl pgp protusertbl generator"
        " info title"
        " subject author manager company operator category keywords comment doccomm hlinkbase creatim revtim"
        " printim buptim"
        " falt fname panose upr ud header headerl headerr headerf footer footerl footerr footerf footnote"
        " ftnsep ftnsepc"
        " ftncn aftnsep aftnsepc aftncn annotation atnid atnauthor atntime atnicn atnref atnparent atndate atrfstart"
        " atrfend bkmkstart bkmkend field fldinst fldrslt fldtype pn pntext pntxta pntxtb pnseclvl listtext"
        " nesttableprops"
        " nonesttables shp shpinst shprslt shptxt shpgrp sp sn sv svb do dptxbxtext background shppict"
        " nonshppict pict"
        " picprop blipuid result tc txe xe rxe bxe g latentstyles lsdlockedexcept defchp defpap wgrffmtfilter template"
        " pgdsctbl pgdscno tsrowd"
        " pgdsc oldcprops oldpprops oldsprops oldtprops formfield ffname ffhelptext ffstattext ffl ffdeftext ffformat"
        " ffmaxlen ffhaslistbox protstart protend ebcstart ebcend cs ts ds tsd fchars lchars gridtbl xmlnstbl docvar"
        " moMath moMathPara moMathParaPr mmath mmathPr mathPr mmathPara userprops propname staticval windowcaption"
    ).split()
)
"""Destinations whose groups stay, where each of their parts may."""

OBJECT = frozenset(
    "object objemb objlink objautlink objsub objpub objicemb objhtml objocx objupdate objlock objsetsize objalign"  # noqa: SIM905
    " objtransy objh objw objcropt objcropb objcropl objcropr objscalex objscaley".split()
)
"""Words that go alone: the picture that an object shows stays in the text."""

RESULT = frozenset(
    "rsltrtf rslttxt rsltpict rsltbmp rslthtml rsltmerge result linkself objattph".split()  # noqa: SIM905
)
"""Words of objects that lead to none: objattph is the place of an attachment in a text of Outlook."""

REMOVED: dict[str, str] = {
    **dict.fromkeys(
        ("objdata", "objclass", "objname", "objalias", "objsect", "objtime", "oleclsid"), "embedded-object"
    ),
    **dict.fromkeys(("datastore", "themedata", "colorschememapping"), "unknown-part"),
    **dict.fromkeys(("nextfile", "file", "fid"), "remote-template"),
    **dict.fromkeys(("fontemb", "fontfile"), "embedded-font"),
    **dict.fromkeys(("ffentrymcr", "ffexitmcr", "macc", "keycode"), "macro"),
    **dict.fromkeys(("hl", "hlloc", "hlsrc", "hlfr"), "hyperlink"),
    **dict.fromkeys(("datafield", "hsv", "linkval"), "unknown-part"),
    **dict.fromkeys(("mhtmltag", "htmltag", "private", "passwordhash", "password"), "unknown-part"),
    **dict.fromkeys(("writereservation", "writereservhash", "xform", "factoidname"), "unknown-part"),
    **dict.fromkeys(("xmlopen", "xmlclose", "xmlname", "xmlattrname", "xmlattrvalue"), "unknown-part"),
    **dict.fromkeys(("mmodso", "mmodsoudl", "mmodsoudldata", "mmodsosrc", "mmodsotable"), "external-relationship"),
    **dict.fromkeys(("mmquery", "mmdatasource", "mmheadersource", "mmconnectstr"), "external-relationship"),
    **dict.fromkeys(("mmconnectstrdata", "mmodsofilter", "mmodsosort", "mmodsorecipdata"), "external-relationship"),
    **dict.fromkeys(("mmodsofldmpdata", "mmodsomappedname", "mmodsoname", "mmodsouniquetag"), "external-relationship"),
    **dict.fromkeys(("mailmerge", "mmaddfieldname", "mmmailsubject"), "external-relationship"),
}
"""Destinations that go with everything in them, and the code of each."""

DANGEROUS = frozenset({"template", *(name for name, code in REMOVED.items() if danger(code))})
"""Words that lead to something dangerous, besides all that begin with obj or mathobj."""

METADATA = frozenset(
    "info generator userprops title subject author manager company operator category keywords comment doccomm rsidtbl"  # noqa: SIM905
    " protusertbl".split()
)
COMMENTS = frozenset("annotation atnid atnauthor atntime atnicn atnref atnparent atndate atrfstart atrfend".split())  # noqa: SIM905

SHAPE_TEXTS = frozenset(
    "wzName wzDescription gtextUNICODE gtextFont pVertices pSegmentInfo pConnectionSites pConnectionSitesDir"  # noqa: SIM905
    " pAdjustHandles"
    " pGuides pInscribe pWrapPolygonVertices fillShadeColors lineDashStyle pib fillBlip lineFillBlip".split()
)
"""Properties of shapes that may have other values than a number."""
