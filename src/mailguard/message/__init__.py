"""Bytes <-> header fields and a tree of parts, as ranges of the original buffer; edits are splices."""
