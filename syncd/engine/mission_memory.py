"""What is remembered of missions beside the files: the base, in which file each was seen, the write under way.

Kept in the state as small facts: a mission is a handful of records, read and written as a whole.
May import ``syncd.ports``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.ports import StagedFile, State
from syncd.schemas.card import Fields, Value
from syncd.schemas.mission import Record, RecordKey, RecordKind, Records

_BASE: Final = "mission.base"
_PATHS: Final = "mission.paths"
_JOURNAL: Final = "mission.journal"
_VERSIONS: Final = "mission.versions"
_EPOCHS_MAX: Final = 4
"""Histories of stores of which versions are remembered: a database and what stands in for it while it is away."""

_Parts = list[tuple[str, str, str, dict[str, Value], int, int]]


class _Entry(msgspec.Struct, frozen=True):
    commit_id: str
    staged: list[tuple[str, str, str | None, str]]
    sent: _Parts
    written: dict[str, _Parts]


class MissionJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A write under way: ``sent`` are records as the store gets them, ``written`` as each file gets them."""

    commit_id: str
    staged: tuple[StagedFile, ...]
    sent: Records
    written: Mapping[str, Records]


class MissionMemory:
    """The facts about missions in a workspace's state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._base: tuple[str, Records] = ("", {})

    @property
    def base(self) -> Records:
        """The records as both sides last agreed; each with the store's version and its place in the file."""
        text = self._state.meta(_BASE) or ""
        if text != self._base[0]:
            self._base = (text, _records(msgspec.json.decode(text, type=_Parts)) if text else {})
        return self._base[1]

    @property
    def paths(self) -> Mapping[str, str]:
        """The mission that each file told last, by path."""
        text = self._state.meta(_PATHS)
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}

    def base_in(self, epoch: str) -> Records:
        """Return the base with the versions that the rows had in this history of a store.

        In one that was never seen they have to be as new as in any: a restored backup is another history.
        """
        base, known = self.base, self._versions()
        if not known or next(reversed(known)) == epoch:
            return base
        versions = known.get(epoch)
        return {
            key: replace(record, version=record.version if versions is None else versions.get(str(key), 0))
            for key, record in base.items()
        }

    def is_new_history(self, epoch: str) -> bool:
        """Return whether a store's history was never seen, and another one was."""
        known = self._versions()
        return bool(known) and epoch not in known

    def _versions(self) -> dict[str, dict[str, int]]:
        """Return the versions by history, that of the base last."""
        text = self._state.meta(_VERSIONS)
        return msgspec.json.decode(text, type=dict[str, dict[str, int]]) if text else {}

    def advance(self, base: Records, paths: Mapping[str, str], epoch: str | None = None) -> None:
        """Move the base, durably; nothing new writes nothing.

        Args:
            epoch: the store's history that its versions are of.
        """
        if epoch is not None:
            known = self._versions()
            before, now = list(known.items()), {str(key): record.version for key, record in sorted(base.items())}
            known.pop(epoch, None)
            known[epoch] = now
            if list(known.items()) != before and (base or before):
                kept = dict(list(known.items())[-_EPOCHS_MAX:])
                self._state.set_meta(_VERSIONS, msgspec.json.encode(kept).decode())
        if base != self.base:
            self._state.set_meta(_BASE, msgspec.json.encode(_parts(base.values())).decode() if base else None)
        if dict(paths) != self.paths:
            self._state.set_meta(_PATHS, msgspec.json.encode(dict(sorted(paths.items()))).decode() if paths else None)

    @property
    def journal(self) -> MissionJournal | None:
        """The write under way."""
        text = self._state.meta(_JOURNAL)
        if text is None:
            return None
        entry = msgspec.json.decode(text, type=_Entry)
        return MissionJournal(
            commit_id=entry.commit_id,
            staged=tuple(StagedFile(*parts) for parts in entry.staged),
            sent=_records(entry.sent),
            written={path: _records(parts) for path, parts in entry.written.items()},
        )

    def write_journal(self, journal: MissionJournal) -> None:
        """Record a write durably before it starts."""
        entry = _Entry(
            journal.commit_id,
            [(each.path, each.staged, each.expected, each.new) for each in journal.staged],
            _parts(journal.sent.values()),
            {path: _parts(records.values()) for path, records in journal.written.items()},
        )
        self._state.set_meta(_JOURNAL, msgspec.json.encode(entry).decode())

    def clear_journal(self) -> None:
        """Forget the write under way, durably."""
        self._state.set_meta(_JOURNAL, None)

    def take_over(self, agreed: Iterable[Record]) -> None:
        """Have the base hold what a write made both sides say before a crash."""
        base = dict(self.base)
        for each in agreed:
            known = base.get(each.key)
            fields: Fields = {**(known.fields if known else {}), **each.fields}
            version = known.version if known else 0
            base[each.key] = Record(each.key, fields, version, known.position if known else each.position)
        self.advance(base, self.paths)


def _parts(records: Iterable[Record]) -> _Parts:
    return [
        (each.key.kind.value, each.key.mission, each.key.id, dict(each.fields), each.version, each.position)
        for each in sorted(records, key=lambda record: record.key)
    ]


def _records(parts: _Parts) -> dict[RecordKey, Record]:
    found = (
        Record(RecordKey(RecordKind(kind), mission, id), fields, version, position)
        for kind, mission, id, fields, version, position in parts
    )
    return {each.key: each for each in found}
