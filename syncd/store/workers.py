"""The registry of workers in Postgres: who is there, with which cards, and what they are told.

An order is a row that the worker reads at its next beat, and a notification that makes it look at once,
so it reaches any host that reaches the store.  May import ``syncd.ports``, ``syncd.errors`` and the
store's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from syncd.errors import AlreadyExists
from syncd.ports import Orders, Worker, WorkerCard
from syncd.store.changes import require_id, require_storable
from syncd.store.session import Session


class PostgresRegistry:
    """The workers of a session's project.  Implements ``ports.WorkerRegistry``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def join(self, worker: Worker) -> None:
        """Enter a worker.  Raises AlreadyExists when its owner is taken, BadValue."""
        require_id(worker.owner)
        for text in (worker.name, worker.host, worker.machine):
            require_storable(text)
        entered = self._session.fetch(
            "join_worker",
            owner=worker.owner,
            base=worker.name,
            host=worker.host,
            machine=worker.machine,
            pid=worker.pid,
            concurrency=worker.concurrency,
            ttl=worker.ttl_s,
            assigned=worker.takes_assigned,
        )
        if not entered:
            raise AlreadyExists(f"there is a worker {worker.owner} already", hint="syncd workers")

    def beat(self, owner: str, cards: Sequence[WorkerCard]) -> bool:
        """Record that a worker is here with these cards; False when it is not known (any more)."""
        return bool(self._session.fetch("beat_worker", owner=owner, cards=msgspec.json.encode(cards).decode()))

    def orders(self, owner: str) -> Orders | None:
        """Return what a worker is to do and which leases it has; ``None`` when it is not known."""
        rows = self._session.fetch("worker_orders", owner=owner)
        if not rows:
            return None
        must_drain, must_die, by = rows[0][:3]
        return Orders(must_drain, must_die, by, {row[3]: row[4] for row in rows if row[3] is not None})

    def leave(self, owner: str) -> None:
        """Take a worker out; one that is not there is no error."""
        self._session.fetch("leave_worker", owner=owner)

    def workers(self) -> Sequence[Worker]:
        """Return all that are entered, by name and age."""
        return [_worker(row) for row in self._session.fetch("workers")]

    def order_drain(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to claim nothing more and end when their cards are done; return those that were told."""
        return self._told("order_drain", owners, by)

    def order_kill(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to end what they run and themselves at once; return those that were told."""
        return self._told("order_kill", owners, by)

    def _told(self, name: str, owners: Sequence[str], by: str) -> Sequence[str]:
        return sorted(row[0] for row in self._session.fetch(name, owners=list(owners), by=by))


def _worker(row: Sequence[Any]) -> Worker:
    owner, name, host, machine, pid, concurrency, ttl_s, assigned, cards, started_at, seen_at, age_s, *orders = row
    return Worker(
        owner=owner,
        name=name or owner,
        host=host,
        machine=machine,
        pid=pid,
        concurrency=concurrency,
        ttl_s=ttl_s,
        takes_assigned=assigned,
        cards=tuple(_card(each) for each in cards),
        started_at=started_at,
        seen_at=seen_at,
        age_s=age_s,
        drain_requested_at=orders[0],
        kill_requested_at=orders[1],
        requested_by=orders[2],
    )


def _card(found: Mapping[str, Any]) -> WorkerCard:
    started_at = datetime.fromisoformat(found["started_at"])
    return WorkerCard(found["id"], int(found["attempt"]), found["pid"], started_at)
