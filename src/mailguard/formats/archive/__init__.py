"""Archives: ZIP, tar, compressed files, RAR, 7z, CAB."""
