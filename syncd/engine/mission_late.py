"""Late writes into mission files, taken in: what somebody wrote into a file that syncd had replaced under their hands.

Their bytes are the author's: what syncd's write had brought is written into them, so that every key that syncd does not
know stays as it was meant.  Where somebody else has edited the file since, their records go into that one instead.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from syncd.core.mission_merge import POSITION, RecordChange, reconcile_missions
from syncd.core.plan import ChangeKind, Conflict
from syncd.engine.late_writes import LateQueue
from syncd.engine.placing import place
from syncd.parsers.mission_edit import RecordEdit, edited
from syncd.parsers.mission_json import MissionDocument, parse_mission
from syncd.ports import LateWrite, StagedFile, State, TaskFiles
from syncd.schemas.mission import RecordKind

_ALL: Final = frozenset(RecordKind)

Recorder = Callable[[Sequence[Conflict]], object]
"""Has what clashed recorded in the store, before its loser is overwritten."""


class MissionLateWrites:
    """The late writes of the mission files: each comes again until it is in the file that stands."""

    def __init__(self, files: TaskFiles, state: State, digest: Callable[[bytes], str]) -> None:
        self._files = files
        self._state = state
        self._digest = digest
        self._queue = LateQueue(files)
        self.are_there = self._queue.are_there

    def take_in(self, record: Recorder) -> None:
        """Bring what was written into displaced files into the files that stand.  Holds: I2."""
        for late in self._queue.all():
            if self._is_in(late, record):
                self._queue.count_in([late])

    def _is_in(self, late: LateWrite, record: Recorder) -> bool:
        """Take one in; return whether it need not come again."""
        meant, now = self._files.bytes_of(late.absolute), self._files.read(late.path)
        if meant is None:
            return True
        if now.data is None or now.digest is None or self._digest(meant) != late.digest:
            return False
        if self._state.version_rank(late.path, now.digest) != 0:
            # Another edit, or half of one: it is taken in first.
            return False
        merged = _merged(
            self._state.version_bytes(late.path, late.before), meant, now.data, path=late.path, record=record
        )
        self._state.remember_version(late.path, late.digest, meant)
        self._state.remember_version(late.path, now.digest, now.data)
        if merged is None or merged == now.data:
            return True
        self._files.make_durable(late.path)
        staged = StagedFile(late.path, self._files.stage(late.path, merged), now.digest, self._digest(merged))
        return place(self._files, self._state, staged, merged, now.data)


def _merged(before: bytes | None, meant: bytes, now: bytes, *, path: str, record: Recorder) -> bytes | None:
    """Return the file with a late write in it; ``None`` where one of them cannot be read as a mission."""
    late, standing = parse_mission(meant, path=path), parse_mission(now, path=path)
    if late.is_frozen or standing.is_frozen:
        return None
    known = None if before is None else parse_mission(before, path=path)
    base = {} if known is None else known.records
    shown = dict.fromkeys({key.mission for key in (*late.records, *standing.records)}, _ALL)
    plan = reconcile_missions(base, late.records, standing.records, shown=shown)
    if plan.conflicts:
        record(plan.conflicts)
    try:
        if known is not None and not known.is_frozen and _is_syncds_own(known, standing):
            return edited(late, map(_edit, plan.to_file))
        return edited(standing, map(_edit, plan.to_store))
    except ValueError:
        return None


def _is_syncds_own(before: MissionDocument, now: MissionDocument) -> bool:
    """Return whether a file is what stood there before, with nothing but records changed, as syncd writes them."""
    shown = dict.fromkeys({key.mission for key in (*before.records, *now.records)}, _ALL)
    changes = reconcile_missions(before.records, before.records, now.records, shown=shown).to_file
    return edited(before, map(_edit, changes)) == now.source


def _edit(change: RecordChange) -> RecordEdit:
    fields = {name: value for name, value in change.fields.items() if name != POSITION}
    return RecordEdit(change.key, None if change.kind is ChangeKind.REMOVE else fields)
