"""What a pass over missions says of itself: the report, and what differs while none runs.

May import ``syncd.core``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncd.core.drift import Direction, DriftEntry
from syncd.core.mission_guard import GuardedMissions
from syncd.core.mission_merge import POSITION, MissionPlan, RecordChange
from syncd.core.plan import Change, ChangeKind
from syncd.engine.mission_look import MissionLook
from syncd.schemas.card import Value
from syncd.schemas.mission import Record, Records


def change_of(change: RecordChange, places: Mapping[str, str]) -> Change:
    """Return a change as reports speak of changes."""
    fields = {name: value for name, value in change.fields.items() if name != POSITION or len(change.fields) == 1}
    return Change(
        change.kind, str(change.key), fields, change.version, places.get(change.key.mission), before=change.before
    )


def mission_drift(
    plan: MissionPlan, guarded: GuardedMissions, look: MissionLook, base: Records, remote: Records
) -> Iterable[DriftEntry]:
    """Yield what differs, as the plan says."""
    places, local = look.places(), look.records
    clashes = {(each.id, each.field) for each in plan.conflicts}
    going = {id(each) for each in (*guarded.plan.to_store, *guarded.plan.to_file)}
    for changes, direction in ((plan.to_store, Direction.TO_STORE), (plan.to_file, Direction.TO_FILE)):
        for change in changes:
            key, path = change.key, places.get(change.key.mission)
            found = look.documents[path].found.get(key) if path is not None else None
            names = [each for each in change.fields if each != POSITION] if change.kind is ChangeKind.UPDATE else [None]
            for name in names:
                way = Direction.CONFLICT if (str(key), name) in clashes else direction
                way = way if id(change) in going else Direction.HELD
                known, here, there = (_value(side.get(key), name) for side in (base, local, remote))
                yield DriftEntry(str(key), name, known, here, there, way, path, found.line if found else None)


def _value(record: Record | None, name: str | None) -> Value:
    return None if record is None or name is None else record.fields.get(name)
