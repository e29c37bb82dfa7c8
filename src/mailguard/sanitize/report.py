"""What a person reads about a sanitized message: the report part, and the text in place of a member that is held."""

from __future__ import annotations

from mailguard.attachments.dangerous import explain as explain_danger
from mailguard.attachments.placeholder import languages
from mailguard.findings import show
from mailguard.message.entity import entity as make_entity
from mailguard.sanitize.codes import REFUSALS, explain
from mailguard.seal.keys import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from mailguard.attachments.dangerous import Language

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
_BODY = {"ja": "(本文)", "en": "(text of the message)"}
_KEPT = {
    "ja": "届いたままのメールは、このメールに付いている ZIP ファイル (AES-256) に保管しています。\n"
    "必要なときは、次の番号を窓口に伝えてください。\n\n隔離番号: {id}\n窓口: {contact}\n",
    "en": "The message as it arrived is kept in the ZIP file (AES-256) attached to this message.\n"
    "If you need it, give this number to the contact.\n\nQuarantine id: {id}\nContact: {contact}\n",
}
_NO_CONTACT = {"ja": "システム管理者", "en": "your system administrator"}
_MEMBER = (
    "このファイルは安全を確認できないため除かれました。/ This file was taken out, because it could not be made safe.\n"
)


def write(
    records: Sequence[Mapping[str, Any]], identifier: str | None, *, rebuilt: bool, lang: str, contact: str
) -> str:
    """Return the text of the report.

    records: of the changed parts, as in --json; identifier: of the capsule, None without one.
    """
    pieces = []
    for language in languages(lang):
        lines = [_TITLE[language], ""]
        if rebuilt:
            lines += [_REBUILT[language], ""]
        lines += _changes(records, language)
        if identifier:
            text = _KEPT[language].format(id=grouped(identifier), contact=contact or _NO_CONTACT[language])
            lines += ["", text]
        pieces.append("\n".join(lines).rstrip("\n") + "\n")
    return ("\n" + "-" * 70 + "\n\n").join(pieces)


def _changes(records: Sequence[Mapping[str, Any]], language: str) -> Iterator[str]:
    reader: Language = "ja" if language == "ja" else "en"
    for number, record in enumerate(records[:_MOST_LINES], 1):
        names = record["names"]
        name = show(names[0], 120) if names else _BODY[language] if record.get("body") else record["part"]
        yield f"  {number}. {name} ({show(record['detected_type'], 80)}): {_ACTIONS[record['action']][language]}"
        if record.get("removed"):
            yield f"     {_REMOVED[language]}: {', '.join(explain(code, reader) for code in record['removed'][:8])}"
        if record.get("reason"):
            yield f"     {_REASON[language]}: {explain(record['reason'], reader)}"
            for code in record["dangerous"][:5]:
                yield f"     {_DANGER[language]}: {explain_danger(code, reader)}"
    if len(records) > _MOST_LINES:
        yield f"  … (+{len(records) - _MOST_LINES})"


def entity(text: str, eol: bytes) -> bytes:
    """Make the report an entity without final line end."""
    return make_entity(text.encode("utf-8"), "text/plain", eol, name=_NAME, charset="utf-8", inline=True)


def of_member(code: str) -> bytes:
    """Return the text that stands in a container in place of what had to be held."""
    japanese, english = REFUSALS.get(code, (code, code))
    return (_MEMBER + f"{japanese} / {english}\n").encode()
