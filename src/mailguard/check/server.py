"""`mailguard check serve`: the web and, where wanted, the SMTP server of a service, in one process."""

from __future__ import annotations

import re
import sys
from time import time

from mailguard.check.beginnings import Beginnings
from mailguard.check.web import Application
from mailguard.errors import ConfigurationError, MailguardError, installation
from mailguard.findings import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from mailguard.check.service import Service

_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")
_LARGEST_REQUEST = 4096
_LARGEST_HEADER = 16384
_THREADS = 8


def serve(
    service: Service,
    *,
    listen: str,
    smtp: str | None,
    certificate: str | None,
    via: str,
    trusted_proxy: str | None,
) -> None:
    """Serve until SIGTERM or an interrupt; ConfigurationError for what cannot be served."""
    import logging
    import signal

    from mailguard.check.shares import Brief, descriptors

    logging.getLogger().addHandler(Brief(_say))
    most = descriptors()
    send = sender(via)
    listener = None
    if smtp:
        from mailguard.check.listener import Listener

        listener = Listener(
            service, place(smtp), certificate=certificate, send=send, report=_say, clock=time, descriptors=most
        )
        _started(listener.start, smtp)
    beginnings = Beginnings(service, send, _say, waiting=_THREADS // 2)
    made = _web(Application(service, beginnings, time), listen, trusted_proxy, most // 2)
    signal.signal(signal.SIGTERM, _stop)
    _say(f"serving {listen}" + (f", replies at {smtp}" if smtp else ""))
    try:
        made.run()
    finally:
        made.close()
        if listener:
            listener.stop()


def _web(application: Application, listen: str, trusted_proxy: str | None, most: int) -> Any:
    """Return the web server; most: how many connections it may have."""
    try:
        from waitress.server import create_server
    except ImportError:
        raise ConfigurationError(f"check serve needs an extra; {installation('web')}") from None
    from mailguard.check.channel import IN_ALL, SECONDS, Channel

    host, port = place(listen)
    sockets: dict[int, Any] = {}
    behind: dict[str, Any] = {}
    if trusted_proxy:
        behind = {"trusted_proxy": trusted_proxy, "trusted_proxy_headers": "x-forwarded-for"}
    made = _started(
        lambda: create_server(
            application,
            map=sockets,
            host=host,
            port=port,
            threads=_THREADS,
            ident="",
            connection_limit=min(2 * IN_ALL, most),
            channel_timeout=SECONDS,
            cleanup_interval=SECONDS // 6,
            max_request_header_size=_LARGEST_HEADER,
            max_request_body_size=_LARGEST_REQUEST,
            asyncore_use_poll=True,  # select(2) knows 1024 descriptors
            clear_untrusted_proxy_headers=True,
            **behind,
        ),
        listen,
    )
    for each in list(sockets.values()):  # a host may have several addresses
        if hasattr(each, "channel_class"):
            each.channel_class = Channel
    return made


def place(text: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [IPv6]:PORT; raises ConfigurationError."""
    match = _PLACE.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ConfigurationError(f"{show(text)}: write HOST:PORT")
    return match[1] or match[2], int(match[3])


def sender(url: str) -> Callable[[bytes, str, str], None]:
    """Return what hands a mail (mail, envelope sender, recipient) to a target as those of duplicate.

    Raises ConfigurationError for the target, later MailguardError when it does not take a mail.
    """
    from mailguard import delivery

    target = delivery.parse(url)

    def send(mail: bytes, envelope_sender: str, recipient: str) -> None:
        copy = delivery.Copy(
            lambda start, length: mail[start : start + length],
            len(mail),
            sender=envelope_sender,
            identifier="check",
            created=time(),
        )
        session = delivery.session(target)
        try:
            attempt = delivery.hand_over(session, copy, [recipient])
        finally:
            session.close()
        outcome = next(iter(attempt.outcomes.values()))
        if outcome.status != delivery.DELIVERED:
            raise MailguardError(f"{target.name}: {outcome.reply}")

    return send


def _started(start: Callable[[], Any], where: str) -> Any:
    try:
        return start()
    except OSError as error:
        raise ConfigurationError(f"{show(where)}: {error.strerror or error}") from None


def _say(text: str) -> None:
    sys.stderr.write(f"mailguard: {show(text)}\n")
    sys.stderr.flush()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
