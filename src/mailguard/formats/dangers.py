"""The dangerous class: its codes, and what they mean in words for ordinary people.

A code found in an archive is written `archive-CODE`, in a winmail.dat `tnef-CODE`, in an attached mail `mail-CODE`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Language = Literal["ja", "en"]

# code: (Japanese, English); each completes "it was held because: ..."
CODES: dict[str, tuple[str, str]] = {
    "archive-deep": (
        "圧縮ファイルが何重にも入れ子になっており、中を確認しきれません。",
        "Archives are nested so deeply that the content cannot be checked.",
    ),
    "archive-large": (
        "展開すると大きすぎる、または項目が多すぎるため、中を確認しきれません。",
        "It unpacks to more data or more files than can be checked.",
    ),
    "archive-unreadable": (
        "圧縮ファイルの中を確認できません（壊れている、特殊な作り、または対応していない形式）。",
        "The archive cannot be checked (damaged, built in an unusual way, or of a kind that cannot be opened here).",
    ),
    "calendar-attachment": (
        "予定表データの中にファイルが埋め込まれています。",
        "The calendar entry carries a file or starts a program.",
    ),
    "chm": (
        "プログラムを実行できるヘルプファイルです。",
        "It is a help file, which can run programs.",
    ),
    "dde": (
        "開くと外部のプログラムを起動できる仕掛け（DDE）があります。",
        "It contains a field (DDE) that can start other programs when opened.",
    ),
    "disk-image": (
        "ディスクイメージです。中のファイルは Windows の警告なしに実行されることがあります。",
        "It is a disk image; files in it can run without the usual warning.",
    ),
    "document-unreadable": (
        "文書の中を確認できません（壊れている、または特殊な作り）。",
        "The document cannot be checked (damaged or built in an unusual way).",
    ),
    "embedded-object": (
        "文書の中に別のファイルやプログラム部品が埋め込まれています。",
        "Another file or a program component is embedded in the document.",
    ),
    "encrypted-archive": (
        "パスワード付き圧縮ファイルのため、中を確認できません。",
        "The archive is protected by a password, so its content cannot be checked.",
    ),
    "encrypted-document": (
        "パスワードなどで暗号化された文書のため、中を確認できません。",
        "The document is encrypted, so its content cannot be checked.",
    ),
    "executable": (
        "実行できるプログラムです。",
        "It is a program.",
    ),
    "formula": (
        "表計算ソフトで開くと外部へ接続し得る数式を含む表です。",
        "It is a table with formulas that can reach outside of it when a spreadsheet opens it.",
    ),
    "html-active": (
        "開くと動作する仕掛け（スクリプト、入力フォームなど）のあるウェブページです。",
        "It is a web page with a script, an input form or similar, which acts when opened.",
    ),
    "installer": (
        "ソフトウェアをインストールするファイルです。",
        "It installs software.",
    ),
    "macro": (
        "マクロ（文書の中のプログラム）を含む、または含むことのできる形式の文書です。",
        "It is a document with macros (programs inside a document), or of a kind made for them.",
    ),
    "onenote": (
        "OneNote のファイルです。プログラムを隠すためによく悪用されます。",
        "It is a OneNote file, a kind often used to hide programs.",
    ),
    "pdf-active": (
        "PDF の中にスクリプト、プログラムの起動、または埋め込みファイルがあります。",
        "The PDF contains a script, starts something, or carries another file.",
    ),
    "polyglot": (
        "二つ以上の形式に見えるように作られたファイルです。",
        "The file is built to be read as two different kinds of file.",
    ),
    "remote-template": (
        "開くと外部から別の内容を読み込む文書です。",
        "The document loads further content from elsewhere when opened.",
    ),
    "script": (
        "開くと実行されるスクリプト（プログラム）です。",
        "It is a script, which runs when opened.",
    ),
    "shortcut": (
        "ショートカットや接続設定のファイルです。開くと別のプログラムや外部の接続先が開きます。",
        "It is a shortcut or connection file, which starts a program or opens something elsewhere.",
    ),
    "svg-active": (
        "スクリプトなど、開くと動作する仕掛けのある画像（SVG）です。",
        "It is an image (SVG) with a script or similar, which acts when opened.",
    ),
    "tnef-unreadable": (
        "Outlook 形式の添付データ（winmail.dat）の中を確認できません。",
        "The Outlook attachment container (winmail.dat) cannot be checked.",
    ),
    "xlm": (
        "古い形式の Excel マクロ（XLM）を含みます。",
        "It contains Excel macros of the old kind (XLM).",
    ),
}

PREFIXES: dict[str, tuple[str, str]] = {
    "archive": ("圧縮ファイルの中: ", "In the archive: "),
    "mail": ("添付されたメールの中: ", "In the attached mail: "),
    "tnef": ("winmail.dat の中: ", "In winmail.dat: "),
}


def prefixed(prefix: str, code: str) -> str:
    """Return the code as it is written for something inside an archive, mail or winmail.dat ("" = not inside).

    The outermost says where it is: the code of the text of a mail, which begins with "mail", loses that in an archive.
    """
    if not prefix or code.startswith(f"{prefix}-"):
        return code
    return f"{prefix}-{code.removeprefix('mail-')}"


def explain(code: str, language: Language) -> str:
    """Return one sentence for the recipient of the message; an unknown code is returned as it is."""
    column = 0 if language == "ja" else 1
    if code in CODES:
        return CODES[code][column]
    prefix, _, inner = code.partition("-")
    if prefix in PREFIXES and inner in CODES:
        return PREFIXES[prefix][column] + CODES[inner][column]
    return code
