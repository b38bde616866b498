"""The audit trail of a card: what each change set from what to what, and what the card said at a version.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from syncd.schemas.card import EXTRA, Status, Value, canonical

DELETED_AT: Final = "deletedAt"
ARCHIVED_AT: Final = "archivedAt"

_FIELDS: Final = frozenset({"title", "body", "phase", "priority", "status", "dependsOn", "acceptance"})


class Deed(StrEnum):
    """What a history entry did to its card."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    """A tombstone stays."""
    ARCHIVE = "archive"
    RESTORE = "restore"
    DELETE = "delete"
    """The row itself is gone, by plain SQL."""


class FieldChange(msgspec.Struct, frozen=True):
    """One field of one change, by its JSON name (``extra.<key>`` for what has no column); values are JSON."""

    field: str
    before: Any
    after: Any


class HistoryEntry(msgspec.Struct, frozen=True):
    """One change of one card: who made it, through which face, when, and field by field what it did.

    ``version`` is the card's from then on.
    """

    seq: int
    at: datetime
    id: str
    version: int
    op: Deed
    actor: str
    face: str
    changes: tuple[FieldChange, ...]


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Return the fields that differ between two records; one that is absent holds nothing."""
    one, other = dict(_flat(before)), dict(_flat(after))
    names = {**one, **other}
    return tuple(
        FieldChange(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    )


def finisher_of(entries: Iterable[HistoryEntry], id: str) -> str | None:
    """Return who held a card when it was finished last, as far as these entries, oldest first, tell."""
    finisher = None
    for each in entries:
        before = {change.field: change.before for change in each.changes}
        if each.id == id and any(change.field == "status" and change.after == "done" for change in each.changes):
            finisher = before.get("claimOwner")
    return finisher


def deed_of(op: str, changes: Sequence[FieldChange]) -> Deed:
    """Return what a change did, from the table's operation and the fields that it set."""
    match op:
        case "insert":
            return Deed.CREATE
        case "delete" | "truncate":
            return Deed.DELETE
    marks = {each.field: each.after is not None for each in changes if each.field in (DELETED_AT, ARCHIVED_AT)}
    if marks.get(DELETED_AT):
        return Deed.REMOVE
    if marks.get(ARCHIVED_AT):
        return Deed.ARCHIVE
    return Deed.RESTORE if marks else Deed.UPDATE


def record_at(entries: Sequence[HistoryEntry], version: int) -> Mapping[str, Any]:
    """Return what a card said at a version, as far as it changed before or since.

    A field that no entry names says now what it said then.

    Args:
        entries: all of the card's, oldest first.
    """
    record: dict[str, Any] = {}
    for entry in entries:
        if entry.version > version:
            for change in entry.changes:
                record.setdefault(change.field, change.before)
            continue
        if entry.op is Deed.CREATE:
            record = dict.fromkeys(record)
        for change in entry.changes:
            record[change.field] = change.after
    return record


def is_live(entries: Sequence[HistoryEntry], version: int) -> bool:
    """Return whether the card was neither deleted nor archived at a version."""
    reached = [entry for entry in entries if entry.version <= version]
    record = record_at(entries, version)
    is_gone = bool(reached) and reached[-1].op is Deed.DELETE
    return not (is_gone or record.get(DELETED_AT) or record.get(ARCHIVED_AT))


def fields_of(record: Mapping[str, Any]) -> dict[str, Value]:
    """Return the synced fields of a record in canonical form; a claim is nothing that comes back."""
    fields = {name: canonical(value) for name, value in record.items() if name in _FIELDS or name.startswith(EXTRA)}
    if "dependsOn" in fields:
        fields["dependsOn"] = fields["dependsOn"] or ()
    if fields.get("status") == Status.CLAIMED:
        fields["status"] = Status.READY.value
    return fields


def _flat(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name == "extra" and isinstance(value, Mapping):
            yield from ((EXTRA + key, each) for key, each in value.items())
        else:
            yield name, value
