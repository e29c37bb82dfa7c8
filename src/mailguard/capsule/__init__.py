"""The capsule: one ZIP that holds what was taken out of a message, and the message itself.

Outside: a single AES-256 entry "attachments.zip" (WinZip AE-2, stored), so that names and number of the files are not
readable without the password, and filters downstream see no blocked extensions.  Inside: a plain ZIP with the files
under safe names, `_mailguard/manifest.json` and `_mailguard/skeleton`.  The skeleton is the original message without
the bodies that can be encoded again exactly; with the manifest, both give back every byte of it.  The comment of the
outer ZIP names version and id, and binds everything by a MAC (see `comment`).
"""

from mailguard.capsule.comment import Comment, find
from mailguard.capsule.contents import Opened, build, open  # noqa: A004 (as gzip.open and zipfile's are)
from mailguard.capsule.manifest import File, Item
from mailguard.capsule.names import safe_name

__all__ = ["Comment", "File", "Item", "Opened", "build", "find", "open", "safe_name"]
