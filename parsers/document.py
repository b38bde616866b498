"""What a parsed task file is: the source, the cards with their places, the problems, and the edits it can take.

The source is kept byte for byte; a card carries no copy of its row but the spans in which its fields
stand, so that an edit replaces spans and inserts or removes lines, and nothing else (invariant I7).
May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from syncd.schemas.card import Fields, Value


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that cannot be read; it ends by itself when the file is mended.

    ``line`` and ``column`` count from 1; ``column`` counts characters.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """What the configuration says about reading one file.

    ``headers`` maps a header word (lower case) to a card field name; ``statuses`` a status word to a
    state; both add to the built-in tables.  With a ``namespace`` the file says ``1.1`` and the card is
    ``ui/1.1``.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)
    ignore_headings: frozenset[str] = frozenset(
        {"success criteria", "acceptance criteria", "definition of done", "checklist", "legend", "format"}
    )
    namespace: str | None = None
    bytes_max: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileCard:
    """One card as a file shows it.

    ``key`` is its index in ``Document.cards``.  ``id`` is ``None`` for a nameless row.  ``fields`` has
    exactly the fields that its place can show: absent is never null.  ``weak`` names fields that
    come from the surroundings (the phase of a heading), which are a change only when the row moved.
    ``text`` is the row without its id and without white space runs, to recognise a row that lost its id.
    """

    key: int
    id: str | None
    fields: Fields
    line: int
    column: int
    dialect: str
    weak: frozenset[str] = frozenset()
    heading: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class SetField:
    """Give a card's field another value, in the spelling that its place has."""

    key: int
    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class AssignId:
    """Write an id into a nameless row."""

    key: int
    id: str


@dataclass(frozen=True, slots=True)
class InsertCard:
    """Add a card at the end of the table or list of its phase, else of the last one."""

    id: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class RemoveCard:
    """Take a card's lines out."""

    key: int


Edit: TypeAlias = SetField | AssignId | InsertCard | RemoveCard
