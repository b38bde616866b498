"""Whether a server hangs: it takes what it is sent, and answers nothing.

A statement that waits does not tell it: somebody's open transaction makes a healthy server wait, too.  So it is asked
something that needs no row, on a connection of its own.
May import the store's own modules.
"""

from __future__ import annotations

import select
import threading
from typing import Final

from psycopg import Error, pq

from syncd.store.dsn import with_keepalives

SLICE_S: Final = 0.1
"""Silence is counted in such slices: one in which this machine itself stood still counts once, however long it was."""

_ENDS = (pq.PollingStatus.OK, pq.PollingStatus.FAILED)


def hangs(dsn: str, *, silent_s: float, within_s: float) -> bool:
    """Return whether a server is silent for so long when it is asked, or has not let us in after ``within_s``."""
    return Question(dsn, silent_s=silent_s).answered(within_s) is not True


class Question:
    """A question to a server, asked in a thread of its own, since a name that is looked up blocks whoever needs it.

    Args:
        silent_s: it is not answered when nothing at all comes for so long.
    """

    def __init__(self, dsn: str, *, silent_s: float) -> None:
        self._dsn = with_keepalives(dsn)
        self._slices_max = max(1, round(silent_s / SLICE_S))
        self._is_answered: bool | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="syncd-probe", daemon=True).start()

    def answered(self, within_s: float = 0.0) -> bool | None:
        """Return whether it was answered, a refusal being an answer; ``None`` while that is not known."""
        if within_s > 0:
            self._ended.wait(within_s)
        return self._is_answered

    def _run(self) -> None:
        link = pq.PGconn.connect_start(self._dsn.encode())
        try:
            self._is_answered = self._asked(link)
        except Error:
            self._is_answered = True
        finally:
            link.finish()
            self._ended.set()

    def _asked(self, link: pq.abc.PGconn) -> bool:
        while link.status != pq.ConnStatus.BAD and (state := link.connect_poll()) not in _ENDS:
            if not self._is_ready(link, for_writing=state == pq.PollingStatus.WRITING):
                return False
        if link.status != pq.ConnStatus.OK:
            return True
        link.send_query(b"")
        while link.is_busy():
            if not self._is_ready(link):
                return False
            link.consume_input()
        return True

    def _is_ready(self, link: pq.abc.PGconn, *, for_writing: bool = False) -> bool:
        """Wait until the connection can be read, or written; return False when it is silent for too long."""
        poll = select.poll()
        poll.register(link.socket, select.POLLOUT if for_writing else select.POLLIN)
        return any(poll.poll(SLICE_S * 1000) for _ in range(self._slices_max))
