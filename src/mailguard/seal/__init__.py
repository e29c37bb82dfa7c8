"""The site key, and what only its holder can write: the seal of a message, capsule ids, passwords."""

from mailguard.seal.keys import Key, KeyRing, load, new_key

__all__ = ["Key", "KeyRing", "load", "new_key"]
