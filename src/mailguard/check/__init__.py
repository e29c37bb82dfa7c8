"""Diagnosis of a mail system: what it publishes, how it receives, how it sends, and how to repair it."""
