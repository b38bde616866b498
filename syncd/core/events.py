"""The audit trail in the words of a queue: each entry is one event.

The types follow from what an entry changed, so that a change by plain SQL is an event like any other.
May import ``syncd.core.history``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from syncd.core.history import Deed, FieldChange, HistoryEntry
from syncd.schemas.card import Status, instant_json


class EventType(StrEnum):
    """What happened to a card in the queue."""

    QUEUED = "task.queued"
    PROCESSING = "task.processing"
    RETRY = "task.retry"
    COMPLETED = "task.completed"
    FAILED = "task.failed"
    BLOCKED = "task.blocked"
    RELEASED = "task.released"
    RECLAIMED = "task.reclaimed"
    UPDATED = "task.updated"
    REMOVED = "task.removed"


class Event(msgspec.Struct, frozen=True):
    """One event: ``from_state`` and ``to_state`` where the status changed, and in ``data`` the changed fields."""

    seq: int
    at: datetime
    type: EventType
    id: str
    actor: str
    from_state: str | None
    to_state: str | None
    data: Mapping[str, Any]


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as the JSON of the contract."""
    return {
        "seq": event.seq,
        "at": instant_json(event.at),
        "type": event.type.value,
        "id": event.id,
        "actor": event.actor,
        "from": event.from_state,
        "to": event.to_state,
        "data": dict(event.data),
    }


def event_of(entry: HistoryEntry) -> Event:
    """Return the event that an entry of the audit trail is."""
    changes = {each.field: each for each in entry.changes}
    status = changes.get("status")
    was, becomes = (status.before, status.after) if status else (None, None)
    is_gone = entry.op is Deed.DELETE
    return Event(
        seq=entry.seq,
        at=entry.at,
        type=_type_of(entry, changes, was, becomes),
        id=entry.id,
        actor=entry.actor,
        from_state=was,
        to_state=becomes,
        data={} if is_gone else {name: each.after for name, each in changes.items() if name != "status"},
    )


def _type_of(entry: HistoryEntry, changes: Mapping[str, FieldChange], was: Any, becomes: Any) -> EventType:
    match entry.op:
        case Deed.CREATE | Deed.RESTORE:
            return EventType.QUEUED
        case Deed.REMOVE | Deed.ARCHIVE | Deed.DELETE:
            return EventType.REMOVED
        case Deed.UPDATE:
            pass
    if becomes == Status.CLAIMED or (becomes is None and _is_taken_over(changes)):
        return EventType.PROCESSING
    has_failed = _number(changes, "failures", "after") > _number(changes, "failures", "before")
    match becomes:
        case Status.DONE:
            return EventType.COMPLETED
        case Status.BLOCKED:
            return EventType.FAILED if has_failed else EventType.BLOCKED
        case Status.READY if was == Status.CLAIMED:
            if has_failed:
                return EventType.RETRY
            return EventType.RECLAIMED if _had_expired(entry, changes) else EventType.RELEASED
        case Status.READY:
            return EventType.QUEUED
        case _:
            return EventType.UPDATED


def _is_taken_over(changes: Mapping[str, FieldChange]) -> bool:
    """Return whether an expired lease went from one owner to another without a state between."""
    attempts = changes.get("attempts")
    return attempts is not None and "claimOwner" in changes and changes["claimOwner"].after is not None


def _had_expired(entry: HistoryEntry, changes: Mapping[str, FieldChange]) -> bool:
    """Return whether the lease that an entry took away had come to its end."""
    claimed_at, ttl_s = changes.get("claimedAt"), changes.get("claimTtlSeconds")
    if claimed_at is None or ttl_s is None or claimed_at.before is None or ttl_s.before is None:
        return False
    began_at = datetime.fromisoformat(str(claimed_at.before))
    return began_at + timedelta(seconds=float(ttl_s.before)) <= entry.at


def _number(changes: Mapping[str, FieldChange], field: str, side: str) -> int:
    change = changes.get(field)
    value = getattr(change, side) if change is not None else None
    return value if isinstance(value, int) else 0
