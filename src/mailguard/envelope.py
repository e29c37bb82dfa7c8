"""What the mail server knows about a message besides its bytes (RFC 5321 2.3.1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Envelope:
    """The facts of the SMTP session, as the options give them.

    client_address, client_helo, queue_id, sasl_username: None when absent; the mail system's "unknown" and the empty
    string count as absent.  tls: version and cipher of the connection, None when absent or plain.  sender: None when
    absent, "" for the null sender (given as "" or "<>").
    """

    __slots__ = ("client_address", "client_helo", "queue_id", "recipients", "sasl_username", "sender", "tls")

    def __init__(
        self,
        *,
        client_address: str | None = None,
        client_helo: str | None = None,
        sender: str | None = None,
        recipients: Sequence[str] = (),
        queue_id: str | None = None,
        sasl_username: str | None = None,
        tls: str | None = None,
    ) -> None:
        self.client_address = _known(client_address)
        self.client_helo = _known(client_helo)
        self.sender = None if sender is None else _unbracketed(sender)
        self.recipients = tuple(_unbracketed(recipient) for recipient in recipients if recipient)
        self.queue_id = _known(queue_id)
        self.sasl_username = _known(sasl_username)
        self.tls = _known(tls)

    def over(self, other: Envelope) -> Envelope:
        """Return these facts, and those of `other` where they are absent."""
        merged = Envelope(recipients=self.recipients or other.recipients)
        for name in ("client_address", "client_helo", "queue_id", "sasl_username", "sender", "tls"):
            value = getattr(self, name)
            setattr(merged, name, getattr(other, name) if value is None else value)
        return merged


def _known(value: str | None) -> str | None:
    return None if value is None or value.strip() in {"", "unknown"} else value.strip()


def _unbracketed(address: str) -> str:
    address = address.strip()
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address
