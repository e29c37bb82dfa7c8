"""Signatures, and what is signed: S/MIME and OpenPGP."""
