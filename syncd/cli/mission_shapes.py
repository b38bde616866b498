"""The JSON of missions: their state, their sessions, and what is next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.schemas.card import card_json, instant_json
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, Record

if TYPE_CHECKING:
    from syncd.core.mission import Next
    from syncd.mission_sessions import SessionState
    from syncd.missions import MilestoneState, MissionState

Json = dict[str, Any]


def mission_json(state: MissionState) -> Json:
    """Return the state of a mission."""
    return {
        "id": state.record.key.mission,
        **_fields(state.record),
        "path": state.path,
        "version": state.record.version,
        "cards": dict(state.cards),
        "milestones": [_milestone_json(each) for each in state.milestones],
        "sessions": [session_json(each) for each in state.sessions],
    }


def session_json(state: SessionState) -> Json:
    """Return a session and how it is."""
    session = state.session
    return {
        "id": session.id,
        "mission": session.mission,
        "state": state.liveness.value,
        "runtime": session.runtime,
        "host": session.proof.host,
        "pid": session.proof.pid,
        "milestone": session.milestone_id,
        "lastTask": session.last_task_id,
        "startedAt": instant_json(session.started_at),
        "seenAt": instant_json(session.seen_at),
        "endedAt": instant_json(session.ended_at),
        "endedReason": session.ended_reason,
    }


def next_json(mission: str, found: Next, capsule: str | None) -> Json:
    """Return what a mission has to do next."""
    milestone = found.milestone
    return {
        "mission": mission,
        "state": found.outlook.value,
        "card": None if found.card is None else card_json(found.card),
        "milestone": None if milestone is None else {"id": milestone.id, "name": milestone.name},
        "reasons": [{"id": id, "reason": reason} for id, reason in found.reasons],
        "progress": {"done": found.done, "total": found.total},
        "capsule": capsule,
    }


def _milestone_json(state: MilestoneState) -> Json:
    return {
        "id": state.record.key.id,
        **_fields(state.record),
        "cards": dict(state.cards),
        "agrees": state.drift is None,
        "drift": state.drift,
    }


def _fields(record: Record) -> Json:
    """Return the fields of a record under the names that other JSON of syncd has."""
    found: Json = {}
    for name, kind in RECORD_FIELDS[record.key.kind].items():
        head, *tail = name.split("_")
        value: Any = record.fields.get(name)
        if kind is FieldKind.JSON and value is not None:
            import json

            value = json.loads(value)
        found[head + "".join(each.capitalize() for each in tail)] = value
    return found
