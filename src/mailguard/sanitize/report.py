"""What a person reads about a sanitized message: the report part, and the text in place of a member that is held."""

from __future__ import annotations

from mailguard.findings import show
from mailguard.formats.codes import CHANGED, explain
from mailguard.formats.dangers import explain as explain_danger
from mailguard.formats.disarmed import ProgramRefused
from mailguard.message.entity import entity as make_entity
from mailguard.parts.placeholder import languages
from mailguard.seal.keys import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from mailguard.formats.dangers import Language
    from mailguard.sanitize.treatment import Treatment

_MOST_LINES = 50
_MOST_WORDS = 8
_NAME = {"ja": "添付ファイル無害化のお知らせ.txt", "en": "sanitize-report.txt"}
_TITLE = {"ja": "添付ファイル無害化のお知らせ", "en": "Parts of this message were made harmless"}
_REBUILT = {
    "ja": "メールの構造が規則に反していたため、組み立て直しました。",
    "en": "The structure of the message broke the rules; it was built anew.",
}
_ACTIONS = {
    "disarmed": {"ja": "無害化しました", "en": "made harmless"},
    "held": {"ja": "隔離しました", "en": "held back"},
    "removed": {"ja": "取り除きました", "en": "removed"},
}
_REASON = {"ja": "理由", "en": "Reason"}
_TEXT = {"ja": "テキスト", "en": "text"}
# The beginnings of words for what is one thing: "a script was", "macros were taken out".
_ONE = ("a ", "an ", "the ", "active ", "data ", "hidden ", "markup ", "metadata", "rich ")
# What these say is said better by the danger.
_VAGUE = frozenset({"ambiguous", "damaged", "encrypted", "not-understood", "unknown-type"})
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
    "ja": "必要な場合は、次の番号を窓口までお伝えください。\n\n隔離番号: {id}\n窓口: {contact}\n",
    "en": "If you need it, give this number to the contact.\n\nQuarantine id: {id}\nContact: {contact}\n",
}
_WARNING = {
    "ja": "差出人にお心当たりがない場合や、少しでも不審に思われる場合は、何も開かずに{contact}までお知らせください。",
    "en": "If you do not expect this message, or if anything about it seems odd, open nothing and tell {contact}.",
}
_QUOTED = {"ja": "「{}」", "en": '"{}"'}  # so that a name does not speak in our voice
_NO_CONTACT = {"ja": "システム管理者", "en": "your system administrator"}
_MEMBER = (
    "安全を確認できないため、このファイルを取り除きました。"
    "/ This file was taken out, because it could not be made safe.\n"
)


class PartReport:
    """What the report says about a part; record: as in --json."""

    __slots__ = ("name", "record", "treatment")

    def __init__(self, name: str, record: Mapping[str, Any], treatment: Treatment) -> None:
        self.name = name
        self.record = record
        self.treatment = treatment


def write(
    changed: Sequence[PartReport],
    identifier: str | None,
    *,
    rebuilt: bool,
    whole: bool,
    lang: str,
    contact: str,
) -> str:
    """Return the text of the report.

    identifier: of the capsule, None without one; rebuilt: whether the message was built anew; whole: whether the
    capsule gives back the message as it was read.
    """
    pieces = []
    for language in languages(lang):
        asked = contact or _NO_CONTACT[language]
        lines = [_TITLE[language], ""]
        if rebuilt:
            lines.append(_REBUILT[language])
        lines += ["", *_changes(changed, language)] if rebuilt and changed else _changes(changed, language)
        if any(part.record["dangerous"] for part in changed):
            lines += ["", _WARNING[language].format(contact=asked)]
        if identifier:
            kept = (_KEPT if whole else _KEPT_HELD)[language] + _ASK[language]
            lines += ["", kept.format(id=grouped(identifier), contact=asked)]
        pieces.append("\n".join(lines).rstrip("\n") + "\n")
    return ("\n" + "-" * 70 + "\n\n").join(pieces)


def _changes(changed: Sequence[PartReport], language: Language) -> Iterator[str]:
    for number, part in enumerate(changed[:_MOST_LINES], 1):
        record = part.record
        what = _BODY[language] if record.get("body") else _names(part.name, record, language)
        yield f"  {number}. {what}"
        yield f"     {_done(part, language)}"
        for reason in _reasons(part, language):
            yield f"     {_REASON[language]}: {reason}"
    if len(changed) > _MOST_LINES:
        yield f"  … (+{len(changed) - _MOST_LINES})"


def _done(part: PartReport, language: Language) -> str:
    action, result = part.record["action"], part.treatment.result
    if result is None:
        return _sentence([_ACTIONS[action][language]], language)
    made = told(result.removed, language, result.extension)
    if action == "disarmed" and not CHANGED.keys() >= set(result.removed):
        made.insert(0, _ACTIONS[action][language])
    return _sentence(made, language)


def told(codes: Sequence[str], language: Language, extension: str) -> list[str]:
    """Return in words what was done with content; extension: of what is delivered."""
    column = 0 if language == "ja" else 1
    made = _TEXT[language] if extension == "txt" else extension.upper() + " " * (language == "ja")
    done = [CHANGED[code][column].format(format=made) for code in codes if code in CHANGED]
    words = list(dict.fromkeys(explain(code, language) for code in codes if code not in CHANGED))[:_MOST_WORDS]
    if words and language == "ja":
        done.append("、".join(words) + "を取り除きました")
    elif words:
        verb = "was" if len(words) == 1 and words[0].startswith(_ONE) else "were"
        listed = " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
        done.append(f"{listed} {verb} taken out")
    return done


def _sentence(parts: Sequence[str], language: Language) -> str:
    if language == "ja":
        return "".join(f"{part}。" for part in parts)
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _reasons(part: PartReport, language: Language) -> Iterator[str]:
    """Yield why a part is not delivered as it was; nothing where what was taken out says it."""
    refused, dangers = part.treatment.refused, part.record["dangerous"]
    if part.treatment.result is None:
        yield from (explain_danger(code, language) for code in dangers[:5])
    if refused is None or (refused.code in _VAGUE and dangers and part.treatment.result is None):
        return
    reason = explain(refused.code, language)
    if isinstance(refused, ProgramRefused) and refused.code == "program-refused" and refused.said:
        find = f"{show(refused.program, 80)}: {show(refused.said, 200)}"
        reason = f"{reason[:-1]}（{find}）。" if language == "ja" else f"{reason[:-1]} ({find})."
    yield reason


def _names(name: str, record: Mapping[str, Any], language: Language) -> str:
    """Return the name of a part and its type, and the name under which it is delivered where that is another."""
    quoted = _QUOTED[language].format(show(name, 120))
    delivered = record.get("delivered", {}).get("name", name)
    arrow = "" if delivered == name else " → " + _QUOTED[language].format(show(delivered, 120))
    return f"{quoted} ({show(record['detected_type'], 80)}){arrow}"


def entity(text: str, lang: str, eol: bytes) -> bytes:
    """Make the report an entity without final line end."""
    name = _NAME[languages(lang)[0]]
    return make_entity(text.encode("utf-8"), "text/plain", eol, name=name, charset="utf-8", inline=True)


def of_member(code: str) -> bytes:
    """Return the text that stands in a container in place of what had to be held."""
    return (_MEMBER + f"{explain(code, 'ja')} / {explain(code, 'en')}\n").encode()
