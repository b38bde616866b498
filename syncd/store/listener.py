"""The subscription to changes: LISTEN on a connection of its own, proved by a heartbeat, else polling.

A notification is a hint without data.  The listener believes in them only while its own heartbeat comes
back (behind a transaction pooler it never does); until then it wakes its subscriber every second, and
less often, down to every ten, while nothing changes.

One notification may speak for several transactions, some of which have not ended when it comes: then the
subscriber is woken again when they have.  Should the one that spoke for them have died of it, the
heartbeat finds what changed.  A server that hangs would not be missed before somebody needs it: it is asked for a sign
of life every other second.  May import ``syncd.errors``, ``syncd.log`` and the store's own modules.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import secrets
import select
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

from syncd.errors import SyncdError
from syncd.log import event
from syncd.store.dsn import with_keepalives
from syncd.store.session import Link, connect, execute
from syncd.store.silence import Vigil

CHANNEL: Final = "syncd"
HEARTBEAT_S: Final = 30.0
HEARTBEAT_WAIT_S: Final = 3.0
PULSE_S: Final = 2.0
"""So long after it last said something the server is asked for a sign of life."""
POLL_MIN_S: Final = 1.0
POLL_MAX_S: Final = 10.0
RECONNECT_MAX_S: Final = 60.0
STEADY_S: Final = 5.0
"""A connection that lasts shorter failed by itself: the next one waits."""
UNDER_WAY_MIN_S: Final = 0.003
UNDER_WAY_MAX_S: Final = 1.0


class _UnderWay:
    """The transactions that had not ended when a notification came, and when to look after them."""

    def __init__(self) -> None:
        self.due = float("inf")
        self._next = 0
        self._pause_s = UNDER_WAY_MIN_S

    def note(self, link: Link) -> None:
        """Remember those that are under way now; to be called before the subscriber looks."""
        self._next = int(execute(link, "next_transaction").fetchall()[0][0])
        self._pause_s = UNDER_WAY_MIN_S
        self.have_ended(link)

    def have_ended(self, link: Link) -> bool:
        """Return whether all of them have ended; else look again a little later."""
        oldest = int(execute(link, "oldest_transaction").fetchall()[0][0])
        if oldest >= self._next:
            self.due = float("inf")
            return True
        self.due = time.monotonic() + self._pause_s
        self._pause_s = min(self._pause_s * 2, UNDER_WAY_MAX_S)
        return False


class PostgresListener:
    """A running subscription: a thread, a connection, and a pipe that ends both.

    Args:
        dsn: where to listen.
        project: whose changes pace the polling.
        wake: called from the listener's thread whenever the project may have changed.
        may_listen: False behind a transaction pooler, where LISTEN reaches nobody.
        heartbeat_s: how often the heartbeat is sent.
        vigil: what the process's other connections to this server know of its silence.
    """

    def __init__(
        self,
        dsn: str,
        *,
        project: str,
        wake: Callable[[], None],
        may_listen: bool = True,
        heartbeat_s: float = HEARTBEAT_S,
        vigil: Vigil | None = None,
    ) -> None:
        self._dsn = with_keepalives(dsn)
        self._project = project
        self._wake = wake
        self._may_listen = may_listen
        self._heartbeat_s = heartbeat_s
        self._vigil = vigil
        self._heard: set[str] = set()
        self._beat_channel = f"syncd_beat_{secrets.token_hex(8)}"
        self._mode = "poll"
        self._closing = threading.Event()
        self._hurried = threading.Event()
        self._pipe_out, self._pipe_in = os.pipe()
        self._thread = threading.Thread(target=self._run, name="syncd-listener", daemon=True)
        self._thread.start()

    @property
    def mode(self) -> str:
        """``live`` while the heartbeat comes back, else ``poll``."""
        return self._mode

    def hurry(self) -> None:
        """Connect again at once where the connection was lost, instead of at the end of a pause."""
        self._hurried.set()

    def close(self) -> None:
        """End the subscription; no wake-up comes after it."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._hurried.set()
        os.write(self._pipe_in, b".")
        if threading.current_thread() is not self._thread:
            self._thread.join()
        os.close(self._pipe_in)
        os.close(self._pipe_out)

    def _run(self) -> None:
        backoff_s = POLL_MIN_S
        while not self._closing.is_set():
            began = time.monotonic()
            self._connect_and_serve()
            if time.monotonic() - began >= STEADY_S:
                # A connection that was cut is made anew at once.
                backoff_s = POLL_MIN_S
            else:
                was_hurried = self._hurried.wait(backoff_s * random.uniform(0.5, 1.0))
                backoff_s = POLL_MIN_S if was_hurried else min(backoff_s * 2, RECONNECT_MAX_S)
                self._hurried.clear()

    def _connect_and_serve(self) -> None:
        try:
            link = connect(self._dsn, pooled=not self._may_listen, vigil=self._vigil)
        except SyncdError as error:
            event("store.listener.unreachable", level=logging.DEBUG, message=error.message)
            return
        with contextlib.closing(link):
            try:
                self._serve(link)
            except psycopg.Error as error:
                event("store.listener.lost", level=logging.WARNING, message=str(error).splitlines()[0])
                # Whoever looks now finds out at once that the database is away.
                self._wake()
            finally:
                self._mode = "poll"

    def _serve(self, link: Link) -> None:
        """Wake the subscriber as long as the connection lasts."""
        self._heard = set()
        # Notifications that arrive while a statement runs are handed on here.
        link.add_notify_handler(lambda notify: self._heard.add(notify.channel))
        if self._may_listen:
            for channel in (CHANNEL, self._beat_channel):
                link.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        self._wake()
        poll_s = POLL_MIN_S
        place: str | None = None
        beat_due = time.monotonic() if self._may_listen else float("inf")
        beat_lost = float("inf")
        poll_due = time.monotonic() + poll_s
        pulse_due = time.monotonic() + PULSE_S
        under_way = _UnderWay()
        while not self._closing.is_set():
            now = time.monotonic()
            if now >= beat_lost:
                self._mode, beat_lost = "poll", float("inf")
                poll_s = POLL_MIN_S
            if now >= beat_due:
                seen, before = self._place(link), place
                place = seen
                if before not in (None, seen):
                    self._wake()
                link.execute("select pg_notify(%s, '')", [self._beat_channel])
                beat_due, beat_lost = now + self._heartbeat_s, now + min(HEARTBEAT_WAIT_S, self._heartbeat_s)
            if self._mode == "poll" and now >= poll_due:
                seen = self._place(link)
                poll_s = POLL_MIN_S if seen != place else min(poll_s * 2, POLL_MAX_S)
                place, poll_due = seen, now + poll_s
                self._wake()
            if now >= pulse_due:
                link.execute("", prepare=False)
                pulse_due = now + PULSE_S
            heard = self._take_heard(link)
            if self._beat_channel in heard:
                self._mode, beat_lost = "live", float("inf")
            if CHANNEL in heard:
                under_way.note(link)
                self._wake()
            elif now >= under_way.due:
                if under_way.have_ended(link):
                    self._wake()
            elif not heard:
                dues = [beat_due, beat_lost, pulse_due, under_way.due] + ([poll_due] if self._mode == "poll" else [])
                self._wait(link, min(dues) - time.monotonic())

    def _place(self, link: Link) -> str:
        """Return something that differs once a card of the project has changed."""
        return str(execute(link, "poll", project=self._project).fetchall()[0][0])

    def _take_heard(self, link: Link) -> set[str]:
        """Return the channels notified since the last look."""
        link.pgconn.consume_input()
        while (notify := link.pgconn.notifies()) is not None:
            self._heard.add(notify.relname.decode())
        heard, self._heard = self._heard, set()
        return heard

    def _wait(self, link: Link, timeout_s: float) -> None:
        """Wait until the connection or ``close`` has something to say."""
        poller = select.poll()
        poller.register(link.fileno(), select.POLLIN)
        poller.register(self._pipe_out, select.POLLIN)
        poller.poll(max(0.0, timeout_s) * 1000)
