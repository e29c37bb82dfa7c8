"""The mails of an exchange, in Japanese and English: please confirm, the result, and that it must wait.

All say what they are (RFC 3834), how to stop them for ever, and nothing that their recipient did not choose: names
are shown, repairs are sentences of the catalogue.
"""

from __future__ import annotations

from mailguard.check import catalogue, token
from mailguard.check.page import order
from mailguard.check.page.markup import moment
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage

    from mailguard.check.report import Report
    from mailguard.check.service import Service
    from mailguard.check.state import Exchange

_FIRST = 3  # repairs in the result mail; the page has all

_NAME = {"ja": "メールサーバー診断", "en": "Mail server check"}
_CONFIRM = {
    "ja": (
        "返信してください: {domain} のメールサーバー診断",
        """{domain} のメールサーバー診断の申し込みを受け付けました。

このメールに、そのまま返信してください。本文は空でかまいません。
返信が届くと、{domain} のメールサーバーと DNS を調べ、
結果のページの場所を、このアドレスにお知らせします。

申し込んだ覚えがないときは、何もしないでください。
返信がないかぎり、何も調べません。

この確認の期限: {expires}
今後、このサービスからのメールをすべて止めるには:
  {stop}
""",
    ),
    "en": (
        "Please reply: mail server check of {domain}",
        """Somebody, probably you, asked for a check of the mail servers of {domain}.

Please reply to this mail. You need not write anything.
Then the mail servers and the DNS of {domain} are checked,
and this address is told where the result stands.

If you did not ask for it, do nothing: nothing is checked without a reply.

This confirmation is good until: {expires}
To stop all mail from this service for ever:
  {stop}
""",
    ),
}
_RESULT = {
    "ja": (
        "診断結果「{word}」: {domain}",
        """{domain} の診断結果: {word}

{sentence}
{repairs}
結果のページ:
{pages}

このページは {expires} に消えます。メールの本文は保存していません。
このメールは、返信の差出人ではなく、申し込まれたアドレスに送っています。

今後、このサービスからのメールをすべて止めるには:
  {stop}
""",
    ),
    "en": (
        "Result “{word}”: {domain}",
        """Result for {domain}: {word}

{sentence}
{repairs}
The page with all details:
{pages}

It is deleted on {expires}. No mail body was kept.
This mail goes to the address that was registered, whatever the reply said.

To stop all mail from this service for ever:
  {stop}
""",
    ),
}
_POSTPONED = {
    "ja": (
        "診断はまだです: {domain}",
        """ご返信は届きましたが、{domain} の診断は、まだ行っていません。
同じドメイン、または同じメールサーバーの診断が、一日の上限に達しました。

明日以降、このメールに、そのまま返信してください。
期限: {expires}

今後、このサービスからのメールをすべて止めるには:
  {stop}
""",
    ),
    "en": (
        "Not checked yet: {domain}",
        """Your reply arrived, but {domain} is not checked yet: the checks of this
domain, or of its mail servers, are used up for today.

Please reply to this mail tomorrow or later.
It is good until: {expires}

To stop all mail from this service for ever:
  {stop}
""",
    ),
}
_REPAIRS = {"ja": "\n直す順番:\n", "en": "\nWhat to repair first:\n"}
_FOUND = {"ja": "結果", "en": "Found"}
_REPAIR = {"ja": "直し方", "en": "Repair"}
_ATTACHED = {"ja": "  (このメールに添付しました)", "en": "  (attached to this mail)"}


def confirmation(service: Service, exchange: Exchange, given: str, now: int) -> bytes:
    """Return the mail that asks for a reply; given: the token.  Lines end in LF."""
    return _asking(service, exchange, given, now, _CONFIRM, now + token.LIFETIME, "auto-generated", given)


def postponed(service: Service, exchange: Exchange, given: str, now: int) -> bytes:
    """Return the mail that asks for another reply later: a limit is reached; given: the token."""
    expires = exchange.created + token.LIFETIME
    return _asking(service, exchange, given, now, _POSTPONED, expires, "auto-replied", f"{given}.later")


def _asking(
    service: Service,
    exchange: Exchange,
    given: str,
    now: int,
    texts: Mapping[str, tuple[str, str]],
    expires: int,
    automatic: str,
    identifier: str,
) -> bytes:
    subject, text = texts[exchange.lang]
    values = {
        "domain": show(exchange.domain),
        "expires": moment(expires),
        "stop": service.stop_place(exchange.address),
    }
    message = _message(exchange, now, subject.format_map(values), text.format_map(values))
    message["From"] = _from(exchange.lang, service.reply_address(given))
    message["Auto-Submitted"] = automatic
    return _stop(service, exchange) + _field("Message-ID", f"<{identifier}@{service.host}>") + message.as_bytes()


def result(service: Service, exchange: Exchange, report: Report, reply_id: str, now: int) -> bytes:
    """Return the mail that says where the result is; reply_id: Message-ID of the reply, "" for none."""
    lang = exchange.lang
    subject, text = _RESULT[lang]
    verdict = report.verdict
    values = {
        "domain": show(exchange.domain),
        "word": verdict.word(lang),
        "sentence": verdict.sentence(lang),
        "repairs": _repairs(report, lang),
        "pages": _pages(service, exchange),
        "expires": moment(service.expires(exchange, now)),
        "stop": service.stop_place(exchange.address),
    }
    message = _message(exchange, now, subject.format_map(values), text.format_map(values))
    message["From"] = _from(lang, service.address)
    message["Auto-Submitted"] = "auto-replied"
    if service.attach:
        page = service.read_page(exchange, lang)
        message.add_attachment(page.decode(), subtype="html", filename=f"{show(exchange.domain)}.html")
    fields = _field("Message-ID", f"<result.{exchange.page}@{service.host}>")
    fields += _field("In-Reply-To", reply_id) if reply_id else b""
    return _stop(service, exchange) + fields + message.as_bytes()


def _field(name: str, value: str) -> bytes:
    """Return a field of one word, which the library would encode where it is long."""
    return f"{name}: {value}\n".encode("ascii")


def _stop(service: Service, exchange: Exchange) -> bytes:
    """Return the fields by which mail programs stop all mail (RFC 2369, RFC 8058)."""
    links = ",\n ".join(f"<{link}>" for link in service.stop_links(exchange.address))
    one_click = _field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click") if service.url else b""
    return _field("List-Unsubscribe", links) + one_click


def _message(exchange: Exchange, now: int, subject: str, text: str) -> EmailMessage:
    from email.message import EmailMessage
    from email.policy import default
    from email.utils import formatdate

    message = EmailMessage(policy=default.clone(cte_type="7bit"))
    message["To"] = exchange.address
    message["Subject"] = subject
    message["Date"] = formatdate(now)
    message.set_content(text, cte="7bit" if text.isascii() else "base64")
    return message


def _from(lang: str, address: str) -> str:
    from email.headerregistry import Address

    return str(Address(_NAME[lang], addr_spec=address))


def _repairs(report: Report, lang: str) -> str:
    found = order.repairs(report)[:_FIRST]
    lines = [
        f"  {number}. {catalogue.headline(group.outcome, lang, report.domain)}\n"
        f"     {_FOUND[lang]}: {catalogue.sentence(group.outcome, lang, report.domain)}\n"
        f"     {_REPAIR[lang]}: {catalogue.repair(group.outcome, lang, report.domain)}\n"
        for number, group in enumerate(found, 1)
    ]
    return _REPAIRS[lang] + "".join(lines) if lines else ""


def _pages(service: Service, exchange: Exchange) -> str:
    if not service.url:
        return _ATTACHED[exchange.lang]
    names = [exchange.lang, "en" if exchange.lang == "ja" else "ja"]
    return "\n".join(f"  {service.page_link(exchange, lang)}" for lang in names)
