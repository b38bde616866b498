"""The end of a daemon that waits for others: what it asked of the store is taken back after a moment.

A row that somebody else's transaction holds, or a slow server, would keep a daemon from ending for as long as
the lock timeout is.  A statement that is cancelled is rolled back, and the journal tells the next cycle what was
under way: nothing is lost by it.
May import ``syncd.engine.waker``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from syncd.engine.waker import Waker

GRACE_S: Final = 0.6
"""How long a step that is under way may take when the end was asked for; most take milliseconds."""


class LastCall:
    """Waits to be told of the end, and then interrupts what is still under way, until it is over.

    Args:
        interrupt: makes what the store is asked right now fail; called from a thread.
    """

    def __init__(self, interrupt: Callable[[], None], *, grace_s: float = GRACE_S) -> None:
        self._interrupt = interrupt
        self._grace_s = grace_s
        self._called = Waker()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-call", daemon=True)
        self._thread.start()

    def call(self) -> None:
        """Say that the end has come; a signal handler may."""
        self._called.wake()

    def close(self) -> None:
        """Interrupt nothing any more."""
        self._is_over.set()
        self._called.wake()
        self._thread.join()
        self._called.close()

    def _run(self) -> None:
        self._called.wait()
        while not self._is_over.wait(self._grace_s):
            self._interrupt()
