"""What a file is, what in it acts, and how it is made harmless: one folder for each family of files."""
