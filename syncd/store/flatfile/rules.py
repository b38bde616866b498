"""What a store without a database does: each verb draws up one record and has it kept.

The rules for single cards are those of ``changes``, the wording that of ``refusals``, as in Postgres.  Where a
manifest is kept, and what makes a record durable, is a keeper's business.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
Long because it is one class with a method for each verb of ``ports.Store``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from msgspec.structs import replace
from msgspec.structs import replace as renewed

from syncd.core.graph import find_cycles, would_close
from syncd.core.history import HistoryEntry, finisher_of
from syncd.core.mission import MissionCard
from syncd.core.plan import Change, ChangeKind, Conflict
from syncd.core.retry import RETRIES, RetryPolicy, retry_delay_s
from syncd.core.standing import Standing, lease_end
from syncd.errors import BadValue, NotOwner
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
    Refusal,
    Replica,
    StoreInfo,
    Trail,
)
from syncd.schemas.card import Card, Fields, Status
from syncd.store import refusals
from syncd.store.changes import (
    added_dependencies,
    changed,
    claimed,
    closing_cycles,
    is_leased,
    new_card,
    planned,
    removed,
    require_claim,
    require_storable,
    require_ttl,
)
from syncd.store.flatfile.manifest import Manifest, place_of
from syncd.store.flatfile.missions import ManifestMissions
from syncd.store.flatfile.records import Committed, KeptReplica, Record
from syncd.store.flatfile.trail import kept_since

TOUCH_EVERY: Final = timedelta(minutes=1)
"""How often a working copy that comes by again is noted."""

_UNLEASED: Final[Mapping[str, Any]] = {"claim_owner": None, "claim_ttl_seconds": None, "claimed_at": None}
_AS_NEW: Final[Mapping[str, Any]] = {"run_after": None, "last_error": None, "failures": 0}


class Keeper(Protocol):
    """Where a manifest is kept."""

    def reading(self) -> AbstractContextManager[Manifest]:
        """Give the manifest as it is now; others may go on writing it meanwhile in other processes."""

    def writing(self) -> AbstractContextManager[Manifest]:
        """Give the manifest as it is now, and keep every other writer out until the end."""

    def keep(self, manifest: Manifest, record: Record) -> None:
        """Make a record durable and apply it; only while ``writing``."""

    def now(self) -> datetime:
        """Return the time by the store's clock."""

    def place(self, manifest: Manifest) -> int:
        """Return where the feed is read on."""

    def trail(self) -> Sequence[HistoryEntry]:
        """Return the audit trail, oldest first."""

    def forget(self, kept: Sequence[HistoryEntry]) -> None:
        """Put these entries in the place of the audit trail; only while ``writing``."""

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` whenever the manifest may have changed, and once at the start."""

    def info(self) -> StoreInfo:
        """Return what ``status`` says of it."""

    def close(self) -> None:
        """Give back what is open."""


class ManifestStore:
    """A project's cards in a manifest; satisfies ``ports.Store``.

    Args:
        actor: who acts, for the audit trail.
        face: through which face, for the audit trail.
        replica: which working copy, for conflicts.
    """

    def __init__(
        self, keeper: Keeper, *, project: str, actor: str, face: str, replica: str, retry: RetryPolicy = RETRIES
    ) -> None:
        self._keeper = keeper
        self._project = project
        self._actor = actor
        self._face = face
        self._replica = replica
        self._retry = retry

    # --- sync -------------------------------------------------------------------------------------

    def info(self) -> StoreInfo:
        """Return what is there.  Raises InputOutputError, ConfigError."""
        return self._keeper.info()

    def read(self, cursor: Cursor | None) -> Feed:
        """Return what changed since ``cursor``; everything without one that holds."""
        with self._keeper.reading() as manifest:
            return manifest.feed(cursor, self._keeper.place(manifest), self._keeper.now())

    def commit(self, batch: Batch) -> BatchResult:
        """Apply a batch as one record; a batch that is known already changes nothing."""
        with self._keeper.writing() as manifest:
            named = {change.id for change in batch.changes}
            if batch.commit_id in manifest.commits:
                return BatchResult(_some(manifest.cards, named), frozenset(), {})
            now = self._keeper.now()
            after, moved, refused = planned(batch.changes, manifest.cards, self._project, now)
            if any(added_dependencies(manifest.cards.get(id), card) for id, card in after.items()):
                for id in closing_cycles(manifest.edges(), manifest.cards, after):
                    del after[id]
                    refused[id] = Refusal("cycle", f"{id}: its dependencies would close a cycle")
            new = [id for id in after if id not in manifest.cards]
            for place, id in enumerate(new):
                if after[id].created_at == now:
                    after[id] = replace(after[id], created_at=now + timedelta(microseconds=place))
            clashes = [each for each in batch.conflicts if each.id not in moved]
            self._keep(
                manifest,
                now,
                after.values(),
                conflicts=self._recorded(manifest, clashes, now),
                commits={batch.commit_id: Committed(now, tuple(sorted({*moved, *refused})))},
            )
            return BatchResult(_some(manifest.cards, named), frozenset(moved), refused)

    def has_commit(self, commit_id: str) -> bool:
        """Return whether a batch with this id was committed."""
        with self._keeper.reading() as manifest:
            return commit_id in manifest.commits

    def left_out(self, commit_id: str) -> frozenset[str]:
        """Return the cards that a committed batch left out."""
        with self._keeper.reading() as manifest:
            found = manifest.commits.get(commit_id)
            return frozenset(found.left_out if found else ())

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        """Reserve ``count`` numbers above ``floor`` for ``prefix``; return the first.  Never given twice."""
        with self._keeper.writing() as manifest:
            first = max(manifest.numbers.get(prefix, 0), floor + 1)
            self._keep(manifest, self._keeper.now(), numbers={prefix: first + count})
            return first

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Call ``wake`` whenever the project may have changed."""
        return self._keeper.listen(wake)

    def conflicts(self, *, settled: bool = False) -> Sequence[ConflictRecord]:
        """Return the project's conflicts, oldest first; with ``settled`` those too."""
        with self._keeper.reading() as manifest:
            return [each for _, each in sorted(manifest.conflicts.items()) if settled or each.settled is None]

    def settle(self, conflict: ConflictRecord, how: str) -> None:
        """Mark a conflict as settled.  Raises NotFound."""
        with self._keeper.writing() as manifest:
            known = manifest.conflicts.get(conflict.seq)
            if known is None:
                raise refusals.no_conflict(self._project, conflict.seq)
            now = self._keeper.now()
            self._keep(manifest, now, conflicts=(renewed(known, settled=how, settled_at=now),))

    def touch_replica(self, replica: str, host: str, path: str) -> None:
        """Record that this working copy was here now."""
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            known = manifest.replicas.get(replica)
            if known is None or (known.host, known.path) != (host, path) or now - known.seen_at >= TOUCH_EVERY:
                self._keep(manifest, now, replicas={replica: KeptReplica(host, path, now)})

    def replicas(self) -> Sequence[Replica]:
        """Return the project's working copies, the one heard of last first."""
        with self._keeper.reading() as manifest:
            found = [Replica(id, each.host, each.path, each.seen_at) for id, each in manifest.replicas.items()]
        return sorted(found, key=lambda each: (-each.seen_at.timestamp(), each.id))

    @property
    def missions(self) -> ManifestMissions:
        """The missions of the project."""
        return ManifestMissions(self._keeper, self._project, self._actor, self._face, self._recorded)

    @property
    def acting(self) -> tuple[str, str]:
        """Whose doing what follows is recorded as, and through which face."""
        return self._actor, self._face

    def act_as(self, actor: str, face: str) -> None:
        """Have what follows recorded as this actor's doing, through this face."""
        self._actor, self._face = actor, face

    def interrupt(self) -> None:
        """Nothing to do: what is asked of it waits for nobody for long."""

    def close(self) -> None:
        """Give back what is open; the next use opens it again."""
        self._keeper.close()

    def _recorded(self, manifest: Manifest, clashes: Iterable[Conflict], now: datetime) -> tuple[ConflictRecord, ...]:
        """Return the records of those clashes that do not stand recorded yet."""
        fresh = [each for each in dict.fromkeys(clashes) if not manifest.knows(each)]
        first = max(manifest.conflicts, default=0) + 1
        return tuple(ConflictRecord(seq, each, self._replica, now) for seq, each in enumerate(fresh, first))

    # --- cards ------------------------------------------------------------------------------------

    def create(self, new: NewCard) -> Card:
        """Insert a card; a repeated idempotency key gives the first.  Raises AlreadyExists, CycleRefused."""
        return self.create_many([new])[0]

    def create_many(self, new: Sequence[NewCard]) -> Sequence[Card]:
        """Insert cards in one record, all or none; they may depend on one another in any order."""
        now = self._keeper.now()
        wanted = [new_card(each, project=self._project, now=now) for each in new]
        delays_s = {each.id: each.delay_s for each in new if each.delay_s is not None}
        if not wanted:
            return []
        with self._keeper.writing() as manifest:
            stand = {id: card for id, card in manifest.cards.items() if card.deleted_at is None}
            by_key = {card.idempotency_key: card.id for card in stand.values() if card.idempotency_key is not None}
            fresh: dict[str, Card] = {}
            answers: list[str] = []
            for card in wanted:
                key = card.idempotency_key
                known = card.id if key is None else by_key.setdefault(key, card.id)
                answers.append(known)
                if known != card.id or (key is not None and known in stand and stand[known].idempotency_key == key):
                    continue
                if card.id in fresh:
                    raise refusals.given_twice(card.id)
                delay_s = delays_s.get(card.id)
                fresh[card.id] = replace(
                    card,
                    created_at=now + timedelta(microseconds=len(fresh)),
                    run_after=None if delay_s is None else now + timedelta(seconds=delay_s),
                )
            if taken := [id for id in fresh if id in stand]:
                raise refusals.taken(taken)
            self._refuse_new_cycle(manifest, fresh)
            self._keep(manifest, now, fresh.values())
            return [manifest.cards[id] for id in answers]

    def get(self, id: str) -> Card:
        """Return one live or archived card.  Raises NotFound."""
        with self._keeper.reading() as manifest:
            return self._known(manifest, id)

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        """Return live cards as the filter says: highest priority first, then oldest, then by id."""
        with self._keeper.reading() as manifest:
            last = manifest.cards.get(chosen.cursor) if chosen.cursor is not None else None
            if chosen.cursor is not None and last is None:
                raise refusals.not_found(self._project, chosen.cursor)
            now = self._keeper.now()
            cards = manifest.claimable(now) if chosen.ready_only else manifest.live()
            found = [
                card
                for card in cards
                if chosen.status in (None, card.status)
                and chosen.phase in (None, card.phase)
                and chosen.owner in (None, card.claim_owner)
                and (last is None or place_of(card) > place_of(last))
            ]
            return sorted(found, key=place_of)[: chosen.limit]

    def mission_cards(self) -> Sequence[MissionCard]:
        """Return all live cards as far as missions look at them, in no order."""
        with self._keeper.reading() as manifest:
            return [
                MissionCard(card.id, card.path, {"phase": card.phase, "status": card.status.value})
                for card in manifest.live()
            ]

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        """Set synced fields.  Raises NotFound, BadValue, StaleVersion, CycleRefused, NotOwner."""
        with self._keeper.writing() as manifest:
            card, now = self._known(manifest, id), self._keeper.now()
            if if_version is not None and card.version != if_version:
                raise refusals.stale(card, if_version)
            change = Change(kind=ChangeKind.UPDATE, id=id, fields=fields)
            match changed(card, change, project=self._project, now=now):
                case Card() as result:
                    return self._put(manifest, result, now)
                case Refusal(code="not-owner", message=message):
                    raise NotOwner(message)
                case Refusal(message=message):
                    raise BadValue(message)
                case None:
                    raise refusals.not_found(self._project, id)

    def link(self, id: str, depends_on: str) -> Card:
        """Add a dependency.  Raises CycleRefused, NotFound."""
        with self._keeper.writing() as manifest:
            self._known(manifest, depends_on)
            card = self._known(manifest, id)
            linked = replace(card, depends_on=tuple(dict.fromkeys((*card.depends_on, depends_on))))
            return self._put(manifest, linked, self._keeper.now())

    def unlink(self, id: str, depends_on: str) -> Card:
        """Take a dependency away; one that is not there is no error.  Raises NotFound."""
        with self._keeper.writing() as manifest:
            card = self._known(manifest, id)
            left = tuple(each for each in card.depends_on if each != depends_on)
            return self._put(manifest, replace(card, depends_on=left), self._keeper.now())

    def remove(self, id: str, *, force: bool = False) -> Card:
        """Tombstone a card.  Raises NotFound, Refused while others depend on it, unless forced."""
        with self._keeper.writing() as manifest:
            card, now = self._known(manifest, id), self._keeper.now()
            if not force and (dependents := manifest.dependents(id)):
                raise refusals.depended_on(id, dependents)
            return self._put(manifest, removed(card, now), now)

    # --- leases -----------------------------------------------------------------------------------

    def claim(self, owner: str, ttl_s: int | None, *, id: str | None = None, count: int = 1) -> Sequence[Card]:
        """Lease up to ``count`` of the best claimable cards; nothing to claim gives none.

        Raises: Paused, BadValue.  Holds: I13.
        """
        require_claim(owner, ttl_s)
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            if id is not None:
                wanted = [card for card in [manifest.cards.get(id)] if card is not None and _is_free(card, now)]
            else:
                wanted = _first(manifest.claimable(now), count)
                if len(wanted) < count and (ended := manifest.expired(now)):
                    self._keep(manifest, now, [_unleased(card) for card in ended])
                    wanted = _first(manifest.claimable(now), count)
            if manifest.is_paused:
                raise refusals.paused(self._project)
            leased = [each for card in wanted if isinstance(each := claimed(card, owner, ttl_s, now), Card)]
            if leased:
                self._keep(manifest, now, leased)
            return [manifest.cards[card.id] for card in leased]

    def renew(self, id: str, owner: str, ttl_s: int | None = None, *, attempt: int | None = None) -> Card:
        """Extend a live lease from now.  Raises NotFound, NotOwner, BadValue."""
        require_ttl(ttl_s)
        with self._keeper.writing() as manifest:
            card, now = self._held(manifest, id, owner, attempt), self._keeper.now()
            if not is_leased(card, now):
                raise refusals.not_owner(card, owner, attempt)
            ttl_s = card.claim_ttl_seconds if ttl_s is None else ttl_s
            return self._put(manifest, replace(card, claimed_at=now, claim_ttl_seconds=ttl_s), now)

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        """Give a lease back.  Raises NotFound, NotOwner."""
        with self._keeper.writing() as manifest:
            return self._put(manifest, _unleased(self._held(manifest, id, owner, attempt)), self._keeper.now())

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """Mark a card done; a done card stays as it is.  Raises NotFound, NotOwner."""
        with self._keeper.writing() as manifest:
            card = self._known(manifest, id)
            if card.status is Status.DONE and self._may_repeat(card, owner, attempt):
                return card
            if owner is not None or attempt is not None:
                self._held(manifest, id, owner, attempt)
            return self._put(manifest, replace(card, status=Status.DONE, **_AS_NEW, **_UNLEASED), self._keeper.now())

    def _may_repeat(self, card: Card, owner: str | None, attempt: int | None) -> bool:
        """Return whether a done card may be completed once more: by whoever finished it, as far as that is known."""
        if attempt != card.attempts:
            return attempt is None
        return owner in (None, finisher_of(self._keeper.trail(), card.id) or owner)

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        """End a lease without success: ready again after a pause, or blocked.  Raises NotFound, NotOwner, BadValue."""
        require_storable(error)
        with self._keeper.writing() as manifest:
            card, now = self._held(manifest, id, owner, attempt), self._keeper.now()
            delay_s = retry_delay_s(card.failures, card.max_retries, random.random(), self._retry)
            failed = replace(
                card,
                status=Status.BLOCKED if delay_s is None else Status.READY,
                run_after=None if delay_s is None else now + timedelta(seconds=delay_s),
                failures=card.failures + 1,
                last_error=error,
                **_UNLEASED,
            )
            return self._put(manifest, failed, now)

    def retry(self, id: str) -> Card:
        """Make a blocked or pausing card ready at once, with all its retries.  Raises NotFound, Refused."""
        with self._keeper.writing() as manifest:
            card = self._known(manifest, id)
            if card.status not in (Status.READY, Status.BLOCKED):
                raise refusals.nothing_to_retry(card)
            return self._put(manifest, replace(card, status=Status.READY, **_AS_NEW), self._keeper.now())

    def block(self, id: str, reason: str | None = None, *, attempt: int | None = None) -> Card:
        """Take a card out of the queue, its lease with it.  Raises NotFound, BadValue, NotOwner."""
        require_storable(reason)
        with self._keeper.writing() as manifest:
            card = self._known(manifest, id) if attempt is None else self._held(manifest, id, None, attempt)
            why = card.last_error if reason is None else reason
            blocked = replace(card, status=Status.BLOCKED, last_error=why, **_UNLEASED)
            return self._put(manifest, blocked, self._keeper.now())

    def unblock(self, id: str) -> Card:
        """Make a blocked card ready.  Raises NotFound, Refused when it is not blocked."""
        with self._keeper.writing() as manifest:
            card = self._known(manifest, id)
            if card.status is not Status.BLOCKED:
                raise refusals.not_blocked(card)
            return self._put(manifest, replace(card, status=Status.READY, **_AS_NEW), self._keeper.now())

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        """Put expired leases (or the lease of this card, expired or not) back to ready; return their ids."""
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            ended = manifest.expired(now) if id is None else [self._known(manifest, id)]
            freed = [_unleased(card) for card in ended if card.status is Status.CLAIMED]
            if freed:
                self._keep(manifest, now, freed)
            return sorted(card.id for card in freed)

    # --- the queue as a whole ---------------------------------------------------------------------

    def stats(self) -> QueueStats:
        """Return the counts of the project's live cards."""
        with self._keeper.reading() as manifest:
            now, live = self._keeper.now(), list(manifest.live())
            found = Counter(card.status.value for card in live)
            counts = {status.value: found[status.value] for status in Status}
            ready = [card for card in live if card.status is Status.READY]
            delayed = sum(card.run_after is not None and card.run_after > now for card in ready)
            ages = [(now - card.created_at).total_seconds() for card in ready if card.created_at is not None]
            return QueueStats(
                counts=counts,
                total=len(live),
                oldest_ready_age_s=max(0.0, *ages) if ages else None,
                expired_claim_count=len([card for card in manifest.expired(now) if card.is_live]),
                queue={
                    "pending": counts[Status.READY] - delayed,
                    "active": counts[Status.CLAIMED],
                    "completed": counts[Status.DONE],
                    "failed": sum(card.status is Status.BLOCKED and card.last_error is not None for card in live),
                    "delayed": delayed,
                },
                paused=manifest.is_paused,
            )

    def is_paused(self) -> bool:
        """Return whether no cards are handed out."""
        with self._keeper.reading() as manifest:
            return manifest.is_paused

    def set_paused(self, is_paused: bool) -> None:
        """Stop handing out cards, or go on; safe to repeat."""
        with self._keeper.writing() as manifest:
            if manifest.is_paused is not is_paused:
                self._keep(manifest, self._keeper.now(), paused=is_paused)

    def standing(self, id: str) -> Standing:
        """Return a card with what decides whether it can be claimed.  Raises NotFound."""
        with self._keeper.reading() as manifest:
            card = self._known(manifest, id)
            needed = {each: manifest.cards.get(each) for each in card.depends_on}
            live = {each: found if found and found.deleted_at is None else None for each, found in needed.items()}
            return Standing(card, live, manifest.is_paused, self._keeper.now())

    def next_due_s(self) -> float | None:
        """Return the seconds until a delay or a lease ends, the next of them; ``None`` without any."""
        with self._keeper.reading() as manifest:
            now = self._keeper.now()
            ready = (card for card in manifest.live() if card.status is Status.READY and not card.unmet)
            dues = [*(card.run_after for card in ready), *(lease_end(card) for card in manifest.claimed())]
            return min(((due - now).total_seconds() for due in dues if due is not None and due > now), default=None)

    # --- the past ---------------------------------------------------------------------------------

    def history(self, id: str | None = None, *, limit: int | None = None, since: int | None = None) -> History:
        """Return the audit trail of the project or of one card, oldest first, and the place to read on from."""
        entries = self._keeper.trail()
        found = [each for each in entries if id in (None, each.id) and (since is None or each.seq >= since)]
        if since is None and limit is not None:
            found = found[max(0, len(found) - limit) :]
        return History(tuple(found), entries[-1].seq + 1 if entries else since or 1)

    def trail(self, after: int | None = None, *, limit: int) -> Trail:
        """Return a page of the project's audit trail from behind the entry ``after``, or from its start."""
        entries = [each for each in self._keeper.trail() if after is None or each.seq > after][:limit]
        return Trail(tuple(entries), has_more=len(entries) == limit, is_waiting=False)

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        """Forget what is older and nobody needs; the last deletion of each id stays."""
        with self._keeper.writing() as manifest:
            now = self._keeper.now()
            cut = now - timedelta(seconds=older_than_s)
            entries = self._keeper.trail()
            kept = kept_since(entries, lambda each: each.at >= cut)
            commits = tuple(id for id, each in manifest.commits.items() if each.at < cut)
            replicas = tuple(id for id, each in manifest.replicas.items() if each.seen_at < cut)
            if not dry_run:
                if len(kept) < len(entries):
                    self._keeper.forget(kept)
                if commits or replicas:
                    self._keep(manifest, now, forgotten=(*commits, *replicas))
            return Pruned(len(entries) - len(kept), len(commits), len(replicas))

    # --- within a change --------------------------------------------------------------------------

    def _keep(
        self, manifest: Manifest, now: datetime, cards: Iterable[Card] = (), *, gone: Sequence[str] = (), **rest: Any
    ) -> None:
        """Have one change kept; one that says nothing new writes nothing."""
        stamped = manifest.stamped(cards, now)
        if not stamped and not gone and not any(value not in ((), {}, None) for value in rest.values()):
            return
        entries = manifest.entries(stamped, gone, now, self._actor, self._face)
        record = Record(seq=manifest.seq + 1, at=now, cards=tuple(stamped), gone=tuple(gone), entries=entries, **rest)
        self._keeper.keep(manifest, record)

    def _put(self, manifest: Manifest, card: Card, now: datetime) -> Card:
        """Keep one card and return it as it is then.  Raises CycleRefused."""
        if added_dependencies(manifest.cards.get(card.id), card):
            path = would_close(manifest.edges(), card.id, card.depends_on)
            if path is not None:
                raise refusals.closes_cycle(path)
        self._keep(manifest, now, [card])
        return manifest.cards[card.id]

    def _refuse_new_cycle(self, manifest: Manifest, fresh: Mapping[str, Card]) -> None:
        if not any(card.depends_on for card in fresh.values()):
            return
        # The new cards first: a cycle through one of them is then told from it on.
        new_edges = {id: card.depends_on for id, card in fresh.items()}
        cycles = find_cycles({**new_edges, **manifest.edges(), **new_edges})
        if cycle := next((each for each in cycles if each[0] in fresh), None):
            raise refusals.closes_cycle((*cycle, cycle[0]), hint="Take one of these dependencies out.")

    def _known(self, manifest: Manifest, id: str) -> Card:
        card = manifest.cards.get(id)
        if card is None or card.deleted_at is not None:
            raise refusals.not_found(self._project, id if id.isprintable() else ascii(id))
        return card

    def _held(self, manifest: Manifest, id: str, owner: str | None, attempt: int | None) -> Card:
        card = self._known(manifest, id)
        is_holders = owner in (None, card.claim_owner) and attempt in (None, card.attempts)
        if card.status is not Status.CLAIMED or not is_holders:
            raise refusals.not_owner(card, owner, attempt)
        return card


def _is_free(card: Card, now: datetime) -> bool:
    """Return whether a card can be claimed by its id: an expired lease does not stand in the way."""
    if card.unmet or not card.is_live:
        return False
    if card.status is Status.CLAIMED:
        return not is_leased(card, now)
    return card.status is Status.READY and (card.run_after is None or card.run_after <= now)


def _unleased(card: Card) -> Card:
    return replace(card, status=Status.READY, **_UNLEASED)


def _first(cards: Iterable[Card], count: int) -> list[Card]:
    return [card for card, _ in zip(cards, range(count), strict=False)]


def _some(cards: Mapping[str, Card], ids: Iterable[str]) -> dict[str, Card]:
    return {id: cards[id] for id in ids if id in cards}
