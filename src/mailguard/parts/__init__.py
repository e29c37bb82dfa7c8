"""The parts of a message: body text or attachment, which of them a filter acts on, and what stands in their place."""
