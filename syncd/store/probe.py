"""Whether a server hangs: it takes what it is sent, and answers nothing.

A statement that waits does not tell it: somebody's open transaction makes a healthy server wait, too.  So it is asked
something that needs no row, on a connection of its own.
May import the store's own modules.
"""

from __future__ import annotations

import select
import threading
import time

from psycopg import Error, pq

from syncd.store.dsn import with_keepalives

_ENDS = (pq.PollingStatus.OK, pq.PollingStatus.FAILED)


def hangs(dsn: str, *, within_s: float) -> bool:
    """Return whether no answer comes in this time; a refusal is one.

    Asked in a thread that nobody waits for longer, since a name that is looked up blocks whoever needs it.
    """
    answered = threading.Event()

    def ask() -> None:
        if _is_answered(dsn, time.monotonic() + within_s):
            answered.set()

    threading.Thread(target=ask, name="probe", daemon=True).start()
    return not answered.wait(within_s)


def _is_answered(dsn: str, deadline: float) -> bool:
    link = pq.PGconn.connect_start(with_keepalives(dsn).encode())
    try:
        while link.status != pq.ConnStatus.BAD and (state := link.connect_poll()) not in _ENDS:
            if not _is_ready(link, deadline, for_writing=state == pq.PollingStatus.WRITING):
                return False
        if link.status != pq.ConnStatus.OK:
            return True
        link.send_query(b"")
        while link.is_busy():
            if not _is_ready(link, deadline):
                return False
            link.consume_input()
    except Error:
        return True
    finally:
        link.finish()
    return True


def _is_ready(link: pq.abc.PGconn, deadline: float, *, for_writing: bool = False) -> bool:
    """Wait until the connection can be read, or written; return False once the deadline is over."""
    poll = select.poll()
    poll.register(link.socket, select.POLLOUT if for_writing else select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
