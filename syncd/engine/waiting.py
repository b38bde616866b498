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


def claim_in_time(store: Store, claim: Callable[[], Sequence[Card]], wait_s: float) -> Sequence[Card]:
    """Claim as soon as there is something to claim; nothing when the wait is over.

    A pause is waited out.  Raises: Paused when the wait ends in one, and what ``claim`` raises.
    """
    deadline = time.monotonic() + wait_s
    woken = threading.Event()
    listener = store.listen(woken.set)
    try:
        while True:
            woken.clear()
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
