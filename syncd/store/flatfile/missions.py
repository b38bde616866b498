"""Missions in a manifest: the same rules as in Postgres, one record of the log for each transaction.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, Protocol

from msgspec.structs import replace

from syncd.core.history import HistoryEntry, changes_between, deed_of
from syncd.core.mission_merge import POSITION, RecordChange
from syncd.core.plan import ChangeKind, Conflict
from syncd.core.session import Proof, Session
from syncd.errors import AlreadyExists, NotFound
from syncd.ports import ConflictRecord, KnownMissions, MissionBatch, MissionResult, MissionView, Refusal
from syncd.schemas.card import Fields, Value
from syncd.schemas.mission import RECORD_FIELDS, Record, RecordKey, RecordKind, instant_text
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Committed, MissionRow
from syncd.store.flatfile.records import Record as Logged

_ORDER: Final = tuple(RecordKind)
_STATUS: Final = {RecordKind.MISSION: "active", RecordKind.MILESTONE: "pending"}

Recorder = Callable[[Manifest, Iterable[Conflict], datetime], tuple[ConflictRecord, ...]]


class Keeper(Protocol):
    """Where a manifest is kept, as far as missions need it."""

    def reading(self) -> AbstractContextManager[Manifest]:
        """Give the manifest as it is now."""

    def writing(self) -> AbstractContextManager[Manifest]:
        """Give the manifest as it is now, and keep every other writer out until the end."""

    def keep(self, manifest: Manifest, record: Logged) -> None:
        """Make a record durable and apply it; only while ``writing``."""

    def now(self) -> datetime:
        """Return the time by the store's clock."""


class ManifestMissions:
    """The missions of a manifest's project; satisfies ``ports.MissionStore``.

    Args:
        recorded: makes records of those clashes that do not stand recorded yet.
    """

    def __init__(self, keeper: Keeper, project: str, actor: str, face: str, recorded: Recorder) -> None:
        self._keeper = keeper
        self._project = project
        self._actor = actor
        self._face = face
        self._recorded = recorded

    def place(self) -> int:
        """Return a number that rises with each change."""
        with self._keeper.reading() as manifest:
            return manifest.missions_place

    def read(self) -> MissionView:
        """Return every record."""
        with self._keeper.reading() as manifest:
            return _view(manifest)

    def commit(self, batch: MissionBatch) -> MissionResult:
        """Apply a batch as one record; a batch that is known already changes nothing."""
        with self._keeper.writing() as manifest:
            if batch.commit_id in manifest.commits:
                return MissionResult(_view(manifest), frozenset(), {})
            now = self._keeper.now()
            rows: dict[RecordKey, MissionRow] = {}
            moved: set[RecordKey] = set()
            refused: dict[RecordKey, Refusal] = {}
            for change in sorted(batch.changes, key=lambda each: _ORDER.index(each.key.kind)):
                made = _changed({**manifest.missions, **rows}, change, now)
                if made is None:
                    moved.add(change.key)
                elif isinstance(made, Refusal):
                    refused[change.key] = made
                else:
                    rows.update((row.key, row) for row in made)
            clashes = [each for each in batch.conflicts if each.id not in map(str, moved)]
            committed = Committed(now, tuple(sorted(map(str, {*moved, *refused}))))
            self._keep(
                manifest,
                now,
                rows,
                conflicts=self._recorded(manifest, clashes, now),
                commits={batch.commit_id: committed},
            )
            return MissionResult(_view(manifest), frozenset(moved), refused)

    # --- sessions ---------------------------------------------------------------------------------

    def sessions(self, mission: str | None = None) -> Sequence[Session]:
        """Return the sessions of a mission, or of all, the oldest first."""
        with self._keeper.reading() as manifest:
            return _sessions(manifest, mission, self._keeper.now())

    def start_session(
        self, key: RecordKey, fields: Fields, proof: Proof, admit: Callable[[Sequence[Session]], None]
    ) -> Session:
        """Begin a session, if ``admit`` does not raise over those that are open.  Raises NotFound, AlreadyExists."""
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            if not _stands(manifest.missions, RecordKey(RecordKind.MISSION, key.mission)):
                raise NotFound(f"no mission {key.mission} in {self._project}", hint="syncd mission list")
            admit([each for each in _sessions(manifest, key.mission, now) if each.ended_at is None])
            named = {"pid": proof.pid, **fields}
            made = _changed(manifest.missions, RecordChange(ChangeKind.CREATE, key, named), now)
            if made is None or isinstance(made, Refusal):
                raise AlreadyExists(f"{key.mission} has a session {key.id} already", hint="Give it another id.")
            self._keep(manifest, now, {key: replace(made[0], proof=proof, seen_at=now)})
            return _session(manifest.missions[key], now)

    def beat(self, key: RecordKey, *, milestone: str | None = None, card: str | None = None) -> Session:
        """Note that an open session was here now.  Raises NotFound."""
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            row = manifest.missions.get(key)
            if row is None or row.is_gone or row.fields.get("ended_at") is not None:
                raise NotFound(f"{key.mission} has no open session {key.id}", hint="syncd mission session list")
            said = {name: each for name, each in (("milestone_id", milestone), ("last_task_id", card)) if each}
            fields = {**row.fields, **said}
            is_news = fields != row.fields
            beaten = replace(row, fields=fields, seen_at=now, version=row.version + is_news)
            self._keep(manifest, now, {key: beaten})
            return _session(manifest.missions[key], now)

    def history(self, mission: str | None, limit: int | None) -> Sequence[HistoryEntry]:
        """Return the last changes of one mission or of all, oldest first."""
        with self._keeper.reading() as manifest:
            wanted = f"mission:{mission}"
            found = [
                each
                for each in manifest.mission_trail
                if mission is None or each.id == wanted or each.id.startswith(f"{wanted}/")
            ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def _keep(self, manifest: Manifest, now: datetime, rows: Mapping[RecordKey, MissionRow], **rest: Any) -> None:
        """Have one change kept, with what the audit trail says of it; a heartbeat says nothing there."""
        last = manifest.mission_trail[-1].seq if manifest.mission_trail else 0
        entries: list[HistoryEntry] = []
        for key, row in rows.items():
            before = manifest.missions.get(key)
            if before is not None and before.version == row.version:
                continue
            was = dict(before.fields) if before is not None and not before.is_gone else {}
            op = "delete" if row.is_gone else "update" if was else "insert"
            changes = changes_between(was, {} if row.is_gone else row.fields)
            seq = last + len(entries) + 1
            entries.append(
                HistoryEntry(seq, now, str(key), row.version, deed_of(op, changes), self._actor, self._face, changes)
            )
        record = Logged(
            seq=manifest.seq + 1, at=now, missions=tuple(rows.values()), mission_entries=tuple(entries), **rest
        )
        self._keeper.keep(manifest, record)


def rows_of(known: KnownMissions) -> Iterator[MissionRow]:
    """Yield the rows of the missions of a last contact; sessions with what proves that they live."""
    sessions = {(each.mission, each.id): each for each in known.sessions}
    for key, record in known.view.records.items():
        session = sessions.get((key.mission, key.id)) if key.kind is RecordKind.SESSION else None
        yield MissionRow(
            kind=key.kind,
            mission=key.mission,
            id=key.id,
            fields=_with_defaults(key, record.fields),
            version=record.version,
            position=record.position,
            proof=session.proof if session is not None else None,
            seen_at=session.seen_at if session is not None else None,
        )


def _changed(
    rows: Mapping[RecordKey, MissionRow], change: RecordChange, now: datetime
) -> list[MissionRow] | Refusal | None:
    """Return the rows that a change makes, ``None`` when its row moved, or why it cannot be."""
    key, row = change.key, rows.get(change.key)
    stands = _stands(rows, key)
    if change.kind is ChangeKind.CREATE:
        if stands:
            return None
        if key.kind is not RecordKind.MISSION and not _stands(rows, RecordKey(RecordKind.MISSION, key.mission)):
            return Refusal("bad-value", f"{key}: there is no mission {key.mission}")
        return [_new(rows, change, now, version=row.version + 1 if row else 1)]
    if row is None or not stands or change.version not in (None, row.version):
        return None
    if change.kind is ChangeKind.REMOVE:
        below = [each for each in rows.values() if each.mission == key.mission and not each.is_gone]
        gone = below if key.kind is RecordKind.MISSION else [row]
        return [replace(each, is_gone=True, fields={}, version=each.version + 1) for each in gone]
    fields = {**row.fields, **_synced(key.kind, change.fields)}
    position = change.fields.get(POSITION, row.position)
    made = replace(row, fields=_with_defaults(key, fields), position=int(str(position)))
    return [made if made == row else replace(made, version=row.version + 1)]


def _new(rows: Mapping[RecordKey, MissionRow], change: RecordChange, now: datetime, *, version: int) -> MissionRow:
    key, fields = change.key, dict(_synced(change.key.kind, change.fields))
    begun = "created_at" if key.kind is RecordKind.MISSION else "started_at"
    if key.kind is not RecordKind.MILESTONE and fields.get(begun) is None:
        fields[begun] = instant_text(now)
    position = change.fields.get(POSITION)
    if position is None and key.kind is RecordKind.MILESTONE:
        placed = [each.position for each in rows.values() if each.mission == key.mission and each.kind is key.kind]
        position = max(placed, default=-1) + 1
    path = change.fields.get("path")
    seen_at = None
    if key.kind is RecordKind.SESSION:
        seen_at = datetime.fromisoformat(str(fields["started_at"]))
    return MissionRow(
        kind=key.kind,
        mission=key.mission,
        id=key.id,
        fields=_with_defaults(key, fields),
        version=version,
        position=int(str(position or 0)),
        path=None if path is None else str(path),
        seen_at=seen_at,
    )


def _synced(kind: RecordKind, fields: Fields) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if name in RECORD_FIELDS[kind]}


def _with_defaults(key: RecordKey, fields: Mapping[str, Value]) -> dict[str, Value]:
    """Return the fields, with what a table's columns would have where nothing is said."""
    said = {name: fields.get(name) for name in RECORD_FIELDS[key.kind]}
    if key.kind in _STATUS:
        said["name"] = said["name"] or key.id or key.mission
        said["status"] = said["status"] or _STATUS[key.kind]
    return said


def _stands(rows: Mapping[RecordKey, MissionRow], key: RecordKey) -> bool:
    row = rows.get(key)
    return row is not None and not row.is_gone


def _view(manifest: Manifest) -> MissionView:
    rows = (row for row in manifest.missions.values() if not row.is_gone)
    records = {row.key: Record(row.key, row.fields, row.version, row.position) for row in rows}
    return MissionView(records, manifest.missions_place, manifest.epoch)


def _sessions(manifest: Manifest, mission: str | None, now: datetime) -> list[Session]:
    rows = (row for row in manifest.missions.values() if row.kind is RecordKind.SESSION and not row.is_gone)
    found = [_session(row, now) for row in rows if mission in (None, row.mission)]
    return sorted(found, key=lambda each: (each.started_at, each.id))


def _session(row: MissionRow, now: datetime) -> Session:
    def text(name: str) -> str | None:
        value = row.fields.get(name)
        return None if value is None else str(value)

    begun, ended = text("started_at"), text("ended_at")
    started_at = datetime.fromisoformat(begun) if begun else now
    return Session(
        mission=row.mission,
        id=row.id,
        runtime=text("runtime"),
        milestone_id=text("milestone_id"),
        last_task_id=text("last_task_id"),
        started_at=started_at,
        ended_at=datetime.fromisoformat(ended) if ended else None,
        ended_reason=text("ended_reason"),
        seen_at=row.seen_at or started_at,
        proof=row.proof or Proof(),
        now=now,
    )
