"""The sync of mission files with the store: the cycle's eight steps, on records.

It runs under the cycle's lock, behind the task files, and stands by the same rules: recover first, journal
before, base after and from results, conflicts recorded before their loser is overwritten.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from syncd.core.mission_guard import GuardedMissions, MissionSight, guard_missions, unreadable
from syncd.core.mission_merge import (
    MissionPlan,
    RecordChange,
    advance_missions,
    is_same_value,
    reconcile_missions,
)
from syncd.core.plan import ChangeKind, Conflict, Wait
from syncd.core.sight import Thresholds
from syncd.core.trips import STORE_REWOUND
from syncd.engine.mission_late import MissionLateWrites
from syncd.engine.mission_look import MissionLook, MissionObserver
from syncd.engine.mission_memory import MissionJournal, MissionMemory
from syncd.engine.mission_report import change_of, mission_drift
from syncd.engine.mission_writer import MissionWrite, MissionWriter
from syncd.engine.recovery import was_replaced
from syncd.engine.report import CycleReport, Preview
from syncd.parsers.document import Problem
from syncd.parsers.mission_json import parse_mission
from syncd.ports import MissionBatch, MissionResult, MissionStore, MissionView, State, SyncStore, TaskFiles
from syncd.schemas.card import Fields, Value
from syncd.schemas.mission import RECORD_FIELDS, Record, RecordKey, RecordKind, Records

PASSES_MAX: Final = 4
RECENT_S: Final = 10.0
"""So long what syncd wrote over may come back from an editor's old buffer."""

_UNREAD: Final = MissionView({}, -1)


class MissionSync:
    """The missions of one workspace.

    Args:
        missions: gives the missions' half of the store; ``None`` for a store that has none.
        commits: the store that knows which commits happened.
        creates: the one file that the configuration names: it is made where the store has a mission for it.
    """

    def __init__(
        self,
        files: TaskFiles,
        missions: Callable[[], MissionStore | None],
        commits: SyncStore,
        state: State,
        observer: MissionObserver,
        writer: MissionWriter,
        thresholds: Thresholds,
        *,
        monotonic: Callable[[], float],
        new_commit_id: Callable[[], str],
        digest: Callable[[bytes], str],
        creates: str | None = None,
    ) -> None:
        self._files = files
        self._missions = missions
        self._commits = commits
        self._state = state
        self._memory = MissionMemory(state)
        self._observer = observer
        self._writer = writer
        self._thresholds = thresholds
        self._monotonic = monotonic
        self._new_commit_id = new_commit_id
        self._digest = digest
        self._creates = creates
        self._late = MissionLateWrites(files, state, digest)
        self._view = _UNREAD
        self._recent: dict[tuple[RecordKey, str], tuple[Value, float]] = {}
        self._refused: dict[RecordKey, tuple[Fields, str]] = {}
        self._durable: dict[str, str | None] = {}
        self._must_recover = True
        self._last: MissionLook | None = None

    def look(self) -> MissionLook:
        """Return what the files say now; reads only."""
        return self._observer.look()

    def has_news(self) -> bool:
        """Return whether a file or the store may have moved since the last run."""
        if self._last is None or self._must_recover or self._observer.has_moved() or self._late.are_there():
            return True
        if not self._is_wanted(self._last):
            return False
        missions = self._missions()
        return missions is not None and missions.place() != self._view.place

    def run(self, *, full: bool = False) -> CycleReport:
        """Bring mission files and store together; with nothing to do nothing is written.

        Args:
            full: read the store again, whatever it says of itself.

        Raises: the errors of a store; InputOutputError of the state.
        Holds: I2, I3, I6, I9.
        """
        if full:
            self._view = _UNREAD
        done = CycleReport()
        for _ in range(PASSES_MAX):
            report, again = self._pass()
            done = done.then(report)
            if not again:
                break
        return done

    def preview(self, *, is_alone: bool = False) -> Preview:
        """Look and plan, and write nothing anywhere.

        Args:
            is_alone: compare with the base, since the store is away.
        """
        is_quiet = not (is_alone or self.has_news())
        signatures, place = self._observer.signatures, self._view.place
        look = self._observer.look()
        if not is_quiet or self._observer.signatures != signatures:
            # What this look takes note of is still to be acted on.
            self._last = None
        missions = None if is_alone else self._missions()
        if not self._is_wanted(look) or (missions is None and not is_alone):
            return Preview(CycleReport(problems=look.problems), ())
        remote = self._memory.base if missions is None else self._load(missions).records
        if self._view.place != place:
            self._last = None
        plan, guarded = self._plan(look, remote)
        report = self._report(look, guarded, MissionWrite())
        return Preview(report, tuple(mission_drift(plan, guarded, look, self._memory.base, remote)))

    # --- one pass ---------------------------------------------------------------------------------

    def _pass(self) -> tuple[CycleReport, bool]:
        """Go through the steps once; return what was done and whether to go again at once."""
        if self._must_recover:
            self._recover()
            self._must_recover = False
        missions = self._missions()
        if missions is not None:
            self._late.take_in(partial(self._record, missions))
        look = self._last = self._observer.look()
        if missions is None or not self._is_wanted(look):
            return CycleReport(problems=look.problems), False
        _, guarded = self._plan(look, self._load(missions).records)
        write = self._writer.draft(look, guarded, self._view.records)
        to_store = [each for each in guarded.plan.to_store if not self._stands_refused(each)]
        if not (to_store or guarded.plan.conflicts or write.staged):
            self._advance(look, {}, guarded)
            return self._report(look, guarded, write), False
        self._secure(look)
        batch = MissionBatch(self._new_commit_id(), _with_paths(to_store, look), guarded.plan.conflicts)
        self._must_recover = True
        self._memory.write_journal(_journal(look, guarded, write, batch))
        result = self._commit(missions, batch)
        is_moved = result is not None and bool(result.moved)
        replaced: dict[str, bytes] = {}
        if is_moved:
            # What the files were to get was planned on rows that are others now.
            self._writer.discard(write)
        else:
            replaced = self._writer.replace(look, write)
            self._note_written(guarded, look, replaced)
        self._advance(look, replaced, guarded, is_done=not is_moved)
        self._memory.clear_journal()
        self._must_recover = False
        is_raced = replaced.keys() != write.staged.keys()
        is_back = bool(replaced.keys() - look.documents.keys())
        return self._report(look, guarded, write), bool(is_raced or is_back or is_moved)

    def _record(self, missions: MissionStore, conflicts: Sequence[Conflict]) -> None:
        missions.commit(MissionBatch(self._new_commit_id(), (), tuple(conflicts)))

    def next_look_s(self) -> float | None:
        """Return in how many seconds a file that was replaced is to be looked at again; ``None`` for never."""
        return self._files.next_look_s()

    def _is_wanted(self, look: MissionLook) -> bool:
        """Return whether this workspace has to do with missions at all."""
        return bool(look.documents or look.missing_s or look.broken or self._memory.base or self._creates)

    def _load(self, missions: MissionStore) -> MissionView:
        if self._view is _UNREAD or missions.place() != self._view.place:
            self._view = missions.read()
        return self._view

    def _plan(self, look: MissionLook, remote: Records) -> tuple[MissionPlan, GuardedMissions]:
        """Return the plan before the guards, and what they leave of it."""
        base, local = self._memory.base, look.records
        now = self._monotonic()
        self._recent = {key: each for key, each in self._recent.items() if now - each[1] < RECENT_S}
        recent = {key: value for key, (value, _) in self._recent.items()}
        plan = reconcile_missions(base, local, remote, shown=look.shown(base), recent=recent)
        sights = {mission: MissionSight(path, self._is_old(path, look)) for mission, path in look.places().items()}
        decisions = self._state.decisions()
        epoch = self._view.epoch
        in_store, is_new = self._memory.base_in(epoch), self._memory.is_new_history(epoch)
        guarded = guard_missions(
            plan, in_store, local, remote, sights, decisions, self._thresholds, is_new_history=is_new
        )
        holds, decided = list(guarded.holds), list(guarded.decided)
        for path, reason in look.broken.items():
            records = sum(1 for key in base if key.mission == self._memory.paths.get(path))
            hold = unreadable(path, f"{path} cannot be read: {reason}", look.reads[path].digest, records)
            verdict = decisions.get(hold.fingerprint)
            holds += [hold] if verdict != "reject" else []
            decided += [hold.fingerprint] if verdict is not None else []
        return plan, replace(guarded, holds=tuple(holds), decided=tuple(decided))

    def _is_old(self, path: str, look: MissionLook) -> bool:
        digest = look.reads[path].digest
        return digest is not None and (self._state.version_rank(path, digest) or 0) > 0

    def _secure(self, look: MissionLook) -> None:
        """Have what the files say survive a power cut, before anything is built on it."""
        for path in look.documents:
            if self._durable.get(path, "") != look.reads[path].digest:
                self._files.make_durable(path)
                self._durable[path] = look.reads[path].digest

    def _commit(self, missions: MissionStore, batch: MissionBatch) -> MissionResult | None:
        if not (batch.changes or batch.conflicts):
            return None
        result = missions.commit(batch)
        self._view = result.view
        for change in batch.changes:
            self._refused.pop(change.key, None)
            if change.key in result.refused:
                self._refused[change.key] = (change.fields, result.refused[change.key].message)
        return result

    def _stands_refused(self, change: RecordChange) -> bool:
        kept = self._refused.get(change.key)
        return kept is not None and kept[0] == change.fields

    def _note_written(self, guarded: GuardedMissions, look: MissionLook, replaced: Mapping[str, bytes]) -> None:
        now, places = self._monotonic(), look.places()
        for change in guarded.plan.to_file:
            if places.get(change.key.mission) in replaced:
                self._recent.update(((change.key, name), (value, now)) for name, value in change.before.items())

    # --- remembering ------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Finish or forget the write that the journal names.

        As with cards, what was sent and stands in the store now was on both sides, whatever became of the batch.

        Raises: StoreUnreachable: nothing was touched.
        """
        journal = self._memory.journal
        if journal is None:
            return
        agreed: list[Record] = []
        missions = self._missions()
        if journal.sent and missions is not None:
            is_committed = self._commits.has_commit(journal.commit_id)
            left_out = self._commits.left_out(journal.commit_id) if is_committed else frozenset(map(str, journal.sent))
            stored = self._load(missions).records
            for key, each in journal.sent.items():
                agreed.append(_standing(each, stored.get(key)) if str(key) in left_out else each)
        for staged in journal.staged:
            if was_replaced(self._files, staged):
                self._files.make_durable(staged.path)
                agreed += journal.written.get(staged.path, {}).values()
        self._memory.take_over(each for each in agreed if each.fields)
        self._memory.clear_journal()

    def _advance(
        self, look: MissionLook, replaced: Mapping[str, bytes], guarded: GuardedMissions, *, is_done: bool = True
    ) -> None:
        """Move the base to what the files hold now and the store returned."""
        written = {path: parse_mission(data, path=path) for path, data in replaced.items()}
        readable = {path: each for path, each in written.items() if not each.is_frozen}
        now = replace(look, documents={**look.documents, **readable})
        base = self._memory.base
        rewound = {hold.path for hold in guarded.holds if hold.guard == STORE_REWOUND}
        whole = {hold.path for hold in guarded.holds if hold.id == hold.path}
        places = now.places()
        settled = {mission: kinds for mission, kinds in now.shown(base).items() if places[mission] not in rewound}
        base = advance_missions(base, now.records, self._view.records, settled)
        stays = {key.mission for key in self._view.records} - places.keys()
        told = {
            path: mission for path, mission in self._memory.paths.items() if mission in stays or path in look.broken
        }
        told |= {path: mission for mission, path in places.items()}
        base = {key: each for key, each in base.items() if key.mission in told.values()}
        if base != self._memory.base:
            self._secure(look)
        # A history that is in doubt is none that was seen.
        self._memory.advance(base, told, None if rewound else self._view.epoch)
        for path, document in now.documents.items():
            if path not in whole:
                self._state.remember_version(path, self._digest(document.source), document.source)
        if guarded.decided and is_done:
            self._state.drop_decisions(guarded.decided)

    def _report(self, look: MissionLook, guarded: GuardedMissions, write: MissionWrite) -> CycleReport:
        places = look.places()
        waits = [
            Wait(path, "gone; it is written again soon", int(max(0.0, self._thresholds.grace_s - seconds) * 1000) + 1)
            for path, seconds in look.missing_s.items()
            if path not in write.staged and self._state.newest_version(path) is not None
        ]
        refused = [
            Problem(
                path, each.line, each.column, "refused", message, "Change the value; it stays in the file as it is."
            )
            for key, (_, message) in self._refused.items()
            if (path := places.get(key.mission)) is not None
            and (each := look.documents[path].found.get(key)) is not None
        ]
        return CycleReport(
            to_store=tuple(change_of(each, places) for each in guarded.plan.to_store),
            to_file=tuple(change_of(each, places) for each in guarded.plan.to_file),
            conflicts=guarded.plan.conflicts,
            held=guarded.holds,
            problems=(*look.problems, *refused, *write.problems),
            waits=(*write.waits, *waits),
        )


def _standing(sent: Record, stored: Record | None) -> Record:
    """Return what of a record that was sent the store shows."""
    there, kinds = stored.fields if stored is not None else {}, RECORD_FIELDS[sent.key.kind]
    stands = {
        name: value
        for name, value in sent.fields.items()
        if name in there and is_same_value(kinds[name], value, there[name])
    }
    return replace(sent, fields=stands)


def _with_paths(changes: Iterable[RecordChange], look: MissionLook) -> tuple[RecordChange, ...]:
    """Return the changes; a new mission learns in which file it stands."""
    places = look.places()
    return tuple(
        replace(each, fields={**each.fields, "path": places.get(each.key.mission)})
        if each.kind is ChangeKind.CREATE and each.key.kind is RecordKind.MISSION
        else each
        for each in changes
    )


def _journal(look: MissionLook, guarded: GuardedMissions, write: MissionWrite, batch: MissionBatch) -> MissionJournal:
    """Return the write: what the store gets and the file shows, and what each file gets and the store holds."""
    local, places = look.records, look.places()
    sent = {
        each.key: Record(each.key, {name: here.fields[name] for name in each.fields if name in here.fields})
        for each in batch.changes
        if (here := local.get(each.key)) is not None
    }
    written: dict[str, dict[RecordKey, Record]] = {}
    for each in guarded.plan.to_file:
        path = places.get(each.key.mission)
        if path in write.staged and each.kind is not ChangeKind.REMOVE:
            written.setdefault(path, {})[each.key] = Record(each.key, each.fields)
    return MissionJournal(commit_id=batch.commit_id, staged=tuple(write.staged.values()), sent=sent, written=written)
