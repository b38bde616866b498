"""Waiting for a card to claim: woken by the store, and by the clock only when time itself makes a card claimable.

May import ``syncd.ports``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from syncd.errors import Paused
from syncd.ports import Store
from syncd.schemas.card import Card


class Stop:
    """Ends a wait from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], None]] = []
        self.is_set = False

    def set(self) -> None:
        """End what waits now, and what would begin to."""
        with self._lock:
            self.is_set = True
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Have this called when it is time to stop."""
        with self._lock:
            self._wakers.append(wake)
        if self.is_set:
            wake()


def claim_in_time(
    store: Store, claim: Callable[[], Sequence[Card]], wait_s: float, stop: Stop | None = None
) -> Sequence[Card]:
    """Claim as soon as there is something to claim; nothing when the wait is over or ``stop`` ends it.

    A pause is waited out.  Raises: Paused when the wait ends in one, and what ``claim`` raises.
    """
    deadline = time.monotonic() + min(wait_s, threading.TIMEOUT_MAX)
    woken, stop = threading.Event(), stop or Stop()
    stop.wakes(woken.set)
    listener = store.listen(woken.set)
    try:
        while True:
            woken.clear()
            if stop.is_set:
                return ()
            paused: Paused | None = None
            try:
                if cards := claim():
                    return cards
            except Paused as error:
                paused = error
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                if paused is not None:
                    raise paused
                return ()
            due_s = store.next_due_s()
            woken.wait(left_s if due_s is None else min(left_s, due_s))
    finally:
        listener.close()
