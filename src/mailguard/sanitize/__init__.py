"""Attachments are made harmless, and nothing stays hidden in the structure of a message."""
