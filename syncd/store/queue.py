"""The queue as a whole: its counts, its pause, and what a card waits for.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from syncd.core.standing import Standing
from syncd.errors import BadValue
from syncd.ports import QueueStats
from syncd.schemas.card import Status
from syncd.store import refusals
from syncd.store.changes import require_storable
from syncd.store.rows import card_of
from syncd.store.session import Session

_CARD = 3
"""Where a card's columns begin in ``standing``: after the clock, the pause, and whether it is the card asked for."""


def stats(session: Session) -> QueueStats:
    """Return the counts of the project's live cards."""
    counts = dict.fromkeys((each.value for each in Status), 0)
    delayed = failed = expired = 0
    oldest: float | None = None
    for status, total, later, with_error, ended, age in session.fetch("counts"):
        counts[status] = total
        delayed, failed, expired = delayed + later, failed + with_error, expired + ended
        oldest = age if status == Status.READY else oldest
    return QueueStats(
        counts=counts,
        total=sum(counts.values()),
        oldest_ready_age_s=None if oldest is None else max(0.0, oldest),
        expired_claim_count=expired,
        queue={
            "pending": counts[Status.READY] - delayed,
            "active": counts[Status.CLAIMED],
            "completed": counts[Status.DONE],
            "failed": failed,
            "delayed": delayed,
        },
        paused=is_paused(session),
    )


def is_paused(session: Session) -> bool:
    """Return whether no cards are handed out."""
    return bool(session.fetch("paused")[0][0])


def set_paused(session: Session, is_paused: bool) -> None:
    """Stop handing out cards, or go on and wake whoever waits for one; safe to repeat."""
    session.fetch("pause" if is_paused else "resume")


def standing(session: Session, id: str) -> Standing:
    """Return a card with what decides whether it can be claimed, from one snapshot.  Raises NotFound."""
    try:
        require_storable(id)
    except BadValue:
        raise refusals.not_found(session.project, ascii(id)) from None
    rows = session.fetch("standing", id=id)
    asked = [row for row in rows if row[_CARD - 1]]
    if not asked:
        raise refusals.not_found(session.project, id)
    now, is_paused, _ = asked[0][:_CARD]
    card = card_of(asked[0][_CARD:])
    cards = {each.id: each for each in (card_of(row[_CARD:]) for row in rows)}
    return Standing(card, {needed: cards.get(needed) for needed in card.depends_on}, is_paused, now)


def next_due_s(session: Session) -> float | None:
    """Return the seconds until a delay or a lease ends, the next of them; ``None`` without any."""
    due_s: float | None = session.fetch("next_due")[0][0]
    return due_s
