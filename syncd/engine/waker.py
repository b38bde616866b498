"""A flag that threads and signals raise and that one thread waits for.

May import nothing of syncd.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Final

_DRAIN_BYTES: Final = 4096


class Waker:
    """A flag that threads and signals may raise and one thread waits for; raised while nobody waits, it is not lost.

    It is a pair of sockets, for the sake of signals: one that comes in the moment before a wait begins would
    leave a lock waiting with its handler not run.  Here the interpreter itself writes (``signal.set_wakeup_fd``).
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for each in (self._reader, self._writer):
            each.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that raises the flag when a byte is written to it."""
        return self._writer.fileno()

    def wake(self) -> None:
        """Raise the flag; after ``close`` nothing happens."""
        # Full means that it is up already.
        with suppress(OSError):
            self._writer.send(b"\0")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the flag, without a timeout for ever, take it down, and return whether it was up."""
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        was_raised = bool(poller.poll(None if timeout_s is None else timeout_s * 1000))
        with suppress(BlockingIOError):
            while self._reader.recv(_DRAIN_BYTES):
                continue
        return was_raised

    def close(self) -> None:
        """Give the sockets back."""
        self._reader.close()
        self._writer.close()
