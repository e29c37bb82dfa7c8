"""The pages around a result: the form, what happened to it, and how to stop all mail.  No script, no cookie."""

from __future__ import annotations

from html import escape

from mailguard.check.page.document import style

_NAME = {"ja": "メールサーバー診断", "en": "Mail server check"}
_OTHER = {"ja": ("en", "English"), "en": ("ja", "日本語")}
_FORM = {
    "ja": (
        "あなたのメールサーバーは安全ですか",
        "メールを 1 通やり取りするだけで、暗号化、なりすまし対策、DNS などを調べ、直し方をお知らせします。",
        "調べたいメールアドレス",
        "確認メールを送る",
        (
            "アドレスを入力すると、確認メールが届きます。",
            "そのメールに、そのまま返信します。本文は空でかまいません。",
            "結果のページの場所が、メールで届きます。",
        ),
        "返信があるまで、何も調べません。メールの本文は保存せず、結果は 30 日で消えます。",
    ),
    "en": (
        "Is your mail server safe?",
        "One exchange of mails shows encryption, protection from forged senders, DNS and more, and how to repair it.",
        "Mail address to check",
        "Send the confirmation",
        (
            "Give your address; a confirmation is sent there.",
            "Reply to it. You need not write anything.",
            "A mail tells you where the result stands.",
        ),
        "Nothing is checked before the reply. No mail body is kept, and results are deleted after 30 days.",
    ),
}
_SAID = {
    "sent": (
        (
            "確認メールを送りました",
            "届いたメールに、そのまま返信してください。届かないときは、迷惑メールのフォルダーもご覧ください。",
        ),
        ("A confirmation is on its way", "Please reply to it when it comes. If it does not, look among the spam too."),
    ),
    "asked": (
        (
            "受け付けました",
            "このドメインの DNS の応答を待っています。数分たっても確認メールが届かなければ、もう一度お試しください。",
        ),
        (
            "Your wish is noted",
            "The DNS of this domain takes its time. If no confirmation comes within minutes, please try again.",
        ),
    ),
    "address": (
        ("アドレスを確かめてください", "メールアドレスとして読み取れませんでした。"),
        ("Please check the address", "This could not be read as a mail address."),
    ),
    "domain": (
        ("このアドレスは調べられません", "このドメインには、メールを受け取るサーバーが見つかりませんでした。"),
        ("This address cannot be checked", "No mail server that takes mail was found for its domain."),
    ),
    "later": (
        ("いまは受け付けられません", "しばらくしてから、もう一度お試しください。"),
        ("Not now, please", "Please try again later."),
    ),
    "limit": (
        ("回数の上限に達しました", "同じアドレスやドメインの診断には、間隔が必要です。時間をおいてお試しください。"),
        (
            "Too many checks",
            "Checks of the same address or domain need some time between them. Please try again later.",
        ),
    ),
    "missing": (
        ("ページがありません", "結果のページは 30 日で消えます。"),
        ("There is no such page", "Results are deleted after 30 days."),
    ),
    "stop": (
        ("メールを止めますか", "このサービスは、このアドレスに二度とメールを送らなくなります。"),
        ("Stop all mail?", "This service will never send mail to this address again."),
    ),
    "stopped": (
        ("メールを止めました", "このアドレスに、二度とメールを送りません。"),
        ("All mail is stopped", "This address will get no mail from this service again."),
    ),
}
_STOP = {"ja": "すべて止める", "en": "Stop all mail"}
_BACK = {"ja": "もどる", "en": "Back"}


def form(lang: str) -> bytes:
    """Return the page with the form."""
    title, what, label, button, steps, promise = _FORM[lang]
    items = "".join(f"<li>{step}</li>" for step in steps)
    return _page(
        lang,
        title,
        f'<p>{what}</p><form class="card form" method="post" action="start"><label for="address">{label}</label>'
        '<input id="address" name="address" type="email" required maxlength="254" autocomplete="email" '
        f'placeholder="you@example.com"><input type="hidden" name="lang" value="{lang}">'
        f'<button type="submit">{button}</button></form><ol class="steps">{items}</ol><p class="quiet">{promise}</p>',
        _OTHER[lang],
    )


def said(code: str, lang: str, back: str = "./") -> bytes:
    """Return the page that says what happened; code: a key of the texts; back: link to the form."""
    title, text = _SAID[code][lang == "en"]
    return _page(lang, title, f'<p>{text}</p><p><a href="{escape(back)}">{_BACK[lang]}</a></p>')


def stop(lang: str) -> bytes:
    """Return the page that asks whether all mail is to stop: programs that follow links must not do it."""
    title, text = _SAID["stop"][lang == "en"]
    return _page(
        lang,
        title,
        f'<p>{text}</p><form class="card form" method="post"><button type="submit">{_STOP[lang]}</button></form>',
    )


def policy() -> str:
    """Return the content security policy of these pages."""
    return style()[1].replace("form-action 'none'", "form-action 'self'") + "; frame-ancestors 'none'"


def _page(lang: str, title: str, content: str, other: tuple[str, str] | None = None) -> bytes:
    link = f'<p><a href="?lang={other[0]}" hreflang="{other[0]}" lang="{other[0]}">{other[1]}</a></p>' if other else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style()[0]}</style>"
        f'<main class="narrow"><div class="top"><p class="kind">{_NAME[lang]}</p>{link}</div><h1>{title}</h1>'
        f"{content}</main></html>\n"
    ).encode()
