"""What becomes of missions that were changed while the store was away: the merge of missions, record by record.

*base* is what was known of the store at the last contact, *local* what stood in for it says now, *remote* what the
store says.  Only records that were touched meanwhile are looked at, and nothing flows the other way: the store takes
over again.  May import ``syncd.core`` and ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.core.mission_merge import POSITION, RecordChange, is_same_value, reconcile_missions
from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, Winner
from syncd.schemas.card import Fields
from syncd.schemas.mission import RECORD_FIELDS, Record, RecordKey, RecordKind, Records

_ALL: Final = frozenset(RecordKind)


class MissionReturn(msgspec.Struct, frozen=True):
    """What goes to the store when it is back, and what clashed."""

    changes: tuple[RecordChange, ...]
    conflicts: tuple[Conflict, ...]


def rejoin_missions(
    base: Records, local: Records, remote: Records, *, agreed: Mapping[str, Fields], is_known: bool
) -> MissionReturn:
    """Return what brings the missions of an absence into the store.

    Args:
        base: the store's records at the last contact.
        local: the records of what stood in for it.
        remote: the store's records now.
        agreed: what stood in for it said of fields that an earlier try of this return already brought into the store,
            by the record's name; what stands there now may be more.
        is_known: False when the store is another one than at the last contact, or went back: then nothing is
            deleted and nothing overwritten; what differs is a conflict, and a record that it lacks is offered.

    Holds: I2, I8; nothing of others is written over without a conflict (``tests/property/test_rejoin_laws.py``).
    """
    known = dict(_known(base, agreed)) if is_known else {}
    here = {key: _whole(record) for key, record in local.items()}
    wanted = _wanted(base, here, remote, agreed) if is_known else here.keys()
    missions = {key.mission for key in (*known, *here, *remote)}
    plan = reconcile_missions(known, here, remote, shown=dict.fromkeys(missions, _ALL))
    names = set(map(str, wanted))
    conflicts = [each for each in plan.conflicts if each.id in names]
    changes = [each for each in plan.to_store if each.key in wanted]
    if not is_known:
        offered = [each for each in changes if each.kind is ChangeKind.CREATE]
        return MissionReturn(tuple(offered), tuple(_offers(changes, conflicts)))
    if not _is_reordered(base, here):
        changes = [each for each in map(_without_place, changes) if each is not None]
    kept = [each for each in changes if not _takes_work_of_others(each, known, remote)]
    conflicts += [
        Conflict(str(each.key), CARD_FIELD, each.key.id or each.key.mission, None, each.key.mission, Winner.REMOTE)
        for each in changes
        if each not in kept
    ]
    return MissionReturn(tuple(kept), tuple(conflicts))


def touched_records(base: Records, local: Records) -> set[RecordKey]:
    """Return the records that were changed, made or removed while the store was away."""
    changed = {key for key, record in local.items() if key not in base or record.version != base[key].version}
    return changed | (base.keys() - local.keys())


def _known(base: Records, agreed: Mapping[str, Fields]) -> Iterator[tuple[RecordKey, Record]]:
    """Yield the base, with what was brought into the store already."""
    for key, record in base.items():
        yield key, replace(_whole(record), fields={**_whole(record).fields, **agreed.get(str(key), {})})
    names = set(map(str, base))
    for name, fields in agreed.items():
        if name not in names and (found := RecordKey.parse(name)) is not None:
            yield found, Record(found, fields)


def _wanted(base: Records, here: Records, remote: Records, agreed: Mapping[str, Fields]) -> set[RecordKey]:
    """Return the records to settle; of a mission that others removed, and somebody here worked on, all."""
    wanted = touched_records(base, here) | {key for name in agreed if (key := RecordKey.parse(name)) is not None}
    revived = {key.mission for key in wanted & here.keys() if RecordKey(RecordKind.MISSION, key.mission) not in remote}
    return wanted | {key for key in here if key.mission in revived}


def _whole(record: Record) -> Record:
    """Return a record that says something of every field: what it does not have is empty, not unknown."""
    return replace(record, fields={name: record.fields.get(name) for name in RECORD_FIELDS[record.key.kind]})


def _is_reordered(base: Records, here: Records) -> bool:
    """Return whether milestones that both know stand in another order than at the last contact."""
    both = [key for key in here if key in base and key.kind is RecordKind.MILESTONE]
    before = sorted(both, key=lambda key: (key.mission, base[key].position, key.id))
    return before != sorted(both, key=lambda key: (key.mission, here[key].position, key.id))


def _without_place(change: RecordChange) -> RecordChange | None:
    """Return a change that leaves a milestone where the store has it; ``None`` when nothing is left of it."""
    if POSITION not in change.fields:
        return change
    fields = {name: value for name, value in change.fields.items() if name != POSITION}
    return None if change.kind is ChangeKind.UPDATE and not fields else replace(change, fields=fields)


def _takes_work_of_others(change: RecordChange, known: Records, remote: Records) -> bool:
    """Return whether removing a mission would take something with it that others did meanwhile."""
    if change.kind is not ChangeKind.REMOVE or change.key.kind is not RecordKind.MISSION:
        return False
    return any(
        key not in known
        or any(
            not is_same_value(kind, known[key].fields.get(name), record.fields.get(name))
            for name, kind in RECORD_FIELDS[key.kind].items()
        )
        for key, record in remote.items()
        if key.mission == change.key.mission
    )


def _offers(changes: Iterable[RecordChange], conflicts: Iterable[Conflict]) -> Iterator[Conflict]:
    """Yield what a store that is not known any more would have been sent, as conflicts that it won."""
    told = set()
    for each in conflicts:
        told.add((each.id, each.field))
        yield replace(each, winner=Winner.REMOTE)
    for change in changes:
        if change.kind is ChangeKind.CREATE:
            continue
        for name, value in change.fields.items():
            if name != POSITION and (str(change.key), name) not in told:
                yield Conflict(str(change.key), name, None, value, change.before.get(name), Winner.REMOTE)
