"""The dashboard: a page and an HTTP interface on loopback, for whoever has the token.

May import ``syncd.api`` and the shapes of what it returns.
"""
