"""Other people's programs and libraries that see a threat in a file: none of them is part of mailguard.

A module for each family of formats, with DETECTORS: name of the threat -> the detectors of it.  A detector takes the
content and returns what it found; nothing found is false.
"""
