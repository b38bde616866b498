"""A project's cards in memory, with what finds the next one to claim at once, however many there are.

A manifest changes only by applying a record, so that every process that reads the same log has the same
manifest.  What a card waits for is counted here, as the triggers do in Postgres: it moves no version.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from syncd.core.history import HistoryEntry, changes_between, deed_of
from syncd.core.plan import Conflict
from syncd.ports import ConflictRecord, Cursor, Feed
from syncd.schemas.card import Card, Status
from syncd.schemas.mission import RecordKey
from syncd.store.changes import is_leased
from syncd.store.flatfile.records import Committed, KeptReplica, MissionRow, Record
from syncd.store.sharing import Sharing

Place: TypeAlias = tuple[int, datetime, str]
"""Where a card stands in the queue: highest priority first, then oldest, then by id."""

MISSION_TRAIL_MAX: Final = 500
"""Changes of missions that are remembered."""

_KEPT: Final = ("unmet", "version", "updated_at")
_UNRECORDED: Final = ("id", "project", "version", "unmet", "updatedAt", "line")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY: Final = Card(id="", title="")


class Manifest:
    """The cards of one project, and everything that a store knows beside them.

    Args:
        epoch: names this history of the project: a cursor of another one reads everything.
        seq: the last change that is part of it.
        is_standin: it stands in for a database that is away.
    """

    def __init__(
        self, *, epoch: str, project: str, seq: int = 0, history_seq: int = 0, is_standin: bool = False
    ) -> None:
        self.epoch = epoch
        self.project = project
        self.is_standin = is_standin
        self.seq = self._told_from = seq
        self.history_seq = history_seq
        self.cards: dict[str, Card] = {}
        self.stamps: dict[str, int] = {}
        self.gone: dict[str, tuple[int, int]] = {}
        """Rows that left no tombstone: the change in which they went, and their last version."""
        self.conflicts: dict[int, ConflictRecord] = {}
        self.commits: dict[str, Committed] = {}
        self.numbers: dict[str, int] = {}
        self.replicas: dict[str, KeptReplica] = {}
        self.is_paused = False
        self.missions: dict[RecordKey, MissionRow] = {}
        self.mission_trail: tuple[HistoryEntry, ...] = ()
        self.missions_place = 0
        """The change that was the last about missions; a heartbeat is none."""
        self._dependents: dict[str, set[str]] = {}
        self._ready: list[Place] = []
        self._claimed: set[str] = set()

    # --- changing ---------------------------------------------------------------------------------

    def fill(self, cards: Iterable[Card], *, gone: Mapping[str, int]) -> None:
        """Take over cards as they were kept, into an empty manifest."""
        for card in map(Sharing(), cards):
            self._put(card if card.project == self.project else replace(card, project=self.project), self.seq)
        self.gone = {id: (self.seq, version) for id, version in gone.items()}
        for id in tuple(self.cards):
            self._count(id)

    def fill_missions(self, rows: Iterable[MissionRow]) -> None:
        """Take over missions as they were kept, into an empty manifest."""
        self.missions = {row.key: row for row in rows}

    def apply(self, record: Record) -> None:
        """Make a record's change."""
        self.seq = record.seq
        moved: set[str] = set()
        for card in map(Sharing(), record.cards):
            moved |= self._put(card, record.seq)
        for id in record.gone:
            card = self.cards[id]
            moved |= self._take_out(card)
            del self.cards[id], self.stamps[id]
            self.gone[id] = (record.seq, card.version + 1)
        for id in moved:
            self._count(id)
        for conflict in record.conflicts:
            self.conflicts[conflict.seq] = conflict
        self.commits.update(record.commits)
        self.numbers.update(record.numbers)
        self.replicas.update(record.replicas)
        for each in record.forgotten:
            self.commits.pop(each, None)
            self.replicas.pop(each, None)
        if record.paused is not None:
            self.is_paused = record.paused
        self.missions.update((row.key, row) for row in record.missions)
        if record.mission_entries:
            self.mission_trail = (*self.mission_trail, *record.mission_entries)[-MISSION_TRAIL_MAX:]
            self.missions_place = record.seq
        if record.entries:
            self.history_seq = record.entries[-1].seq

    def _put(self, card: Card, seq: int) -> set[str]:
        """Put a card in its places; return the cards whose count of unmet dependencies may be another now."""
        before = self.cards.get(card.id)
        moved = {card.id}
        if before is not None:
            moved |= self._take_out(before)
        self.cards[card.id] = card
        self.stamps[card.id] = seq
        for needed in card.depends_on:
            self._dependents.setdefault(needed, set()).add(card.id)
        if card.status is Status.CLAIMED and card.deleted_at is None:
            self._claimed.add(card.id)
        if _may_be_claimed(card):
            insort(self._ready, place_of(card))
        if is_met(before) != is_met(card):
            moved |= self._dependents.get(card.id, set())
        return moved

    def _take_out(self, card: Card) -> set[str]:
        """Take a card out of its places."""
        for needed in card.depends_on:
            self._dependents[needed].discard(card.id)
        self._claimed.discard(card.id)
        if _may_be_claimed(card):
            del self._ready[bisect_left(self._ready, place_of(card))]
        return set(self._dependents.get(card.id, ())) if is_met(card) else set()

    def _count(self, id: str) -> None:
        """Count what a card waits for."""
        card = self.cards.get(id)
        if card is None:
            return
        unmet = sum(not is_met(self.cards.get(needed)) for needed in set(card.depends_on))
        if unmet != card.unmet:
            counted = replace(card, unmet=unmet)
            if _may_be_claimed(card):
                del self._ready[bisect_left(self._ready, place_of(card))]
            if _may_be_claimed(counted):
                insort(self._ready, place_of(counted))
            self.cards[id] = counted

    # --- drawing up a change ----------------------------------------------------------------------

    def stamped(self, cards: Iterable[Card], now: datetime) -> list[Card]:
        """Return those of the cards that say something new, with the versions that they will have."""
        stamped: list[Card] = []
        for card in cards:
            before = self.cards.get(card.id)
            if before is not None and _meaning(before) == _meaning(card):
                continue
            version = before.version if before else self.gone.get(card.id, (0, 0))[1]
            stamped.append(replace(card, project=self.project, version=version + 1, updated_at=now, line=None))
        return stamped

    def entries(
        self, cards: Iterable[Card], gone: Iterable[str], now: datetime, actor: str, face: str
    ) -> tuple[HistoryEntry, ...]:
        """Return what the audit trail says of a change to these cards."""
        told: list[HistoryEntry] = []

        def tell(op: str, before: Card | None, after: Card | None, version: int) -> None:
            id = (after or before or _NOBODY).id
            changes = changes_between(_recorded(before), _recorded(after))
            seq = self.history_seq + len(told) + 1
            told.append(HistoryEntry(seq, now, id, version, deed_of(op, changes), actor, face, changes))

        for card in cards:
            before = self.cards.get(card.id)
            tell("insert" if before is None else "update", before, card, card.version)
        for id in gone:
            before = self.cards[id]
            tell("delete", before, None, before.version + 1)
        return tuple(told)

    # --- looking ----------------------------------------------------------------------------------

    @property
    def place(self) -> int:
        """Where the feed is read on: the change that comes next."""
        return self.seq + 1

    def feed(self, cursor: Cursor | None, place: int, now: datetime) -> Feed:
        """Return what changed since a cursor; everything where that cannot be told."""
        here = Cursor(self.epoch, place, last=self.seq)
        if cursor is None or cursor.epoch != self.epoch or not self._told_from < cursor.xmin <= place:
            return Feed(dict(self.cards), frozenset(), here, True, now)
        if cursor.xmin > self.seq:
            return Feed({}, frozenset(), here, False, now)
        cards = {id: self.cards[id] for id, stamp in self.stamps.items() if stamp >= cursor.xmin}
        gone = {id for id, (stamp, _) in self.gone.items() if stamp >= cursor.xmin and id not in self.cards}
        return Feed(cards, frozenset(gone), here, False, now)

    def live(self) -> Iterator[Card]:
        """Yield the cards that are neither archived nor deleted."""
        return (card for card in self.cards.values() if card.is_live)

    def claimable(self, now: datetime) -> Iterator[Card]:
        """Yield the cards that can be claimed, best first."""
        for _, _, id in self._ready:
            card = self.cards[id]
            if card.run_after is None or card.run_after <= now:
                yield card

    def claimed(self) -> list[Card]:
        """Return the cards that somebody holds, expired leases too."""
        return [self.cards[id] for id in self._claimed]

    def expired(self, now: datetime) -> list[Card]:
        """Return the cards whose lease has ended."""
        return [card for card in self.claimed() if not is_leased(card, now)]

    def dependents(self, id: str) -> list[str]:
        """Return the live cards that depend on a card."""
        found = (self.cards[each] for each in self._dependents.get(id, ()))
        return sorted(card.id for card in found if card.is_live and card.id != id)

    def edges(self) -> dict[str, tuple[str, ...]]:
        """Return what each card depends on, of those that depend on any."""
        return {id: card.depends_on for id, card in self.cards.items() if card.depends_on}

    def knows(self, conflict: Conflict) -> bool:
        """Return whether the very same clash stands recorded."""
        return any(
            each.settled is None and clash_of(each.conflict) == clash_of(conflict) for each in self.conflicts.values()
        )


def place_of(card: Card) -> Place:
    """Return where a card stands in the queue."""
    return (-card.priority, card.created_at or _LONG_AGO, card.id)


def is_met(card: Card | None) -> bool:
    """Return whether a dependency on a card is met."""
    return card is not None and card.status is Status.DONE and card.deleted_at is None


def clash_of(conflict: Conflict) -> tuple[object, ...]:
    """Return what makes two conflicts the same clash: everything but who won."""
    return (conflict.id, conflict.field, conflict.base, conflict.local, conflict.remote)


def _may_be_claimed(card: Card) -> bool:
    """Return whether only its time can stand between a card and a claim."""
    return card.status is Status.READY and card.unmet == 0 and card.is_live


def _meaning(card: Card) -> Card:
    return replace(card, **dict.fromkeys(_KEPT, None), line=None)


def _recorded(card: Card | None) -> dict[str, Any]:
    if card is None:
        return {}
    record = msgspec.json.decode(msgspec.json.encode(card))
    return {name: value for name, value in record.items() if name not in _UNRECORDED and value is not None}
