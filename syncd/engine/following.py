"""The audit trail as it grows: woken by the store, never by a clock.

May import ``syncd.core``, ``syncd.engine.waiting``, ``syncd.ports``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from syncd.core.events import Event, event_of
from syncd.core.history import HistoryEntry
from syncd.engine.waiting import Stop
from syncd.errors import StoreUnreachable
from syncd.log import event
from syncd.ports import Store

_PAGE = 500

_OLDER_MIN_S = 0.05
_OLDER_MAX_S = 1.0
"""Pauses while a transaction is open that may bring in older events."""


def follow(store: Store, id: str | None, limit: int | None, stop: Stop | None = None) -> Iterator[HistoryEntry]:
    """Yield the last ``limit`` entries, and then each that is written, until the caller stops or ``stop`` says so.

    Each comes once, and none is left out, however transactions overlap.  A store that is away is waited for.

    Raises: StoreUnreachable only while nothing was read yet.
    """
    woken, stop = threading.Event(), stop or Stop()
    stop.wakes(woken.set)
    # What comes after this place and is there already is shown, or left out by the limit.
    page = store.history(id, since=store.history(id, limit=0).place)
    listener = store.listen(woken.set)
    try:
        shown = store.history(id, limit=limit).entries
        yield from shown
        seen, place = {entry.seq for entry in (*page.entries, *shown)}, page.place
        while True:
            woken.wait()
            woken.clear()
            if stop.is_set:
                return
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


def events(store: Store, since: int | None, stop: Stop | None = None) -> Iterator[Event]:
    """Yield the events behind ``since``, or all that are kept; ``stop`` ends it before that.

    Those that an older transaction still holds back are waited for, but not for long: then they are left to
    the next time.
    """
    place, pause_s, stop = since, _OLDER_MIN_S, stop or Stop()
    while not stop.is_set:
        trail = store.trail(place, limit=_PAGE)
        for entry in trail.entries:
            place = entry.seq
            yield event_of(entry)
        if trail.has_more:
            continue
        if not trail.is_waiting or pause_s > _OLDER_MAX_S:
            return
        time.sleep(pause_s)
        pause_s *= 2


def follow_events(store: Store, since: int | None, stop: Stop | None = None) -> Iterator[Event]:
    """Yield the events behind ``since``, or all that are kept, and then each that comes, until the caller stops.

    Each comes once and none is left out, however transactions overlap, and also when the caller starts
    again with the ``seq`` of the last one.  A store that is away is waited for.

    Raises: StoreUnreachable only while nothing was read yet.
    """
    woken, stop = threading.Event(), stop or Stop()
    stop.wakes(woken.set)
    place, is_first, pause_s = since, True, _OLDER_MIN_S
    listener = store.listen(woken.set)
    try:
        while True:
            woken.clear()
            if stop.is_set:
                return
            try:
                trail = store.trail(place, limit=_PAGE)
            except StoreUnreachable as error:
                if is_first:
                    raise
                event("store.offline", message=error.message, hint=error.hint)
                woken.wait()
                continue
            is_first = False
            for entry in trail.entries:
                place = entry.seq
                yield event_of(entry)
            if trail.has_more:
                continue
            # A transaction that ends without a change of the cards wakes nobody.
            woken.wait(pause_s if trail.is_waiting else None)
            pause_s = min(pause_s * 2, _OLDER_MAX_S) if trail.is_waiting else _OLDER_MIN_S
    finally:
        listener.close()
