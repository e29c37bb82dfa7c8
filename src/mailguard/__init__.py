"""mailguard: composable mail filters that quarantine, strip, verify and copy, and never lose a message."""
