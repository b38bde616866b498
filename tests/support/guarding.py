"""A workspace of one file with agreed cards, which a test changes on either side and shows to the guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from syncd.core.guard import guard
from syncd.core.plan import BaseCard, FieldName, LocalCard, Plan, Policy, RemoteCard
from syncd.core.reconcile import reconcile
from syncd.core.sight import FileSight, Guarded, OwnWrite, Side, Sight, Thresholds
from syncd.schemas.card import Value

PATH = "TASKS.md"
THRESHOLDS = Thresholds()


def card_fields(at: int, **fields: Value) -> dict[str, Value]:
    """The fields of card A<at>."""
    return {"title": f"Task {at}", "status": "ready", "priority": 1, "dependsOn": (), **fields}


class Desk:
    """A workspace of one file with ``count`` agreed cards, which a test changes on either side."""

    def __init__(self, count: int) -> None:
        ids = {f"A{at}": card_fields(at) for at in range(1, count + 1)}
        self.base = {id: BaseCard(id, fields, 1, PATH) for id, fields in ids.items()}
        self.local = {id: LocalCard(id, fields, PATH) for id, fields in ids.items()}
        self.remote = {id: RemoteCard(id, fields, 1, path=PATH) for id, fields in ids.items()}
        self.file = FileSight(PATH)
        self.policy = Policy()

    def edit(self, id: str, **fields: Value) -> None:
        """Change a row."""
        self.local[id] = replace(self.local[id], fields={**self.local[id].fields, **fields})

    def store_edit(self, id: str, **fields: Value) -> None:
        """Change a card in the store."""
        card = self.remote[id]
        self.remote[id] = replace(card, fields={**card.fields, **fields}, version=card.version + 1)

    def drop(self, *ids: str) -> None:
        """Take rows out of the file."""
        for id in ids:
            del self.local[id]

    def swings(self, id: str, name: FieldName, values: Sequence[Value]) -> tuple[OwnWrite, ...]:
        """What syncd wrote of a field when it sent these values to the file and to the store by turns."""
        sides: tuple[Side, Side] = ("file", "store")
        return tuple(OwnWrite(id, name, sides[at % 2], value) for at, value in enumerate(values))

    def plan(self) -> Plan:
        """Reconcile what there is."""
        return reconcile(self.base, self.local, self.remote, self.policy)

    def look(self, decisions: Mapping[str, str] | None = None, **facts: object) -> Guarded:
        """Reconcile and guard."""
        sight = Sight(self.base, self.local, self.remote, {PATH: self.file}, self.policy, **facts)  # type: ignore[arg-type]
        return guard(self.plan(), sight, THRESHOLDS, decisions or {})


def decide(guarded: Guarded, decision: str) -> dict[str, str]:
    """Say the same of every hold."""
    return {hold.fingerprint: decision for hold in guarded.holds}


def ids(count: int) -> list[str]:
    """The ids of the first cards."""
    return [f"A{at}" for at in range(1, count + 1)]
