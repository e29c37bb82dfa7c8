"""What came with a message: body text or attachment, its type, and whether it is dangerous."""
