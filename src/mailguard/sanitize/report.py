"""What a person reads about a sanitized message: the report part, and the text in place of a member that is held."""

from __future__ import annotations

from mailguard.findings import show
from mailguard.formats.codes import explain
from mailguard.formats.dangers import explain as explain_danger
from mailguard.message.entity import entity as make_entity
from mailguard.parts.placeholder import languages
from mailguard.seal.keys import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from mailguard.formats.dangers import Language

_MOST_LINES = 50
_NAME = "sanitize-report.txt"
_TITLE = {"ja": "添付ファイル無害化のお知らせ", "en": "Parts of this message were made harmless"}
_REBUILT = {
    "ja": "メールの構造が規則に反していたため、組み立て直しました。",
    "en": "The structure of the message broke the rules; it was built anew.",
}
_ACTIONS = {
    "disarmed": {"ja": "無害化しました", "en": "made harmless"},
    "converted": {"ja": "別の形式に変換しました", "en": "converted to another format"},
    "held": {"ja": "隔離しました", "en": "held back"},
    "removed": {"ja": "取り除きました", "en": "removed"},
}
_REMOVED = {"ja": "除いたもの", "en": "Taken out"}
_REASON = {"ja": "理由", "en": "Reason"}
_DANGER = {"ja": "危険", "en": "Danger"}
_BODY = {"ja": "本文", "en": "The text of the message"}
_KEPT = {
    "ja": "届いたままのメールは、このメールに付いている ZIP ファイル (AES-256) に保管しています。\n",
    "en": "The message as it arrived is kept in the ZIP file (AES-256) attached to this message.\n",
}
_KEPT_HELD = {
    "ja": "隔離したものは、このメールに付いている ZIP ファイル (AES-256) に保管しています。\n",
    "en": "What was held back is kept in the ZIP file (AES-256) attached to this message.\n",
}
_ASK = {
    "ja": "必要なときは、次の番号を窓口に伝えてください。\n\n隔離番号: {id}\n窓口: {contact}\n",
    "en": "If you need it, give this number to the contact.\n\nQuarantine id: {id}\nContact: {contact}\n",
}
_WARNING = {
    "ja": "差出人に心当たりがないときや、少しでもおかしいと思うときは、何も開かずに知らせてください ({contact})。",
    "en": "If you do not expect this message, or if anything about it seems odd, open nothing and tell {contact}.",
}
_QUOTED = {"ja": "「{}」", "en": '"{}"'}  # so that a name does not speak in our voice
_NO_CONTACT = {"ja": "システム管理者", "en": "your system administrator"}
_MEMBER = (
    "このファイルは安全を確認できないため除かれました。/ This file was taken out, because it could not be made safe.\n"
)


def write(
    changed: Sequence[tuple[str, Mapping[str, Any]]],
    identifier: str | None,
    *,
    rebuilt: bool,
    whole: bool,
    lang: str,
    contact: str,
) -> str:
    """Return the text of the report.

    changed: (name, record as in --json) of the changed parts; identifier: of the capsule, None without one;
    rebuilt: whether the message was built anew; whole: whether the capsule gives back the message as it was read.
    """
    pieces = []
    for language in languages(lang):
        asked = contact or _NO_CONTACT[language]
        lines = [_TITLE[language], ""]
        if rebuilt:
            lines.append(_REBUILT[language])
        lines += ["", *_changes(changed, language)] if rebuilt and changed else _changes(changed, language)
        if any(record["dangerous"] for _, record in changed):
            lines += ["", _WARNING[language].format(contact=asked)]
        if identifier:
            kept = (_KEPT if whole else _KEPT_HELD)[language] + _ASK[language]
            lines += ["", kept.format(id=grouped(identifier), contact=asked)]
        pieces.append("\n".join(lines).rstrip("\n") + "\n")
    return ("\n" + "-" * 70 + "\n\n").join(pieces)


def _changes(changed: Sequence[tuple[str, Mapping[str, Any]]], language: str) -> Iterator[str]:
    reader: Language = "ja" if language == "ja" else "en"
    for number, (name, record) in enumerate(changed[:_MOST_LINES], 1):
        what = _BODY[language] if record.get("body") else _names(name, record, language)
        yield f"  {number}. {what}: {_ACTIONS[record['action']][language]}"
        if record.get("removed"):
            yield f"     {_REMOVED[language]}: {', '.join(explain(code, reader) for code in record['removed'][:8])}"
        if record.get("reason"):
            yield f"     {_REASON[language]}: {explain(record['reason'], reader)}"
            for code in record["dangerous"][:5]:
                yield f"     {_DANGER[language]}: {explain_danger(code, reader)}"
    if len(changed) > _MOST_LINES:
        yield f"  … (+{len(changed) - _MOST_LINES})"


def _names(name: str, record: Mapping[str, Any], language: str) -> str:
    """Return the name of a part and its type, and the name under which it is delivered where that is another."""
    quoted = _QUOTED[language].format(show(name, 120))
    delivered = record.get("delivered", {}).get("name", name)
    arrow = "" if delivered == name else " → " + _QUOTED[language].format(show(delivered, 120))
    return f"{quoted} ({show(record['detected_type'], 80)}){arrow}"


def entity(text: str, eol: bytes) -> bytes:
    """Make the report an entity without final line end."""
    return make_entity(text.encode("utf-8"), "text/plain", eol, name=_NAME, charset="utf-8", inline=True)


def of_member(code: str) -> bytes:
    """Return the text that stands in a container in place of what had to be held."""
    return (_MEMBER + f"{explain(code, 'ja')} / {explain(code, 'en')}\n").encode()
