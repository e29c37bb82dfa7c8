"""What a service of checks is: its mailbox, its key, its folders, its links, and how it makes a diagnosis."""

from __future__ import annotations

import os

from mailguard import safefile
from mailguard.check import catalogue, token
from mailguard.check.page.document import Sender, masked, render
from mailguard.check.report import Report
from mailguard.check.state import KEEP, State
from mailguard.errors import ConfigurationError, MailguardError
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailguard.check.blocklists import Blocklist
    from mailguard.check.guard import Guard
    from mailguard.check.state import Exchange
    from mailguard.dns import Source
    from mailguard.seal import KeyRing
    from mailguard.verify.client import Network

LANGUAGES = ("ja", "en")


class Service:
    """The settings of one service.

    address: its mailbox; replies go to the same with a tag after "+"; ring: site keys; state: what it remembers;
    pages: folder of the result pages; url: under which they and the form are found, with a final slash, "" without a
    web; attach: put the page into the result mail too; source: where the DNS answers come from; scan: makes the
    diagnosis of a domain, and whether control of it is proved; guard: makes the door to the network for our own
    deliveries; lists: block lists of addresses to ask about who brought a reply; environment, trusted_relays: how that
    is known (see `hop.arrival`).
    """

    __slots__ = (
        "address", "attach", "environment", "guard", "lists", "pages", "ring", "scan", "source", "state",
        "trusted_relays", "url",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 (a record)
        self,
        address: str,
        ring: KeyRing,
        state: State,
        *,
        pages: str,
        source: Source,
        scan: Callable[[str, bool], Report],
        guard: Callable[[], Guard],
        lists: Sequence[Blocklist] = (),
        url: str = "",
        attach: bool = False,
        environment: Mapping[str, str] | None = None,
        trusted_relays: Sequence[Network] = (),
    ) -> None:
        checked = token.mailbox(address)
        if checked is None or len(checked.partition("@")[0]) > 15:
            raise ConfigurationError(f"{show(address)}: the mailbox of the service is a plain and short address")
        if not url and not attach:
            raise ConfigurationError("results need a place: --url URL of the pages, or --attach for the mail")
        self.address = checked
        self.ring = ring
        self.state = state
        self.pages = pages
        self.source = source
        self.scan = scan
        self.guard = guard
        self.lists = lists
        self.url = url if not url or url.endswith("/") else f"{url}/"
        self.attach = attach
        self.environment = environment
        self.trusted_relays = trusted_relays

    @property
    def host(self) -> str:
        """The domain of the service."""
        return self.address.rpartition("@")[2]

    def reply_address(self, tag: str) -> str:
        """Return the address of the service with a tag."""
        local, _, domain = self.address.rpartition("@")
        return f"{local}+{tag}@{domain}"

    def stop_links(self, address: str) -> list[str]:
        """Return the links that stop all mail to an address, for mail programs."""
        code = token.stop_code(self.ring.active, address)
        web = [f"{self.url}stop/{code}"] if self.url else []
        return [*web, f"mailto:{self.reply_address(token.STOP + code)}"]

    def stop_place(self, address: str) -> str:
        """Return where a person stops all mail to an address: a page, or an address to which any mail will do."""
        return self.stop_links(address)[0].removeprefix("mailto:")

    def page_file(self, exchange: Exchange, lang: str) -> str:
        """Return the file name of a result page."""
        return f"{exchange.page}.{lang}.html"

    def page_link(self, exchange: Exchange, lang: str) -> str:
        """Return the link to a result page."""
        return f"{self.url}{self.page_file(exchange, lang)}"

    def read_page(self, exchange: Exchange, lang: str) -> bytes:
        """Return a page that was written."""
        path = os.path.join(self.pages, self.page_file(exchange, lang))
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise MailguardError(f"{show(path)}: {error.strerror}") from None

    def expires(self, exchange: Exchange, now: int) -> int:
        """Return when the page of an exchange goes; now: when it was written."""
        written = exchange.sent_by.get("written") or now
        return int(written) + KEEP

    @staticmethod
    def sort(report: Report) -> None:
        """Put the outcomes of a report into the order of the catalogue."""
        places = {name: number for number, name in enumerate(catalogue.checks())}
        report.outcomes.sort(key=lambda outcome: places[outcome.check])

    def write_pages(self, exchange: Exchange, report: Report, now: int) -> None:
        """Write the result in both languages; who serves files may read them, nobody can guess their names."""
        earlier = self.state.previous(exchange)
        sent_by = exchange.sent_by
        sender = Sender(
            masked(exchange.address), sent_by.get("server") or "", sent_by.get("tls"), self.expires(exchange, now)
        )
        for lang in LANGUAGES:
            other = self.page_file(exchange, "en" if lang == "ja" else "ja")
            text = render(report, lang, _earlier(earlier), exchange=sender, other=other)
            path = os.path.join(self.pages, self.page_file(exchange, lang))
            safefile.replace(path, [text.encode("utf-8", "backslashreplace")], mode=0o644)


def _earlier(record: Mapping[str, object] | None) -> Report | None:
    try:
        return None if record is None else Report.from_dict(record)
    except (ValueError, KeyError, TypeError):
        return None  # written by another version
