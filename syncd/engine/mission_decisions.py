"""What people decide about missions: a conflict of a mission, a milestone or a session settled.

May import ``syncd.core``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from syncd.core.mission_merge import RecordChange
from syncd.core.plan import CARD_FIELD, ChangeKind
from syncd.engine.decisions import VALUE, choose, keeps, open_conflicts, require_use
from syncd.errors import BadValue, NotFound, StaleVersion
from syncd.ports import ConflictRecord, MissionBatch, MissionStore, Store
from syncd.schemas.mission import Record, RecordKey

_TRIES: Final = 5


def resolve_record(
    store: Store, missions: MissionStore, key: RecordKey, field: str | None, use: str, *, new_id: Callable[[], str]
) -> None:
    """Settle the open conflicts of a record's field, as ``decisions.resolve`` does for a card's.

    Args:
        new_id: a fresh id for each store transaction.

    Raises: NotFound without such a conflict or when the record is gone, BadValue for another ``use`` or a field
        that is to be named, Refused when the choice would replace what somebody wrote after the clash,
        StaleVersion when the record is changed again and again meanwhile.
    Effects: the value goes to the store, and from there into the file with the next cycle.
    """
    require_use(use)
    records = open_conflicts(store, str(key), field)
    latest = records[-1]
    for _ in range(_TRIES):
        change = _change(latest, key, missions.read().records.get(key), use)
        if change is None:
            break
        result = missions.commit(MissionBatch(new_id(), (change,)))
        for refusal in result.refused.values():
            raise BadValue(refusal.message)
        if not result.moved:
            break
    else:
        raise StaleVersion(f"{key} changes all the time", hint="Try again.")
    for each in records:
        store.settle(each, "value" if use.startswith(VALUE) else use)


def _change(conflict: ConflictRecord, key: RecordKey, record: Record | None, use: str) -> RecordChange | None:
    """Return what the store is to be told; ``None`` when it says so already."""
    clash = conflict.conflict
    if clash.field == CARD_FIELD:
        if use.startswith(VALUE):
            raise BadValue("a deletion has no value", hint="Say local or remote.")
        # The edit lives already: only the deletion's way needs a write.
        if use == clash.winner.value or record is None:
            return None
        return RecordChange(ChangeKind.REMOVE, key, version=record.version, before=record.fields)
    if record is None:
        if keeps(clash, use):
            return None
        raise NotFound(f"{key} is gone", hint="syncd mission status")
    current = record.fields.get(clash.field)
    value = choose(clash, use, current)
    if current == value:
        return None
    return RecordChange(ChangeKind.UPDATE, key, {clash.field: value}, record.version, {clash.field: current})
