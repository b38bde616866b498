"""What the clients of the claim bench do: each kind of operation on a connection of its own.

Kinds, all in the same database: ``floor`` (a single-row update with commit), ``claim`` and ``job`` (claim and
complete) by syncd's own store, ``bare`` (the statements of ``job`` on a table without triggers, sent the same
way), ``plain`` (the statement that looks through the dependency lists), and the jobs of other queues (``rivals``).
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from typing import Any, Final

import psycopg

from syncd.store.lane import Lane
from syncd.store.postgres import PostgresStore
from syncd.store.queries import query
from syncd.store.session import connect
from tests.bench import rivals

SLICE_S: Final = 0.1
READY_MAX_S: Final = 60.0
FLOOR_TRIES: Final = 50
"""The floor takes no card, so it may run longer than what does: this many times as often."""
WARM_UP: Final = 8
"""So many operations of each kind come before what is measured: the first six of a statement are planned anew."""

PLAIN: Final = """
update bench_bare set status = 'claimed', claim_owner = %(owner)s, claimed_at = now(), attempts = attempts + 1
where id = (
    select c.id from bench_bare c where c.status = 'ready' and not exists (
        select from jsonb_array_elements_text(c.depends_on) d
        left join bench_bare n on n.id = d where n.status is distinct from 'done')
    order by c.priority desc, c.created_at for update skip locked limit 1)
returning id"""


@dataclass(frozen=True)
class Task:
    """What one client is to do: kinds of operation in turns."""

    kinds: Sequence[str]
    dsn: str
    cards: int
    clients: int
    number: int
    seconds: float

    @property
    def tries(self) -> int:
        """How often a client may do what takes a card, so that two kinds and all clients leave some over."""
        return max(1, self.cards // 4 // self.clients - WARM_UP)


class Gate:
    """Where clients wait until all are ready; gives them one instant to begin at."""

    def __init__(self, context: SpawnContext, clients: int) -> None:
        self._began_at = context.Value("d", 0.0)
        self._barrier = context.Barrier(clients, timeout=READY_MAX_S)

    def passed(self) -> float:
        """Return when all begin, on the clock of ``time.monotonic``."""
        if self._barrier.wait() == 0:
            self._began_at.value = time.monotonic()
        self._barrier.wait()
        return float(self._began_at.value)


_gate: Gate | None = None


def come(gate: Gate) -> None:
    """Be a process that works for a bench."""
    global _gate
    _gate = gate


def work(task: Task) -> list[list[float]]:
    """Be one client: do a slice of each kind in turns; return the seconds that each operation took, by kind.

    All clients change at the same instants, so that each kind meets only its own like, and what else the machine
    does in that time meets all.
    """
    with ExitStack() as life:
        operations = [_operation(kind, task, life) for kind in task.kinds]
        took_s: list[list[float]] = [[] for _ in task.kinds]
        limits = [task.tries * (FLOOR_TRIES if kind == "floor" else 1) for kind in task.kinds]
        is_over = [False] * len(task.kinds)
        for _, operation in itertools.product(range(WARM_UP), operations):
            operation()
        assert _gate is not None
        began_at = _gate.passed()
        deadline = began_at + task.seconds * len(task.kinds)
        while (now := time.monotonic()) < deadline and not all(is_over[1:]):
            turn = int((now - began_at) / SLICE_S) % len(task.kinds)
            if is_over[turn]:
                time.sleep(SLICE_S / 20)
                continue
            started = time.perf_counter()
            if operations[turn]():
                took_s[turn].append(time.perf_counter() - started)
            is_over[turn] = len(took_s[turn]) >= limits[turn]
        return took_s


def _operation(kind: str, task: Task, life: ExitStack) -> Callable[[], object]:
    owner = f"worker-{task.number}"
    match kind:
        case "floor" | "plain":
            link = life.enter_context(closing(psycopg.connect(task.dsn, autocommit=True, prepare_threshold=2)))
            if kind == "plain":
                return lambda: link.execute(PLAIN, {"owner": owner}).fetchall()
            places = iter(range(task.number * 7919, sys.maxsize, 7))
            update = "update bench_floor set n = n + 1 where id = %s returning n"
            return lambda: link.execute(update, [f"C{next(places) % task.cards + 1}"]).fetchall()
        case "claim" | "job":
            store = PostgresStore(task.dsn, project="default", actor=owner, face="bench", replica="bench")
            life.callback(store.close)
            store.stats()
            return (lambda: store.claim(owner, 600)) if kind == "claim" else lambda: _job(store, owner)
        case "bare":
            return _bare(Lane(life.enter_context(closing(connect(task.dsn))), bare_query), owner)
        case _:
            return rivals.operation(kind, task.dsn, life)


def _job(store: PostgresStore, owner: str) -> object:
    for card in store.claim(owner, 600):
        return store.complete(card.id, owner=owner, attempt=card.attempts)
    return None


def bare_query(name: str) -> str:
    """Return a query of the store as it is for the table without triggers."""
    return query(name).replace(" backlog b", " bench_bare b").replace("from backlog\n", "from bench_bare\n")


def _bare(lane: Lane, owner: str) -> Callable[[], object]:
    """Return what a job does, on the table without triggers, by syncd's own statements on the same short way."""
    given: dict[str, Any] = {"project": "default", "owner": owner, "ttl": 600}

    def job() -> object:
        for row in lane.fetch("claim", given):
            return lane.fetch("complete", {**given, "id": row[0], "attempt": None})
        return None

    return job
