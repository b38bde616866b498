"""The missions of a store that can be away: the database's, or those of the manifest that stands in for it.

Stands by the rules of ``failover``: what the database tells is noted, a change that was planned where the missions are
no longer is planned again, and one that a cut left in doubt is noted before the manifest takes over.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from syncd.core.history import HistoryEntry
from syncd.core.plan import ChangeKind
from syncd.core.session import Proof, Session
from syncd.errors import StoreUnreachable
from syncd.ports import MissionBatch, MissionResult, MissionView, Store
from syncd.schemas.card import Fields
from syncd.schemas.mission import RecordKey
from syncd.store.flatfile.standin import Gone
from syncd.store.reach import NOWHERE, Reach

T = TypeVar("T")


class Runner(Protocol):
    """Does some work on the database, or on what stands in for it."""

    def __call__(self, work: Callable[[Store], T]) -> T:
        """Do it where the cards are now."""


class FailoverMissions:
    """Satisfies ``ports.MissionStore``.

    Args:
        run: does work where the cards are now.
        database: the database's store.
        standin: the store on what stands in for it.
    """

    def __init__(self, run: Runner, reach: Reach, database: Callable[[], Store], standin: Store) -> None:
        self._run = run
        self._reach = reach
        self._database = database
        self._standin = standin
        self._read_in: str | None = NOWHERE
        """Where the last look was: the epoch of the manifest, ``None`` for the database."""

    def place(self) -> int | str:
        """Return what tells one state of the missions from another: the cheap look."""
        return self._run(lambda store: self._named(store, store.missions.place()))

    def read(self) -> MissionView:
        """Return every record in one snapshot."""
        return self._run(lambda store: self._viewed(store, store.missions.read()))

    def commit(self, batch: MissionBatch) -> MissionResult:
        """Apply a batch where it was planned; after a switch everything in it counts as moved, and is planned again.

        So it does when the connection is cut in the middle: what became of it then is found out before the absence
        is merged.  A batch that rests on no version fits anywhere.
        """
        absence = self._reach.absence()
        is_planned = any(each.version is not None for each in batch.changes)
        if is_planned and self._read_in not in (NOWHERE, absence.epoch if absence else None):
            return self._moved(batch)
        try:
            if absence is not None:
                return self._seen(self._standin, self._standin.missions.commit(batch))
            store = self._database()
            return self._seen(store, store.missions.commit(batch))
        except Gone:
            return self._moved(batch)
        except StoreUnreachable as error:
            setting = (ChangeKind.CREATE, ChangeKind.UPDATE)
            sent = {str(each.key): dict(each.fields) for each in batch.changes if each.kind in setting}
            pending = replace(self._reach.pending(), mission_commit_id=batch.commit_id, mission_sent=sent)
            self._reach.step_aside(error, pending)
            return self._moved(batch)

    def sessions(self, mission: str | None = None) -> Sequence[Session]:
        """Return the sessions of a mission, or of all, the oldest first."""
        return self._run(lambda store: store.missions.sessions(mission))

    def start_session(
        self, key: RecordKey, fields: Fields, proof: Proof, admit: Callable[[Sequence[Session]], None]
    ) -> Session:
        """Begin a session, if ``admit`` does not raise over those that are open, as far as they are known here."""
        return self._run(lambda store: store.missions.start_session(key, fields, proof, admit))

    def beat(self, key: RecordKey, *, milestone: str | None = None, card: str | None = None) -> Session:
        """Note that an open session was here now.  Raises NotFound."""
        return self._run(lambda store: store.missions.beat(key, milestone=milestone, card=card))

    def history(self, mission: str | None, limit: int | None) -> Sequence[HistoryEntry]:
        """Return the audit trail; while the database is away, that of this working copy since."""
        return self._run(lambda store: store.missions.history(mission, limit))

    def learn(self, store: Store) -> None:
        """Note what the database has, for a time when it is away."""
        if not self._reach.contact.is_read_only:
            self._note(store, store.missions.read())

    # --- inside -----------------------------------------------------------------------------------

    def _viewed(self, store: Store, view: MissionView) -> MissionView:
        named = replace(view, place=self._named(store, view.place))
        if store is not self._standin:
            self._note(store, view)
        return named

    def _named(self, store: Store, place: int | str) -> int | str:
        """Return a place that no other history of the missions has, and remember where it is."""
        absence = self._reach.absence() if store is self._standin else None
        self._read_in = absence.epoch if absence else None
        return f"{absence.epoch}:{place}" if absence else place

    def _note(self, store: Store, view: MissionView) -> None:
        known = self._reach.contact.missions()
        if known is None or (known.view.epoch, known.view.place) != (view.epoch, view.place):
            self._reach.contact.note_missions(view, store.missions.sessions())

    def _seen(self, store: Store, result: MissionResult) -> MissionResult:
        return replace(result, view=self._viewed(store, result.view))

    def _moved(self, batch: MissionBatch) -> MissionResult:
        return MissionResult(self.read(), frozenset(each.key for each in batch.changes), {})
