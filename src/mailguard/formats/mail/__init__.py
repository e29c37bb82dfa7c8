"""Messages as files: .eml, web archives, winmail.dat, Outlook items."""
