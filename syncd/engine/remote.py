"""What the store says, kept up to date through the change feed.

The first look reads everything; later ones read what changed since.  A stale status word (one that no
longer means the card's state) is left out here, once, so that nobody below has to know of it.
May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from syncd.core.plan import BaseCard, Presence, RemoteCard
from syncd.core.standing import lease_end
from syncd.core.values import absent
from syncd.parsers.fields import status_of
from syncd.ports import Cursor, SyncStore
from syncd.schemas.card import STATUS_WORD, Card, Fields, Status, card_fields


class RemoteView:
    """The project's cards as the store last told them.

    ``cards`` are the rows, ``remote`` what reconcile compares; both are replaced, never changed in place,
    when something moved.
    """

    def __init__(self, store: SyncStore) -> None:
        self._store = store
        self.cards: dict[str, Card] = {}
        self.remote: dict[str, RemoteCard] = {}
        self._claimed: set[str] = set()
        self.cursor: Cursor | None = None
        self.now: datetime | None = None
        self.saw_foreign_writer = False

    def load(self, *, full: bool, statuses: Mapping[str, Status]) -> bool:
        """Read what changed, everything with ``full``; return whether anything did.

        Raises: StoreUnreachable and the other errors of a store.
        """
        feed = self._store.read(None if full else self.cursor)
        self.cursor, self.now = feed.cursor, feed.now
        if not (feed.is_full or feed.cards or feed.gone or self._lease_ended()):
            return False
        moved = {id for id, card in feed.cards.items() if (old := self.cards.get(id)) is None or old != card}
        named = self.remote if feed.is_full else self.remote.keys() & feed.gone
        gone = absent(named, feed.cards)
        self.saw_foreign_writer |= bool(moved or feed.gone)
        if not (moved or gone or self._lease_ended()):
            return False
        cards = self.cards = {} if feed.is_full else dict(self.cards)
        for id in gone:
            cards.pop(id, None)
        cards.update(feed.cards)
        remote = {} if feed.is_full else dict(self.remote)
        for id in gone:
            remote.pop(id, None)
        stale = cards if feed.is_full else moved | self._claimed
        self._keep(remote, {id: self._remote_card(cards[id], statuses) for id in stale if id in cards})
        return True

    def take(self, cards: Iterable[Card], statuses: Mapping[str, Status]) -> None:
        """Take in rows as a transaction of ours returned them, ahead of the feed."""
        fresh = {card.id: card for card in cards}
        if fresh:
            self.cards = {**self.cards, **fresh}
            self._keep(dict(self.remote), {id: self._remote_card(each, statuses) for id, each in fresh.items()})

    def suppose(self, base: Mapping[str, BaseCard]) -> None:
        """Take the base for what the store says, while it does not answer."""
        self.cursor = None
        self.cards = {}
        self._claimed = set()
        self.remote = {
            id: RemoteCard(id=id, fields=card.fields, version=card.version, path=card.path) for id, card in base.items()
        }

    def next_expiry_s(self) -> float | None:
        """Return the seconds until the next lease ends by the store's clock, 0 when one has; ``None`` without any."""
        if self.now is None:
            return None
        ends = [end for id in self._claimed if (end := lease_end(self.cards[id])) is not None]
        return max(0.0, (min(ends) - self.now).total_seconds()) if ends else None

    def _keep(self, remote: dict[str, RemoteCard], fresh: Mapping[str, RemoteCard]) -> None:
        """Take these cards into what is to be compared, and keep that."""
        remote.update(fresh)
        self.remote = remote
        self._claimed = {id for id in self._claimed if id in remote and id not in fresh}
        self._claimed.update(id for id in fresh if self.cards[id].status is Status.CLAIMED)

    def _lease_ended(self) -> bool:
        return any(self.remote[id].has_live_lease and not self._is_leased(self.cards[id]) for id in self._claimed)

    def _is_leased(self, card: Card) -> bool:
        if card.status is not Status.CLAIMED:
            return False
        end = lease_end(card)
        return end is None or self.now is None or end > self.now

    def _remote_card(self, card: Card, statuses: Mapping[str, Status]) -> RemoteCard:
        presence = Presence.LIVE
        if card.deleted_at is not None:
            presence = Presence.DELETED
        elif card.archived_at is not None:
            presence = Presence.ARCHIVED
        return RemoteCard(
            id=card.id,
            fields=remote_fields(card, statuses),
            version=card.version,
            presence=presence,
            path=card.path,
            has_live_lease=self._is_leased(card),
        )


def remote_fields(card: Card, statuses: Mapping[str, Status]) -> Fields:
    """Return a stored card's synced fields without a status word that no longer means its state."""
    fields = card_fields(card)
    word = fields.get(STATUS_WORD)
    if word is not None and (not isinstance(word, str) or status_of(word, statuses) != card.status):
        del fields[STATUS_WORD]
    return fields
