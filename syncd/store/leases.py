"""Leases: claim, renew, release, complete, fail, retry, block, reclaim, by the store's clock.

``attempts`` is the fencing number: who writes with an older one, or under another owner's name, is
refused in the statement's own ``where``.  May import ``syncd.errors``, ``syncd.schemas`` and the
store's own modules.
"""

from __future__ import annotations

import random
from typing import Any

from syncd.core.retry import RetryPolicy, retry_delay_s
from syncd.errors import BadValue
from syncd.schemas.card import Card, Status
from syncd.store import refusals
from syncd.store.changes import require_claim, require_storable, require_ttl
from syncd.store.rows import card_of, cards_of
from syncd.store.session import Link, Session, execute


def claim(session: Session, owner: str, ttl_s: int | None, *, id: str | None, count: int) -> list[Card]:
    """Lease up to ``count`` of the best claimable cards, or the one with this id when it is claimable.

    When too few are ready, expired leases are put back first: a queue works without a daemon too.

    Raises: Paused, BadValue.  Holds: I13.
    """
    require_claim(owner, ttl_s)
    if id is not None:
        return _or_paused(session, _cards(session, "claim_id", owner=owner, ttl=ttl_s, id=id))
    cards = _claim(session, owner, ttl_s, count)
    if len(cards) < count and reclaim(session):
        cards += _claim(session, owner, ttl_s, count - len(cards))
    cards.sort(key=lambda card: (-card.priority, card.created_at, card.id))
    return _or_paused(session, cards)


def _claim(session: Session, owner: str, ttl_s: int | None, count: int) -> list[Card]:
    if count == 1:
        return _cards(session, "claim", owner=owner, ttl=ttl_s)
    return _cards(session, "claim_many", owner=owner, ttl=ttl_s, count=count)


def renew(session: Session, id: str, owner: str, ttl_s: int | None, attempt: int | None) -> Card:
    """Extend a live lease from now.  Raises NotFound, NotOwner, BadValue."""
    require_ttl(ttl_s)
    return _held(session, "renew", id, owner=owner, ttl=ttl_s, attempt=attempt)


def release(session: Session, id: str, owner: str, attempt: int | None) -> Card:
    """Give a lease back.  Raises NotFound, NotOwner."""
    return _held(session, "release", id, owner=owner, attempt=attempt)


def complete(session: Session, id: str, owner: str | None, attempt: int | None) -> Card:
    """Mark a card done; a done card stays as it is.  Raises NotFound, NotOwner.

    Safe to repeat; an attempt that lost the card is told so also when a later one has completed it, or another owner's
    of the same number, which it can have where both worked without a database.
    """
    cards = _cards(session, "complete", id=id, owner=owner, attempt=attempt)
    if cards:
        return cards[0]
    card = get(session, id)
    if card.status is Status.DONE and _may_repeat(session, card, owner, attempt):
        return card
    raise refusals.not_owner(card, owner, attempt)


def fail(session: Session, id: str, error: str, owner: str | None, attempt: int | None, *, policy: RetryPolicy) -> Card:
    """End a lease without success: ready again after a pause, or blocked.  Raises NotFound, NotOwner, BadValue."""
    require_storable(error)
    require_storable(id)

    def work(link: Link) -> Card:
        with link.transaction():
            locked = execute(link, "lock_cards", project=session.project, ids=[id]).fetchall()
            card = cards_of(row[1:] for row in locked).get(id)
            if card is None or card.deleted_at is not None:
                raise refusals.not_found(session.project, id)
            is_holders = owner in (None, card.claim_owner) and attempt in (None, card.attempts)
            if card.status is not Status.CLAIMED or not is_holders:
                raise refusals.not_owner(card, owner, attempt)
            delay_s = retry_delay_s(card.failures, card.max_retries, random.random(), policy)
            failed = execute(link, "fail", project=session.project, id=id, error=error, delay=delay_s)
            return card_of(failed.fetchall()[0])

    return session.run(work)


def retry(session: Session, id: str) -> Card:
    """Make a blocked or pausing card ready at once, with all its retries.  Raises NotFound, Refused."""
    cards = _cards(session, "retry", id=id)
    if cards:
        return cards[0]
    raise refusals.nothing_to_retry(get(session, id))


def block(session: Session, id: str, reason: str | None, attempt: int | None = None) -> Card:
    """Take a card out of the queue, its lease with it.  Raises NotFound, BadValue, NotOwner."""
    require_storable(reason)
    cards = _cards(session, "block", id=id, reason=reason, attempt=attempt)
    if cards:
        return cards[0]
    card = get(session, id)
    if attempt is not None:
        raise refusals.not_owner(card, None, attempt)
    return card


def unblock(session: Session, id: str) -> Card:
    """Make a blocked card ready.  Raises NotFound, Refused when it is not blocked."""
    cards = _cards(session, "unblock", id=id)
    if cards:
        return cards[0]
    raise refusals.not_blocked(get(session, id))


def reclaim(session: Session, id: str | None = None) -> list[str]:
    """Put expired leases (or the lease of this card, expired or not) back to ready; return their ids."""
    if id is None:
        return sorted(row[0] for row in session.fetch("reclaim"))
    ids = [row[0] for row in session.fetch("reclaim_id", id=id)]
    if not ids:
        get(session, id)
    return ids


def get(session: Session, id: str) -> Card:
    """Return one live or archived card.  Raises NotFound."""
    try:
        require_storable(id)
    except BadValue:
        raise refusals.not_found(session.project, ascii(id)) from None
    cards = _cards(session, "cards", ids=[id])
    if not cards or cards[0].deleted_at is not None:
        raise refusals.not_found(session.project, id)
    return cards[0]


def _may_repeat(session: Session, card: Card, owner: str | None, attempt: int | None) -> bool:
    """Return whether a done card may be completed once more: by whoever finished it, as far as that is known."""
    if attempt != card.attempts:
        return attempt is None
    found = session.fetch("finisher", id=card.id)
    return owner in (None, (found[0][0] if found else None) or owner)


def _cards(session: Session, name: str, **parameters: Any) -> list[Card]:
    return [card_of(row) for row in session.fetch(name, **parameters)]


def _or_paused(session: Session, cards: list[Card]) -> list[Card]:
    if not cards and session.fetch("paused")[0][0]:
        raise refusals.paused(session.project)
    return cards


def _held(session: Session, name: str, id: str, *, owner: str, attempt: int | None, **parameters: Any) -> Card:
    cards = _cards(session, name, id=id, owner=owner, attempt=attempt, **parameters)
    if cards:
        return cards[0]
    raise refusals.not_owner(get(session, id), owner, attempt)
