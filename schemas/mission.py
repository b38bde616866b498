"""The mission: its milestones and sessions, as files and stores exchange them.

A mission is a handful of *records*: itself, its milestones, its sessions.  Each has a key and synced fields,
named as the store's columns are.  As with cards, a field that is absent has no value there, and ``None``
means empty.  Imports nothing of syncd but ``syncd.schemas.card``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from syncd.schemas.card import Fields, Value, canonical


class RecordKind(StrEnum):
    """What a record is about."""

    MISSION = "mission"
    MILESTONE = "milestone"
    SESSION = "session"


class FieldKind(StrEnum):
    """What a field of a record holds."""

    TEXT = "text"
    STATUS = "status"
    PATH = "path"
    INSTANT = "instant"
    NUMBER = "number"
    JSON = "json"


class RecordKey(msgspec.Struct, frozen=True, order=True):
    """Which record: ``id`` is empty for the mission itself."""

    kind: RecordKind
    mission: str
    id: str = ""

    def __str__(self) -> str:
        """Return the name under which conflicts, holds and drift speak of the record."""
        match self.kind:
            case RecordKind.MISSION:
                return f"mission:{self.mission}"
            case RecordKind.MILESTONE:
                return f"mission:{self.mission}/{self.id}"
            case RecordKind.SESSION:
                return f"mission:{self.mission}/session/{self.id}"

    @staticmethod
    def parse(name: str) -> RecordKey | None:
        """Return the record of such a name; ``None`` for a card's id.  An id of a mission has no slash."""
        kind, colon, rest = name.partition(":")
        if kind != "mission" or not colon or not rest:
            return None
        mission, slash, below = rest.partition("/")
        if not slash:
            return RecordKey(RecordKind.MISSION, mission)
        if below.startswith("session/"):
            return RecordKey(RecordKind.SESSION, mission, below.removeprefix("session/"))
        return RecordKey(RecordKind.MILESTONE, mission, below)


RECORD_FIELDS: Final[Mapping[RecordKind, Mapping[str, FieldKind]]] = {
    RecordKind.MISSION: {
        "name": FieldKind.TEXT,
        "description": FieldKind.TEXT,
        "status": FieldKind.STATUS,
        "project_path": FieldKind.PATH,
        "tasks_file": FieldKind.PATH,
        "manifest_file": FieldKind.PATH,
        "created_at": FieldKind.INSTANT,
        "quality_gates": FieldKind.JSON,
    },
    RecordKind.MILESTONE: {
        "name": FieldKind.TEXT,
        "status": FieldKind.STATUS,
        "branch": FieldKind.TEXT,
        "issue": FieldKind.TEXT,
        "started_at": FieldKind.INSTANT,
        "completed_at": FieldKind.INSTANT,
    },
    RecordKind.SESSION: {
        "runtime": FieldKind.TEXT,
        "pid": FieldKind.NUMBER,
        "milestone_id": FieldKind.TEXT,
        "last_task_id": FieldKind.TEXT,
        "started_at": FieldKind.INSTANT,
        "ended_at": FieldKind.INSTANT,
        "ended_reason": FieldKind.TEXT,
    },
}
"""The synced fields of each kind of record, in the order in which new ones are written."""


class Record(msgspec.Struct, frozen=True):
    """One record as one side has it: its fields in canonical form; ``version`` is the store's row's."""

    key: RecordKey
    fields: Fields
    version: int = 0
    position: int = 0
    """Its place among the milestones of its mission."""


Records = Mapping[RecordKey, Record]


def canonical_field(kind: FieldKind, value: Any) -> Value:
    """Return the canonical form of a field's value; instants in UTC, other JSON as its sorted text.

    Raises: ValueError for a text that is no instant.
    """
    if value is None or (value == "" and kind is not FieldKind.JSON):
        return None
    match kind:
        case FieldKind.JSON:
            return msgspec.json.encode(value, order="sorted").decode()
        case FieldKind.INSTANT:
            return instant_text(value if isinstance(value, datetime) else datetime.fromisoformat(str(value)))
        case FieldKind.NUMBER:
            return int(value)
        case _:
            return canonical(str(value))


def instant_text(at: datetime) -> str:
    """Return an instant in UTC with ``Z``; a time without a zone is taken for UTC."""
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """One milestone; it matches the phase of cards by id or name."""

    id: str
    name: str | None = None
    status: str | None = None


class Mission(msgspec.Struct, frozen=True, kw_only=True):
    """A mission and its milestones in their order."""

    id: str
    name: str | None = None
    status: str | None = None
    tasks_file: str | None = None
    milestones: tuple[Milestone, ...] = ()


def missions_of(records: Records) -> tuple[Mission, ...]:
    """Return the missions that records tell of, by id, each with its milestones in order."""
    found = []
    for key, record in sorted(records.items()):
        if key.kind is not RecordKind.MISSION:
            continue
        below = [
            each
            for each in records.values()
            if each.key.kind is RecordKind.MILESTONE and each.key.mission == key.mission
        ]
        milestones = tuple(
            Milestone(id=each.key.id, name=_text(each.fields, "name"), status=_text(each.fields, "status"))
            for each in sorted(below, key=lambda each: (each.position, each.key.id))
        )
        found.append(
            Mission(
                id=key.mission,
                name=_text(record.fields, "name"),
                status=_text(record.fields, "status"),
                tasks_file=_text(record.fields, "tasks_file"),
                milestones=milestones,
            )
        )
    return tuple(found)


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else str(value)
