"""Missions in Postgres: records read in one snapshot, written by compare-and-swap, sessions with a heartbeat.

A mission is a handful of rows, so each change is a statement of its own, in one transaction; a value that
the database refuses holds back its own record only.  May import ``syncd.core``, ``syncd.ports``,
``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from syncd.core.history import HistoryEntry
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind
from syncd.core.session import Proof, Session
from syncd.errors import AlreadyExists, NotFound
from syncd.ports import MissionBatch, MissionResult, MissionView, Refusal
from syncd.schemas.card import Fields
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, Record, RecordKey, RecordKind, canonical_field
from syncd.store.commits import conflict_columns
from syncd.store.failures import UNSTORABLE, said
from syncd.store.history import entry_of
from syncd.store.rows import Row
from syncd.store.session import Link, execute
from syncd.store.session import Session as Connection

_ORDER: Final = tuple(RecordKind)
"""A mission before what refers to it."""

_VERBS: Final = {ChangeKind.CREATE: "create", ChangeKind.UPDATE: "update", ChangeKind.REMOVE: "remove"}
_ID: Final = {RecordKind.MISSION: "id", RecordKind.MILESTONE: "id", RecordKind.SESSION: "session_id"}


class PostgresMissions:
    """The missions of a store's project, on the store's own connection."""

    def __init__(self, connection: Connection, replica: str) -> None:
        self._connection = connection
        self._replica = replica

    def place(self) -> int:
        """Return a number that rises with each change."""
        return int(self._connection.fetch("missions_place")[0][0])

    def read(self) -> MissionView:
        """Return every record in one snapshot."""
        return _view(self._connection.fetch("missions")[0])

    def commit(self, batch: MissionBatch) -> MissionResult:
        """Apply a batch in one transaction.  Raises StoreUnreachable with the outcome unknown."""

        def work(link: Link) -> MissionResult:
            with link.transaction():
                return self._commit(link, batch)

        return self._connection.run(work)

    def _commit(self, link: Link, batch: MissionBatch) -> MissionResult:
        project = self._connection.project
        moved: set[RecordKey] = set()
        refused: dict[RecordKey, Refusal] = {}
        is_new = execute(link, "new_commit", project=project, id=batch.commit_id, replica=self._replica)
        if is_new.fetchall():
            for change in sorted(batch.changes, key=lambda each: _ORDER.index(each.key.kind)):
                try:
                    with link.transaction():
                        if not _written(link, project, change):
                            moved.add(change.key)
                except UNSTORABLE as error:
                    refused[change.key] = Refusal("bad-value", f"{change.key}: {said(error)}")
            clashes = [each for each in batch.conflicts if each.id not in map(str, moved)]
            if clashes:
                execute(link, "record_conflicts", project=project, replica=self._replica, **conflict_columns(clashes))
            if left_out := sorted(map(str, {*moved, *refused})):
                execute(link, "leave_out", project=project, id=batch.commit_id, ids=left_out)
        row = execute(link, "missions", project=project).fetchall()[0]
        return MissionResult(_view(row), frozenset(moved), refused)

    # --- sessions ---------------------------------------------------------------------------------

    def sessions(self, mission: str | None = None) -> Sequence[Session]:
        """Return the sessions of a mission, or of all, the oldest first."""
        return [_session(*row) for row in self._connection.fetch("sessions", mission=mission)]

    def start_session(
        self, key: RecordKey, fields: Fields, proof: Proof, admit: Callable[[Sequence[Session]], None]
    ) -> Session:
        """Begin a session, if ``admit`` does not raise over those that are open.

        Raises: NotFound without the mission, AlreadyExists, and what ``admit`` raises.
        """
        project = self._connection.project
        named = {**_plain(key.kind, fields), **msgspec.to_builtins(proof)}

        def work(link: Link) -> Session:
            with link.transaction():
                if not execute(link, "lock_mission", project=project, mission=key.mission).fetchall():
                    raise NotFound(f"no mission {key.mission} in {project}", hint="syncd mission list")
                rows = execute(link, "sessions", project=project, mission=key.mission).fetchall()
                admit([each for each in (_session(*row) for row in rows) if each.ended_at is None])
                if not _written(link, project, RecordChange(ChangeKind.CREATE, key), named):
                    raise AlreadyExists(f"{key.mission} has a session {key.id} already", hint="Give it another id.")
                return _found(link, project, key)

        return self._connection.run(work)

    def beat(self, key: RecordKey, *, milestone: str | None = None, card: str | None = None) -> Session:
        """Note that an open session was here now.  Raises NotFound."""
        project = self._connection.project

        def work(link: Link) -> Session:
            with link.transaction():
                named = {"mission": key.mission, "id": key.id, "milestone": milestone, "card": card}
                if not execute(link, "beat", project=project, **named).fetchall():
                    raise NotFound(f"{key.mission} has no open session {key.id}", hint="syncd mission session list")
                return _found(link, project, key)

        return self._connection.run(work)

    def history(self, mission: str | None, limit: int | None) -> Sequence[HistoryEntry]:
        """Return the audit trail of one mission or of all: the last entries, oldest first."""
        rows = self._connection.fetch("mission_history", mission=mission, limit=limit)
        return [entry_of(row) for row in reversed(rows)]


def _written(link: Link, project: str, change: RecordChange, fields: Mapping[str, Any] | None = None) -> bool:
    """Carry out one change; return whether its row was as planned."""
    kind = change.key.kind
    parameters: dict[str, Any] = {"project": project, "mission": change.key.mission, "version": change.version}
    if kind is not RecordKind.MISSION:
        parameters["id"] = change.key.id
    if change.kind is not ChangeKind.REMOVE:
        named = _plain(kind, change.fields) if fields is None else fields
        parameters["fields"] = msgspec.json.encode(named).decode()
    return bool(execute(link, f"{_VERBS[change.kind]}_{kind.value}", **parameters).fetchall())


def _plain(kind: RecordKind, fields: Fields) -> dict[str, Any]:
    """Return fields as the columns take them: JSON as JSON, everything else as it is."""
    kinds = RECORD_FIELDS[kind]
    return {
        name: msgspec.json.decode(value) if kinds.get(name) is FieldKind.JSON and isinstance(value, str) else value
        for name, value in fields.items()
    }


def _found(link: Link, project: str, key: RecordKey) -> Session:
    rows = execute(link, "sessions", project=project, mission=key.mission).fetchall()
    return next(each for each in (_session(*row) for row in rows) if each.id == key.id)


def _view(row: Row) -> MissionView:
    place, epoch, *groups = row
    records: dict[RecordKey, Record] = {}
    for kind, group in zip(_ORDER, groups, strict=True):
        records.update((each.key, each) for each in _records(kind, group or ()))
    return MissionView(records, place, epoch)


def _records(kind: RecordKind, rows: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
    for row in rows:
        id = row[_ID[kind]]
        key = RecordKey(kind, id) if kind is RecordKind.MISSION else RecordKey(kind, row["mission"], id)
        fields = {name: canonical_field(shape, row[name]) for name, shape in RECORD_FIELDS[kind].items()}
        yield Record(key, fields, row["version"], row.get("position", 0))


def _session(now: datetime, row: Mapping[str, Any]) -> Session:
    ended_at = row["ended_at"]
    return Session(
        mission=row["mission"],
        id=row["session_id"],
        runtime=row["runtime"],
        milestone_id=row["milestone_id"],
        last_task_id=row["last_task_id"],
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=None if ended_at is None else datetime.fromisoformat(ended_at),
        ended_reason=row["ended_reason"],
        seen_at=datetime.fromisoformat(row["seen_at"]),
        proof=Proof(row["host"], row["boot"], row["pid"], row["process_started"], row["has_lock"]),
        now=now,
    )
