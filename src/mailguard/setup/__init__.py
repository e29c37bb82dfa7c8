"""Putting mailguard into the way of mail, and taking it out again: what is there is kept, and written down before."""
