"""Every message goes to a second place as it came, before anything happens to it here.

The order of events: the copy is written to the spool and synced; delivery is tried for a few seconds; the message
leaves unchanged.  So whatever happens, the original is at the second place or in the spool, and nobody waits for a
server that is down.
"""

from mailguard.duplicate.duplication import VERB, Conditions, Plan, duplicate

__all__ = ["VERB", "Conditions", "Plan", "duplicate"]
