"""Mails that are plain."""

PLAIN = b"From: a@example.com\nTo: b@example.org\nSubject: hi\n\nHello,\nsee you.\n"
