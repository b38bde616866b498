"""A store in memory, for tests of what stands above a store: same contract, own clock, failures on demand.

A :class:`MemoryDatabase` is shared by any number of stores (working copies, projects).  Its clock moves
only when a test says so.  The rules are those of the store without a database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from syncd.core.history import HistoryEntry
from syncd.ports import Batch, BatchResult, StoreInfo
from syncd.schemas.card import Card
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Record
from syncd.store.flatfile.rules import ManifestStore

CommitHook = Callable[[str, Batch], None]
"""Called with ``before`` and ``after`` a batch is applied; what it raises, ``commit`` raises."""


class MemoryManifest(Manifest):
    """A manifest with its audit trail."""

    def __init__(self, *, epoch: str, project: str) -> None:
        super().__init__(epoch=epoch, project=project)
        self.trail: list[HistoryEntry] = []


class MemoryDatabase:
    """What stores share: rows, the clock, the feed's stamps, and who listens."""

    def __init__(self, *, epoch: str = "memory") -> None:
        self.epoch = epoch
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.on_commit: CommitHook | None = None
        self.lock = threading.RLock()
        self.listeners: list[MemoryListener] = []
        self._stamp = 1
        self._projects: dict[str, MemoryManifest] = {}

    @property
    def stamp(self) -> int:
        """The next transaction's number: a cursor that has seen everything before it."""
        return self._stamp

    def project(self, name: str) -> MemoryManifest:
        """Return a project's rows."""
        manifest = self._projects.setdefault(name, MemoryManifest(epoch=self.epoch, project=name))
        manifest.epoch = self.epoch
        return manifest

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def store(self, project: str = "default", replica: str = "r1") -> MemoryStore:
        """Return a store of one project, as one working copy opens it."""
        return MemoryStore(self, project, replica)

    def delete_outright(self, project: str, id: str) -> None:
        """Delete a row as a foreign client does: no tombstone is left in the table."""
        with self.lock:
            self.store(project).delete_outright(id)

    def write(self, project: str, cards: Iterable[Card]) -> None:
        """Write rows as one transaction: versions and stamps move on a real change only."""
        manifest = self.project(project)
        stamped = manifest.stamped(cards, self.now)
        if stamped:
            entries = manifest.entries(stamped, (), self.now, "tester", "test")
            self.take(project, Record(seq=self._stamp, at=self.now, cards=tuple(stamped), entries=entries))

    def take(self, project: str, record: Record) -> None:
        """Apply a record as the next transaction, and tell those who listen."""
        manifest = self.project(project)
        manifest.apply(replace(record, seq=self._stamp))
        manifest.trail.extend(record.entries)
        self._stamp += 1
        for listener in tuple(self.listeners):
            listener.wake()


class MemoryListener:
    """A subscription: woken in the thread that writes."""

    mode = "live"

    def __init__(self, database: MemoryDatabase, wake: Callable[[], None]) -> None:
        self._database = database
        self.wake = wake
        database.listeners.append(self)
        wake()

    def hurry(self) -> None:
        """Nothing to do: there is no connection."""

    def close(self) -> None:
        """End the subscription."""
        if self in self._database.listeners:
            self._database.listeners.remove(self)


class MemoryKeeper:
    """Keeps a manifest of a :class:`MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase, project: str) -> None:
        self._database = database
        self._project = project

    @contextmanager
    def reading(self) -> Iterator[Manifest]:
        with self._database.lock:
            yield self._database.project(self._project)

    writing = reading

    def keep(self, manifest: Manifest, record: Record) -> None:
        if record.cards and not (record.gone or record.commits or record.conflicts):
            self._database.write(self._project, record.cards)
        else:
            self._database.take(self._project, record)

    def now(self) -> datetime:
        return self._database.now

    def place(self, manifest: Manifest) -> int:
        return self._database.stamp

    def trail(self) -> Sequence[HistoryEntry]:
        return tuple(self._database.project(self._project).trail)

    def forget(self, kept: Sequence[HistoryEntry]) -> None:
        self._database.project(self._project).trail[:] = kept

    def listen(self, wake: Callable[[], None]) -> MemoryListener:
        return MemoryListener(self._database, wake)

    def info(self) -> StoreInfo:
        return StoreInfo("memory", "0", 0, "memory:")

    def close(self) -> None:
        pass


class MemoryStore(ManifestStore):
    """One project of a :class:`MemoryDatabase`; satisfies ``syncd.ports.Store``."""

    def __init__(self, database: MemoryDatabase, project: str, replica: str) -> None:
        super().__init__(MemoryKeeper(database, project), project=project, actor="tester", face="test", replica=replica)
        self.database = database
        self.replica = replica

    def commit(self, batch: Batch) -> BatchResult:
        with self.database.lock:
            self._hook("before", batch)
            result = super().commit(batch)
            self._hook("after", batch)
            return result

    def _hook(self, stage: str, batch: Batch) -> None:
        if self.database.on_commit is not None:
            self.database.on_commit(stage, batch)


    def _commit(self, batch: Batch) -> BatchResult:
        rows = self._rows
        named = {change.id for change in batch.changes}
        if batch.commit_id in rows.commits:
            return BatchResult({id: rows.cards[id] for id in named & rows.cards.keys()}, frozenset(), {})
        after, moved, refused = planned(batch.changes, rows.cards, self.project, self.database.now)
        for conflict in batch.conflicts:
            if conflict.id not in moved:
                self._record(conflict)
        edges = {id: card.depends_on for id, card in rows.cards.items()}
        for id in closing_cycles(edges, rows.cards, after):
            del after[id]
            refused[id] = Refusal("cycle", f"{id}: its dependencies would close a cycle")
        new = [id for id in after if id not in rows.cards]
        for place, id in enumerate(new):
            after[id] = replace(after[id], created_at=self.database.now + timedelta(microseconds=place))
        self.database.write(self.project, after.values())
        rows.commits[batch.commit_id] = frozenset({*moved, *refused})
        cards = {id: rows.cards[id] for id in named & rows.cards.keys()}
        return BatchResult(cards, frozenset(moved), refused)

    def _record(self, conflict: Conflict) -> None:
        known = self._rows.conflicts
        if not any(each.settled is None and _clash(each.conflict) == _clash(conflict) for each in known):
            record = ConflictRecord(len(known) + 1, conflict, self.replica, self.database.now)
            self._rows.conflicts.append(record)

    def has_commit(self, commit_id: str) -> bool:
        return commit_id in self._rows.commits

    def left_out(self, commit_id: str) -> frozenset[str]:
        return self._rows.commits.get(commit_id, frozenset())

    def reserve_ids(self, prefix: str, count: int, floor: int) -> int:
        with self.database.lock:
            first = max(self._rows.next_ids.get(prefix, 0), floor + 1)
            self._rows.next_ids[prefix] = first + count
            return first

    def listen(self, wake: Callable[[], None]) -> MemoryListener:
        return MemoryListener(self.database, wake)

    def conflicts(self, *, settled: bool = False) -> Sequence[ConflictRecord]:
        return [each for each in self._rows.conflicts if settled or each.settled is None]

    def settle(self, conflict: ConflictRecord, how: str) -> None:
        records = self._rows.conflicts
        for at, each in enumerate(records):
            if each.seq == conflict.seq:
                records[at] = ConflictRecord(each.seq, each.conflict, each.replica, each.at, how, self.database.now)
                return
        raise NotFound(f"no conflict {conflict.seq}")

    def touch_replica(self, replica: str, host: str, path: str) -> None:
        self.database.replicas[replica] = (host, path)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass

    # --- queue ------------------------------------------------------------------------------------

    def create(self, new: NewCard) -> Card:
        with self.database.lock:
            now = self.database.now
            card = new_card(new, project=self.project, now=now)
            if new.delay_s is not None:
                card = replace(card, run_after=now + timedelta(seconds=new.delay_s))
            for each in self._rows.cards.values():
                if each.deleted_at is None and new.idempotency_key in (each.idempotency_key or "",):
                    return each
            before = self._rows.cards.get(new.id)
            if before is not None and before.deleted_at is None:
                raise AlreadyExists(f"there is a card {new.id} already")
            self._refuse_cycle(None, card)
            return self._put(card)

    def create_many(self, new: Sequence[NewCard]) -> Sequence[Card]:
        with self.database.lock:
            cards, edges = self._rows.cards, {each.id: each.depends_on for each in new}
            for each in new:
                new_card(each, project=self.project, now=self.database.now)
                known = [card for card in cards.values() if card.deleted_at is None and card.id == each.id]
                if known and (each.idempotency_key is None or known[0].idempotency_key != each.idempotency_key):
                    raise AlreadyExists(f"there is a card {each.id} already")
            if len(edges) < len(new):
                raise AlreadyExists("a card is given twice")
            if list(find_knots({**{id: card.depends_on for id, card in cards.items()}, **edges})):
                raise CycleRefused("this closes a cycle")
            made = [self.create(each) for each in new]
            for place, card in enumerate(made):
                if card.version == 1 and card.created_at is not None:
                    cards[card.id] = replace(cards[card.id], created_at=card.created_at + timedelta(microseconds=place))
            return [cards[card.id] for card in made]

    def get(self, id: str) -> Card:
        card = self._rows.cards.get(id)
        if card is None or card.deleted_at is not None:
            raise NotFound(f"no card {id}")
        return card

    def list(self, chosen: CardFilter) -> Sequence[Card]:
        cards = sorted((card for card in self._rows.cards.values() if card.is_live), key=_order)
        if chosen.cursor is not None:
            if chosen.cursor not in self._rows.cards:
                raise NotFound(f"no card {chosen.cursor}")
            last = _order(self._rows.cards[chosen.cursor])
            cards = [card for card in cards if _order(card) > last]
        found = [
            card
            for card in cards
            if chosen.status in (None, card.status)
            and chosen.phase in (None, card.phase)
            and chosen.owner in (None, card.claim_owner)
            and (not chosen.ready_only or self._is_claimable(card))
        ]
        return found[: chosen.limit]

    def update(self, id: str, fields: Fields, *, if_version: int | None = None) -> Card:
        with self.database.lock:
            card = self.get(id)
            if if_version not in (None, card.version):
                raise StaleVersion(f"{id} is at version {card.version}, not {if_version}")
            change = Change(kind=ChangeKind.UPDATE, id=id, fields=fields)
            result = changed(card, change, project=self.project, now=self.database.now)
            match result:
                case Card():
                    self._refuse_cycle(card, result)
                    return self._put(result)
                case Refusal(code="not-owner", message=message):
                    raise NotOwner(message)
                case Refusal(message=message):
                    raise BadValue(message)
                case None:
                    raise NotFound(f"no card {id}")

    def claim(self, owner: str, ttl_s: int | None, *, id: str | None = None, count: int = 1) -> Sequence[Card]:
        require_id(owner)
        require_integer(ttl_s)
        if ttl_s is not None and ttl_s <= 0:
            raise BadValue(f"a lease lasts more than 0 seconds, not {ttl_s}")
        with self.database.lock:
            wanted = [self._rows.cards[id]] if id in self._rows.cards else []
            if id is None:
                if len(self.list(CardFilter(ready_only=True, limit=count))) < count:
                    self.reclaim()
                wanted = list(self.list(CardFilter(ready_only=True, limit=count)))
            if self._rows.paused:
                raise Paused(f"project {self.project} is paused")
            return [
                self._lease(card, owner, ttl_s) for card in wanted if self._is_claimable(card, by_id=id is not None)
            ]

    def _lease(self, card: Card, owner: str, ttl_s: int | None) -> Card:
        leased = claimed(card, owner, ttl_s, self.database.now)
        assert isinstance(leased, Card)
        return self._put(leased)

    def _is_claimable(self, card: Card, *, by_id: bool = False) -> bool:
        now = self.database.now
        if not card.is_live or card.unmet:
            return False
        if by_id and card.status is Status.CLAIMED:
            return not is_leased(card, now)
        return card.status is Status.READY and (card.run_after is None or card.run_after <= now)

    def renew(self, id: str, owner: str, ttl_s: int | None = None, *, attempt: int | None = None) -> Card:
        card = self._held(id, owner, attempt)
        if not is_leased(card, self.database.now):
            raise NotOwner(f"the lease of {owner} on {id} has expired")
        ttl_s = card.claim_ttl_seconds if ttl_s is None else ttl_s
        return self._put(replace(card, claimed_at=self.database.now, claim_ttl_seconds=ttl_s))

    def release(self, id: str, owner: str, *, attempt: int | None = None) -> Card:
        return self._put(replace(self._held(id, owner, attempt), status=Status.READY, **_UNLEASED))

    def complete(self, id: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        card = self.get(id)
        if card.status is Status.DONE:
            return card
        if owner is not None or attempt is not None:
            card = self._held(id, owner, attempt)
        done = replace(card, status=Status.DONE, run_after=None, last_error=None, failures=0, **_UNLEASED)
        return self._put(done)

    def fail(self, id: str, error: str, *, owner: str | None = None, attempt: int | None = None) -> Card:
        require_storable(error)
        with self.database.lock:
            card = self._held(id, owner, attempt)
            delay_s = retry_delay_s(card.failures, card.max_retries, random.random())
            return self._put(
                replace(
                    card,
                    status=Status.BLOCKED if delay_s is None else Status.READY,
                    run_after=None if delay_s is None else self.database.now + timedelta(seconds=delay_s),
                    failures=card.failures + 1,
                    last_error=error,
                    **_UNLEASED,
                )
            )

    def retry(self, id: str) -> Card:
        with self.database.lock:
            card = self.get(id)
            if card.status not in (Status.READY, Status.BLOCKED):
                raise Refused(f"{id} is {card.status}: there is nothing to try again")
            return self._put(replace(card, status=Status.READY, run_after=None, last_error=None, failures=0))

    def _held(self, id: str, owner: str | None, attempt: int | None) -> Card:
        card = self.get(id)
        if card.status is not Status.CLAIMED or owner not in (None, card.claim_owner):
            raise NotOwner(f"{id} is not claimed by {owner}")
        if attempt not in (None, card.attempts):
            raise NotOwner(f"{id} is at attempt {card.attempts}, not {attempt}")
        return card

    def block(self, id: str, reason: str | None = None, *, attempt: int | None = None) -> Card:
        require_storable(reason)
        card = self.get(id) if attempt is None else self._held(id, None, attempt)
        return self._put(replace(card, status=Status.BLOCKED, last_error=reason or card.last_error, **_UNLEASED))

    def unblock(self, id: str) -> Card:
        card = self.get(id)
        if card.status is not Status.BLOCKED:
            raise Refused(f"{id} is {card.status}, not blocked")
        return self._put(replace(card, status=Status.READY, run_after=None, last_error=None, failures=0))

    def reclaim(self, id: str | None = None) -> Sequence[str]:
        with self.database.lock:
            cards = [self.get(id)] if id is not None else list(self._rows.cards.values())
            ended = [
                card
                for card in cards
                if card.status is Status.CLAIMED
                and card.deleted_at is None
                and (id is not None or not is_leased(card, self.database.now))
            ]
            for card in ended:
                self._put(replace(card, status=Status.READY, **_UNLEASED))
            return sorted(card.id for card in ended)

    def link(self, id: str, depends_on: str) -> Card:
        with self.database.lock:
            self.get(depends_on)
            card = self.get(id)
            linked = replace(card, depends_on=tuple(dict.fromkeys((*card.depends_on, depends_on))))
            self._refuse_cycle(card, linked)
            return self._put(linked)

    def unlink(self, id: str, depends_on: str) -> Card:
        card = self.get(id)
        return self._put(replace(card, depends_on=tuple(each for each in card.depends_on if each != depends_on)))

    def remove(self, id: str, *, force: bool = False) -> Card:
        with self.database.lock:
            card = self.get(id)
            others = [each.id for each in self._rows.cards.values() if each.is_live and id in each.depends_on]
            if not force and set(others) - {id}:
                raise Refused(f"{', '.join(others)} depend on {id}")
            return self._put(removed(card, self.database.now))

    def stats(self) -> QueueStats:
        now, live = self.database.now, [card for card in self._rows.cards.values() if card.is_live]
        counts = {status.value: sum(card.status is status for card in live) for status in Status}
        ready = [card for card in live if card.status is Status.READY]
        delayed = sum(card.run_after is not None and card.run_after > now for card in ready)
        ages = [(now - card.created_at).total_seconds() for card in ready if card.created_at is not None]
        return QueueStats(
            counts=counts,
            total=len(live),
            oldest_ready_age_s=max(ages, default=None),
            expired_claim_count=sum(card.status is Status.CLAIMED and not is_leased(card, now) for card in live),
            queue={
                "pending": counts["ready"] - delayed,
                "active": counts["claimed"],
                "completed": counts["done"],
                "failed": sum(card.status is Status.BLOCKED and card.last_error is not None for card in live),
                "delayed": delayed,
            },
            paused=self._rows.paused,
        )

    def set_paused(self, is_paused: bool) -> None:
        with self.database.lock:
            self._rows.paused = is_paused
            for listener in tuple(self.database.listeners):
                listener.wake()

    def standing(self, id: str) -> Standing:
        with self.database.lock:
            card, cards = self.get(id), self._rows.cards
            known = {each: cards.get(each) for each in card.depends_on}
            live = {each: found if found and found.deleted_at is None else None for each, found in known.items()}
            return Standing(card, live, self._rows.paused, self.database.now)

    def next_due_s(self) -> float | None:
        now = self.database.now
        dues = [card.run_after for card in self._rows.cards.values() if card.status is Status.READY and not card.unmet]
        dues += [lease_end(card) for card in self._rows.cards.values() if card.status is Status.CLAIMED]
        return min(((due - now).total_seconds() for due in dues if due is not None and due > now), default=None)

    def trail(self, after: int | None = None, *, limit: int) -> Trail:
        with self.database.lock:
            entries = [entry for _, entry in self._rows.history if after is None or entry.seq > after][:limit]
            return Trail(tuple(entries), has_more=len(entries) == limit, is_waiting=False)

    def prune(self, older_than_s: float, *, dry_run: bool = False) -> Pruned:
        with self.database.lock:
            rows, cut = self._rows, self.database.now - timedelta(seconds=older_than_s)
            last = {entry.id: entry.seq for _, entry in rows.history if entry.op is Deed.DELETE}
            kept = [
                (stamp, entry) for stamp, entry in rows.history if entry.at >= cut or last.get(entry.id) == entry.seq
            ]
            pruned = Pruned(len(rows.history) - len(kept), 0, 0)
            if not dry_run:
                rows.history[:] = kept
            return pruned

    def history(self, id: str | None = None, *, limit: int | None = None, since: int | None = None) -> History:
        with self.database.lock:
            found = [
                entry
                for stamp, entry in self._rows.history
                if id in (None, entry.id) and (since is None or stamp >= since)
            ]
            shown = found if since is not None or limit is None else found[len(found) - min(limit, len(found)) :]
            return History(tuple(shown), self.database.stamp)

    def _put(self, card: Card) -> Card:
        with self.database.lock:
            self.database.write(self.project, [card])
            return self._rows.cards[card.id]

    def _refuse_cycle(self, before: Card | None, after: Card) -> None:
        if added_dependencies(before, after):
            edges: Mapping[str, Sequence[str]] = {id: card.depends_on for id, card in self._rows.cards.items()}
            path = would_close(edges, after.id, after.depends_on)
            if path is not None:
                raise CycleRefused(f"this closes a cycle: {' → '.join(path)}")


def _order(card: Card) -> tuple[int, datetime, str]:
    assert card.created_at is not None
    return (-card.priority, card.created_at, card.id)


def _meaning(card: Card) -> Card:
    return replace(card, **dict.fromkeys(_UNCOUNTED, None))


def _recorded(card: Card | None) -> dict[str, object]:
    if card is None:
        return {}
    record = msgspec.json.decode(msgspec.json.encode(card))
    return {name: value for name, value in record.items() if name not in _UNRECORDED and value is not None}


def _clash(conflict: Conflict) -> tuple[object, ...]:
    return (conflict.id, conflict.field, conflict.base, conflict.local, conflict.remote)
