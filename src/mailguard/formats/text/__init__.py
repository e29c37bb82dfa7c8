"""Plain text, and tables in text."""
