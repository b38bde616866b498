"""The queue's events for any number of browsers, from one subscription to the store.

A client that comes back names the last event that it has; it gets those since from the audit trail, and then
what comes.  A client that is too slow is let go: its browser comes back by itself.  May import ``syncd.api``.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from anyio import to_thread

from syncd.api import Workspace
from syncd.core.events import Event, event_json
from syncd.errors import SyncdError

KEEPALIVE_S: Final = 15.0
QUEUE_MAX: Final = 1000
RETRY_MS: Final = 2000


class EventHub:
    """Hands each event on to every client."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._clients: set[asyncio.Queue[Event | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._has_begun = asyncio.Event()
        """That the store is followed, or could not be."""

    async def messages(self, since: int | None) -> AsyncIterator[bytes]:
        """Yield the text of a stream: the events behind ``since``, then each that comes, and a sign of life."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_MAX)
        self._clients.add(queue)
        self._start()
        try:
            # Whoever has the first line misses nothing that happens after it.
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEPALIVE_S):
                    await self._has_begun.wait()
            yield f"retry: {RETRY_MS}\n\n".encode()
            missed = [] if since is None else await to_thread.run_sync(self._missed, since)
            seen = {each.seq for each in missed}
            for each in missed:
                yield _message(each)
            while not self._is_closed:
                try:
                    async with asyncio.timeout(KEEPALIVE_S):
                        found = await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if found is None:
                    return
                if found.seq not in seen:
                    yield _message(found)
        finally:
            self._clients.discard(queue)

    def _missed(self, since: int) -> list[Event]:
        return list(self._workspace.backlog.events(since))

    def close(self) -> None:
        """Let every client go."""
        self._is_closed = True
        self._has_begun.set()
        for queue in self._clients:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    def _start(self) -> None:
        """Begin to follow the store, with the first client."""
        if self._loop is None:
            self._has_begun.clear()
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._follow, name="events", daemon=True).start()

    def _follow(self) -> None:
        loop = self._loop
        assert loop is not None
        try:
            last = self._workspace.past.history(limit=1)
            loop.call_soon_threadsafe(self._has_begun.set)
            for each in self._workspace.backlog.follow_events(last[-1].seq if last else None):
                loop.call_soon_threadsafe(self._hand_on, each)
        except (SyncdError, RuntimeError):
            # The store was away at the start, or the server has ended: clients come back, and begin anew.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._begin_again)

    def _hand_on(self, found: Event) -> None:
        for queue in tuple(self._clients):
            try:
                queue.put_nowait(found)
            except asyncio.QueueFull:
                self._clients.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def _begin_again(self) -> None:
        self._loop = None
        self._has_begun.set()
        for queue in tuple(self._clients):
            with suppress(asyncio.QueueFull):
                queue.put_nowait(None)


def _message(found: Event) -> bytes:
    return f"id: {found.seq}\nevent: task\ndata: {json.dumps(event_json(found), ensure_ascii=False)}\n\n".encode()
