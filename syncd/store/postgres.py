"""The store on Postgres, served or embedded: the same code.

One class says what a store can do; the rules are in ``commits`` (batches of the cycle), ``creation`` and
``cards`` (single cards), ``leases`` and ``queue`` (who works on what), ``feed`` (what changed) and
``history``.  All threads share one connection, one at a time; a listener has its own.  May import
``syncd.core``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncd.core.mission import MissionCard
from syncd.core.retry import RETRIES, RetryPolicy
from syncd.core.standing import Standing
from syncd.ports import (
    Batch,
    BatchResult,
    CardFilter,
    ConflictRecord,
    Cursor,
    Feed,
    History,
    Listener,
    NewCard,
    Pruned,
    QueueStats,
    Replica,
    StoreInfo,
    Trail,
    WorkerRegistry,
)
from syncd.schemas.card import Card, Fields
from syncd.store import cards, commits, creation, feed, history, leases, queue, refusals
from syncd.store.listener import HEARTBEAT_S, PostgresListener
from syncd.store.missions import PostgresMissions
from syncd.store.queries import SCHEMA_VERSION
from syncd.store.session import Session
from syncd.store.silence import Vigil
from syncd.store.workers import PostgresRegistry


class PostgresStore:
    """A project's cards in a Postgres database.

    Args:
        dsn: where the database is.
        project: whose cards.
        actor: who acts, for the audit trail.
        face: through which face (``cli``, ``daemon``, ``mcp``, …), for the audit trail.
        replica: which working copy, for conflicts and commits.
        kind: ``postgres`` or ``embedded``, for ``status``.
        pooled: a transaction pooler stands in front of the server.
        listen_dsn: a way past the pooler, for LISTEN.
        retry: when a card that failed is tried again.
        vigil: what the process's other connections to this database know of its silence.

    Nothing is connected before it is used.
    """

    def __init__(
        self,
        dsn: str,
        *,
        project: str,
        actor: str,
        face: str,
        replica: str,
        kind: str = "postgres",
        pooled: bool = False,
        listen_dsn: str | None = None,
        retry: RetryPolicy = RETRIES,
        vigil: Vigil | None = None,
    ) -> None:
        vigil = vigil or Vigil()
        self._session = Session(dsn, project=project, actor=actor, face=face, pooled=pooled, vigil=vigil)
        self._vigil = vigil if listen_dsn in (None, dsn) else Vigil()
        self._replica = replica
        self._kind = kind
        self._retry = retry
        self._listen_dsn = listen_dsn or dsn
        self._may_listen = not pooled or listen_dsn is not None

    # --- sync -------------------------------------------------------------------------------------

    def info(self) -> StoreInfo:
        """Return what is connected.  Raises StoreUnreachable, CredentialsError, SchemaVersionError."""
        version = str(self._session.fetch("server")[0][0])
        return StoreInfo(self._kind, version, SCHEMA_VERSION, self._session.address)

    def read(self, cursor: Cursor | None) -> Feed:
        """Return what changed since ``cursor`` in one snapshot; everything without one that holds."""
        return feed.read(self._session, cursor)

    def commit(self, batch: Batch) -> BatchResult:
        """Apply a batch in one transaction.  Raises StoreUnreachable with the outcome unknown."""
        return commits.commit(self._session, batch, self._replica)

    def has_commit(self, commit_id: str) -> bool:
        """Return whether a batch with this id was committed."""
        return commits.has_commit(self._session, commit_id)

    def left_out(self, commit_id: str) -> frozenset[str]:
        """Return the cards that a committed batch left out: those that had moved or were refused."""
        return commits.left_out(self._session, commit_id)

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        """Reserve ``count`` numbers above ``floor`` for ``prefix``; return the first.  Never given twice."""
        return int(self._session.fetch("reserve_ids", prefix=prefix, count=count, floor=floor)[0][0])

    def listen(self, wake: Callable[[], None], *, heartbeat_s: float = HEARTBEAT_S) -> Listener:
        """Call ``wake`` from another thread whenever the project may have changed."""
        return PostgresListener(
            self._listen_dsn,
            project=self._session.project,
            wake=wake,
            may_listen=self._may_listen,
            heartbeat_s=heartbeat_s,
            vigil=self._vigil,
        )

    def conflicts(self, *, settled: bool = False) -> Sequence[ConflictRecord]:
        """Return the project's conflicts, oldest first; with ``settled`` those too."""
        return commits.conflicts(self._session, settled=settled)

    def settle(self, conflict: ConflictRecord, how: str) -> None:
        """Mark a conflict as settled.  Raises NotFound."""
        if not self._session.fetch("settle", seq=conflict.seq, how=how):
            raise refusals.no_conflict(self._session.project, conflict.seq)

    def touch_replica(self, replica: str, host: str, path: str) -> None:
        """Record that this working copy was here now."""
        self._session.fetch("touch_replica", replica=replica, host=host, path=path)

    def replicas(self) -> Sequence[Replica]:
        """Return the project's working copies, the one heard of last first."""
        return [Replica(*row) for row in self._session.fetch("replicas")]

    @property
    def missions(self) -> PostgresMissions:
        """The missions of the project."""
        return PostgresMissions(self._session, self._replica)

    @property
    def acting(self) -> tuple[str, str]:
        """Whose doing what follows is recorded as, and through which face."""
        return self._session.acting

    def act_as(self, actor: str, face: str) -> None:
        """Have what follows recorded as this actor's doing, through this face."""
        self._session.act_as(actor, face)

    @property
    def registry(self) -> WorkerRegistry:
        """The registry of workers, on the same connection."""
        return PostgresRegistry(self._session)

    def interrupt(self) -> None:
        """Make what runs on the server right now fail as Busy, from any thread."""
        self._session.interrupt()

    def close(self) -> None:
        """Give the connection back; the next use makes another."""
        self._session.close()

    # --- queue ------------------------------------------------------------------------------------

    def create(self, new: NewCard) -> Card:
        """Insert a card; a repeated idempotency key gives the first.  Raises AlreadyExists, CycleRefused."""
        return creation.create(self._session, [new])[0]

    def create_many(self, new: Sequence[NewCard]) -> Sequence[Card]:
        """Insert cards in one transaction, all or none.  Raises as ``create``."""
        return creation.create(self._session, new)

    def get(self, id: str) -> Card:
        """Return one live or archived card.  Raises NotFound."""
        return leases.get(self._session, id)

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards as the filter says: highest priority first, then oldest, then by id."""
        return cards.chosen(self._session, chosen)

    def mission_cards(self) -> Sequence[MissionCard]:
        """Return all live cards as far as missions look at them, in no order."""
        return cards.mission_cards(self._session)

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set synced fields.  Raises NotFound, BadValue, StaleVersion, CycleRefused."""
        return cards.update(self._session, id, fields, if_version)

    def claim(self, owner: str, ttl_s: int | None, *, id: str | None = None, count: int = 1) -> Sequence[Card]:
        """Lease up to ``count`` of the best claimable cards; nothing to claim gives none.  Raises Paused."""
        return leases.claim(self._session, owner, ttl_s, id=id, count=count)

    def renew(self, id: str, owner: str, ttl_s: int | None = None, *, attempt: int | None = None) -> Card:
        """Extend a live lease.  Raises NotFound, NotOwner."""
        return leases.renew(self._session, id, owner, ttl_s, attempt)

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        """Give a lease back: the card is ready again.  Raises NotFound, NotOwner."""
        return leases.release(self._session, id, owner, attempt)

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done; a done card stays as it is.  Raises NotFound, NotOwner."""
        return leases.complete(self._session, id, owner, attempt)

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """End a lease without success.  Raises NotFound, NotOwner."""
        return leases.fail(self._session, id, error, owner, attempt, policy=self._retry)

    def retry(self, id: str) -> Card:
        """Make a blocked or pausing card ready at once.  Raises NotFound, Refused."""
        return leases.retry(self._session, id)

    def block(self, id: str, reason: str | None = None, *, attempt: int | None = None) -> Card:
        """Take a card out of the queue; ``reason`` goes to ``last_error``.  Raises NotFound, NotOwner."""
        return leases.block(self._session, id, reason, attempt)

    def unblock(self, id: str) -> Card:
        """Make a blocked card ready.  Raises NotFound, Refused when it is not blocked."""
        return leases.unblock(self._session, id)

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        """Put expired leases (or this one) back to ready; return their ids.  Raises NotFound."""
        return leases.reclaim(self._session, id)

    def link(self, id: str, depends_on: str) -> Card:
        """Add a dependency.  Raises CycleRefused, NotFound."""
        return cards.link_cards(self._session, id, depends_on)

    def unlink(self, id: str, depends_on: str) -> Card:
        """Take a dependency away; one that is not there is no error.  Raises NotFound."""
        return cards.unlink_cards(self._session, id, depends_on)

    def remove(self, id: str, *, force: bool = False) -> Card:
        """Tombstone a card.  Raises NotFound, Refused while others depend on it, unless forced."""
        return cards.remove(self._session, id, force=force)

    def stats(self) -> QueueStats:
        """Return the counts of the project."""
        return queue.stats(self._session)

    def is_paused(self) -> bool:
        """Return whether no cards are handed out."""
        return queue.is_paused(self._session)

    def set_paused(self, is_paused: bool) -> None:
        """Stop handing out cards, or hand them out again."""
        queue.set_paused(self._session, is_paused)

    def standing(self, id: str) -> Standing:
        """Return a card with what decides whether it can be claimed.  Raises NotFound."""
        return queue.standing(self._session, id)

    def next_due_s(self) -> float | None:
        """Return the seconds until time alone makes a card claimable; ``None`` for never."""
        return queue.next_due_s(self._session)

    def history(self, id: str | None = None, *, limit: int | None = None, since: int | None = None) -> History:
        """Return the audit trail of the project or of one card, or what was written since a place."""
        return history.history(self._session, id, limit, since)

    def trail(self, after: int | None = None, *, limit: int) -> Trail:
        """Return a page of the audit trail in a lasting order."""
        return history.trail(self._session, after, limit)

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        """Forget what is older and nobody needs."""
        return history.prune(self._session, older_than_s, dry_run=dry_run)
