"""Reading a feed in tests.

Transaction ids belong to a whole server: while another test's transaction runs, rows may come again.
"""

from __future__ import annotations

import time

from syncd.ports import Cursor, SyncStore

DEADLINE_S = 30.0


def caught_up(store: SyncStore, cursor: Cursor | None = None) -> Cursor:
    """Read on until nothing comes any more; return the place."""
    deadline = time.monotonic() + DEADLINE_S
    feed = store.read(cursor)
    while True:
        feed = store.read(feed.cursor)
        if not feed.cards and not feed.gone:
            return feed.cursor
        assert time.monotonic() < deadline, "the feed repeats itself for ever"
