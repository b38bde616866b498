"""The registry of workers of a store that can be away: the database's, or the one beside the files meanwhile.

A worker that the other registry does not know enters itself again with its next beat, so nothing is carried over.
Workers of other hosts are not heard of while the database is away.
May import ``syncd.ports`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from syncd.ports import KeepsWorkers, Orders, Store, Worker, WorkerCard, WorkerRegistry
from syncd.store.failover_missions import Runner

T = TypeVar("T")


class FailoverRegistry:
    """Satisfies ``ports.WorkerRegistry``.

    Args:
        run: does work where the cards are now.
        beside: the registry beside the files.
        standin: the store on what stands in for the database.
    """

    def __init__(self, run: Runner, beside: WorkerRegistry, standin: Store) -> None:
        self._run = run
        self._beside = beside
        self._standin = standin

    def join(self, worker: Worker) -> None:
        """Enter a worker.  Raises AlreadyExists when its owner is taken."""
        self._at(lambda registry: registry.join(worker))

    def beat(self, owner: str, cards: Sequence[WorkerCard]) -> bool:
        """Record that a worker is here with these cards; False when it is not known (any more)."""
        return self._at(lambda registry: registry.beat(owner, cards))

    def orders(self, owner: str) -> Orders | None:
        """Return what a worker is to do; ``None`` when it is not known."""
        return self._at(lambda registry: registry.orders(owner))

    def leave(self, owner: str) -> None:
        """Take a worker out, of where it was while the database was away, too."""
        self._beside.leave(owner)
        self._at(lambda registry: registry.leave(owner))

    def workers(self) -> Sequence[Worker]:
        """Return all that are entered, by name and age; those of this machine while the database is away."""
        return self._at(lambda registry: registry.workers())

    def order_drain(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to claim nothing more and end when their cards are done; return those that were told."""
        return self._at(lambda registry: registry.order_drain(owners, by))

    def order_kill(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to end what they run and themselves at once; return those that were told."""
        return self._at(lambda registry: registry.order_kill(owners, by))

    def _at(self, work: Callable[[WorkerRegistry], T]) -> T:
        return self._run(
            lambda store: work(self._beside if store is self._standin else cast(KeepsWorkers, store).registry)
        )
