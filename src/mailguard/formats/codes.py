"""The codes of `sanitize`, and what they mean in words for ordinary people.

Each format family adds the codes that it uses; the tables are sorted.  The third column says which danger of
`dangers.CODES` it is, where a look at the file has to call it dangerous; "" for tidying, and for what a look at its
members tells.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailguard.formats.dangers import Language

# What was removed from content that is delivered: (Japanese, English, danger), completing "removed: ..."
REMOVED: dict[str, tuple[str, str, str]] = {
    "action": ("開くと動作する仕掛け", "an action that starts by itself", ""),
    "active-content": ("動作する仕掛け", "active content", "embedded-object"),
    "activex": ("ActiveX 部品", "an ActiveX control", "embedded-object"),
    "ambiguous-markup": (
        "プログラムによって読み方の違う記述",
        "markup that programs read differently",
        "document-unreadable",
    ),
    "attachment": ("埋め込みファイル", "an embedded file", "calendar-attachment"),
    "charset": ("紛らわしい文字コード", "a misleading character encoding", ""),
    "comment": ("コメント", "comments", ""),
    "converted": ("元の形式", "the original format", ""),
    "cross-reference": ("壊れた相互参照表", "a damaged table of cross-references", ""),
    "custom-ui": ("独自のメニューやボタン", "custom menus and buttons", ""),
    "dde": ("外部プログラムの呼び出し (DDE)", "a call of another program (DDE)", "dde"),
    "embedded-file": ("埋め込みファイル", "an embedded file", "embedded-object"),
    "embedded-font": ("埋め込みフォント", "an embedded font", ""),
    "embedded-object": ("埋め込みオブジェクト", "an embedded object", "embedded-object"),
    "encryption": ("パスワードによる保護", "the protection by a password", "encrypted-document"),
    "external-relationship": ("外部データへの参照", "a reference to external data", "remote-template"),
    "external-data": ("外部データへの参照（開いただけでは読み込まれません）", "a reference to data elsewhere", ""),
    "file-name": ("危険なファイル名", "unsafe file names", ""),
    "form": ("入力フォーム", "an input form", "html-active"),
    "formula": ("プログラムを起動できる数式", "formulas that can start programs", "formula"),
    "frame": ("外部ページの枠", "a frame with another page", "html-active"),
    "handler": ("動作する属性", "an event handler", "html-active"),
    "hidden-content": ("表示されない隠れた内容", "hidden content that nobody sees", ""),
    "hidden-data": (
        "ファイルの前後や隙間に隠されたデータ",
        "data hidden before, between or behind its parts",
        "document-unreadable",
    ),
    "hyperlink": ("リンク", "hyperlinks", ""),
    "invalid-signature": ("電子署名（内容が変わったため）", "digital signatures, because the content changed", ""),
    "javascript": ("スクリプト (JavaScript)", "a script (JavaScript)", "script"),
    "label": ("誤解を招くファイル名や種類", "a misleading name or type", ""),
    "launch": ("プログラムの起動", "the start of a program", "script"),
    "macro": ("マクロ", "macros", "macro"),
    "member-changed": ("中のファイルの危険な部分", "dangerous parts of files inside", ""),
    "member-held": ("中の危険なファイル", "dangerous files inside", ""),
    "metadata": ("文書情報", "metadata", ""),
    "remote-image": ("外部の画像", "images from elsewhere", ""),
    "remote-template": ("外部のひな形", "an external template", "remote-template"),
    "repacked": ("元のファイル形式", "the original file format", ""),
    "repaired": ("壊れた、または曖昧な箇所", "damaged or ambiguous places", ""),
    "rich-media": ("動画などの部品", "rich media", "embedded-object"),
    "script": ("スクリプト", "a script", "script"),
    "share": (
        "他のコンピューターの共有フォルダーへの参照",
        "a reference to a shared folder of another computer",
        "remote-template",
    ),
    "style": ("危険な書式指定", "unsafe style rules", ""),
    "svg": ("SVG 画像", "an SVG drawing", ""),
    "trailing-data": ("後ろに隠されたデータ", "data hidden behind the end", ""),
    "unknown-part": ("確認できない部分", "parts that cannot be checked", ""),
    "xfa": ("XFA フォーム", "an XFA form", "script"),
    "xlm": ("旧形式の Excel マクロ (XLM)", "Excel macros of the old kind (XLM)", "xlm"),
}

# Those that are no taking out, as sentences without an end: (Japanese, English); {format}: of what is delivered.
CHANGED: dict[str, tuple[str, str]] = {
    "charset": ("文字コードを統一しました", "written anew in one character encoding"),
    "converted": ("{format}に変換しました", "converted to {format}"),
    "cross-reference": ("壊れた相互参照表を修復しました", "a damaged table of cross-references was repaired"),
    "file-name": ("中のファイルの危険な名前を変更しました", "unsafe names of files inside were changed"),
    "label": ("内容に合った名前と種類に変更しました", "given a name and type that fit its content"),
    "member-changed": ("中のファイルを無害化しました", "files inside were made harmless"),
    "repacked": ("{format}形式に変更しました", "packed anew as {format}"),
    "repaired": ("壊れた、または曖昧な箇所を修復しました", "damaged or ambiguous places were repaired"),
}

UNNOTICED = frozenset({"cross-reference", "metadata"})
"""What no user would notice: nobody sees another content than before."""

# Why content cannot be delivered: (Japanese, English, danger), completing "it was held because: ..."
REFUSALS: dict[str, tuple[str, str, str]] = {
    "ambiguous": ("見る人のソフトによって違うものが見えます。", "Programs read it differently.", "document-unreadable"),
    "bomb": (
        "開くと際限なく大きくなる仕掛けです。",
        "It is made to grow without limit when it is opened.",
        "document-unreadable",
    ),
    "damaged": ("壊れているか、特殊な作りです。", "It is damaged or built in an unusual way.", "document-unreadable"),
    "encrypted": (
        "暗号化されているため、中を確認できません。",
        "It is encrypted, so its content cannot be checked.",
        "encrypted-document",
    ),
    "not-understood": (
        "中に確認できない部分があります。",
        "It has parts that cannot be checked.",
        "document-unreadable",
    ),
    "over-limit": (
        "大きすぎる、または複雑すぎて確認しきれません。",
        "It is too large or too complex to be checked.",
        "document-unreadable",
    ),
    "policy": ("この種類のファイルは受け取らない設定です。", "Files of this kind are not accepted here.", ""),
    "program-failed": ("変換プログラムが失敗しました。", "The program that should convert it failed.", ""),
    "program-memory": (
        "変換プログラムが使うメモリが多すぎました。",
        "The program that should convert it needed too much memory.",
        "",
    ),
    "program-missing": ("変換プログラムがありません。", "The program that should convert it is missing.", ""),
    "program-refused": ("検査プログラムが危険と判断しました。", "A program that checks files found it dangerous.", ""),
    "program-timeout": (
        "変換プログラムが時間内に終わりませんでした。",
        "The program that should convert it took too long.",
        "",
    ),
    "rescan": (
        "無害化した後の検査で危険なものが残っていました。",
        "A check of the cleaned file still found something dangerous.",
        "",
    ),
    "sandbox-missing": (
        "変換プログラムを安全に動かせません。",
        "There is no safe place to run the program that should convert it.",
        "",
    ),
    "signature": (
        "変更により電子署名が成り立たなくなりました。",
        "The signature does not fit the changed message any more.",
        "",
    ),
    "unknown-type": ("確認できない種類のファイルです。", "It is a file of a kind that cannot be checked.", ""),
}


def danger(code: str) -> str:
    """Return the danger that a code of either table is, "" for none."""
    return (REMOVED.get(code) or REFUSALS[code])[2]


def gone_with(dangers: Iterable[str]) -> set[str]:
    """Return the codes of what is taken out where content with these dangers is converted."""
    own = {code.removeprefix("archive-").removeprefix("mail-").removeprefix("tnef-") for code in dangers}
    active = {"active-content"} if any(code.endswith("-active") for code in own) else set()
    return active | {code for code in own & REMOVED.keys() if danger(code)}


def explain(code: str, language: Language) -> str:
    """Return the words for a code of either table; an unknown code is returned as it is."""
    texts = REMOVED.get(code) or REFUSALS.get(code)
    return texts[0 if language == "ja" else 1] if texts else code
