"""The audit trail as it grows, read from the store while others write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import psycopg

from syncd.core.history import HistoryEntry
from syncd.engine.following import follow
from syncd.ports import NewCard
from tests.support.migrated import Database


def ids(entries: Iterator[HistoryEntry], count: int) -> list[tuple[str, int]]:
    """Return the card and version of the next entries."""
    return [(entry.id, entry.version) for entry in islice(entries, count)]


def test_a_long_transaction_neither_hides_nor_repeats(database: Database) -> None:
    """While a transaction is open, later ones come at once and each once; its own entries come when it commits."""
    with closing(database.store()) as store, psycopg.connect(database.dsn) as long:
        for id in ("A1", "A2", "A3"):
            store.create(NewCard(id=id, title=id))
        long.execute("update backlog set title = 'Slow' where id = 'A1'")
        store.update("A2", {"title": "Before"})
        with closing(follow(store, None, 1)) as entries:
            assert ids(entries, 1) == [("A2", 2)]
            store.update("A2", {"title": "Quick"})
            assert ids(entries, 1) == [("A2", 3)]
            store.update("A3", {"title": "Quick"})
            assert ids(entries, 1) == [("A3", 2)]
            long.commit()
            assert ids(entries, 1) == [("A1", 2)]
            store.update("A1", {"title": "Last"})
            assert ids(entries, 1) == [("A1", 3)]


def test_one_card_is_followed_alone(database: Database) -> None:
    """Following a card shows its changes, and no others'."""
    with closing(database.store()) as store:
        for id in ("A1", "A2"):
            store.create(NewCard(id=id, title=id))
        with closing(follow(store, "A2", 5)) as entries:
            assert ids(entries, 1) == [("A2", 1)]
            store.update("A1", {"title": "Not this"})
            store.update("A2", {"title": "This"})
            assert ids(entries, 1) == [("A2", 2)]
