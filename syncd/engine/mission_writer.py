"""The files' half of a pass over missions: new bytes, staged beside each file, and put in its place.

A file that cannot be written now takes nothing in this pass, and says why.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from syncd.core.mission_guard import GuardedMissions
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind, Wait
from syncd.engine.mission_look import MissionLook
from syncd.engine.mission_memory import MissionMemory
from syncd.engine.placing import place
from syncd.engine.postponement import Postponement
from syncd.errors import InputOutputError
from syncd.parsers.document import Problem
from syncd.parsers.mission_edit import RecordEdit, edited, starter
from syncd.ports import StagedFile, State, TaskFiles
from syncd.schemas.mission import RecordKey, RecordKind, Records


class MissionWrite(msgspec.Struct, frozen=True):
    """One pass's write: new bytes by path, the files staged, and what is said of files that refuse."""

    bytes: dict[str, bytes] = msgspec.field(default_factory=dict)
    staged: dict[str, StagedFile] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    waits: list[Wait] = msgspec.field(default_factory=list)


class MissionWriter:
    """Writes mission files.

    Args:
        creates: the one file that the configuration names, made from the store when it was never there.
        grace_s: how long a file may be missing before it is written again.
    """

    def __init__(
        self,
        files: TaskFiles,
        state: State,
        memory: MissionMemory,
        postponement: Postponement,
        digest: Callable[[bytes], str],
        *,
        creates: str | None,
        grace_s: float,
    ) -> None:
        self._files = files
        self._state = state
        self._memory = memory
        self._postponement = postponement
        self._digest = digest
        self._creates = creates
        self._grace_s = grace_s

    def draft(self, look: MissionLook, guarded: GuardedMissions, remote: Records) -> MissionWrite:
        """Return the new bytes of each file that changes, staged beside it."""
        write = MissionWrite()
        for path, document in look.documents.items():
            changes = [each for each in guarded.plan.to_file if each.key.mission == document.mission]
            if not changes:
                continue
            try:
                data = edited(document, map(_edit, changes))
            except ValueError as error:
                hint = "Write it by hand; the store keeps its value."
                write.problems.append(Problem(path, 1, 1, "cannot-write", f"{error}", hint))
                continue
            if data != document.source:
                write.bytes[path] = data
        for path, data in self._put_back(look, guarded, remote):
            write.bytes[path] = data
        for path in list(write.bytes):
            self._stage(path, look, write)
        return write

    def _put_back(self, look: MissionLook, guarded: GuardedMissions, remote: Records) -> Iterator[tuple[str, bytes]]:
        """Yield the files that come back whole: missing for long, given up by a person, or never made here."""
        held = {hold.path for hold in guarded.holds}
        missions = {key.mission: key for key in remote if key.kind is RecordKind.MISSION}
        due = [path for path, seconds in look.missing_s.items() if seconds >= self._grace_s]
        due += [path for path in look.broken if path not in held]
        for path in due:
            if self._memory.paths[path] in missions and (data := self._state.newest_version(path)) is not None:
                yield path, data
        if len(missions) == 1 and self._creates is not None:
            (mission,) = missions
            read = look.reads.get(self._creates)
            is_absent = read is not None and read.data is None and read.error is None
            if is_absent and self._creates not in self._memory.paths and mission not in look.places():
                yield self._creates, _rendered(missions[mission], remote)

    def _stage(self, path: str, look: MissionLook, write: MissionWrite) -> None:
        waits = self._postponement.waits_of(look.reads)
        if path in waits:
            write.waits.append(waits[path])
            del write.bytes[path]
            return
        try:
            staged = self._files.stage(path, write.bytes[path])
        except InputOutputError as error:
            hint = error.hint or "Make the folder writable again."
            write.problems.append(Problem(path, 1, 1, "cannot-write", error.message, hint))
            del write.bytes[path]
            return
        digest = self._digest(write.bytes[path])
        write.staged[path] = StagedFile(path, staged, look.reads[path].digest, digest)

    def replace(self, look: MissionLook, write: MissionWrite) -> dict[str, bytes]:
        """Put the staged files in place; return those where nobody had written in between."""
        replaced: dict[str, bytes] = {}
        if not write.staged:
            return replaced
        with self._postponement.writing() as may_write:
            for path, staged in write.staged.items():
                if not may_write:
                    self._files.discard(staged.staged)
                elif place(self._files, self._state, staged, write.bytes[path], look.reads[path].data):
                    replaced[path] = write.bytes[path]
                    self._postponement.wrote(path)
        return replaced

    def discard(self, write: MissionWrite) -> None:
        """Forget what was staged."""
        for staged in write.staged.values():
            self._files.discard(staged.staged)


def _edit(change: RecordChange) -> RecordEdit:
    return RecordEdit(change.key, None if change.kind is ChangeKind.REMOVE else change.fields)


def _rendered(key: RecordKey, records: Records) -> bytes:
    """Return a new mission file that says what the store says."""
    milestones = sorted(
        (
            each
            for each in records.values()
            if each.key.mission == key.mission and each.key.kind is RecordKind.MILESTONE
        ),
        key=lambda each: (each.position, each.key.id),
    )
    filled = {name: value for name, value in records[key].fields.items() if value is not None}
    return starter(key.mission, filled, [(each.key.id, each.fields) for each in milestones])
