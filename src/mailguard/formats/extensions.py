"""What the extensions of file names mean, and declared types: to the most dangerous reader."""

from __future__ import annotations

import re

from mailguard.filename import extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailguard.filename import FileName

# MIME type: extensions, the first one is written.
_ORDINARY: dict[str, str] = {
    "application/epub+zip": "epub",
    "application/gzip": "gz tgz",
    "application/json": "json",
    "application/msword": "doc dot wbk",
    "application/onenote": "one onepkg onetoc2",
    "application/pdf": "pdf",
    "application/pgp-encrypted": "pgp gpg",
    "application/pkcs7-mime": "p7m p7c",
    "application/pkcs7-signature": "p7s",
    "application/postscript": "ps eps",
    "application/rtf": "rtf",
    "application/vnd.ms-cab-compressed": "cab",
    "application/vnd.ms-excel": "xls xlt xlw",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": "xlsb",
    "application/vnd.ms-htmlhelp": "chm hlp",
    "application/vnd.ms-outlook": "msg oft",
    "application/vnd.ms-powerpoint": "ppt pot pps",
    "application/vnd.ms-publisher": "pub",
    "application/vnd.ms-tnef": "tnef",
    "application/vnd.oasis.opendocument.presentation": "odp otp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods ots",
    "application/vnd.oasis.opendocument.text": "odt ott",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx ppsx potx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx xltx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx dotx",
    "application/vnd.rar": "rar",
    "application/vnd.visio": "vsd vss vst",
    "application/x-7z-compressed": "7z",
    "application/x-ace-compressed": "ace",
    "application/x-arj": "arj",
    "application/x-bzip2": "bz2 tbz",
    "application/x-lzh-compressed": "lzh lha",
    "application/x-tar": "tar",
    "application/x-xz": "xz txz",
    "application/xhtml+xml": "xhtml xht",
    "application/xml": "xml",
    "application/zip": "zip zipx",
    "application/zstd": "zst",
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/png": "png",
    "image/svg+xml": "svg svgz",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico",
    "image/webp": "webp",
    "message/rfc822": "eml mail",
    "multipart/related": "mht mhtml",
    "text/calendar": "ics ical ifb vcs",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html htm shtml",
    "text/markdown": "md",
    "text/plain": (
        "txt text log asc nfo diff patch c cc cpp cxx h hpp cs java go rs swift kt sql tex bib rst adoc org po srt vtt "
        "conf cfg ini toml yaml yml properties pem csr pub spec am ac m4 pod"
    ),
    "text/tab-separated-values": "tsv",
    "text/vcard": "vcf",
    "video/mp4": "mp4 m4v",
    "video/quicktime": "mov",
}

# (MIME type, danger code, extensions)
_DANGEROUS: tuple[tuple[str, str, str], ...] = (
    (
        "application/vnd.microsoft.portable-executable",
        "executable",
        "exe com scr pif cpl dll sys ocx drv acm xll msc vxd ax efi mui fxp prg plg shs shb",
    ),
    ("application/x-executable", "executable", "elf run appimage ko so"),
    ("application/java-archive", "executable", "jar war ear class jnlp dex"),
    ("application/javascript", "script", "js jse mjs"),
    ("application/hta", "script", "hta"),
    ("application/x-msdos-program", "script", "bat cmd btm"),
    ("application/x-powershell", "script", "ps1 ps1xml ps2 ps2xml psc1 psc2 psm1 psd1 psrc pssc msh msh1 msh2 cdxml"),
    ("application/x-vbscript", "script", "vb vbs vbe vbscript vba bas"),
    ("application/x-windows-script", "script", "wsf wsh ws wsc sct htc reg inf xbap job ins isp"),
    ("application/x-shellscript", "script", "sh bash csh ksh zsh fish command terminal tool workflow action"),
    ("text/x-python", "script", "py pyw pyc pyo pyz pyzw"),
    (
        "application/x-script",
        "script",
        (
            "pl rb tcl lua ahk au3 a3x scpt scptd applescript osascript jxa "
            "xsl xslt csproj vbproj fsproj vcxproj proj targets"
        ),
    ),
    (
        "application/x-ms-shortcut",
        "shortcut",
        (
            "lnk url website webloc inetloc fileloc desktop rdp rdg remoteapp iqy oqy rqy dqy slk sylk odc udl "
            "settingcontent-ms appref-ms appcontent-ms application scf search-ms searchconnector-ms library-ms "
            "wsb ovpn theme themepack deskthemepack diagcab diagcfg diagpkg mcl printerexport mapimail "
            "grp vsto prf ica webpnp xnk contact asx wax wvx wmx m3u m3u8 mobileconfig provisionprofile"
        ),
    ),
    (
        "application/x-msi",
        "installer",
        (
            "msi msp msu mst msix msixbundle appx appxbundle appinstaller deb rpm pkg mpkg apk xapk ipa xpi crx vsix "
            "gadget air snap ppkg flatpak flatpakref"
        ),
    ),
    ("application/vnd.ms-htmlhelp", "chm", "chm hlp its"),
    (
        "application/x-raw-disk-image",
        "disk-image",
        "iso img vhd vhdx vmdk vdi dmg sparseimage udf cdr toast nrg mdf mds wim swm esd qcow qcow2 ova",
    ),
    ("application/onenote", "onenote", "one onepkg onetoc onetoc2"),
    (
        "application/vnd.ms-office.macroenabled",
        "macro",
        (
            "docm dotm xlsm xltm xlam pptm potm ppsm ppam sldm xla ppa wll accdb accde accda accdr mdb mde mda mdw ade "
            "adp adn maf mag mam maq mar mas mat mau mav maw mdt mdz mcf laccdb"
        ),
    ),
    ("application/vnd.ms-excel", "xlm", "xlm"),
    ("application/x-ace-compressed", "archive-unreadable", "ace arj lzh lha zpaq uha alz egg rev"),
)

_TYPES: dict[str, str] = {}
_CODES: dict[str, str] = {}
_WRITTEN: dict[str, str] = {}
for _mime, _extensions in _ORDINARY.items():
    _WRITTEN[_mime] = _extensions.split()[0]
    _TYPES.update(dict.fromkeys(_extensions.split(), _mime))
for _mime, _code, _extensions in _DANGEROUS:
    _CODES.update(dict.fromkeys(_extensions.split(), _code))
    for _extension in _extensions.split():
        _TYPES.setdefault(_extension, _mime)

# What a client may do by the declared type alone.
_DECLARED: dict[str, str] = {
    "application/hta": "script",
    "application/java-archive": "executable",
    "application/java-vm": "executable",
    "application/javascript": "script",
    "application/onenote": "onenote",
    "application/vnd.android.package-archive": "installer",
    "application/vnd.microsoft.portable-executable": "executable",
    "application/vnd.ms-htmlhelp": "chm",
    "application/x-apple-diskimage": "disk-image",
    "application/x-bat": "script",
    "application/x-cd-image": "disk-image",
    "application/x-csh": "script",
    "application/x-dosexec": "executable",
    "application/x-elf": "executable",
    "application/x-executable": "executable",
    "application/x-iso9660-image": "disk-image",
    "application/x-java-archive": "executable",
    "application/x-javascript": "script",
    "application/x-ms-dos-executable": "executable",
    "application/x-ms-installer": "installer",
    "application/x-ms-shortcut": "shortcut",
    "application/x-msdos-program": "executable",
    "application/x-msdownload": "executable",
    "application/x-msi": "installer",
    "application/x-powershell": "script",
    "application/x-sh": "script",
    "application/x-shellscript": "script",
    "application/x-vbscript": "script",
    "application/x-windows-installer": "installer",
    "text/ecmascript": "script",
    "text/javascript": "script",
    "text/scriptlet": "script",
    "text/vbscript": "script",
    "text/x-python": "script",
}

# Explorer follows what stands in it as soon as the folder is shown.
_OF_FOLDERS = frozenset({"desktop.ini", "folder.htt"})
_CLASS_ID = re.compile(r"\{[0-9a-f-]{30,40}\}")


def type_of_extension(extension: str) -> str:
    """Return the MIME type of a lower-case extension ("" when unknown)."""
    return _TYPES.get(extension, "")


def extension_of_type(mime: str) -> str:
    """Return the harmless extension under which content of this type is written, "bin" when there is none."""
    return _WRITTEN.get(mime, "bin")


def danger_of_type(mime: str) -> str:
    """Return the danger code of a declared MIME type ("" when there is none)."""
    return _DECLARED.get(mime, "")


def types(name: FileName) -> set[str]:
    """Return the MIME types of all extensions of the name that are known."""
    return {_TYPES[extension] for extension in name.extensions if extension in _TYPES}


def is_known(name: FileName) -> bool:
    """Tell whether every reading of the name has an extension whose programs are known here, or none (`.gitignore`)."""
    return all(extension(reading) in _TYPES for reading in (name.raw, *name.readings) if "." in reading.lstrip(". "))


def dangers(name: FileName) -> set[str]:
    """Return the danger codes of the name.

    The last extension decides, and any other that a client could take for the last because blanks or a separator
    follow it.
    """
    codes = set()
    for reading in name.readings:
        parts = reading.split(".")[1:]
        if reading in _OF_FOLDERS:
            codes.add("shortcut")
        for part in parts[-1:] + [part.rstrip() for part in parts[:-1] if part != part.rstrip()]:
            if _CLASS_ID.fullmatch(part):
                codes.add("shortcut")
            elif part in _CODES:
                codes.add(_CODES[part])
    return codes
