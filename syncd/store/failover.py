"""A store that goes on when its database is away: a manifest stands in until it is back, and is then merged.

While the database answers, everything goes to it, and what it tells is noted in the state beside the files (the
*contact*).  When it does not, the manifest is made of that, and every verb works on it; the contact stays as it was, as
the ancestor of the merge.  All stores of a process share one ``Reach``, and all processes of a workspace what it keeps
in the state; so whoever finds the database again merges, under the lock of the manifest's writers, before anybody
uses it.  Only a database that does not answer is away: a wrong password, a missing table are errors as ever.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
Long because it has a method for each verb of ``ports.Store``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from syncd.core.mission import MissionCard
from syncd.core.plan import ChangeKind
from syncd.core.standing import Standing
from syncd.errors import StoreDamaged, StoreUnreachable
from syncd.ports import (
    Absence,
    Batch,
    BatchResult,
    CardFilter,
    ConflictRecord,
    Cursor,
    Feed,
    History,
    Listener,
    MissionStore,
    NewCard,
    Pruned,
    QueueStats,
    Replica,
    Store,
    StoreInfo,
    Trail,
    WorkerRegistry,
)
from syncd.schemas.card import Card, Fields
from syncd.store.failover_missions import FailoverMissions
from syncd.store.failover_workers import FailoverRegistry
from syncd.store.flatfile.standin import Gone
from syncd.store.flatfile.workers import FileRegistry
from syncd.store.reach import NOWHERE, Reach

T = TypeVar("T")

SWITCHES_MAX: Final = 5
"""How often one call follows the cards from the database to the manifest and back."""


class FailoverStore:
    """A project's cards in a database, or in the manifest that stands in for it.

    Args:
        reach: whether the database answers, for this process.
        primary: makes the store on the database when it is first used; raises what stands in the way.
        standin: the store on the manifest.
        workers: the folder of the registry of workers beside it.
    """

    def __init__(self, reach: Reach, primary: Callable[[], Store], standin: Store, workers: Path) -> None:
        self._reach = reach
        self._make = primary
        self._primary: Store | None = None
        self._making = threading.Lock()
        self._standin = standin
        self._acting: tuple[str, str] | None = None
        self._read_in: str | None = NOWHERE
        """Where the last read was: the epoch of the manifest, ``None`` for the database."""
        self._missions = FailoverMissions(self._run, reach, self._database, standin)
        self._registry = FailoverRegistry(self._run, FileRegistry(workers, standin), standin)

    @property
    def absence(self) -> Absence | None:
        """Since when the database is away; ``None`` while it is not."""
        return self._reach.absence()

    @property
    def missions(self) -> MissionStore:
        """The missions of the project, here or there."""
        return self._missions

    @property
    def registry(self) -> WorkerRegistry:
        """The workers of the project on all hosts; while the database is away, those of this machine."""
        return self._registry

    # --- sync -------------------------------------------------------------------------------------

    def info(self) -> StoreInfo:
        """Return what is connected; while the database is away, what stands in for it."""
        return self._run(lambda store: store.info())

    def read(self, cursor: Cursor | None) -> Feed:
        """Return what changed since ``cursor``; everything after a switch.

        While the database is away, the cursor goes on naming its place at the last contact, with the
        manifest's place beside it.
        """
        feed = self._run(lambda store: self._read(store, cursor))
        self._note_place()
        return feed

    def _note_place(self) -> None:
        absence = self._reach.absence()
        self._read_in = absence.epoch if absence else None

    def _read(self, store: Store, cursor: Cursor | None) -> Feed:
        if store is not self._standin:
            feed = store.read(cursor if cursor is not None and cursor.beside is None else None)
            self._reach.write_down()
            self._reach.contact.note(feed)
            if feed.is_full:
                self._missions.learn(store)
                self._learn_conflicts(store)
            return feed
        feed = store.read(cursor.beside if cursor is not None else None)
        place = self._reach.contact.cursor() or Cursor(NOWHERE, 0)
        return replace(feed, cursor=replace(place, beside=feed.cursor))

    def commit(self, batch: Batch) -> BatchResult:
        """Apply a batch where it was planned; after a switch everything in it counts as moved, and is planned again.

        So it does when the connection is cut in the middle: what became of it then is found out before the absence
        is merged.
        """
        ids = frozenset((*(change.id for change in batch.changes), *(each.id for each in batch.conflicts)))
        absence = self._reach.absence()
        if self._read_in != (absence.epoch if absence else None):
            return BatchResult({}, ids, {})
        try:
            if absence is not None:
                return self._standin.commit(batch)
            result = self._database().commit(batch)
            self._reach.take(result.cards.values())
            if batch.conflicts:
                self._learn_conflicts(self._database())
            return result
        except Gone:
            return BatchResult({}, ids, {})
        except StoreUnreachable as error:
            setting = (ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.CLAIM, ChangeKind.RESTORE)
            sent = {change.id: dict(change.fields) for change in batch.changes if change.kind in setting}
            self._reach.step_aside(error, replace(self._reach.pending(), commit_id=batch.commit_id, sent=sent))
            return BatchResult({}, ids, {})

    def _learn_conflicts(self, store: Store) -> None:
        if not self._reach.contact.is_read_only:
            self._reach.contact.note_conflicts(store.conflicts())

    def has_commit(self, commit_id: str) -> bool:
        """Return whether a batch with this id was committed."""
        return self._run(lambda store: store.has_commit(commit_id))

    def left_out(self, commit_id: str) -> frozenset[str]:
        """Return the cards that a committed batch left out."""
        return self._run(lambda store: store.left_out(commit_id))

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        """Reserve ``count`` numbers above ``floor`` for ``prefix``; return the first."""
        return self._run(lambda store: store.reserve_ids(prefix, count, floor))

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` whenever the project may have changed, and when the database goes or comes."""
        return self._reach.listen(self._database, self._standin, wake)

    def conflicts(self, *, settled: bool = False) -> Sequence[ConflictRecord]:
        """Return the project's conflicts; while the database is away, those of the last contact and those made here."""
        return self._run(lambda store: store.conflicts(settled=settled))

    def settle(self, conflict: ConflictRecord, how: str) -> None:
        """Mark a conflict as settled."""

        def settled(store: Store) -> None:
            store.settle(conflict, how)
            if store is not self._standin:
                self._learn_conflicts(store)

        self._run(settled)

    def touch_replica(self, replica: str, host: str, path: str) -> None:
        """Record that this working copy was here now."""
        self._run(lambda store: store.touch_replica(replica, host, path))

    def replicas(self) -> Sequence[Replica]:
        """Return the project's working copies.  Raises StoreUnreachable while the database is away."""

        def asked(store: Store) -> Sequence[Replica]:
            if store is self._standin and (absence := self._reach.absence()) is not None:
                raise StoreUnreachable(absence.reason)
            return store.replicas()

        return self._run(asked)

    def act_as(self, actor: str, face: str) -> None:
        """Have what follows recorded as this actor's doing, through this face."""
        self._acting = (actor, face)
        for store in (self._primary, self._standin):
            if store is not None:
                store.act_as(actor, face)  # type: ignore[attr-defined]  # both are Actable

    def interrupt(self) -> None:
        """Make what the database is asked right now fail as Busy."""
        if self._primary is not None:
            self._primary.interrupt()

    def close(self) -> None:
        """Give connections back; the next use makes others."""
        self._reach.write_down()
        if self._primary is not None:
            self._primary.close()
        self._standin.close()

    # --- queue ------------------------------------------------------------------------------------

    def create(self, new: NewCard) -> Card:
        """Insert a card."""
        return self._write(lambda store: store.create(new))

    def create_many(self, new: Sequence[NewCard]) -> Sequence[Card]:
        """Insert cards, all or none."""
        return self._write(lambda store: store.create_many(new))

    def get(self, id: str) -> Card:
        """Return one live or archived card."""
        return self._run(lambda store: store.get(id))

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards as the filter says."""
        return self._run(lambda store: store.list(chosen))

    def mission_cards(self) -> Sequence[MissionCard]:
        """Return all live cards as far as missions look at them."""
        return self._run(lambda store: store.mission_cards())

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set synced fields."""
        return self._write(lambda store: store.update(id, fields, if_version=if_version))

    def claim(self, owner: str, ttl_s: int | None, *, id: str | None = None, count: int = 1) -> Sequence[Card]:
        """Lease up to ``count`` of the best claimable cards.  Holds: I13 in each of the two stores."""
        return self._write(lambda store: store.claim(owner, ttl_s, id=id, count=count))

    def renew(self, id: str, owner: str, ttl_s: int | None = None, *, attempt: int | None = None) -> Card:
        """Extend a live lease."""
        return self._write(lambda store: store.renew(id, owner, ttl_s, attempt=attempt))

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        """Give a lease back."""
        return self._write(lambda store: store.release(id, owner, attempt=attempt))

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done."""
        return self._write(lambda store: store.complete(id, owner=owner, attempt=attempt))

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """End a lease without success."""
        return self._write(lambda store: store.fail(id, error, owner=owner, attempt=attempt))

    def retry(self, id: str) -> Card:
        """Make a blocked card, or one that pauses after a failure, ready at once."""
        return self._write(lambda store: store.retry(id))

    def block(self, id: str, reason: str | None = None, *, attempt: int | None = None) -> Card:
        """Take a card out of the queue."""
        return self._write(lambda store: store.block(id, reason, attempt=attempt))

    def unblock(self, id: str) -> Card:
        """Make a blocked card ready."""
        return self._write(lambda store: store.unblock(id))

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        """Put expired leases (or this one) back to ready."""
        return self._run(lambda store: store.reclaim(id))

    def link(self, id: str, depends_on: str) -> Card:
        """Add a dependency."""
        return self._write(lambda store: store.link(id, depends_on))

    def unlink(self, id: str, depends_on: str) -> Card:
        """Take a dependency away."""
        return self._write(lambda store: store.unlink(id, depends_on))

    def remove(self, id: str, *, force: bool = False) -> Card:
        """Tombstone a card."""
        return self._write(lambda store: store.remove(id, force=force))

    def stats(self) -> QueueStats:
        """Return the counts of the project."""
        return self._run(lambda store: store.stats())

    def is_paused(self) -> bool:
        """Return whether no cards are handed out."""
        return self._run(lambda store: store.is_paused())

    def set_paused(self, is_paused: bool) -> None:
        """Stop handing out cards, or hand them out again; while the database is away, on this machine only."""
        self._run(lambda store: store.set_paused(is_paused))

    def standing(self, id: str) -> Standing:
        """Return a card with what decides whether it can be claimed."""
        return self._run(lambda store: store.standing(id))

    def next_due_s(self) -> float | None:
        """Return the seconds until time alone makes a card claimable."""
        return self._run(lambda store: store.next_due_s())

    def history(self, id: str | None = None, *, limit: int | None = None, since: int | None = None) -> History:
        """Return the audit trail; while the database is away, that of this working copy since.

        Where nothing else was read, a batch may be planned on it.
        """
        history = self._run(lambda store: store.history(id, limit=limit, since=since))
        if self._read_in == NOWHERE:
            self._note_place()
        return history

    def trail(self, after: int | None = None, *, limit: int) -> Trail:
        """Return the audit trail in a lasting order; while the database is away, that of this working copy since."""
        return self._run(lambda store: store.trail(after, limit=limit))

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        """Forget what is older in the database.  Raises StoreUnreachable while it is away."""
        if (absence := self._reach.absence()) is not None:
            raise StoreUnreachable(absence.reason)
        return self._database().prune(older_than_s, dry_run=dry_run)

    # --- here or there ----------------------------------------------------------------------------

    def _run(self, work: Callable[[Store], T]) -> T:
        """Do some work on the database, or on what stands in for it."""
        is_revived = False
        for _ in range(SWITCHES_MAX):
            if self._reach.is_away(self._database):
                try:
                    return work(self._standin)
                except Gone:
                    continue
                except StoreDamaged as error:
                    self._reach.rebuild(error)
                    continue
            try:
                return work(self._database())
            except StoreUnreachable as error:
                if is_revived or not (is_revived := self._reach.revive()):
                    self._reach.step_aside(error)
        raise StoreUnreachable("the database comes and goes", hint="Try again.")

    def _write(self, work: Callable[[Store], T]) -> T:
        """Do the same for what changes cards, and remember those that the database returned, or may have changed."""
        was_asked = False

        def remembered(store: Store) -> T:
            nonlocal was_asked
            if store is self._standin:
                result = work(store)
                if was_asked:
                    self._reach.doubt(_cards_in(result))
                return result
            was_asked = True
            result = work(store)
            self._reach.take(_cards_in(result))
            return result

        return self._run(remembered)

    def _database(self) -> Store:
        with self._making:
            if self._primary is None:
                self._primary = self._make()
                if self._acting is not None:
                    self._primary.act_as(*self._acting)  # type: ignore[attr-defined]  # both are Actable
            return self._primary


def _cards_in(result: object) -> Sequence[Card]:
    """Return the cards that a verb has returned."""
    if isinstance(result, Card):
        return [result]
    return [each for each in result if isinstance(each, Card)] if isinstance(result, list | tuple) else []
