"""The drift report: what differs while no cycle runs, field by field, and where it would go.

It is the plan, read aloud.  May import ``syncd.core``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from syncd.core.plan import BaseCard, Change, ChangeKind, FieldName, Hold, LocalCard, Plan, RemoteCard, Winner
from syncd.core.sight import STORE
from syncd.core.values import is_same
from syncd.schemas.card import Value


class Direction(StrEnum):
    """Where a difference goes."""

    TO_STORE = "to-store"
    TO_FILE = "to-file"
    CONFLICT = "conflict"
    HELD = "held"


class DriftEntry(msgspec.Struct, frozen=True):
    """One difference.  ``field`` is ``None`` for a card that only one side shows; ``line`` counts from 1."""

    id: str
    field: FieldName | None
    base: Value
    local: Value
    remote: Value
    direction: Direction
    path: str | None
    line: int | None


def drift(
    base: Mapping[str, BaseCard],
    local: Mapping[str, LocalCard],
    remote: Mapping[str, RemoteCard],
    plan: Plan,
    holds: Sequence[Hold],
) -> tuple[DriftEntry, ...]:
    """Return what differs between the files and the store.

    Args:
        plan: what ``reconcile`` says of these three, before the guards take anything out
            (``Guarded.planned``).
        holds: what the guards keep back.

    Returns:
        At most one entry for each card, field and direction, in the plan's order; none when in sync.
    """
    clashes = {(each.id, each.field) for each in plan.conflicts}
    undecided = [(each.id, each.field, Direction.CONFLICT) for each in plan.conflicts if each.winner is Winner.NONE]
    found = [
        (change.id, name, direction)
        for changes, direction in ((plan.to_store, Direction.TO_STORE), (plan.to_file, Direction.TO_FILE))
        for change in changes
        for name in _names(change)
    ]
    paths = {change.id: change.path for change in (*plan.to_file, *plan.to_store)}
    held = _Held(holds)
    entries: dict[tuple[str, FieldName | None, Direction], DriftEntry] = {}
    for id, name, direction in (*found, *undecided):
        path = local[id].path if id in local else paths.get(id)
        if held.covers(id, name, path):
            direction = Direction.HELD
        elif (id, name) in clashes:
            direction = Direction.CONFLICT
        known, here, there = (_value(cards.get(id), name) for cards in (base, local, remote))
        line = local[id].line if id in local else None
        if name is None or not is_same(name, here, there):
            entries[id, name, direction] = DriftEntry(id, name, known, here, there, direction, path, line)
    return tuple(entries.values())


class _Held:
    """Which cards, fields and files are held."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._fields: dict[str, set[FieldName]] = {}
        self._whole: set[str] = set()
        for hold in holds:
            if hold.fields:
                self._fields.setdefault(hold.id, set()).update(hold.fields)
            else:
                self._whole.add(hold.id)

    def covers(self, id: str, name: FieldName | None, path: str | None) -> bool:
        """Return whether a hold keeps this difference: on the card, its field, its file, or the store."""
        subjects = (id, path or id, STORE)
        return any(each in self._whole or name in self._fields.get(each, ()) for each in subjects)


def _names(change: Change) -> Iterator[FieldName | None]:
    """Yield what a change is about: its fields, or the card as a whole; a mere move is no difference."""
    if change.kind in (ChangeKind.UPDATE, ChangeKind.CLAIM):
        yield from change.fields
    else:
        yield None


def _value(card: BaseCard | LocalCard | RemoteCard | None, name: FieldName | None) -> Value:
    """Return a card's value of a field; nothing where either is missing."""
    return None if card is None or name is None else card.fields.get(name)
