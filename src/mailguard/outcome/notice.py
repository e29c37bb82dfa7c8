"""The notice: the text by which the recipient learns what is held, why, and what to do.

A template is substituted in one pass and nothing else: a value from the mail can neither bring a placeholder nor leave
its place, because all of them went through `show`.  The texts are Japanese and English.
"""

from __future__ import annotations

import re

from mailguard.errors import ConfigurationError
from mailguard.findings import show
from mailguard.formats.dangers import explain
from mailguard.message import encoding as transfer
from mailguard.message.entity import extended
from mailguard.parts.placeholder import languages
from mailguard.seal.keys import grouped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from mailguard.message.header import Field
    from mailguard.site import Site

PLACEHOLDERS = ("held", "reason", "id", "contact", "sender", "subject")
_PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_MOST_LINES = 50
_FILE_NAME = "添付ファイル隔離のお知らせ.txt"
_ASCII_FILE_NAME = "quarantine-notice.txt"

_TEMPLATE = {
    "ja": """\
添付ファイル隔離のお知らせ

安全のため、このメールの一部を隔離しました。届いた本文は変えていません。

隔離したもの:
${held}

理由: ${reason}

隔離番号: ${id}

・差出人に心当たりがないとき、少しでもおかしいと思うときは、何も開かずに下の窓口へ知らせてください。
・これまでのやり取りの続きに見えるメールでも、相手が乗っ取られていることがあります。
・必要なファイルのときは、まず差出人に電話で確かめてください。このメールにある番号ではなく、
  前から知っている番号にかけてください。
・確かめたら、隔離番号を次の窓口に伝えてください。ファイルを取り出すことができます。

窓口: ${contact}

隔離したものは、このメールに付いている ZIP ファイル (AES-256) に入っています。開くには、窓口が伝える
パスワードと、7-Zip (Windows)、Keka (macOS)、7z または bsdtar (Linux) が必要です。Windows の
エクスプローラーでは開けません。中の attachments.zip をもう一度開くと、ファイルが出てきます。
""",
    "en": """\
Attachments of this message are held

For your safety a part of this message is held back. The text that arrived is unchanged.

Held:
${held}

Reason: ${reason}

Quarantine id: ${id}

- If you do not expect this message, or if anything about it seems odd, open nothing and tell the contact below.
- A message that continues a conversation can come from somebody who took over your partner's account.
- If you need the files, first call the sender. Use a number that you know, not one from this message.
- Then give the quarantine id to the contact, who can release the files.

Contact: ${contact}

What is held is in the ZIP file (AES-256) attached to this message. To open it you need the password, which the
contact can tell you, and 7-Zip (Windows), Keka (macOS), 7z or bsdtar (Linux); the Windows Explorer cannot open
it. Open the attachments.zip inside once more to see the files.
""",
}
# What `sanitize` did before is told in place of the first.
_UNCHANGED = ("届いた本文は変えていません。", "The text that arrived is unchanged.")
_DISARMED = (
    "HTML の本文からは危険な部分を取り除きました。",
    "Dangerous parts were taken out of its HTML text.",
)
REASONS = {
    "always": (
        "添付ファイルをすべて隔離する設定です。",
        "All attachments are held here.",
    ),
    "unauthenticated": (
        "差出人が名乗るとおりの本人であることを確かめられませんでした。",
        "It could not be confirmed that the message comes from the sender it names.",
    ),
    "impersonating": (
        "差出人や返信先の表示名が、別の方のお名前や別のアドレスを装っています。",
        "The name of the sender, or of the one to whom an answer goes, imitates another person or another address.",
    ),
    "lookalike": (
        "差出人や返信先のアドレスが、ご存じの会社などによく似た別のものです。一文字ずつお確かめください。",
        "The address of the sender or for answers imitates one that you know: compare it letter by letter.",
    ),
    "reply-foreign": (
        "当方とのやり取りの続きとして届きましたが、そのやり取りに加わっていない別の相手から送られています。",
        "It continues a conversation of ours, but somebody else sent it, who has no part in that conversation.",
    ),
    "reply-many": (
        "返信の形をしていますが、過去のメールを異常に多く指しており、だれとのやり取りの続きか確かめられません。",
        "The message looks like an answer, but names so many earlier messages that nobody can tell which it continues.",
    ),
    "unknown-sender": (
        "これまでにやり取りのない差出人です。",
        "There has been no correspondence with this sender before.",
    ),
    "authenticated": (
        "悪用されることの多い種類のファイルです。",
        "The files are of a kind that is often abused.",
    ),
    "limit": (
        "メールが大きすぎる、または複雑すぎて、中を確認しきれないため、メール全体を隔離しました。",
        "The message is too large or too complicated to be examined; all of it is held.",
    ),
    "structure": (
        "メールの構造が規則に反しており、見る人のソフトによって違うものが見えるため、メール全体を隔離しました。",
        "The structure of the message breaks the rules so that each program sees another content; all of it is held.",
    ),
}
_NO_CONTACT = ("システム管理者", "your system administrator")
_DANGER = ("危険", "Danger")
_QUOTED = ("「{}」", '"{}"')  # so that a name does not speak in our voice
_WHOLE = ("メール全体", "The whole message")
_NO_TEXT = (
    "(このメールには本文がありません。添付ファイルは隔離しました。)",
    "(This message has no text. Its attachment is held.)",
)


def check_template(text: str, path: str) -> str:
    """Return the text of a template file; ConfigurationError when it names an unknown placeholder or no id."""
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            known = ", ".join(PLACEHOLDERS)
            raise ConfigurationError(f"{path}: unknown placeholder ${{{show(name, 40)}}}; there are: {known}")
    if "${id}" not in text:
        raise ConfigurationError(f"{path}: a notice needs ${{id}}, or nobody can ask for the release")
    return text


def write(
    attachments: Sequence[Mapping[str, Any]],
    reason: str,
    identifier: str,
    *,
    lang: str,
    contact: str,
    sender: bytes,
    subject: bytes,
    template: str | None,
) -> str:
    """Return the text of a notice.

    attachments: records as in --json; reason: code of the condition, or "structure"; sender, subject: raw values.
    """
    from mailguard.message.words import texts

    texts_by_language = []
    for language in languages(lang):
        index = 0 if language == "ja" else 1
        values = {
            "held": "\n".join(_held(attachments, language)),
            "reason": REASONS[reason][index],
            "id": grouped(identifier),
            "contact": contact or _NO_CONTACT[index],
            "sender": show((texts(sender) or [""])[0]),
            "subject": show((texts(subject) or [""])[0]),
        }
        built_in = _TEMPLATE[language]
        if any(record.get("body") for record in attachments):
            built_in = built_in.replace(_UNCHANGED[index], _DISARMED[index])
        texts_by_language.append(_substitute(template or built_in, values))
        if template:
            break  # a template of the site's own says everything once, in the first language
    return ("\n" + "-" * 70 + "\n\n").join(texts_by_language)


def entity(text: str, eol: bytes) -> bytes:
    """Make the notice an entity: inline text with a Japanese file name and an ASCII one for old readers."""
    return eol.join(
        [
            b"Content-Type: text/plain; charset=utf-8;",
            b'\tname="' + _ASCII_FILE_NAME.encode("ascii") + b'"',
            b"Content-Transfer-Encoding: base64",
            b"Content-Disposition: inline;",
            *extended("filename", _FILE_NAME),
            b"",
            transfer.base64(text.encode("utf-8"), eol=eol, trailing=0),
        ]
    )


def no_text(lang: str, eol: bytes) -> bytes:
    """Return the entity that stands as text in a mail that had none."""
    text = "\n".join(_NO_TEXT[0 if language == "ja" else 1] for language in languages(lang)) + "\n"
    return eol.join(
        [
            b"Content-Type: text/plain; charset=utf-8",
            b"Content-Transfer-Encoding: base64",
            b"",
            transfer.base64(text.encode("utf-8"), eol=eol, trailing=0),
        ]
    )


def _substitute(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _held(attachments: Sequence[Mapping[str, Any]], language: str) -> Iterable[str]:
    index = 0 if language == "ja" else 1
    for number, attachment in enumerate(attachments[:_MOST_LINES], 1):
        names = attachment["names"]
        name = _QUOTED[index].format(show(names[0], 120)) if names else _WHOLE[index]
        yield f"  {number}. {name} ({show(attachment['detected_type'], 80)}, {attachment['size']:,} bytes)"
        for code in attachment["dangerous"][:5]:
            yield f"     {_DANGER[index]}: {explain(code, 'ja' if language == 'ja' else 'en')}"
    if len(attachments) > _MOST_LINES:
        yield f"  … (+{len(attachments) - _MOST_LINES})"


def of_message(
    fields: Sequence[Field],
    attachments: Sequence[Mapping[str, Any]],
    reason: str,
    identifier: str,
    site: Site,
    eol: bytes,
) -> bytes:
    """Return the notice for a message with these header fields and attachments, as an entity."""
    text = write(
        attachments,
        reason,
        identifier,
        lang=site.lang,
        contact=site.contact,
        sender=_first(fields, b"from"),
        subject=_first(fields, b"subject"),
        template=site.template,
    )
    return entity(text, eol)


def _first(fields: Sequence[Field], name: bytes) -> bytes:
    return next((field.unfolded for field in fields if field.name == name), b"")[:2000]
