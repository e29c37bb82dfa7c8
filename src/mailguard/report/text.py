"""The report as plain text, Japanese and English; every value from the journal goes through show()."""

from __future__ import annotations

from time import localtime, strftime

from mailguard.findings import joined, show
from mailguard.formats.dangers import explain
from mailguard.journal import HeldMessage
from mailguard.parts.placeholder import languages
from mailguard.report.summary import domain
from mailguard.seal.keys import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mailguard.report.summary import Summary

_MOST = 10
_NAMES = 5
_WIDTH = 60
_PHRASES = {
    "title": ("mailguard の報告", "Report of mailguard"),
    "period": ("期間: {} から {} まで", "From {} to {}"),
    "held": ("隔離したメール", "messages of which something is held"),
    "removed": ("添付を取り除き、隔離しなかったメール", "messages of which something was removed and not held"),
    "whole": ("以上のうち、メール全体を隔離したもの", "of all these are held as a whole"),
    "strangers": ("以上のうち、差出人を確かめられなかったもの", "of all these are from unauthenticated senders"),
    "attachments": ("取り出した添付ファイル", "attachments taken out"),
    "released": ("解除", "releases"),
    "dangers": ("危険の種類", "Dangers"),
    "domains": ("差出人のドメイン (メールの自称)", "Domains of the senders, as the messages name them"),
    "recipients": ("宛先", "Recipients"),
    "releases": ("解除したもの (新しいものから {} 件まで)", "What was released (the last {})"),
    "latest": ("隔離または除去したもの (新しいものから {} 件まで)", "What was held or removed (the last {})"),
    "gone": ("除去のみ、原本なし", "removed, nothing kept"),
    "from": ("差出人: {}", "From: {}"),
    "to": ("宛先: {}", "To: {}"),
    "files": ("ファイル: {}", "Files: {}"),
    "why": ("理由: {}", "Why: {}"),
    "stranger": ("差出人を確かめられない", "sender not authenticated"),
    "nothing": ("何も隔離せず、何も解除しませんでした。", "Nothing was held and nothing was released."),
    "damaged": ("読めなかった行", "Lines that could not be read"),
    "how": (
        "一覧は mailguard list、解除は mailguard release。",
        "See the list by: mailguard list; get an original back by: mailguard release",
    ),
}  # fmt: skip


def write(summary: Summary, lang: str) -> str:
    """Return the report: lines that end in a line feed; lang: ja, en or both."""
    texts = [_Text(summary, language).lines() for language in languages(lang)]
    return "\n".join("".join(f"{line}\n" for line in text) for text in texts)


def subject(summary: Summary, lang: str) -> str:
    """Return the subject of the mail."""
    numbers = (summary.held + summary.removed, summary.released)
    texts = {"ja": "隔離・除去 {} 通、解除 {} 件", "en": "{} held or removed, {} released"}
    said = " / ".join(texts[language].format(*numbers) for language in languages(lang))
    return f"mailguard {strftime('%Y-%m-%d', localtime(summary.since))}: {said}"


class _Text:
    """The report in one language."""

    def __init__(self, summary: Summary, language: str) -> None:
        self.summary = summary
        self.language = language

    def say(self, key: str, *values: object) -> str:
        return _PHRASES[key][0 if self.language == "ja" else 1].format(*values)

    def lines(self) -> Iterator[str]:
        summary = self.summary
        yield self.say("title")
        yield self.say("period", *(strftime("%Y-%m-%d %H:%M %z", localtime(t)) for t in (summary.since, summary.until)))
        yield ""
        if summary.held or summary.removed or summary.released:
            yield from self.numbers()
            yield from self.tallies()
            yield from self.messages()
        else:
            yield self.say("nothing")
        yield from self.damage()
        yield ""
        yield self.say("how")

    def numbers(self) -> Iterator[str]:
        for key in ("held", "removed", "whole", "strangers", "attachments", "released"):
            number = getattr(self.summary, key)
            if number or key in {"held", "released"}:
                yield _counted(number, self.say(key))

    def tallies(self) -> Iterator[str]:
        for key in ("dangers", "domains", "recipients"):
            top = getattr(self.summary, key).top(_MOST)
            yield from ("", self.say(key)) if top else ()
            for value, number in top:
                text = show(value, _WIDTH)
                if key == "dangers":
                    meaning = explain(value, "ja" if self.language == "ja" else "en")
                    text = f"{text}: {meaning}" if meaning != value else text
                yield _counted(number, text)

    def messages(self) -> Iterator[str]:
        for key in ("latest", "releases"):
            records = getattr(self.summary, key)
            yield from ("", self.say(key, records.maxlen)) if records else ()
            for record in reversed(records):
                yield from self.message(record)

    def message(self, record: dict[str, Any]) -> Iterator[str]:
        identifier = record["quarantine_id"]
        yield f"  {_local(record['time'])}  {grouped(show(identifier, 40)) if identifier else self.say('gone')}"
        if record["verb"] != "release":
            yield f"    {self.say('from', _sender(record))}"
        if record["recipients"]:
            yield f"    {self.say('to', _some(record['recipients']))}"
        if names := HeldMessage(record).names():
            yield f"    {self.say('files', _some(names))}"
        if why := self.why(record):
            yield f"    {self.say('why', why)}"

    def why(self, record: dict[str, Any]) -> str:
        if record["verb"] == "release":
            return ""
        stranger = [] if record["authenticated"] is True else [self.say("stranger")]
        return ", ".join([*(show(code, _WIDTH) for code in record["dangers"]), *stranger])

    def damage(self) -> Iterator[str]:
        yield from ("", self.say("damaged")) if self.summary.damaged else ()
        for name, number in sorted(self.summary.damaged.items()):
            yield _counted(number, show(name))


def _sender(record: dict[str, Any]) -> str:
    """Show the envelope sender, and the domain that the message names where that is another one."""
    sender, author = record["sender"], record["author_domain"]
    if sender is None:
        return show(domain(record), _WIDTH)
    named = show(sender, _WIDTH) if sender else "<>"
    same = not author or sender.lower().endswith("@" + author.lower())
    return named if same else f"{named} (From: {show(author, _WIDTH)})"


def _local(time: str) -> str:
    """Show the time of a record as the clock on the wall does."""
    from datetime import datetime

    try:
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return show(time, 30)


def _counted(number: int, text: str) -> str:
    return f"{number:>8}  {text}"


def _some(values: list[str]) -> str:
    return joined(values[:_NAMES], _WIDTH) + (", …" if len(values) > _NAMES else "")
