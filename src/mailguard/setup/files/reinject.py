#!/opt/mailguard/bin/python
"""Give a filtered mail back to Postfix over SMTP: reinject.py HOST:PORT SENDER RECIPIENT... < message.

Ends with 0 when Postfix has taken the mail for every recipient, and otherwise with 75: then the mail, which is still in
the queue, is tried again for all of them.
"""

import re
import smtplib
import sys

TEMPORARY_FAILURE = 75


def reinject(server: str, sender: str, recipients: list[str], raw: bytes) -> None:
    """Send the message; RuntimeError when the server does not take all of it for all recipients."""
    host, _, port = server.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=280) as session:
        session.ehlo()
        _expect(250, session.mail(sender, ["BODY=8BITMIME", f"SIZE={len(raw)}"]))
        for recipient in recipients:
            _expect(250, session.rcpt(recipient))
        _expect(250, session.data(re.sub(rb"\r?\n", b"\r\n", raw)))


def _expect(code: int, answer: tuple[int, bytes]) -> None:
    if answer[0] != code:
        raise RuntimeError(f"{answer[0]} {answer[1].decode('ascii', 'replace')}")


if __name__ == "__main__":
    try:
        reinject(sys.argv[1], sys.argv[2], sys.argv[3:], sys.stdin.buffer.read())
    except Exception as error:  # noqa: BLE001 (whatever it is, the mail must stay in the queue)
        print(f"4.3.0 reinject: {error}".replace("\n", " "), file=sys.stderr)  # noqa: T201
        sys.exit(TEMPORARY_FAILURE)
