"""The store without a database: a manifest of cards, and a log of what changed since it was written.

``manifest`` holds a project's cards with what finds the next one, ``records`` is one change of it,
``rules`` makes of it a store (the same rules as in Postgres), ``files`` keeps it in files that several
processes share, ``trail`` its history, ``listener`` tells of changes.
"""
