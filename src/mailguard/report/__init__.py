"""The report: what was held and released in a while, counted from the journal, for a person who reads it each day."""
