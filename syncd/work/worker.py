"""The worker: as many attempts at once as it may run, each on a card that the store leased to it.

One loop looks at what the worker is told and what it holds, claims what there is room for, and sleeps
until the store, an attempt's end, a signal or the clock wakes it.  Whatever the store says is leased to this
owner is run, also when somebody else made the claim in its name, or the answer to the claim was lost.
May import ``syncd.api``, ``syncd.errors``, ``syncd.log``, ``syncd.ports`` and ``syncd.work``.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from syncd.api import Workspace
from syncd.core.worker import BEAT_S
from syncd.errors import NotFound, Paused, StoreUnreachable
from syncd.log import event
from syncd.ports import CardFilter, Orders, Worker
from syncd.schemas.card import Card, Status
from syncd.work import watchdog
from syncd.work.attempt import Attempt, Stop, Workshop
from syncd.work.pulse import Lease, Pulse
from syncd.work.reporting import report

LOOK_MIN_S: Final = 0.05
"""The store is looked at no more often, however many changes there are."""

_THREADS: Final = 4
"""Beside those in which each attempt waits for its command and reports."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works.

    Args:
        grace_s: how long after SIGTERM running cards may take to finish; then they are released.
        until_done: end when there is nothing left that could be claimed, now or later.
    """

    concurrency: int
    ttl_s: int
    grace_s: float
    until_done: bool = False


@dataclass(slots=True)
class Ending:
    """That and how the worker is to end: drained, with a time limit or none, or at once."""

    by: str
    is_now: bool = False
    deadline: float | None = None


@dataclass(slots=True)
class _Running:
    attempt: Attempt
    lease: Lease
    task: asyncio.Task[None]


@dataclass(slots=True)
class Crew:
    """A worker at work.

    Args:
        workspace: for claims and results.
        pulse_workspace: the same workspace on a connection of its own, for heartbeats.
    """

    workspace: Workspace
    pulse_workspace: Workspace
    worker: Worker
    workshop: Workshop
    rules: Rules
    leases: dict[tuple[str, int], Lease] = field(default_factory=dict)
    _running: dict[tuple[str, int], _Running] = field(default_factory=dict)
    _ended: set[tuple[str, int]] = field(default_factory=set)
    _ending: Ending | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _is_away: bool = False
    _is_idle: bool = False
    _pulse: Pulse | None = None
    _fault: Exception | None = None
    _runs: int = 0

    async def run(self) -> bool:
        """Work until told to end; return whether nothing that could be done is left (with ``until_done``)."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2 * self.rules.concurrency + _THREADS, "syncd-work"))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        listener = self.workspace.workers.listen(wake, owner=self.worker.owner)
        guard = watchdog.start(str(self.workspace.root), self.worker.owner, self.workshop.kill_after_s)
        self._pulse = Pulse(self.pulse_workspace, self.worker, self.leases, self._wake.set)
        beating = asyncio.create_task(self._pulse.run())
        event("worker.started", owner=self.worker.owner, pid=self.worker.pid, concurrency=self.rules.concurrency)
        is_in_order = False
        try:
            found = await self._work()
            is_in_order = True
        finally:
            listener.close()
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            await self._leave(guard, is_in_order=is_in_order)
        return found

    async def _leave(self, guard: subprocess.Popen[bytes], *, is_in_order: bool) -> None:
        """Take the worker out; what it could not end and give back itself is left to the watchdog."""
        if is_in_order:
            with suppress(StoreUnreachable):
                await asyncio.to_thread(self.workspace.workers.leave, self.worker.owner)
            await asyncio.to_thread(watchdog.say_goodbye, guard)
        elif guard.stdin is not None:
            guard.stdin.close()
        event("worker.stopped", owner=self.worker.owner)

    async def _work(self) -> bool:
        while True:
            self._wake.clear()
            looked_at = time.monotonic()
            await self._look()
            if self._fault is not None:
                raise self._fault
            if self._ending is None and await self._claim():
                continue
            if not self._running and (self._ending is not None or self._is_idle):
                return not self._is_idle or await self._is_all_done()
            self._enforce()
            pause_s = await self._pause_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            # Many changes at once are one reason to look.
            await asyncio.sleep(max(0.0, looked_at + LOOK_MIN_S - time.monotonic()))

    # --- what the store says ----------------------------------------------------------------------

    async def _look(self) -> None:
        """Take over what the worker is told and which leases it has."""
        orders = await self._ask(lambda: self.workspace.workers.orders(self.worker.owner))
        if orders is None:
            return
        self._obey(orders)
        self._ended &= set(orders.leases.items())
        for key, each in list(self._running.items()):
            if orders.leases.get(key[0]) != key[1] and not each.attempt.is_reporting:
                each.attempt.stop(Stop.LEASE_LOST)
        for id, number in orders.leases.items():
            if (id, number) not in self._ended and (id, number) not in self._running:
                await self._adopt(id, number)

    def _obey(self, orders: Orders) -> None:
        by = orders.requested_by or "the store"
        if orders.must_die and not (self._ending and self._ending.is_now):
            event("worker.killed", by=by)
            self._ending = Ending(by, is_now=True)
        elif orders.must_drain and self._ending is None:
            event("worker.draining", by=by)
            self._ending = Ending(by)

    async def _adopt(self, id: str, number: int) -> None:
        """Run a card that is leased to this worker although it does not run: assigned, or claimed unheard."""
        if self._free <= 0 or self._ending is not None:
            if self._ending is not None:
                await self._ask(lambda: self.workspace.backlog.release(id, self.worker.owner, attempt=number))
            return
        began = time.monotonic()
        with suppress(NotFound):
            # Renewed, so that it is known from when on its time counts.
            card = await self._ask(lambda: self.workspace.backlog.renew(id, self.worker.owner, attempt=number))
            if card is not None:
                self._start(card, began)

    async def _claim(self) -> bool:
        """Claim what there is room for; return whether there was something."""
        self._is_idle = False
        if self._free <= 0 or self.worker.takes_assigned:
            return False
        began = time.monotonic()
        ttl_s, free = self.rules.ttl_s, self._free
        claim = self.workspace.backlog.claim_many
        cards = await self._ask(lambda: claim(self.worker.owner, ttl_s, count=free))
        for card in cards or ():
            self._start(card, began)
        if cards is not None and not cards and self.rules.until_done and not self._running:
            self._is_idle = await self._is_nothing_to_come()
        return bool(cards)

    async def _is_nothing_to_come(self) -> bool:
        """Return whether no card is claimed by anybody, can be claimed, or will be by time alone.

        Counted before and after: a card that was claimed and done meanwhile may have made another claimable.
        """
        backlog = self.workspace.backlog
        before = await self._ask(backlog.stats)
        if before is None or before.counts[Status.CLAIMED] or before.paused:
            return False
        claimable = await self._ask(lambda: backlog.list(CardFilter(ready_only=True, limit=1)))
        due_s = await self._ask(backlog.next_due_s)
        after = await self._ask(backlog.stats)
        if self._is_away or after is None:
            return False
        return not claimable and due_s is None and after.counts == before.counts

    async def _is_all_done(self) -> bool:
        stats = await self._ask(self.workspace.backlog.stats)
        left = None if stats is None else {each: stats.counts[each] for each in (Status.READY, Status.BLOCKED)}
        if left is None or any(left.values()):
            event("worker.left_over", **(left or {}))
            return False
        return True

    async def _ask(self, question: Callable[[], Any]) -> Any:
        """Return the store's answer; ``None`` while it is away or the queue is paused."""
        try:
            answer = await asyncio.to_thread(question)
        except Paused:
            return None
        except StoreUnreachable as error:
            if not self._is_away:
                event("store.offline", message=error.message, hint=error.hint)
            self._is_away = True
            return None
        if self._is_away:
            event("store.back")
        self._is_away = False
        return answer

    async def _pause_s(self) -> float:
        """Return how long to sleep at most: until a card is due, a limit is reached, or a beat's time has gone by."""
        dues = [BEAT_S]
        if self._is_away:
            dues.append(1.0)
        elif self._ending is None and self._free > 0 and not self.worker.takes_assigned:
            due_s = await self._ask(self.workspace.backlog.next_due_s)
            dues += [] if due_s is None else [due_s + 0.001]
        if self._ending is not None and self._ending.deadline is not None:
            dues.append(self._ending.deadline - time.monotonic())
        return max(0.0, min(dues))

    # --- attempts ---------------------------------------------------------------------------------

    @property
    def _free(self) -> int:
        return self.rules.concurrency - len(self._running)

    def _start(self, card: Card, given_at: float) -> None:
        self._runs += 1
        assert self._pulse is not None
        attempt = Attempt(card, self.workshop, f"{self.worker.owner}~{self._runs}", on_start=self._pulse.tell_change)
        ttl_s = card.claim_ttl_seconds or float("inf")
        lease = Lease(attempt, ttl_s, given_at)
        lease.trust(given_at)
        self.leases[attempt.key] = lease
        task = asyncio.create_task(self._carry_out(attempt))
        self._running[attempt.key] = _Running(attempt, lease, task)
        event("work.started", id=card.id, attempt=card.attempts)

    async def _carry_out(self, attempt: Attempt) -> None:
        """Run one attempt and tell the store how it ended."""
        try:
            outcome = await attempt.run()
            attempt.is_reporting = True
            await report(self.workspace.backlog, attempt, outcome, lambda: not (self._ending and self._ending.is_now))
        except Exception as error:  # noqa: BLE001 - raised again by the loop, which ends the worker
            self._fault = error
        finally:
            self._ended.add(attempt.key)
            self.leases.pop(attempt.key).end()
            del self._running[attempt.key]
            if self._pulse is not None:
                self._pulse.tell_change()
            self._wake.set()

    # --- the end ----------------------------------------------------------------------------------

    def _on_signal(self) -> None:
        """The first signal lets running cards finish, for a while; the second releases them."""
        if self._ending is None:
            event("worker.draining", by="a signal", grace_s=self.rules.grace_s)
            self._ending = Ending("a signal", deadline=time.monotonic() + self.rules.grace_s)
        elif self._ending.deadline is None:
            self._ending.deadline = time.monotonic() + self.rules.grace_s
        else:
            self._ending.is_now = True
        self._wake.set()

    def _enforce(self) -> None:
        """Release what still runs when the worker's time is over."""
        ending = self._ending
        if ending is None:
            return
        if ending.deadline is not None and time.monotonic() >= ending.deadline:
            ending.is_now = True
        if ending.is_now:
            for each in self._running.values():
                each.attempt.stop(Stop.RELEASE)
