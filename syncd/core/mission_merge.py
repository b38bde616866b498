"""The three-way merge of missions: what goes to the store, what to the file, and what clashes.

The same idea as ``reconcile``, on a handful of records instead of cards, so without leases and dependencies:
records come and go as cards do, and each field is settled by itself.  A field that the file does not show
is never a change, and one that only the store has is written into the file when the store changes it.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, FieldName, Winner
from syncd.core.set_merge import merge_sets
from syncd.parsers.fields import status_of
from syncd.parsers.words import fold
from syncd.schemas.card import Fields, Status, Value
from syncd.schemas.mission import RECORD_FIELDS, FieldKind, Record, RecordKey, RecordKind, Records

POSITION: Final = "position"
"""In a change for the store: the place of a milestone among its neighbours in the file."""

_AUTHORS: Final = frozenset(
    {"name", "description", "branch", "issue", "project_path", "tasks_file", "manifest_file", "quality_gates"}
)
"""What the file's author writes: local wins, as with a card's title.  Of the rest remote wins."""

Recent = Mapping[tuple[RecordKey, FieldName], Value]
"""What syncd's own last write, if it is fresh, replaced in the file."""


class RecordChange(msgspec.Struct, frozen=True):
    """One change to one record; ``version`` is the store's row that it was planned on, ``before`` what it replaces."""

    kind: ChangeKind
    key: RecordKey
    fields: Fields = msgspec.field(default_factory=dict)
    version: int | None = None
    before: Fields = msgspec.field(default_factory=dict)


class MissionPlan(msgspec.Struct, frozen=True):
    """What one pass would do."""

    to_store: tuple[RecordChange, ...] = ()
    to_file: tuple[RecordChange, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    forgotten: tuple[RecordKey, ...] = ()


def is_same_value(kind: FieldKind, one: Value, other: Value) -> bool:
    """Return whether two values mean the same: of a status word neither case nor separators count."""
    if one == other:
        return True
    return kind is FieldKind.STATUS and isinstance(one, str) and isinstance(other, str) and fold(one) == fold(other)


def reconcile_missions(
    base: Records,
    local: Records,
    remote: Records,
    *,
    shown: Mapping[str, frozenset[RecordKind]],
    recent: Recent | None = None,
) -> MissionPlan:
    """Return the plan for the missions of readable files.

    Args:
        shown: by mission, the kinds of records that its file shows; others are not looked at.
        recent: what syncd's own last write replaced: a file that goes back to it was saved from an old buffer.

    Holds: no record is deleted without a base; a record that the other side changed is not deleted; a mission
    that is gone from the store while its file stands is offered again.
    """
    merge = _Merge(base, local, remote, recent or {})
    for key in sorted(base.keys() | local.keys() | remote.keys()):
        if key.kind in shown.get(key.mission, frozenset()):
            merge.settle(key)
    return merge.plan()


class _Merge:
    """Collects the parts of one plan."""

    def __init__(self, base: Records, local: Records, remote: Records, recent: Recent) -> None:
        self._base = base
        self._local = local
        self._remote = remote
        self._recent = recent
        self._positions = dict(_positions(base, local, remote))
        self._to_store: list[RecordChange] = []
        self._to_file: list[RecordChange] = []
        self._conflicts: list[Conflict] = []
        self._forgotten: list[RecordKey] = []

    def plan(self) -> MissionPlan:
        """Return what was collected."""
        return MissionPlan(tuple(self._to_store), tuple(self._to_file), tuple(self._conflicts), tuple(self._forgotten))

    def settle(self, key: RecordKey) -> None:
        """Settle one record."""
        known, here, there = self._base.get(key), self._local.get(key), self._remote.get(key)
        if here is not None and there is not None:
            self._settle_fields(known, here, there)
        elif here is not None:
            self._settle_gone_from_store(known, here)
        elif there is not None:
            self._settle_gone_from_file(known, there)
        elif known is not None:
            self._forgotten.append(key)

    def _settle_gone_from_store(self, known: Record | None, here: Record) -> None:
        mission = RecordKey(RecordKind.MISSION, here.key.mission)
        if known is not None and mission in self._remote and not _has_changed(known, here):
            self._to_file.append(RecordChange(ChangeKind.REMOVE, here.key, before=known.fields))
            return
        if known is not None and (here.key == mission or mission in self._remote):
            self._conflicts.append(Conflict(str(here.key), CARD_FIELD, _said(known), _said(here), None, Winner.LOCAL))
        fields = {**here.fields, **self._position(here.key)}
        self._to_store.append(RecordChange(ChangeKind.CREATE, here.key, fields))

    def _settle_gone_from_file(self, known: Record | None, there: Record) -> None:
        if known is None:
            self._to_file.append(RecordChange(ChangeKind.CREATE, there.key, there.fields))
        elif _has_changed(known, there):
            self._conflicts.append(
                Conflict(str(there.key), CARD_FIELD, _said(known), None, _said(there), Winner.REMOTE)
            )
            self._to_file.append(RecordChange(ChangeKind.CREATE, there.key, there.fields))
        else:
            self._to_store.append(
                RecordChange(ChangeKind.REMOVE, there.key, version=there.version, before=known.fields)
            )

    def _settle_fields(self, known: Record | None, here: Record, there: Record) -> None:
        to_store: dict[FieldName, Value] = {}
        to_file: dict[FieldName, Value] = {}
        for name, kind in RECORD_FIELDS[here.key.kind].items():
            is_known = known is not None and name in known.fields
            was = known.fields.get(name) if known else None
            mine, theirs = here.fields.get(name), there.fields.get(name)
            if name not in here.fields:
                if is_known and theirs is not None and not is_same_value(kind, was, theirs):
                    to_file[name] = theirs
            elif is_same_value(kind, mine, theirs):
                continue
            elif is_known and is_same_value(kind, was, mine):
                to_file[name] = theirs
            elif is_known and is_same_value(kind, was, theirs):
                if self._recent.get((here.key, name), was) == mine != was:
                    self._clash(here.key, name, was, mine, theirs, Winner.REMOTE)
                    to_file[name] = theirs
                else:
                    to_store[name] = mine
            elif (merged := _merged_list(kind, was, mine, theirs)) is not None:
                _put(to_store, name, merged, theirs)
                _put(to_file, name, merged, mine)
            else:
                self._settle_clash(here.key, name, is_known, (was, mine, theirs), to_store, to_file)
        to_store.update(self._position(here.key))
        if to_store:
            before = {name: there.fields.get(name) for name in to_store if name != POSITION}
            self._to_store.append(RecordChange(ChangeKind.UPDATE, here.key, to_store, there.version, before))
        if to_file:
            before = {name: here.fields.get(name) for name in to_file}
            self._to_file.append(RecordChange(ChangeKind.UPDATE, here.key, to_file, before=before))

    def _settle_clash(
        self,
        key: RecordKey,
        name: FieldName,
        is_known: bool,
        values: tuple[Value, Value, Value],
        to_store: dict[FieldName, Value],
        to_file: dict[FieldName, Value],
    ) -> None:
        """Settle a field that differs on both sides; without a base, what is there beats what is not."""
        was, mine, theirs = values
        if not is_known and None in (mine, theirs):
            winner = Winner.REMOTE if mine is None else Winner.LOCAL
        else:
            winner = _winner(name, mine, theirs)
            self._clash(key, name, was, mine, theirs, winner)
        if winner is Winner.LOCAL:
            to_store[name] = mine
        else:
            to_file[name] = theirs

    def _clash(self, key: RecordKey, name: FieldName, was: Value, mine: Value, theirs: Value, winner: Winner) -> None:
        self._conflicts.append(Conflict(str(key), name, was, mine, theirs, winner))

    def _position(self, key: RecordKey) -> dict[FieldName, Value]:
        return {POSITION: self._positions[key]} if key in self._positions else {}


def _positions(base: Records, local: Records, remote: Records) -> Iterator[tuple[RecordKey, int]]:
    """Yield the places that the store is to learn: of all milestones of a file whose order is not the agreed one."""
    by_mission: dict[str, list[Record]] = {}
    for record in sorted(local.values(), key=lambda each: each.position):
        if record.key.kind is RecordKind.MILESTONE:
            by_mission.setdefault(record.key.mission, []).append(record)
    for records in by_mission.values():
        known = [each for each in records if each.key in base]
        agreed = sorted(known, key=lambda each: base[each.key].position)
        if records == agreed:
            continue
        for place, record in enumerate(records):
            there = remote.get(record.key)
            if there is None or there.position != place:
                yield record.key, place


def _has_changed(known: Record, now: Record) -> bool:
    """Return whether a side changed any field of a record since it was agreed."""
    kinds = RECORD_FIELDS[now.key.kind]
    return any(
        name in now.fields and name in known.fields and not is_same_value(kind, known.fields[name], now.fields[name])
        for name, kind in kinds.items()
    )


def _said(record: Record) -> Value:
    """Return what a conflict about a whole record shows of it."""
    return record.fields.get("name") or record.key.id or record.key.mission


def _put(fields: dict[FieldName, Value], name: FieldName, value: Value, where: Value) -> None:
    if value != where:
        fields[name] = value


def _merged_list(kind: FieldKind, was: Value, mine: Value, theirs: Value) -> Value:
    """Return the merge of three lists of text; ``None`` when one of them is something else."""
    lists = [_as_list(each) for each in (was, mine, theirs)] if kind is FieldKind.JSON else []
    if not lists or any(each is None for each in lists):
        return None
    merged = merge_sets(*(each or () for each in lists))
    return msgspec.json.encode(list(merged)).decode()


def _as_list(value: Value) -> list[str] | None:
    if value is None:
        return []
    plain = msgspec.json.decode(str(value))
    return plain if isinstance(plain, list) and all(isinstance(each, str) for each in plain) else None


def _winner(name: FieldName, mine: Value, theirs: Value) -> Winner:
    """Return who wins a clash.  Work that is finished is never undone; the author's words are the author's."""
    if name == "status":
        is_done = status_of(str(mine or "")) is Status.DONE and status_of(str(theirs or "")) is not Status.DONE
        return Winner.LOCAL if is_done else Winner.REMOTE
    if name in _AUTHORS:
        return Winner.LOCAL
    return Winner.LOCAL if theirs is None and mine is not None else Winner.REMOTE


def advance_missions(
    base: Records, local: Records, remote: Records, shown: Mapping[str, frozenset[RecordKind]]
) -> dict[RecordKey, Record]:
    """Return the base after a pass, from what is now in the files and in the store.

    A field on which both agree is agreed; one that still differs keeps its old base value, or none; one that
    the file does not show is settled as the store has it, unless it was changed there since.

    Holds: I6.
    """
    advanced = dict(base)
    for key in base.keys() | local.keys() | remote.keys():
        if key.kind not in shown.get(key.mission, frozenset()):
            continue
        here, there, known = local.get(key), remote.get(key), base.get(key)
        if here is None and there is None:
            advanced.pop(key, None)
        if here is None or there is None:
            continue
        fields = dict(_agreed(known, here, there))
        advanced[key] = Record(key, fields, there.version, here.position)
    return advanced


def _agreed(known: Record | None, here: Record, there: Record) -> Iterator[tuple[FieldName, Value]]:
    for name, kind in RECORD_FIELDS[here.key.kind].items():
        theirs = there.fields.get(name)
        is_known = known is not None and name in known.fields
        if name not in here.fields:
            yield name, known.fields[name] if known is not None and is_known and theirs is not None else theirs
        elif is_same_value(kind, here.fields[name], theirs):
            yield name, theirs
        elif known is not None and is_known:
            yield name, known.fields[name]
