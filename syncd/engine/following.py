"""The audit trail as it grows: woken by the store, never by a clock.

May import ``syncd.core``, ``syncd.ports``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from syncd.core.history import HistoryEntry
from syncd.errors import StoreUnreachable
from syncd.log import event
from syncd.ports import Store


def follow(store: Store, id: str | None, limit: int | None) -> Iterator[HistoryEntry]:
    """Yield the last ``limit`` entries, and then each that is written, until the caller stops.

    Each comes once, and none is left out, however transactions overlap.  A store that is away is waited for.

    Raises: StoreUnreachable only while nothing was read yet.
    """
    woken = threading.Event()
    place = store.history(id, limit=0).place
    listener = store.listen(woken.set)
    try:
        shown = store.history(id, limit=limit).entries
        yield from shown
        seen = {entry.seq for entry in shown}
        while True:
            woken.wait()
            woken.clear()
            try:
                page = store.history(id, since=place)
            except StoreUnreachable as error:
                event("store.offline", message=error.message, hint=error.hint)
                continue
            yield from (entry for entry in page.entries if entry.seq not in seen)
            # Whatever comes again next time is in this page.
            seen, place = {entry.seq for entry in page.entries}, page.place
    finally:
        listener.close()
