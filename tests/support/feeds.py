"""Reading a feed in tests.

Transaction ids belong to a whole server: while another test's transaction runs, rows may come again.
"""

from __future__ import annotations

import time

from syncd.ports import Cursor, Store, SyncStore, Trail

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


def settled_trail(store: Store, after: int | None = None, *, limit: int) -> Trail:
    """Return a page of the trail once no transaction of anybody on this server holds an entry back."""
    deadline = time.monotonic() + DEADLINE_S
    while (page := store.trail(after, limit=limit)).is_waiting:
        assert time.monotonic() < deadline, "an older transaction does not end"
        time.sleep(0.01)
    return page
