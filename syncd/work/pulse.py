"""The heartbeats of a worker: its leases are renewed and its presence told, apart from the work.

They have a connection of their own, so that nothing a card does or a claim waits for holds them up.  A
lease is trusted only until its time to live less a margin has gone by since it was last given, by this
machine's monotonic clock: then the attempt is ended, before anybody else may have the card.  May import
``syncd.api``, ``syncd.errors``, ``syncd.log``, ``syncd.core`` and ``syncd.work``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from syncd.api import Workspace
from syncd.core.worker import BEAT_S
from syncd.errors import NotFound, NotOwner, SyncdError
from syncd.log import event
from syncd.ports import Worker, WorkerCard
from syncd.work.attempt import Attempt, Stop

RENEW_SHARE: Final = 1 / 3
MARGIN_SHARE: Final = 1 / 4
MARGIN_MAX_S: Final = 15.0
KILL_SHARE: Final = 0.6
"""Of the margin, so much passes between the two signals at most: nobody of the attempt outlives the lease."""

AWAY_S: Final = 1.0
"""How often a store that is away is asked again."""

_PAUSE_MIN_S: Final = 0.05

T = TypeVar("T")


@dataclass(slots=True)
class Lease:
    """How long an attempt's lease is trusted: since when it stands, and the timer that ends the trust."""

    attempt: Attempt
    ttl_s: float
    given_at: float
    timer: asyncio.TimerHandle | None = None

    def trust(self, given_at: float) -> None:
        """Take over that the lease was given or renewed by a call that began at this monotonic time."""
        self.given_at = given_at
        if self.timer is not None:
            self.timer.cancel()
        if self.ttl_s == math.inf:
            return
        left_s = given_at + self.ttl_s - margin_s(self.ttl_s) - time.monotonic()
        self.timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self._expire)

    def end(self) -> None:
        """Watch no longer."""
        if self.timer is not None:
            self.timer.cancel()

    def _expire(self) -> None:
        attempt = self.attempt
        if attempt.is_reporting:
            return
        event("work.distrusted", id=attempt.card.id, attempt=attempt.card.attempts)
        attempt.kill_after_s = min(attempt.kill_after_s, KILL_SHARE * margin_s(self.ttl_s))
        attempt.stop(Stop.LEASE_LOST)


def margin_s(ttl_s: float) -> float:
    """Return how long before its end a lease is not trusted any more."""
    return min(MARGIN_MAX_S, MARGIN_SHARE * ttl_s)


class Pulse:
    """Renews the leases of a worker and says that it is there.

    Args:
        leases: the running ones; read at every beat.
        wake: called when something turned out that the worker should look at.
    """

    def __init__(
        self,
        workspace: Workspace,
        worker: Worker,
        leases: Mapping[tuple[str, int], Lease],
        wake: Callable[[], None],
    ) -> None:
        self._workspace = workspace
        self._worker = worker
        self._leases = leases
        self._wake = wake
        self._changed = asyncio.Event()
        self._is_away = False
        # A thread of their own: those of the loop may all be waiting for claims and results.
        self._thread = ThreadPoolExecutor(1, "syncd-pulse")

    def tell_change(self) -> None:
        """Have the cards that run now told at once."""
        self._changed.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self._beat()
            except SyncdError as error:
                if not self._is_away:
                    event("store.offline", message=error.message, hint=error.hint)
                self._is_away = True
            else:
                self._is_away = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._changed.wait()

    def _pause_s(self) -> float:
        """Return how long until the next beat: in time for the next renewal, and sooner while the store is away."""
        if self._is_away:
            return AWAY_S
        now = time.monotonic()
        dues = [each.given_at + RENEW_SHARE * each.ttl_s - now for each in self._leases.values()]
        return max(_PAUSE_MIN_S, min([BEAT_S, *dues]))

    async def _beat(self) -> None:
        now = time.monotonic()
        for lease in list(self._leases.values()):
            if not lease.attempt.is_reporting and now >= lease.given_at + RENEW_SHARE * lease.ttl_s:
                await self._renew(lease)
        cards = [
            WorkerCard(each.attempt.card.id, each.attempt.card.attempts, each.attempt.pid, each.attempt.started_at)
            for each in self._leases.values()
        ]
        workers = self._workspace.workers
        if not await self._apart(lambda: workers.beat(self._worker.owner, cards)):
            event("worker.forgotten", owner=self._worker.owner)
            await self._apart(lambda: workers.join_again(self._worker))
            self.tell_change()

    async def _renew(self, lease: Lease) -> None:
        id, number = lease.attempt.key
        began = time.monotonic()
        renew = self._workspace.backlog.renew
        try:
            await self._apart(lambda: renew(id, self._worker.owner, attempt=number))
        except (NotOwner, NotFound):
            lease.attempt.stop(Stop.LEASE_LOST)
            self._wake()
        else:
            lease.trust(began)

    async def _apart(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)
