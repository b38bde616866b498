"""The other writers of the store: a service with plain SQL, and workers that take leases."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from syncd.schemas.card import Card, Status
from tests.simulation.editors import Values
from tests.simulation.store import PROJECT, SimulatedDatabase, Transaction
from tests.simulation.table import PHASES


class Service:
    """Acts on the store when the scheduler says so; its transactions may end in another order than they began."""

    def __init__(self, database: SimulatedDatabase, rng: Random, values: Values) -> None:
        self._database = database
        self._rng = rng
        self._values = values
        self._transactions: list[Transaction] = []

    def finish_all(self) -> None:
        """Commit what is under way."""
        while self._transactions:
            self._database.end("service", self._transactions.pop())

    def act(self) -> None:
        """Make one statement, begin or end a transaction, or take or give back a lease."""
        deed = self._rng.choice(("now", "now", "now", "begin", "end", "claim", "finish"))
        if deed == "begin" and len(self._transactions) < 2:
            self._transactions.append(self._database.begin())
        elif deed == "end" and self._transactions:
            transaction = self._transactions.pop(self._rng.randrange(len(self._transactions)))
            transaction.deeds += [self._statement() for _ in range(self._rng.randrange(1, 3))]
            self._database.end("service", transaction)
        elif deed == "claim":
            self._database.as_writer("worker", self._claim)
        elif deed == "finish":
            self._database.as_writer("worker", self._finish)
        else:
            self._database.as_writer("service", self._statement())

    def _statement(self) -> Callable[[], None]:
        """Return one statement of a foreign writer, values drawn already."""
        ids = sorted(id for id, card in self._database.cards.items() if card.is_live)
        if not ids or self._rng.random() < 0.1:
            new = self._new_card()
            return lambda: self._database.write(PROJECT, [new])
        id = self._rng.choice(ids)
        deed = self._rng.choice(("title", "priority", "note", "status", "deps", "phase", "delete"))
        columns: dict[str, Any]
        match deed:
            case "delete" if self._rng.random() < 0.5:
                return lambda: self._database.tombstone(id)
            case "title":
                columns = {"title": self._values.text("t")}
            case "note":
                columns = {"extra": {**self._database.cards[id].extra, "note": self._values.text("n")}}
            case "status":
                status = self._rng.choice((Status.READY, Status.BLOCKED, Status.DONE))
                columns = {"status": status, "claim_owner": None, "claim_ttl_seconds": None, "claimed_at": None}
            case "deps":
                columns = {"depends_on": (*self._database.cards[id].depends_on, self._values.text("X"))}
            case "phase":
                columns = {"phase": self._rng.choice(PHASES)}
            case _:
                columns = {"priority": self._values.number()}
        return lambda: self._database.set(id, **columns)

    def _new_card(self) -> Card:
        return Card(
            id=self._values.text("S"),
            title=self._values.text("t"),
            priority=self._values.number(),
            created_at=self._database.now,
        )

    def _claim(self) -> None:
        self._database.store().claim(self._rng.choice(("w1", "w2")), self._rng.choice((None, 1, 30)))

    def _finish(self) -> None:
        store = self._database.store()
        mine = [card for card in self._database.cards.values() if card.claim_owner in ("w1", "w2") and card.is_live]
        if mine:
            card = self._rng.choice(mine)
            self._rng.choice((lambda: store.complete(card.id), lambda: store.release(card.id, str(card.claim_owner))))()
