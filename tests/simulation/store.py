"""The store of a simulated world: the store in memory, with other writers, cuts, and backups.

Foreign transactions take their number when they begin and show their rows when they commit, so numbers
become visible out of order, as Postgres' transaction ids do.  A backup that is restored is another
history: rows as they were, and a new epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from syncd.errors import StoreUnreachable
from syncd.ports import Batch, BatchResult, Cursor, Feed
from syncd.schemas.card import Card, Status
from syncd.store.changes import is_leased, removed
from tests.support.memory_store import MemoryDatabase, MemoryStore

PROJECT = "default"

Committed = Callable[[str, Mapping[str, Card], Mapping[str, Card]], None]
"""Told who committed, and the rows before and after."""


@dataclass
class Transaction:
    """A foreign transaction under way: its number, and what it will have done."""

    number: int
    deeds: list[Callable[[], None]] = field(default_factory=list)


class SimulatedDatabase(MemoryDatabase):
    """Rows, history and backups, shared by all stores of a world.

    Args:
        committed: told of each transaction that changed rows.
    """

    def __init__(self, committed: Committed) -> None:
        super().__init__(epoch="history-1")
        self._committed = committed
        self._open: list[Transaction] = []
        self._writing_as: int | None = None
        self._backup: Any = None
        self.histories = 1
        self.out_of_reach_of: set[str] = set()
        """The working copies that cannot reach it."""

    @property
    def cards(self) -> Mapping[str, Card]:
        """The rows, tombstones too."""
        return self.project(PROJECT).cards

    @property
    def stamp(self) -> int:
        """Where the feed is read on: the oldest transaction that is still under way."""
        return min((each.number for each in self._open), default=self._stamp)

    def write(self, project: str, cards: Iterable[Card]) -> None:
        before = dict(self.project(project).cards)
        super().write(project, cards)
        if self._writing_as is not None:
            rows = self.project(project)
            for id, card in rows.cards.items():
                if before.get(id) != card and rows.stamps[id] == self._stamp - 1:
                    rows.stamps[id] = self._writing_as

    def as_writer(self, who: str, work: Callable[[], None]) -> None:
        """Do some statements as one transaction, and tell of it."""
        before = dict(self.cards)
        work()
        if before != self.cards:
            self._committed(who, before, dict(self.cards))

    def begin(self) -> Transaction:
        """Begin a foreign transaction: it has its number from now on."""
        transaction = Transaction(self._stamp)
        self._stamp += 1
        self._open.append(transaction)
        return transaction

    def end(self, who: str, transaction: Transaction) -> None:
        """Commit it: its rows appear under its old number."""
        self._writing_as = transaction.number

        def work() -> None:
            for deed in transaction.deeds:
                deed()

        try:
            self.as_writer(who, work)
        finally:
            self._writing_as = None
            self._open.remove(transaction)

    def back_up(self) -> None:
        """Keep a copy of everything."""
        self._backup = copy.deepcopy((self._projects, self._stamp))

    def restore(self, who: str) -> bool:
        """Go back to the copy, as another history; return whether there is one."""
        if self._backup is None or self._open:
            return False
        before = dict(self.cards)
        self._projects, self._stamp = copy.deepcopy(self._backup)
        self.histories += 1
        self.epoch = f"history-{self.histories}"
        self._committed(who, before, dict(self.cards))
        return True

    def set(self, id: str, **columns: Any) -> None:
        """Update a live row as plain SQL does; an absent one stays absent."""
        card = self.cards.get(id)
        if card is not None and card.is_live:
            self.write(PROJECT, [replace(card, **columns)])

    def tombstone(self, id: str) -> None:
        """Delete a row as the service does."""
        card = self.cards.get(id)
        if card is not None and card.is_live:
            self.write(PROJECT, [removed(card, self.now)])


class SimulatedStore(MemoryStore):
    """What one working copy's process sees of the database, through a connection that can be cut.

    Args:
        hook: called before each call; what it raises, the call raises.
        lost_after: whether the connection is cut when a commit is done, but not answered.
    """

    def __init__(
        self,
        database: SimulatedDatabase,
        replica: str,
        hook: Callable[[str, str], None],
        lost_after: Callable[[], bool],
    ) -> None:
        super().__init__(database, PROJECT, replica)
        self._simulated = database
        self._ask = hook
        self._lost_after = lost_after

    def read(self, cursor: Cursor | None) -> Feed:
        self._call("read")
        return super().read(cursor)

    def commit(self, batch: Batch) -> BatchResult:
        self._call("commit")
        found: list[BatchResult] = []
        self._simulated.as_writer(f"syncd {self.replica}", lambda: found.append(MemoryStore.commit(self, batch)))
        if self._lost_after():
            raise StoreUnreachable("the connection was cut at COMMIT")
        return found[0]

    def has_commit(self, commit_id: str) -> bool:
        self._call("has_commit")
        return super().has_commit(commit_id)

    def left_out(self, commit_id: str) -> frozenset[str]:
        self._call("left_out")
        return super().left_out(commit_id)

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        self._call("reserve_ids")
        return super().reserve_ids(prefix, count, floor)

    def _call(self, deed: str) -> None:
        self._ask(deed, "")
        if self.replica in self._simulated.out_of_reach_of:
            raise StoreUnreachable("the store is out of reach")


def live_lease(card: Card, database: MemoryDatabase) -> str | None:
    """Return who holds a card's live lease."""
    return card.claim_owner if card.status is Status.CLAIMED and is_leased(card, database.now) else None


def some_backup(database: SimulatedDatabase, rng: Random) -> None:
    """Take a backup now and then."""
    if rng.random() < 0.5:
        database.back_up()
