"""What accepting and what rejecting a hold will do, counted: so that a person decides about numbers.

Nothing is foretold by guess: each side of a choice is made as the guards would carry it out, and counted.
May import ``syncd.core``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol

from msgspec.structs import replace

from syncd.core.parts import Part, split
from syncd.core.plan import Change, ChangeKind, Conflict, Deed, DeedKind, FieldName, Hold, Noun, Plan, Presence
from syncd.core.reversal import offered, undone
from syncd.core.sight import Sight
from syncd.core.trips import EMPTIED, MARKERS, PING_PONG, STORE_REWOUND, Trip


class _Change(Protocol):
    """What a change of a card and a change of a mission's record have in common."""

    @property
    def kind(self) -> ChangeKind: ...

    @property
    def fields(self) -> Collection[FieldName]: ...


def accepted(taken: Plan, holds: Collection[Hold], sight: Sight) -> Plan:
    """Return what accepting these holds of one guard carries out of the part that they held.

    A store that went back, or that keeps undoing a field, is offered what the files say.
    """
    is_offer = any(hold.guard in (STORE_REWOUND, PING_PONG) for hold in holds)
    return offered(taken, sight) if is_offer else taken


def with_outlook(trips: Sequence[Trip], taken: Plan, sight: Sight) -> list[Hold]:
    """Return the holds of one guard's trips, each with what accepting and what rejecting it would do.

    Args:
        taken: what the plan would do with the parts of all these trips.
    """
    pieces = _Pieces(taken)
    told = []
    for trip in trips:
        if trip.hold is None:
            continue
        gone = pieces.row_gone(trip.parts, sight)
        told.append(_of_row_gone(trip.hold, gone) if gone else _with_outlook(trip, trip.hold, pieces, sight))
    return told


def deeds_of(to_store: Iterable[Change], to_file: Iterable[Change]) -> tuple[Deed, ...]:
    """Return what changes of cards amount to: one deed for each side, kind and file."""
    places: dict[str | None, list[Change]] = defaultdict(list)
    for change in to_file:
        places[change.path].append(change)
    found = list(counted(to_store, "card", path=None))
    for path, changes in places.items():
        found += counted(changes, "row", path=path)
    return tuple(found)


def counted(changes: Iterable[_Change], noun: Noun, *, path: str | None) -> Iterator[Deed]:
    """Yield the changes of one side by their kind; ``path`` is the file, ``None`` for the store."""
    groups: dict[ChangeKind, list[_Change]] = defaultdict(list)
    for change in changes:
        groups[change.kind].append(change)
    for kind, group in groups.items():
        is_edit = kind is ChangeKind.UPDATE
        fields = dict.fromkeys(name for each in group for name in each.fields) if is_edit else ()
        yield Deed(DeedKind(kind.value), len(group), noun, path, tuple(fields))


def _of_row_gone(hold: Hold, gone: Change) -> Hold:
    """Return the hold on a row that vanished: the short way of what may be told of thousands at once."""
    return replace(hold, accepting=_one(gone.kind, "card", None), rejecting=_one(ChangeKind.CREATE, "row", gone.path))


@cache
def _one(kind: ChangeKind, noun: Noun, path: str | None) -> tuple[Deed, ...]:
    return (Deed(DeedKind(kind.value), 1, noun, path),)


def _with_outlook(trip: Trip, hold: Hold, pieces: _Pieces, sight: Sight) -> Hold:
    accepting = rejecting = None
    piece = pieces.of(trip.parts)
    if trip.may_pass:
        plan = accepted(piece, [hold], sight)
        accepting = deeds_of(plan.to_store, plan.to_file)
    if trip.may_undo:
        rejecting = _rejecting(hold, piece, sight)
    return replace(hold, accepting=accepting, rejecting=rejecting)


def _rejecting(hold: Hold, piece: Plan, sight: Sight) -> tuple[Deed, ...]:
    if hold.guard == MARKERS:
        return (Deed(DeedKind.PUT_BACK, _cards_in(hold.id, sight), "row", hold.id),)
    plan = undone(piece, [hold], sight)
    if hold.guard == EMPTIED:
        return (Deed(DeedKind.PUT_BACK, len(plan.to_file), "row", hold.id),)
    return deeds_of(plan.to_store, plan.to_file)


def _cards_in(path: str, sight: Sight) -> int:
    """Return how many live cards stand in a file, or stood in it and stand in no other."""
    live = (id for id, card in sight.remote.items() if card.presence is Presence.LIVE)
    places = (sight.local.get(id) or sight.base.get(id) for id in live)
    return sum(1 for place in places if place is not None and place.path == path)


class _Pieces:
    """A plan by card, so that many trips find their parts without each going through all of it."""

    def __init__(self, plan: Plan) -> None:
        self._to_store = {each.id: each for each in plan.to_store}
        self._to_file = {each.id: each for each in plan.to_file}
        self._conflicts: dict[str, list[Conflict]] = defaultdict(list)
        for conflict in plan.conflicts:
            self._conflicts[conflict.id].append(conflict)

    def row_gone(self, parts: Sequence[Part], sight: Sight) -> Change | None:
        """Return the change of a part that is nothing but a row that vanished, of a card that the store has."""
        id = parts[0].id if len(parts) == 1 and parts[0].fields is None else None
        change = self._to_store.get(id) if id is not None else None
        is_alone = id not in self._to_file and id not in self._conflicts and id not in sight.local
        is_gone = change is not None and change.kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE)
        return change if is_gone and is_alone and id in sight.remote else None

    def of(self, parts: Sequence[Part]) -> Plan:
        """Return what the plan does with these parts."""
        ids = dict.fromkeys(part.id for part in parts)
        plan = Plan(
            to_store=tuple(self._to_store[id] for id in ids if id in self._to_store),
            to_file=tuple(self._to_file[id] for id in ids if id in self._to_file),
            conflicts=tuple(each for id in ids for each in self._conflicts.get(id, ())),
        )
        return split(plan, parts)[0]
