"""The names of all commands, and what each is for in one line.

This table is all that is known before a command is chosen; its module, `mailguard.cli.<command>` with the click
command `command`, is imported only when it runs.
"""

from __future__ import annotations

FILTERS = {
    "duplicate": "Hand a copy of each message to a second server or store.",
    "quarantine": "Move attachments into an encrypted ZIP that can be released.",
    "run": "Run a chain of filters in one process.",
    "sanitize": "Make attachments harmless, and leave nothing hidden in the structure.",
    "sign": "Put an ARC set on a message, so that servers behind this one believe it.",
    "strip": "Replace attachments by a placeholder that says what was removed.",
    "unseal": "Take the seal off a message that leaves the house.",
    "verify": "Say who really sent a message, and seal the verdict.",
}
"""Commands that stand in the way of mail: a message on stdin, a message on stdout, status 0 or 75."""

ORDINARY = {
    "check": "Diagnose a mail system, and say how to repair it.",
    "batch": "Filter whole archives: mbox, Maildir and others.",
    "doctor": "Look whether everything that mail depends on is in order.",
    "daemon": "Keep everything loaded, for filters that then start at once.",
    "init": "Make the site key.",
    "inspect": "Show what a quarantined message or ZIP holds, and why it was held.",
    "learn": "Learn from outgoing mail who is known, and which conversations are ours.",
    "list": "List what was held and what was released.",
    "milter": "Filter mail inside Postfix or Sendmail, before it is accepted.",
    "password": "Print the password of a quarantined message.",
    "report": "Tell what was held and released, for each day.",
    "setup": "Put mailguard into the way of mail, or take it out again.",
    "release": "Give back the original of a quarantined message.",
}
"""Commands for people, with the statuses that people expect."""
