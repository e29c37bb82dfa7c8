"""The result page: one HTML file that needs nothing else, runs nothing and asks nobody for anything.

Every value from DNS, mail or a peer passes through `show` and is escaped; the content security policy forbids all but
the page's own style sheet, which it knows by its hash.
"""
