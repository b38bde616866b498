"""The orchestrator's monitor: assigns cards to workers by rules, and says when nothing can go on.

What it means in terms of the store: to assign a card is to claim it in the name of a worker that takes
assigned cards only, which then finds the lease and runs it.  The ready queue needs no feeding, since the
store's triggers make a card claimable when its last dependency is done.  A card that fails for good is
blocked by the store; the monitor tells of it once.  A deadlock is that open cards are left and none is
claimed, claimable, or will be by time alone.  May import ``syncd.api``, ``syncd.ports``, ``syncd.core``,
``syncd.schemas``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from syncd.api import Workspace
from syncd.core.worker import WorkerState
from syncd.errors import Paused, SyncdError
from syncd.log import event
from syncd.ports import CardFilter, Listener, Worker
from syncd.schemas.card import Card, Status, instant_json
from syncd.schemas.config import Assignment
from syncd.workers import state_of

IDLE_S: Final = 15.0
LOOK_MIN_S: Final = 0.1
RETRY_S: Final = 2.0
NAMED_MAX: Final = 20
DEADLOCK: Final = "queue.deadlock"


class Monitor:
    """Looks at the queue whenever it changes, in a thread of its own, until it is closed.

    Args:
        rules: which cards go to which workers; the first that fits decides.
        announce: tells the events that are not in the store's trail.
    """

    def __init__(
        self, workspace: Workspace, rules: Sequence[Assignment], announce: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._workspace = workspace
        self._rules = rules
        self._announce = announce
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._failed: set[tuple[str, int]] = set()
        self._is_deadlocked = False
        self._thread = threading.Thread(target=self._run, name="syncd-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        listener: Listener | None = None
        try:
            while not self._stopped.is_set():
                self._woken.clear()
                began = time.monotonic()
                pause_s = IDLE_S
                try:
                    if listener is None:
                        listener = self._workspace.workers.listen(self._woken.set, hears_joins=True)
                    due_s = self.look()
                    pause_s = IDLE_S if due_s is None else min(IDLE_S, due_s)
                except SyncdError as error:
                    event("monitor.waiting", message=error.message)
                    pause_s = RETRY_S
                self._woken.wait(pause_s)
                self._stopped.wait(max(0.0, began + LOOK_MIN_S - time.monotonic()))
        finally:
            if listener is not None:
                listener.close()

    def look(self) -> float | None:
        """Look once; return the seconds until time alone makes a card claimable."""
        backlog = self._workspace.backlog
        ready = backlog.list(CardFilter(ready_only=True))
        if self._rules and ready:
            assign(self._workspace, self._rules, ready)
        self._tell_failures(backlog.list(CardFilter(status=Status.BLOCKED)))
        due_s = backlog.next_due_s()
        self._tell_deadlock(is_stuck=not ready and due_s is None)
        return due_s

    def _tell_failures(self, blocked: Sequence[Card]) -> None:
        """Tell, once for each, of the cards whose retries are spent."""
        failed = {(each.id, each.version): each for each in blocked if each.failures and each.last_error}
        for key in failed.keys() - self._failed:
            event("card.failed", level=logging.ERROR, id=key[0], failures=failed[key].failures)
        self._failed = set(failed)

    def _tell_deadlock(self, *, is_stuck: bool) -> None:
        stats = self._workspace.backlog.stats() if is_stuck else None
        is_deadlocked = stats is not None and not stats.counts[Status.CLAIMED] and stats.counts[Status.READY] > 0
        if is_deadlocked and not self._is_deadlocked:
            told = deadlock(self._workspace.backlog.list(CardFilter()))
            event(DEADLOCK, level=logging.ERROR, **told["data"])
            self._announce(told)
        elif self._is_deadlocked and not is_deadlocked:
            event("queue.moving")
        self._is_deadlocked = is_deadlocked


def deadlock(cards: Sequence[Card]) -> dict[str, Any]:
    """Return the event that says what everything left waits for: blocked and unknown cards, or one another."""
    open_ones = {each.id: each for each in cards if each.status is not Status.DONE}
    known = {each.id for each in cards}
    waiting = [each for each in open_ones.values() if each.status is Status.READY]
    blocked = sorted(each.id for each in open_ones.values() if each.status is Status.BLOCKED)
    unknown = sorted({needed for each in waiting for needed in each.depends_on if needed not in known})
    data = {"waiting": len(waiting), "blocked": blocked[:NAMED_MAX], "unknown": unknown[:NAMED_MAX]}
    return {
        "seq": None,
        "at": instant_json(datetime.now(UTC)),
        "type": DEADLOCK,
        "id": None,
        "actor": "monitor",
        "from": None,
        "to": None,
        "data": data,
    }


def assign(workspace: Workspace, rules: Sequence[Assignment], ready: Sequence[Card]) -> list[tuple[str, str]]:
    """Claim cards for the workers that the rules name, as far as these have room; return (card, owner).

    Effects: claims, each its own transaction; a card that somebody else takes first is left to him.
    """
    workers = [each for each in workspace.workers.all() if _takes(each)]
    if not workers:
        return []
    claimed = workspace.backlog.list(CardFilter(status=Status.CLAIMED))
    load = Counter(each.claim_owner for each in claimed)
    given: list[tuple[str, str]] = []
    for card in ready:
        rule = next((each for each in rules if fits(each, card)), None)
        if rule is None:
            continue
        free = [each for each in workers if fnmatchcase(each.name, rule.worker) and load[each.owner] < each.concurrency]
        if not free:
            continue
        chosen = min(free, key=lambda each: (load[each.owner] / each.concurrency, each.owner))
        try:
            taken = workspace.backlog.claim(chosen.owner, chosen.ttl_s, id=card.id)
        except Paused:
            break
        if taken is not None:
            load[chosen.owner] += 1
            given.append((card.id, chosen.owner))
            event("card.assigned", id=card.id, owner=chosen.owner)
    return given


def fits(rule: Assignment, card: Card) -> bool:
    """Return whether a rule is about a card."""
    if rule.phase is not None and not fnmatchcase(card.phase or "", rule.phase):
        return False
    if rule.agent is not None and not fnmatchcase(str(card.extra.get("agent") or ""), rule.agent):
        return False
    return not rule.labels or bool(set(rule.labels) & set(_labels(card)))


def _labels(card: Card) -> Iterator[str]:
    value = card.extra.get("labels") or ""
    words = value if isinstance(value, list | tuple) else re.split(r"[,;\s]+", str(value))
    return (str(each) for each in words if each)


def _takes(worker: Worker) -> bool:
    return worker.takes_assigned and state_of(worker) is WorkerState.RUNNING
