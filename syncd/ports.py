"""The protocols between the shells: what the engine asks of a store, of the files and of the state beside them.

``engine``, ``store`` and ``files`` never import one another; they meet here, and ``wiring`` joins
them.  Every call is synchronous.  May import ``syncd.core``,
``syncd.parsers``, ``syncd.schemas``.  Long because it is one contract, to be read in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec

from syncd.core.history import HistoryEntry
from syncd.core.mission import MissionCard
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import BaseCard, Change, Conflict, LocalCard
from syncd.core.session import Proof, Session
from syncd.core.standing import Standing
from syncd.schemas.card import Card, Fields, Status
from syncd.schemas.mission import RecordKey, Records

# --- store: sync ---------------------------------------------------------------------------------


class Cursor(msgspec.Struct, frozen=True):
    """A place in the change feed: read on with ``changed_xid >= xmin`` in the same ``epoch``.

    While a database is away it is its place at the last contact, and ``beside`` the place in what stands in for it.
    ``last`` is the newest transaction that was seen to have written a card.  It was committed, so no crash takes it
    back, while ``xmin`` may be lower after one: ids of transactions that left no trace on the disk are given again.
    """

    epoch: str
    xmin: int
    beside: Cursor | None = None
    last: int = 0

    def is_of_another_history(self, later: Cursor) -> bool:
        """Return whether a later look shows a store that is another one, or that has forgotten what was seen."""
        return self.epoch != later.epoch or self.last > later.last


class Feed(msgspec.Struct, frozen=True):
    """Cards of the project as one snapshot saw them.

    With ``is_full`` it is every card (archived and tombstoned ones too); else those changed since the
    cursor, each at least once.  ``gone`` names rows that were deleted outright by others.
    """

    cards: Mapping[str, Card]
    gone: frozenset[str]
    cursor: Cursor
    is_full: bool
    now: datetime
    """The store's clock, for leases."""


class Batch(msgspec.Struct, frozen=True):
    """One store transaction of a cycle: conflicts first, then changes, each only at its version."""

    commit_id: str
    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]


class Refusal(msgspec.Struct, frozen=True):
    """Why the store took a change in no form: the card stays as it was, the rest of the batch goes on."""

    code: str
    message: str


class BatchResult(msgspec.Struct, frozen=True):
    """What a transaction really did: cards as stored now, cards whose version had moved, and refusals."""

    cards: Mapping[str, Card]
    moved: frozenset[str]
    refused: Mapping[str, Refusal]


class ConflictRecord(msgspec.Struct, frozen=True):
    """A conflict as it is kept until settled."""

    seq: int
    conflict: Conflict
    replica: str
    at: datetime
    settled: str | None = None
    settled_at: datetime | None = None


class Replica(msgspec.Struct, frozen=True):
    """A working copy of the project: where it is, and when the store last heard of it, by the store's clock."""

    id: str
    host: str
    path: str
    seen_at: datetime


class StoreInfo(msgspec.Struct, frozen=True):
    """What ``status`` says about a store."""

    kind: str
    server_version: str
    schema_version: int
    address: str
    """Where it is, without secrets."""


class Listener(Protocol):
    """A running subscription to the store's notifications."""

    @property
    def mode(self) -> str:
        """``live`` while the heartbeat comes back, else ``poll``."""

    def hurry(self) -> None:
        """Connect again at once where a connection was lost: the store is known to answer."""

    def close(self) -> None:
        """End the subscription; no wake-up comes after it."""


# --- store: queue --------------------------------------------------------------------------------


class NewCard(msgspec.Struct, frozen=True):
    """What ``create`` is given; ``None`` leaves the column's default.

    With ``delay_s`` the card cannot be claimed before that time has passed.
    """

    id: str
    title: str
    body: str | None = None
    phase: str | None = None
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    acceptance: Any = None
    idempotency_key: str | None = None
    max_retries: int | None = None
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)
    path: str | None = None
    delay_s: float | None = None


class CardFilter(msgspec.Struct, frozen=True):
    """Which cards ``list`` gives: highest priority first, then oldest, then by id.

    ``cursor`` is the id of the last card of the page before.
    """

    status: Status | None = None
    phase: str | None = None
    owner: str | None = None
    ready_only: bool = False
    limit: int | None = None
    cursor: str | None = None


class QueueStats(msgspec.Struct, frozen=True):
    """Counts of a project's live cards.

    ``pending``: claimable or waiting for dependencies, and due; ``delayed``: ``run_after`` lies
    ahead; ``active``: claimed; ``completed``: done; ``failed``: blocked with a ``last_error``.
    """

    counts: Mapping[str, int]
    total: int
    oldest_ready_age_s: float | None
    expired_claim_count: int
    queue: Mapping[str, int]
    paused: bool


class History(msgspec.Struct, frozen=True):
    """Entries of the audit trail, oldest first, and the place from which to read on."""

    entries: tuple[HistoryEntry, ...]
    place: int


class Trail(msgspec.Struct, frozen=True):
    """A page of the audit trail in the order of its transactions, to be read on from its last entry.

    ``has_more``: the page is full.  ``is_waiting``: entries are held back until an older transaction has ended,
    which might still bring in some that belong before them.
    """

    entries: tuple[HistoryEntry, ...]
    has_more: bool
    is_waiting: bool


class Pruned(msgspec.Struct, frozen=True):
    """How many rows of each kind were too old to keep."""

    history: int
    commits: int
    replicas: int


class Backup(msgspec.Struct, frozen=True):
    """A project that was written to a file: how many cards and entries of the audit trail are in it."""

    path: str
    project: str
    cards: int
    history: int


class Restored(msgspec.Struct, frozen=True):
    """What restoring a backup changed, or would have; ``project`` and ``at`` say whose it was, and when it was made."""

    path: str
    project: str
    at: datetime
    added: int
    changed: int
    removed: int
    done: bool


class Adoption(msgspec.Struct, frozen=True):
    """What taking over a foreign table does: its steps in words, and how many cards it holds."""

    steps: tuple[str, ...]
    cards: int
    is_done: bool


class SyncStore(Protocol):
    """The half of a store that the cycle uses."""

    def info(self) -> StoreInfo:
        """Return what is connected.  Raises StoreUnreachable, CredentialsError, SchemaVersionError."""

    def read(self, cursor: Cursor | None) -> Feed:
        """Return what changed since ``cursor`` in one snapshot; everything when it is ``None``, of another
        epoch, or ahead of the snapshot.
        """

    def commit(self, batch: Batch) -> BatchResult:
        """Apply a batch in one transaction: conflicts, then changes by compare-and-swap, then the commit id.

        A change whose row moved or was refused is left out and named in the result; a batch whose commit
        id is known already changes nothing and answers with the cards as they are.

        Raises: StoreUnreachable with the outcome unknown: ask ``has_commit``.
        """

    def has_commit(self, commit_id: str) -> bool:
        """Return whether a batch with this id was committed."""

    def left_out(self, commit_id: str) -> frozenset[str]:
        """Return the cards that a committed batch left out: those that had moved or were refused."""

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        """Reserve ``count`` numbers above ``floor`` for ``prefix``; return the first.  Never given twice."""

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` (from any thread) whenever the project may have changed."""

    def conflicts(self, *, settled: bool = False) -> Sequence[ConflictRecord]:
        """Return the project's conflicts, oldest first; with ``settled`` those too."""

    def is_paused(self) -> bool:
        """Return whether the project hands out no cards for now."""

    def settle(self, conflict: ConflictRecord, how: str) -> None:
        """Mark a conflict as settled (``local``, ``remote``, ``value``)."""

    def touch_replica(self, replica: str, host: str, path: str) -> None:
        """Record that this working copy was here now; within a minute of the last time nothing is written."""

    def replicas(self) -> Sequence[Replica]:
        """Return the project's working copies, the one heard of last first.

        Raises: StoreUnreachable, also while something stands in for the database: it knows of no others.
        """

    def interrupt(self) -> None:
        """Make what is asked of it right now fail as Busy, from any thread; with nothing under way, do nothing."""

    def close(self) -> None:
        """Give connections back."""


class Actable(Protocol):
    """A store that several actors use in turn."""

    @property
    def acting(self) -> tuple[str, str]:
        """Whose doing what follows is recorded as, and through which face."""

    def act_as(self, actor: str, face: str) -> None:
        """Have what follows recorded as this actor's doing, through this face."""


class Store(SyncStore, Protocol):
    """A whole store: sync and queue.  Each method is one transaction and safe to repeat where it says so.

    All raise StoreUnreachable; those with an ``id`` raise NotFound.
    """

    @property
    def missions(self) -> MissionStore:
        """The missions of the project."""

    def create(self, new: NewCard) -> Card:
        """Insert a card; a repeated idempotency key gives the first.  Raises AlreadyExists, CycleRefused."""

    def create_many(self, new: Sequence[NewCard]) -> Sequence[Card]:
        """Insert cards in one transaction, all or none, whatever their number in the same few round trips.

        They may depend on one another in any order; the answer is in the order given.

        Raises: as ``create``.
        """

    def get(self, id: str) -> Card:
        """Return one live or archived card."""

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards (done ones too) as the filter says."""

    def mission_cards(self) -> Sequence[MissionCard]:
        """Return all live cards (done ones too) as far as missions look at them, in no order."""

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set synced fields.  Raises BadValue, StaleVersion, CycleRefused."""

    def claim(self, owner: str, ttl_s: int | None, *, id: str | None = None, count: int = 1) -> Sequence[Card]:
        """Lease up to ``count`` of the best claimable cards in one statement; nothing to claim gives none.

        Raises: Paused.  Holds: I13.
        """

    def renew(self, id: str, owner: str, ttl_s: int | None = None, *, attempt: int | None = None) -> Card:
        """Extend a live lease.  Raises NotOwner."""

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        """Give a lease back: the card is ready again.  Raises NotOwner."""

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done; a done card stays as it is.  Raises NotOwner."""

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """End a lease without success: ready again after a growing pause, blocked when the retries are spent.

        ``error`` goes to ``last_error``.  Raises NotOwner, also for a card that nobody has claimed.
        """

    def retry(self, id: str) -> Card:
        """Make a blocked card, or one that pauses after a failure, ready at once, with all its retries.

        Raises: Refused for a card that is claimed or done.
        """

    def block(self, id: str, reason: str | None = None, *, attempt: int | None = None) -> Card:
        """Take a card out of the queue; ``reason`` goes to ``last_error``.

        With ``attempt`` only while that is the lease's: what was finished meanwhile stays so.  Raises NotOwner.
        """

    def unblock(self, id: str) -> Card:
        """Make a blocked card ready.  Raises Refused when it is not blocked."""

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        """Put expired leases (or this one) back to ready; return their ids."""

    def link(self, id: str, depends_on: str) -> Card:
        """Add a dependency.  Raises CycleRefused, NotFound."""

    def unlink(self, id: str, depends_on: str) -> Card:
        """Take a dependency away; one that is not there is no error."""

    def remove(self, id: str, *, force: bool = False) -> Card:
        """Tombstone a card.  Raises Refused while others depend on it, unless forced."""

    def stats(self) -> QueueStats:
        """Return the counts of the project."""

    def set_paused(self, is_paused: bool) -> None:
        """Stop handing out cards, or hand them out again; leases that stand go on."""

    def standing(self, id: str) -> Standing:
        """Return a card with what decides whether it can be claimed."""

    def next_due_s(self) -> float | None:
        """Return the seconds until time alone makes a card claimable: a delay or a lease ends; ``None`` for never."""

    def history(self, id: str | None = None, *, limit: int | None = None, since: int | None = None) -> History:
        """Return the audit trail of the project or of one card: the last ``limit`` entries, oldest first.

        With ``since``, the place of an earlier answer: what was written since, each entry at least once,
        none left out however transactions overlap.
        """

    def trail(self, after: int | None = None, *, limit: int) -> Trail:
        """Return the project's audit trail from behind the entry ``after``, or from its start, in a lasting order.

        Read page by page it gives each entry once and leaves none out, also across programs that remember
        no more than the last entry's ``seq``.
        """

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        """Forget what is older and nobody needs: history, commit ids, working copies that were not seen since.

        Kept: the last deletion of each id, from which the feed reports it and its version goes on.
        """


# --- a store that can be away --------------------------------------------------------------------


class Absence(msgspec.Struct, frozen=True):
    """Since when a database is away, and how the way back goes.

    ``epoch`` names the manifest that stands in for it, ``reason`` is what the last try was told.  ``commit_id`` is
    a transaction whose outcome is unknown, which set the fields ``sent``; ``agreed`` is what those before it brought
    into the database.  Those of missions name records instead of cards.  ``perhaps`` is what a verb set of which only
    the answer may have been lost: where the database shows it, it did.
    """

    epoch: str
    since: datetime
    reason: str
    tries: int = 0
    retry_at: datetime | None = None
    commit_id: str = ""
    sent: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    agreed: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    perhaps: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    mission_commit_id: str = ""
    mission_sent: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    mission_agreed: Mapping[str, Fields] = msgspec.field(default_factory=dict)


class Pending(msgspec.Struct, frozen=True):
    """The transactions that may be under way when a database goes away, and the fields that they set."""

    commit_id: str = ""
    sent: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    mission_commit_id: str = ""
    mission_sent: Mapping[str, Fields] = msgspec.field(default_factory=dict)


class KnownMissions(msgspec.Struct, frozen=True):
    """The missions of a database at the last contact, and their sessions with what proves that they live."""

    view: MissionView
    sessions: Sequence[Session]


class Contact(Protocol):
    """What is remembered of a database that can be away: its cards at the last contact, and its absence.

    While it is away its cards stay as they were: they are the ancestor of the merge.
    """

    @property
    def is_read_only(self) -> bool:
        """Whether nothing may be written down."""

    def note(self, feed: Feed) -> None:
        """Take over what the database told, while it is not away."""

    def take(self, cards: Iterable[Card]) -> None:
        """Take over cards as the database returned them, ahead of its feed, while it is not away."""

    def note_missions(self, view: MissionView, sessions: Sequence[Session]) -> None:
        """Take over the missions as the database told them, while it is not away."""

    def missions(self) -> KnownMissions | None:
        """Return its missions at the last contact; ``None`` when they were never looked at."""

    def note_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Take over the open conflicts as the database told them, while it is not away."""

    def conflicts(self) -> Sequence[ConflictRecord]:
        """Return its open conflicts at the last contact."""

    def cards(self) -> Mapping[str, Card]:
        """Return its live and archived cards at the last contact."""

    def agreed(self) -> Mapping[str, Card]:
        """Return the cards as files and store last agreed on them; those in no file as at the last contact."""

    def cursor(self) -> Cursor | None:
        """Return its place at the last contact; ``None`` when there was none."""

    def absence(self) -> Absence | None:
        """Return since when it is away; ``None`` when it is not."""

    def be_away(self, absence: Absence) -> None:
        """Have it be away, or note how its return goes; durable."""

    def be_back(self, feed: Feed, missions: KnownMissions) -> None:
        """Have it be back, as this full feed and these missions tell it; one durable transaction."""


# --- store: missions -----------------------------------------------------------------------------


class MissionView(msgspec.Struct, frozen=True):
    """The missions of a project as one snapshot saw them; ``place`` is another one after each change."""

    records: Records
    place: int | str
    epoch: str = ""


class MissionBatch(msgspec.Struct, frozen=True):
    """One store transaction about missions: conflicts first, then changes, each only at its version."""

    commit_id: str
    changes: tuple[RecordChange, ...]
    conflicts: tuple[Conflict, ...] = ()


class MissionResult(msgspec.Struct, frozen=True):
    """What a transaction really did: the records as stored now, those whose version had moved, and refusals."""

    view: MissionView
    moved: frozenset[RecordKey]
    refused: Mapping[RecordKey, Refusal]


class MissionStore(Protocol):
    """The missions of a project.  Each method is one transaction; all raise StoreUnreachable."""

    def place(self) -> int | str:
        """Return what tells one state of the missions from another: the cheap look."""

    def read(self) -> MissionView:
        """Return every record in one snapshot."""

    def commit(self, batch: MissionBatch) -> MissionResult:
        """Apply a batch by compare-and-swap; one whose commit id is known changes nothing.

        Raises: StoreUnreachable with the outcome unknown: ask ``SyncStore.has_commit``.
        """

    def sessions(self, mission: str | None = None) -> Sequence[Session]:
        """Return the sessions of a mission, or of all, the oldest first."""

    def start_session(
        self, key: RecordKey, fields: Fields, proof: Proof, admit: Callable[[Sequence[Session]], None]
    ) -> Session:
        """Begin a session, if ``admit`` does not raise over those that are open; nobody begins one meanwhile.

        Raises: NotFound without the mission, AlreadyExists, and what ``admit`` raises.
        """

    def beat(self, key: RecordKey, *, milestone: str | None = None, card: str | None = None) -> Session:
        """Note that an open session was here now.  Raises NotFound."""

    def history(self, mission: str | None, limit: int | None) -> Sequence[HistoryEntry]:
        """Return the audit trail of one mission or of all: the last entries, oldest first."""


@runtime_checkable
class KeepsMissions(Protocol):
    """A store that has missions beside its cards."""

    @property
    def missions(self) -> MissionStore:
        """The missions of the project."""


# --- workers -------------------------------------------------------------------------------------


class WorkerCard(msgspec.Struct, frozen=True):
    """A card that a worker runs now: which attempt, and the process that does it."""

    id: str
    attempt: int
    pid: int | None
    started_at: datetime


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it stands in the registry.

    ``owner`` is of this one process and holds its leases; ``name`` is what it was started as.  ``machine``
    names the system in which ``pid`` means something.  ``age_s`` is how long ago it was heard of, by the
    store's clock.  With ``takes_assigned`` it claims nothing by itself.
    """

    owner: str
    name: str
    host: str
    machine: str
    pid: int
    concurrency: int
    ttl_s: int
    takes_assigned: bool = False
    cards: tuple[WorkerCard, ...] = ()
    started_at: datetime | None = None
    seen_at: datetime | None = None
    age_s: float = 0.0
    drain_requested_at: datetime | None = None
    kill_requested_at: datetime | None = None
    requested_by: str | None = None


class Orders(msgspec.Struct, frozen=True):
    """What a worker is to do, and the leases (card, attempt) that the store says it has."""

    must_drain: bool
    must_die: bool
    requested_by: str | None
    leases: Mapping[str, int]


class WorkerRegistry(Protocol):
    """Who works on a project's cards, on any host, and what they are told.  All raise StoreUnreachable."""

    def join(self, worker: Worker) -> None:
        """Enter a worker.  Raises AlreadyExists when its owner is taken."""

    def beat(self, owner: str, cards: Sequence[WorkerCard]) -> bool:
        """Record that a worker is here with these cards; False when it is not known (any more)."""

    def orders(self, owner: str) -> Orders | None:
        """Return what a worker is to do; ``None`` when it is not known."""

    def leave(self, owner: str) -> None:
        """Take a worker out; one that is not there is no error."""

    def workers(self) -> Sequence[Worker]:
        """Return all that are entered, by name and age; those not heard of for a day may be forgotten."""

    def order_drain(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to claim nothing more and end when their cards are done; return those that were told."""

    def order_kill(self, owners: Sequence[str], by: str) -> Sequence[str]:
        """Tell workers to end what they run and themselves at once; return those that were told."""


@runtime_checkable
class KeepsWorkers(Protocol):
    """A store that has a registry of workers beside its cards."""

    @property
    def registry(self) -> WorkerRegistry:
        """The workers of the project."""


# --- files ---------------------------------------------------------------------------------------


class FileRead(msgspec.Struct, frozen=True):
    """A stable look at a file: stat, bytes, stat, the two stats equal.

    ``data`` is ``None`` when the file is absent or ``error`` says why it cannot be read, and ``remedy`` what helps.
    ``signature`` changes whenever the file may have changed.  ``links`` is how many names it has.
    """

    path: str
    data: bytes | None
    digest: str | None
    signature: tuple[int, ...] | None
    error: str | None = None
    links: int = 1
    remedy: str | None = None


class Replaced(msgspec.Struct, frozen=True):
    """The outcome of a replacement.  ``displaced`` names the kept file that came out, ``digest`` its
    hash; ``matched`` is False when somebody had written in between.
    """

    displaced: str | None
    digest: str | None
    matched: bool


class Displaced(msgspec.Struct, frozen=True):
    """A kept file that a write took out of a task file's place, and the digest with which it came out."""

    absolute: str
    digest: str


class LateWrite(msgspec.Struct, frozen=True):
    """Somebody wrote into a displaced file: ``before`` (a digest) came out of ``path``, ``digest`` is there now."""

    path: str
    absolute: str
    before: str
    digest: str


class TaskFiles(Protocol):
    """The workspace's task files.  Paths are relative to the workspace, with ``/``."""

    def paths(self) -> tuple[str, ...]:
        """Return the task files that the configuration names, existing or not, in its order."""

    def names(self, path: str) -> bool:
        """Return whether the configuration names a path as a task file: an absent one that a glob matches, too."""

    def read(self, path: str) -> FileRead:
        """Return a stable look at a file; a file that keeps changing is reported in ``error``."""

    def signature(self, path: str) -> tuple[int, ...] | None:
        """Return the file's stat signature, ``None`` when absent: the cheap look."""

    def make_durable(self, path: str) -> None:
        """Have what a file says now, or that it is absent, survive a power cut, whoever wrote it.

        Raises: InputOutputError.
        """

    def stage(self, path: str, data: bytes) -> str:
        """Write the new bytes beside the file and fsync them; return the staged file's absolute path.

        Raises: InputOutputError (full disk, no permission).
        """

    def replace(self, path: str, staged: str, expected: str | None) -> Replaced:
        """Put a staged file in the task file's place and verify what came out (RENAME_EXCHANGE).

        ``expected`` is the digest that the file had, ``None`` for absent (RENAME_NOREPLACE; a file that
        appeared meanwhile gives ``matched=False`` and is left alone).  What came out is kept under
        ``.syncd/displaced/``.
        """

    def swap_back(self, path: str, displaced: str, expected: str) -> bool:
        """Put a displaced file back, if the task file still has the digest ``expected``; return whether."""

    def remove(self, path: str, expected: str) -> bool:
        """Remove a task file, if it still has the digest ``expected``; return whether.

        What somebody saved at the last moment is the file again, or is reported as a late write.
        """

    def late_writes(self) -> Sequence[LateWrite]:
        """Return what was written into displaced files since they came out, each once until taken in."""

    def next_look_s(self) -> float | None:
        """Return in how many seconds ``late_writes`` has something to look at; ``None`` for never."""

    def report_late(self, path: str, absolute: str, before: str) -> None:
        """Have a displaced file that could not be put back reported as a late write."""

    def taken_in(self, late: LateWrite) -> None:
        """Note that a late write is part of the sync now."""

    def last_displaced(self, path: str) -> Displaced | None:
        """Return what syncd's last write took out of a task file's place; ``None`` when it kept nothing."""

    def bytes_of(self, absolute: str) -> bytes | None:
        """Return the bytes of a staged or displaced file, ``None`` when it is gone."""

    def head(self) -> str | None:
        """Return what git's HEAD points at, ``None`` outside a repository."""

    def has_checked_out(self, since: str) -> bool:
        """Return whether HEAD has moved since a commit by more than commits of what stood here."""

    def git_lock(self) -> int | None:
        """Return what tells one lock of git's from another, ``None`` while git changes no files here."""

    def digest_of(self, absolute: str) -> str | None:
        """Return the hash of a staged or displaced file, ``None`` when it is gone."""

    def set_aside(self, path: str, absolute: str) -> str:
        """Move what came out of a replacement under ``.syncd/displaced/``; return where it is now."""

    def discard(self, absolute: str) -> None:
        """Remove a staged file that was never used; absent is fine."""


class EditLock(Protocol):
    """The advisory lock that scripts hold while they edit task files."""

    def holder(self) -> str | None:
        """Return who holds it, in words; ``None`` when it is free, or this process may write under it."""

    def taken(self) -> AbstractContextManager[bool]:
        """Take it at once or not at all; give whether it is ours until the context ends."""


class LineFile(Protocol):
    """A file that lines are appended to, by others too."""

    def is_wanted(self) -> bool:
        """Return whether there is anybody to read it."""

    def read_from(self, offset: int) -> bytes | None:
        """Return what stands behind an offset; ``None`` when the file is absent or shorter."""

    def append(self, data: bytes, *, cut: int = 0) -> int:
        """Take ``cut`` bytes off its end, add lines durably, and return how long it is then.

        Raises: InputOutputError.
        """


# --- state ---------------------------------------------------------------------------------------


class StagedFile(msgspec.Struct, frozen=True):
    """One file replacement of the write under way; ``is_removal`` tells that its file is empty, and goes then."""

    path: str
    staged: str
    expected: str | None
    new: str
    is_removal: bool = False


class Journal(msgspec.Struct, frozen=True):
    """The write under way: enough to finish or to forget it after a crash.

    ``ids`` maps a nameless row (path and text) to the id that was allocated for it.  ``sent`` holds the
    fields, by card, that the files showed and the store gets; ``written`` those that the store held and
    each file gets, by path and card: what the base may take over once the write is known to have happened.
    ``places`` tells in which file a card of ``sent`` stands.  ``removed`` are the cards whose rows are gone, and which
    go from the store.
    """

    commit_id: str
    staged: tuple[StagedFile, ...]
    ids: Mapping[tuple[str, str], str]
    sent: Mapping[str, Fields]
    written: Mapping[str, Mapping[str, Fields]]
    places: Mapping[str, str] = msgspec.field(default_factory=dict)
    removed: frozenset[str] = frozenset()


class State(Protocol):
    """What syncd remembers beside the files: base, journal, cursor, known versions, decisions."""

    @property
    def was_lost(self) -> str | None:
        """Return the name under which a damaged state was put aside; ``None`` otherwise."""

    def acknowledge_loss(self) -> None:
        """Note that both sides were compared without a base since."""

    def base(self) -> Mapping[str, BaseCard]:
        """Return the base, every card; the same mapping until it advances."""

    def share(self, base: Mapping[str, BaseCard], local: Mapping[str, LocalCard]) -> Mapping[str, BaseCard]:
        """Return the base that is to be held instead of this one, what the files' cards say alike held once."""

    def advance(self, agreed: Iterable[BaseCard], forgotten: Iterable[str], cursor: Cursor | None) -> None:
        """Move the base and the feed's cursor in one durable transaction."""

    def cursor(self) -> Cursor | None:
        """Return the feed's place at the last advance."""

    def journal(self) -> Journal | None:
        """Return the write under way."""

    def write_journal(self, journal: Journal) -> None:
        """Record a write durably before it starts."""

    def clear_journal(self) -> None:
        """Forget the write under way, durably."""

    def remember_version(self, path: str, digest: str, data: bytes) -> None:
        """Keep a version of a file that was seen (the last ones only)."""

    def version_rank(self, path: str, digest: str) -> int | None:
        """Return 0 when this is the newest version seen of a file, its age in versions when it is an older
        one, ``None`` when it was never seen.
        """

    def version_bytes(self, path: str, digest: str) -> bytes | None:
        """Return the bytes of a kept version."""

    def newest_version(self, path: str) -> bytes | None:
        """Return the bytes of the newest version seen of a file."""

    def versions(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of the kept versions of a file, newest first."""

    def decisions(self) -> Mapping[str, str]:
        """Return what people decided about holds: fingerprint -> ``accept`` or ``reject``."""

    def decide(self, fingerprints: Mapping[str, str]) -> None:
        """Keep decisions about holds."""

    def drop_decisions(self, fingerprints: Iterable[str]) -> None:
        """Forget decisions that were carried out, or whose hold is gone."""

    def meta(self, key: str) -> str | None:
        """Return a small remembered fact."""

    def set_meta(self, key: str, value: str | None) -> None:
        """Remember or forget a small fact."""

    def close(self) -> None:
        """Close the database."""
