"""Attachments are made harmless, and nothing stays hidden in the structure of a message.

Each attachment and each HTML body text climbs the rungs of its rule (`ladder`).  What cannot be made harmless is
held: a placeholder stands in its place.  The capsule of the message holds all originals, so that `release` gives the
message back as it was read.  A message that readers understand differently is built anew first.
"""

from mailguard.sanitize.sanitization import VERB, sanitize

__all__ = ["VERB", "sanitize"]
