"""One cycle: observe, plan, guard, write.  The eight steps stand in ``_pass``, in their order.

A cycle takes in everything there is, so that events need only wake it and losing one costs time, never
data.  A crash after any step is answered by running the cycle again: what is durable on both sides is
agreed, what is durable on one flows on, and the journal tells which write was under way.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``; no store, no file.
Long because a pass that writes and a look that does not share what they remember.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from functools import partial

import msgspec
from msgspec.structs import replace

from syncd.core.drift import drift
from syncd.core.guard import guard
from syncd.core.plan import Conflict, Policy, Presence, RemoteCard, Wait
from syncd.core.reconcile import Settled, reconcile
from syncd.core.settling import unsure
from syncd.core.sight import STORE, Guarded, Thresholds
from syncd.engine import asking, edits, recovery
from syncd.engine import draft as drafting
from syncd.engine.base import REMOVING, Outcome, differs, move_base, outcome_of, says_more, shown
from syncd.engine.companion import Companion, NoCompanion
from syncd.engine.decisions import Decided
from syncd.engine.draft import Draft, closed_by
from syncd.engine.durable import Durable
from syncd.engine.late_writes import LateWrites
from syncd.engine.naming import Names
from syncd.engine.observe import LocalView, Observer
from syncd.engine.pace import Pace
from syncd.engine.placing import place
from syncd.engine.postponement import Postponement, wanted
from syncd.engine.problems import CardProblems, Refusals, state_problems, without_unplaceable
from syncd.engine.reinstatement import Past
from syncd.engine.remote import RemoteView
from syncd.engine.report import CycleReport, Look, Preview
from syncd.engine.sighting import Sighting
from syncd.engine.steps import Step, StepClock
from syncd.engine.undo import Leases, Undone, undo
from syncd.errors import Busy
from syncd.log import event
from syncd.parsers.document import Document, ParseOptions, Problem
from syncd.ports import Batch, BatchResult, EditLock, Journal, LateWrite, StagedFile, State, SyncStore, TaskFiles
from syncd.schemas.card import Status

PASSES_MAX = 6
"""Passes of one cycle: a version that moved, or an edit that came in between, is planned again at once."""


class CycleSettings(msgspec.Struct, frozen=True):
    """What the configuration says to a cycle.

    ``options`` gives the parse options of a path; ``statuses`` the words that the configuration adds;
    ``prefix`` begins the ids of new cards where a file shows no habit; ``priority_range`` is the lowest and
    the highest priority that a row may have.
    """

    policy: Policy
    thresholds: Thresholds
    options: Callable[[str], ParseOptions]
    statuses: Mapping[str, Status] = msgspec.field(default_factory=dict)
    prefix: str = "T-"
    priority_range: tuple[int, int] | None = None


class Cycle:
    """The sync of one workspace with its store.

    Args:
        lock: holds the workspace for one cycle, against other processes.
        monotonic: seconds from any start; used for ages only.
        new_commit_id, digest: a fresh id for each store transaction; the hash that names a file's content.
        pace, own_name: how often files may be rewritten (``None``: a single run); what ids given while away bear.
        edit_lock: held while files are replaced, so that scripts that hold it are not raced.
        companion: what is synced with the task files.
    """

    def __init__(
        self,
        files: TaskFiles,
        store: SyncStore,
        state: State,
        settings: CycleSettings,
        *,
        lock: Callable[[], AbstractContextManager[object]],
        monotonic: Callable[[], float],
        new_commit_id: Callable[[], str],
        digest: Callable[[bytes], str],
        pace: Pace | None = None,
        edit_lock: EditLock | None = None,
        own_name: Callable[[], str] = lambda: "",
        companion: Companion | None = None,
    ) -> None:
        self._companion = companion or NoCompanion()
        self._files = files
        self._store = store
        self._state = state
        self._settings = settings
        self._lock = lock
        self._new_commit_id = new_commit_id
        self._digest = digest
        self._postponement = Postponement(pace, edit_lock)
        self.remote = RemoteView(store)
        self._observer = Observer(files, state, settings.options, monotonic, priority_range=settings.priority_range)
        self._sighting = Sighting(files, state, self._observer, settings.policy, monotonic)
        self._names = Names(store, state, settings.prefix, own_name)
        self._refusals = Refusals()
        self._decided = Decided(state)
        self._late = LateWrites(files, state, settings.options, digest)
        self._durable = Durable(files)
        self._card_problems = CardProblems()
        self._unplaceable: tuple[Problem, ...] = ()
        self._reconcile = partial(reconcile, settled=Settled())
        self._recorded: set[Conflict] = set()
        self._must_recover = True
        self._must_read_all = True
        self._last: CycleReport | None = None
        self._seen: Preview | None = None
        self.steps = StepClock(monotonic)
        self.obstacles: tuple[Problem, ...] = ()
        """Why files could not be written in the last pass; only trying again tells that they can."""

    def run(self, *, full: bool = False) -> CycleReport:
        """Bring both sides together and return what was done; with nothing to do nothing is written.

        Args:
            full: compare with every row of the store instead of what the feed tells.

        Raises: StoreUnreachable and the other errors of a store; InputOutputError of the state.
        Holds: I1, I3, I9.
        """
        self._must_read_all |= full
        if self._last is not None and self._is_quiet(self._last):
            return CycleReport(held=self._last.held, problems=self._last.problems)
        self._last = self._seen = None
        with self._lock():
            done, is_full = CycleReport(), self._must_read_all
            for _ in range(PASSES_MAX):
                report, again = self._pass()
                done = done.then(report)
                if not again:
                    break
            done = done.beside(self._companion.run(full=is_full))
            self._decided.forget_past(done)
        self._last = done
        return done

    def wake_fully(self) -> None:
        """Make the next cycle read every row of the store anew, after an error."""
        self._must_read_all = self._must_recover = True

    def plan_anew(self) -> None:
        """Make the next cycle plan although nothing moved: somebody decided about a hold, or asks."""
        self._last = self._seen = None

    def preview(self) -> Preview:
        """Look and plan, and write nothing anywhere.  Raises the errors of a store."""
        is_quiet = self._last is not None and self._is_quiet(self._last)
        if is_quiet and self._seen is not None:
            return self._seen
        signatures = self._observer.signatures
        view = self._observer.look()
        is_quiet &= not self._load() and self._observer.signatures == signatures
        if not is_quiet:
            # What this look takes note of is still to be acted on.
            self._last = None
        view = view.with_ids(self._names.guess(view, self.remote.cards))
        guarded = self._plan(view)
        closed = view.frozen | closed_by(guarded)
        write = drafting.draft(view, guarded, {}, closed=closed, options=self._settings.options, past=self._past())
        write.problems.extend(self.obstacles)
        found = drift(self._state.base(), view.local, self.remote.remote, guarded.planned, guarded.holds)
        waits = (*guarded.waits, *wanted(self._postponement.waits(view), guarded, view))
        preview = Preview(self._report(write, guarded, waits), found).beside(self._companion.preview())
        self._seen = preview if is_quiet else None
        return preview

    def preview_alone(self) -> Preview:
        """Look at the files against the base, with the store away.  Writes nothing."""
        base = self._state.base()
        self._last = None
        self.wake_fully()
        self.remote.suppose(base)
        view = self._observer.look()
        guarded = self._plan(view)
        options, past = self._settings.options, self._past()
        write = drafting.draft(view, guarded, {}, closed=view.frozen, options=options, past=past)
        found = drift(base, view.local, self.remote.remote, guarded.planned, guarded.holds)
        alone = self._companion.preview(is_alone=True)
        return Preview(self._report(write, guarded, guarded.waits), found).beside(alone)

    def undo(self, path: str) -> Undone:
        """Put a file back as it was before the last write to it; the next run takes that in as an edit.

        Raises: as ``undo.undo``; Busy while a script holds the lock for editing task files; the errors of a store.
        """
        self._last = self._seen = None
        self._load()
        leases = Leases(self.remote.remote, self._settings.options(path))
        with self._lock(), self._postponement.writing() as may_write:
            if not may_write:
                raise Busy(f"somebody holds the lock for editing {path}", hint="Try again later.")
            done = undo(self._files, self._state, self._digest, path, leases)
        self._observer.forget()
        self._sighting.forget_writes()
        return done

    def look(self) -> Look:
        """Look and plan, as ``preview``, and tell what was seen besides."""
        preview = self.preview()
        last, remote = self._observer.last, self.remote.remote
        unread = tuple(each for each in last.problems if each.path in last.frozen)
        return Look(preview, unread, lambda id: id in remote or id in last.local)

    def expect_edit(self, id: str, names: Iterable[str]) -> None:
        """Take the next edit of these fields for what it is, although it may bring back what was written over."""
        self._sighting.expect(id, names)

    def document(self, path: str) -> Document | None:
        """Return a task file as it was read last; safe from any thread."""
        return self._observer.last.documents.get(path)

    def next_look_s(self) -> float | None:
        """Return in how many seconds a displaced file is to be looked at again; ``None`` for never."""
        looks = (self._files.next_look_s(), self._companion.next_look_s())
        return min((each for each in looks if each is not None), default=None)

    def live_ids(self) -> frozenset[str]:
        """Return the ids that the store showed as live at the last look."""
        return frozenset(id for id, each in self.remote.remote.items() if each.presence is Presence.LIVE)

    def _pass(self) -> tuple[CycleReport, bool]:
        """Go through the eight steps once; return what was done and whether to go again at once."""
        self.steps.begin(Step.RECOVER)
        if self._must_recover:
            self._names.learn(recovery.recover(self._files, self._store, self._state, self._stored))
            self._must_recover = False
        late = self._late.take_in()

        self.steps.begin(Step.READ_FILES)  # 1
        view = self._observer.look()
        self._names.seen(view)
        self.steps.begin(Step.READ_STORE)  # 2
        self._load()
        self.steps.begin(Step.PLAN)  # 3: reconcile and guard
        postponed = self._postponement.waits(view)
        ids = self._names.give(view, self.remote.cards, closed=view.frozen | postponed.keys())
        view = view.with_ids(ids)
        guarded = self._plan(view)
        closed = view.frozen | closed_by(guarded) | postponed.keys()
        write = drafting.draft(view, guarded, ids, closed=closed, options=self._settings.options, past=self._past())
        waits = (*guarded.waits, *wanted(postponed, guarded, view))

        if write.bytes or guarded.plan.to_store or guarded.plan.agreed or guarded.plan.forgotten:
            self._durable.secure(view)
        self.steps.begin(Step.JOURNAL)  # 4: stage the new bytes, and note what is going to happen
        drafting.stage(write, self._files, self._digest)
        self.obstacles = tuple(each for each in write.problems if each.code == "cannot-write")
        batch = self._batch(write, late)
        if not (batch.changes or batch.conflicts or write.staged):
            self._advance(write, guarded, Outcome(set(guarded.plan.agreed), set(guarded.plan.forgotten)), set())
            if (journal := self._state.journal()) is not None and journal.commit_id:
                self._clear_journal()
            self._late.count_in(late)
            self._settle(guarded, self._unwritten(guarded, write, closed, set()), frozenset())
            return self._report(write, guarded, waits), False
        self._must_recover = True
        self._state.write_journal(self._journal(write, batch))
        self.steps.begin(Step.COMMIT)  # 5: the losers of conflicts first, then the changes
        result = self._commit(write, batch)
        self.steps.begin(Step.REPLACE)  # 6, and look at what came out
        replaced = self._replace(write)
        self.steps.begin(Step.BASE)  # 7, from results
        after = self._advance(write, guarded, outcome_of(view, write.plan, batch, result, replaced), replaced)
        self.steps.begin(Step.CLEAR)  # 8: the journal
        is_whole = replaced == write.staged.keys()
        if is_whole:
            self._clear_journal()
        self._must_recover = False
        self._late.count_in(
            each for each, clashes in late.items() if result.moved.isdisjoint(clash.id for clash in clashes)
        )
        self._settle(guarded, self._unwritten(guarded, write, closed, replaced), result.moved | result.refused.keys())
        written = [change for change in write.plan.to_file if change.path in replaced]
        again = result.moved or not is_whole or differs(batch, result, self.remote)
        again = again or says_more(written, after, self.remote)
        return self._report(write, guarded, waits), bool(again)

    # --- looking and planning ---------------------------------------------------------------------

    def _is_quiet(self, last: CycleReport) -> bool:
        """Return whether nothing moved since the last cycle: one stat a file and one question to the store."""
        if last.waits or self.obstacles or self._must_recover or self._must_read_all:
            return False
        has_news = self.remote.load(full=False, statuses=self._settings.statuses)
        has_news |= self._companion.has_news()
        return not (has_news or self._observer.has_moved() or self._late.are_there())

    def _load(self) -> bool:
        """Read what the store has that is new; return whether there was any."""
        if self._must_read_all:
            self._refusals.forget()
        has_news = self.remote.load(full=self._must_read_all, statuses=self._settings.statuses)
        self._must_read_all = False
        return has_news

    def _stored(self) -> Mapping[str, RemoteCard]:
        self._load()
        return self.remote.remote

    def _plan(self, view: LocalView) -> Guarded:
        base, remote = self._state.base(), self.remote.remote
        sight = self._sighting.sight(view, self.remote)
        frozen = view.frozen | unsure(sight, self._settings.thresholds).keys()
        policy, recent, taken_out = self._settings.policy, self._sighting.recent(), self._sighting.taken_out()
        plan = self._reconcile(base, view.local, remote, policy, frozen=frozen, recent=recent, taken_out=taken_out)
        plan, self._unplaceable = without_unplaceable(view, plan)
        guarded = guard(edits.showable(view, plan), sight, self._settings.thresholds, self._state.decisions())
        waits = unsure(sight, self._settings.thresholds, but={wait.path for wait in guarded.waits})
        return replace(guarded, plan=edits.showable(view, guarded.plan), waits=(*guarded.waits, *waits.values()))

    def _past(self) -> Past:
        return Past(self._state.versions, self._state.base(), self.remote.remote, self._files.names)

    # --- writing ----------------------------------------------------------------------------------

    def _unwritten(self, guarded: Guarded, write: Draft, closed: frozenset[str], replaced: Set[str]) -> Set[str]:
        """Return the files that were to be written and were not: postponed, raced, or not to be had."""
        planned = {change.path for change in guarded.plan.to_file if change.path is not None}
        return (planned & closed) | (write.staged.keys() - replaced) | {each.path for each in self.obstacles}

    def _settle(self, guarded: Guarded, unwritten: Set[str], failed: Set[str]) -> None:
        """Remember the versions that were taken in and the holds that stand; forget decisions that are done.

        Args:
            unwritten: files whose rows still wait to be written: what was seen in them is not taken in yet.
            failed: cards that the store did not take.
        """
        closed = closed_by(guarded) | unwritten
        is_waiting = bool(guarded.waits or unwritten)
        self._sighting.remember(self._observer.last, guarded.holds, guarded.marks, closed, is_waiting=is_waiting)
        asking.settle_past(self._store, self._state, guarded.plan.conflicts, self._settings.policy.replica)
        if self._state.was_lost is not None:
            event("state.lost", kept=self._state.was_lost)
            self._state.acknowledge_loss()
        self._decided.carry_out(guarded, unwritten, failed)

    def _batch(self, write: Draft, late: Mapping[LateWrite, Sequence[Conflict]]) -> Batch:
        conflicts = (*write.plan.conflicts, *itertools.chain.from_iterable(late.values()))
        # One that was settled meanwhile, and comes up again, is recorded again.
        self._recorded &= set(conflicts)
        return Batch(
            commit_id=self._new_commit_id(),
            changes=tuple(change for change in write.plan.to_store if not self._refusals.stands(change)),
            conflicts=tuple(each for each in conflicts if each not in self._recorded),
        )

    def _journal(self, write: Draft, batch: Batch) -> Journal:
        sent = shown(write.view, batch.changes)
        return Journal(
            commit_id=batch.commit_id,
            staged=tuple(write.staged.values()),
            ids=dict(self._names.pending),
            sent=sent,
            written=dict(write.written),
            places={id: write.view.local[id].path for id in sent},
            removed=frozenset(change.id for change in batch.changes if change.kind in REMOVING),
        )

    def _clear_journal(self) -> None:
        """Clear the journal, but for the ids that cards in the store have and their rows do not show yet."""
        self._names.seen(self._observer.last)
        if pending := dict(self._names.pending):
            self._state.write_journal(Journal(commit_id="", staged=(), ids=pending, sent={}, written={}))
        else:
            self._state.clear_journal()

    def _commit(self, write: Draft, batch: Batch) -> BatchResult:
        if not (batch.changes or batch.conflicts):
            return BatchResult({}, frozenset(), {})
        result = self._store.commit(batch)
        self.remote.take(result.cards.values(), self._settings.statuses)
        self._recorded.update(each for each in batch.conflicts if each.id not in result.moved)
        self._refusals.note(batch.changes, result)
        self._sighting.sent([each for each in batch.changes if each.id in result.cards])
        if failed := frozenset(result.moved | result.refused.keys()):
            drafting.restage(write, failed, self._files, self._settings.options, self._digest)
            self._state.write_journal(self._journal(write, batch))
        return result

    def _replace(self, write: Draft) -> Set[str]:
        """Put the staged files in place; return the paths where nobody had written in between."""
        if not write.staged:
            return set()
        with self._postponement.writing() as may_write:
            return {path for path, staged in write.staged.items() if self._replaced(write, path, staged, may_write)}

    def _replaced(self, write: Draft, path: str, staged: StagedFile, may_write: bool) -> bool:
        """Put one staged file in place; return whether that was done and nobody had written in between."""
        if not may_write:
            self._files.discard(staged.staged)
            return False
        if not place(self._files, self._state, staged, write.bytes[path], write.view.reads[path].data):
            return False
        self._observer.wrote(path, staged.new)
        self._durable.wrote(path, staged.new)
        self._sighting.wrote([each for each in write.plan.to_file if each.path == path], write.view)
        self._postponement.wrote(path)
        return True

    def _advance(self, write: Draft, guarded: Guarded, outcome: Outcome, replaced: Set[str]) -> LocalView:
        """Move the base to what the store returned and what the files hold now; return the latter."""
        staged = {path: write.staged[path] for path in replaced}
        view = self._observer.after(
            {path: None if each.is_removal else (write.bytes[path], each.new) for path, each in staged.items()}
        )
        is_rewound = any(hold.id == STORE for hold in guarded.holds)
        is_decided = any(hold.id == STORE for hold in (*guarded.accepted, *guarded.rejected))
        move_base(self._state, view, self.remote, outcome, is_rewound=is_rewound, is_new_history=is_decided)
        return view

    def _report(self, write: Draft, guarded: Guarded, waits: Sequence[Wait]) -> CycleReport:
        return CycleReport(
            to_store=write.plan.to_store,
            to_file=write.plan.to_file,
            conflicts=write.plan.conflicts,
            held=guarded.holds,
            problems=(
                *state_problems(self._state),
                *self._observer.last.problems,
                *self._card_problems.of(write.view, self.remote.remote, guarded.holds),
                *self._refusals.problems(write.view),
                *self._unplaceable,
                *write.problems,
            ),
            waits=tuple(waits),
            named=tuple(id for (path, _), id in write.ids.items() if path in write.staged),
        )
