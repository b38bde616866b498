"""Rows and cards: how a row of ``backlog`` becomes a card, and how cards go into one set-based statement.

A writer who knows nothing of syncd may leave JSON of any shape in a row: what is not a list of text is
no dependency, what is not an object holds no extra fields.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from syncd.schemas.card import Card, Status
from syncd.store.queries import CARD_COLUMNS

Row = Sequence[Any]

_DEPENDS_ON: Final = CARD_COLUMNS.index("depends_on")
_STATUS: Final = CARD_COLUMNS.index("status")
_EXTRA: Final = CARD_COLUMNS.index("extra")
_STATUSES: Final = {each.value: each for each in Status}


def card_of(row: Row) -> Card:
    """Return the card of a row that was selected with ``{card}``."""
    fields = dict(zip(CARD_COLUMNS, row, strict=True))
    fields["status"] = _STATUSES[row[_STATUS]]
    fields["depends_on"] = dependencies_of(row[_DEPENDS_ON])
    if not isinstance(row[_EXTRA], dict):
        fields["extra"] = {}
    return Card(**fields)


def cards_of(rows: Iterable[Row]) -> dict[str, Card]:
    """Return the cards of some rows by their ids."""
    return {card.id: card for card in map(card_of, rows)}


def dependencies_of(depends_on: Any) -> tuple[str, ...]:
    """Return the ids in a ``depends_on`` value."""
    if not depends_on or not isinstance(depends_on, list):
        return ()
    return tuple(each for each in depends_on if isinstance(each, str))


def new_rows(cards: Sequence[Card]) -> str:
    """Return what ``insert_cards`` takes: the cards as one JSON text, in the order of the ids.

    Cards of one statement get their place in ``cards`` as microseconds of their age, so that the queue
    hands them out in the order in which they were given.
    """
    rows = [
        {
            **_shared(card),
            "depends_on": card.depends_on,
            "extra": card.extra,
            "idempotency_key": card.idempotency_key,
            "max_retries": card.max_retries,
            "created_at": card.created_at and card.created_at + timedelta(microseconds=place),
        }
        for place, card in enumerate(cards)
    ]
    return _json(rows)


def changed_rows(changed: Iterable[tuple[Card, Card]]) -> str:
    """Return what ``update_cards`` takes, from pairs of a card as it is and as it shall be.

    A list or object that does not change is given as null: the row may hold more in it than a card shows.
    """
    rows = [
        {
            **_shared(card),
            "depends_on": None if card.depends_on == before.depends_on else card.depends_on,
            "extra": None if card.extra == before.extra else card.extra,
            "archived_at": card.archived_at,
            "deleted_at": card.deleted_at,
        }
        for before, card in changed
    ]
    return _json(rows)


def _shared(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "title": card.title,
        "body": card.body,
        "phase": card.phase,
        "priority": card.priority,
        "status": card.status,
        "claim_owner": card.claim_owner,
        "claim_ttl_seconds": card.claim_ttl_seconds,
        "claimed_at": card.claimed_at,
        "attempts": card.attempts,
        "failures": card.failures,
        "last_error": card.last_error,
        "run_after": card.run_after,
        "acceptance": card.acceptance,
        "path": card.path,
    }


def _json(rows: list[dict[str, Any]]) -> str:
    rows.sort(key=lambda row: str(row["id"]))
    return msgspec.json.encode(rows).decode()
