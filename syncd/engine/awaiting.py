"""Waiting for an answer of the daemon's own threads, which may themselves wait for a server that hangs.

A row that somebody's open transaction holds, or a first sync of many cards, is waited for; a server that answers
nobody is not.
May import ``syncd.errors``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from syncd.errors import Busy, StoreUnreachable

T = TypeVar("T")

ANSWER_S: Final = 8.0
"""How long an answer is waited for before the server is looked at, and between two such looks.

By then whoever waits for a server that hangs has found out, and goes on without it.
"""

UNANSWERED: Final = "the database takes what it is sent, and does not answer"


def awaited(future: Future[T], hangs: Callable[[], bool], *, timeout_s: float | None = None) -> T:
    """Return what becomes of a piece of work; one that nobody waits for any more, and that is not begun, is dropped.

    Args:
        hangs: whether the server answers nobody.

    Raises: StoreUnreachable when it does; Busy when the time is over; what the work raises.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            return future.result(ANSWER_S)
        except TimeoutError:
            if future.done():
                return future.result()
            if hangs():
                future.cancel()
                raise StoreUnreachable(UNANSWERED, hint="syncd status shows what was last known.") from None
            if deadline is not None and time.monotonic() > deadline:
                future.cancel()
                raise Busy("the daemon is busy", hint="Try again later.") from None
