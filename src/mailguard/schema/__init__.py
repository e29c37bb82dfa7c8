"""The forms of what mailguard writes for programs, as JSON Schema; see mailguard-json(5)."""
