"""The doctor: looks at everything on this machine that mail depends on, and says how to repair it.

It changes nothing.  Each look is a function that yields rows; what goes wrong in one is a row too.
"""
