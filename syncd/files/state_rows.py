"""How ``state.db`` keeps the base and the journal: what a row holds of each.

May import ``syncd.ports``, ``syncd.core``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from syncd.core.plan import BaseCard, LocalCard
from syncd.ports import Journal, StagedFile
from syncd.schemas.card import Fields, Value

Row: TypeAlias = tuple[str, bytes, int, str | None, str | None]
"""A card's id, fields, version, path and heading."""

_WORD_MAX: Final = 24
"""A value so short is likely to be another card's too."""

_Fields: TypeAlias = dict[str, Value]

_encode_fields: Final = msgspec.json.Encoder().encode
_decode_fields: Final = msgspec.json.Decoder(dict[str, Value]).decode


class _JournalEntry(msgspec.Struct, frozen=True):
    commit_id: str
    staged: list[tuple[str, str, str | None, str]]
    ids: list[tuple[str, str, str]]
    sent: dict[str, _Fields]
    written: dict[str, dict[str, _Fields]]
    places: dict[str, str] = {}
    removals: list[str] = []
    removed: list[str] = []


def base_card(row: Row) -> BaseCard:
    """Return the card of a row."""
    id, data, version, path, heading = row
    # Word by word, as the rows come: what is not kept makes room for the next row at once.
    fields = {
        name: intern(value) if isinstance(value, str) and len(value) < _WORD_MAX else value
        for name, value in _decode_fields(data).items()
    }
    return BaseCard(intern(id), fields, version, path and intern(path), heading and intern(heading))


def with_fields_of(local: LocalCard | None, card: BaseCard) -> BaseCard:
    """Return the card with the fields of a file's card where both say the same, so that they are held once."""
    return replace(card, fields=local.fields) if local is not None and local.fields == card.fields else card


def base_row(card: BaseCard) -> Row:
    """Return the row of a card."""
    return (card.id, _encode_fields(dict(card.fields)), card.version, card.path, card.heading)


def journal_of(data: bytes) -> Journal:
    """Return the write under way that was kept so."""
    entry = msgspec.json.decode(data, type=_JournalEntry)
    return Journal(
        commit_id=entry.commit_id,
        staged=tuple(StagedFile(*parts, is_removal=parts[0] in entry.removals) for parts in entry.staged),
        ids={(path, text): id for path, text, id in entry.ids},
        sent=entry.sent,
        written=entry.written,
        places=entry.places,
        removed=frozenset(entry.removed),
    )


def journal_entry(journal: Journal) -> bytes:
    """Return what is kept of a write that is to begin."""
    return msgspec.json.encode(
        _JournalEntry(
            commit_id=journal.commit_id,
            staged=[(each.path, each.staged, each.expected, each.new) for each in journal.staged],
            ids=[(path, text, id) for (path, text), id in journal.ids.items()],
            sent=_plain(journal.sent),
            written={path: _plain(cards) for path, cards in journal.written.items()},
            places=dict(journal.places),
            removals=[each.path for each in journal.staged if each.is_removal],
            removed=sorted(journal.removed),
        )
    )


def _plain(cards: Mapping[str, Fields]) -> dict[str, _Fields]:
    return {id: dict(fields) for id, fields in cards.items()}
