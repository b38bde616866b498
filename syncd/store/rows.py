"""Rows and cards: how a row of ``backlog`` becomes a card, and how cards go into one set-based statement.

A writer who knows nothing of syncd may leave JSON of any shape in a row: what is not a list of text is
no dependency, what is not an object holds no extra fields.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

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
    if not isinstance(depends_on, list):
        return ()
    return tuple(each for each in depends_on if isinstance(each, str))


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def new_columns(cards: Sequence[Card]) -> dict[str, list[Any]]:
    """Return the arrays that ``insert_cards`` takes, in the order of the ids.

    Cards of one statement get their place in ``cards`` as microseconds of their age, so that the queue
    hands them out in the order in which they were given.
    """
    placed = [
        (card, None if card.created_at is None else card.created_at + timedelta(microseconds=place))
        for place, card in enumerate(cards)
    ]
    placed.sort(key=lambda each: each[0].id)
    ordered = [card for card, _ in placed]
    return {
        **_shared_columns(ordered),
        "depends_on": [_json(list(card.depends_on)) for card in ordered],
        "extra": [_json(card.extra) for card in ordered],
        "idempotency_key": [card.idempotency_key for card in ordered],
        "max_retries": [card.max_retries for card in ordered],
        "created_at": [at for _, at in placed],
    }


def changed_columns(changed: Sequence[tuple[Card, Card]]) -> dict[str, list[Any]]:
    """Return the arrays that ``update_cards`` takes, from pairs of a card as it is and as it shall be.

    A list or object that does not change is given as null: the row may hold more in it than a card shows.
    """
    pairs = sorted(changed, key=lambda pair: pair[0].id)
    cards = [card for _, card in pairs]
    return {
        **_shared_columns(cards),
        "depends_on": [
            None if card.depends_on == before.depends_on else _json(list(card.depends_on)) for before, card in pairs
        ],
        "extra": [None if card.extra == before.extra else _json(card.extra) for before, card in pairs],
        "archived_at": [card.archived_at for card in cards],
        "deleted_at": [card.deleted_at for card in cards],
    }


def _shared_columns(cards: Sequence[Card]) -> dict[str, list[Any]]:
    return {
        "id": [card.id for card in cards],
        "title": [card.title for card in cards],
        "body": [card.body for card in cards],
        "phase": [card.phase for card in cards],
        "priority": [card.priority for card in cards],
        "status": [card.status.value for card in cards],
        "claim_owner": [card.claim_owner for card in cards],
        "claim_ttl_seconds": [card.claim_ttl_seconds for card in cards],
        "claimed_at": [card.claimed_at for card in cards],
        "attempts": [card.attempts for card in cards],
        "acceptance": [_json(card.acceptance) for card in cards],
        "path": [card.path for card in cards],
    }
