"""What a parsed task file is: the source, the cards with their places, the problems, and the edits it can take.

The source is kept byte for byte; a card carries no copy of its row but the spans in which its fields
stand, so that an edit replaces spans and inserts or removes lines, and nothing else (invariant I7).
May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

import msgspec

from syncd.parsers.cells import without_cell
from syncd.parsers.source import Replacement, Source
from syncd.schemas.card import Fields, Value

if TYPE_CHECKING:
    from syncd.parsers.reading import Reading

Found = TypeVar("Found")

PROBLEM_CODES: Final[Mapping[str, str]] = {
    "bad-front-matter": "The YAML block at the top of the file cannot be read.",
    "bad-id": "The id has white space or control characters, or is longer than 128 characters.",
    "bad-priority": "The priority is neither a number nor a known word.",
    "duplicate-id": "The id stands a second time in the file; only the first occurrence is the card.",
    "not-utf8": "The file is not UTF-8; nothing is read from it and it is left untouched.",
    "no-delimiter-row": "The header of a task table has no delimiter row below it; the table is not read.",
    "nul-byte": "The file holds a NUL byte; nothing is read from it and it is left untouched.",
    "self-dependency": "The card depends on itself; that dependency is not read.",
    "too-few-cells": "The row, or the delimiter row, has fewer cells than the header.",
    "too-large": "The file is over the limit; nothing is read from it and it is left untouched.",
    "too-many-cells": "The row has more cells than the header; only its id is read.",
    "unknown-status": "The word means none of the four states; the card's state stays.",
}
"""What the parser reports: code -> meaning."""


class Problem(msgspec.Struct, frozen=True):
    """Something in a file that cannot be read; it ends by itself when the file is mended.

    ``line`` and ``column`` count from 1; ``column`` counts characters.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    hint: str


class ParseOptions(msgspec.Struct, frozen=True):
    """What the configuration says about reading one file.

    ``headers`` maps a header word (lower case) to a card field name; ``statuses`` a status word to a
    state; both add to the built-in tables.  With a ``namespace`` the file says ``1.1`` and the card is
    ``ui/1.1``.  ``repad`` says that whoever writes the file pads its tables, which reading does not look at.
    """

    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    statuses: Mapping[str, str] = msgspec.field(default_factory=dict)
    ignore_headings: frozenset[str] = frozenset(
        {"success criteria", "acceptance criteria", "definition of done", "checklist", "legend", "format"}
    )
    namespace: str | None = None
    bytes_max: int = 16 * 1024 * 1024
    repad: bool = False


class FileCard(msgspec.Struct, frozen=True, gc=False):
    """One card as a file shows it.

    ``key`` is its index in ``Document.cards``.  ``id`` is ``None`` for a nameless row.  ``fields`` has
    exactly the fields that its place can show: absent is never null.  ``weak`` names fields that
    come from the surroundings (the phase of a heading), which are a change only when the row moved.
    ``rest`` is the row without its id; where ``id_cell`` tells which cell of how many that is, the row as it stands.
    """

    key: int
    id: str | None
    fields: Fields
    line: int
    column: int
    dialect: str
    weak: frozenset[str] = frozenset()
    heading: str | None = None
    rest: str = ""
    id_cell: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """The row without its id and without white space runs, to recognise a row that lost its id."""
        rest = self.rest if self.id_cell is None else without_cell(self.rest, *self.id_cell)
        return " ".join(rest.split())


class SetField(msgspec.Struct, frozen=True):
    """Give a card's field another value, in the spelling that its place has."""

    key: int
    field: str
    value: Value


class AssignId(msgspec.Struct, frozen=True):
    """Write an id into a nameless row."""

    key: int
    id: str


class InsertCard(msgspec.Struct, frozen=True):
    """Add a card at the end of the table or list of its phase, else of the last one.

    An empty ``id`` adds a nameless row, where rows can be nameless.
    """

    id: str
    fields: Fields


class RemoveCard(msgspec.Struct, frozen=True):
    """Take a card's lines out."""

    key: int


Edit: TypeAlias = SetField | AssignId | InsertCard | RemoveCard


class FrontMatter(msgspec.Struct, frozen=True):
    """What the YAML block at the top says about the file."""

    project: str | None = None
    phase: str | None = None
    prefix: str | None = None
    statuses: Mapping[str, str] = msgspec.field(default_factory=dict)


class Taken(msgspec.Struct, frozen=True):
    """What a block was taken for, and why; ``line`` counts from 1, ``cards`` the cards read from it."""

    kind: str
    line: int
    reason: str
    cards: int = 0


class Heading(msgspec.Struct, frozen=True):
    """A heading: its full text, its line from 0, the line behind it, and where its section ends (exclusive)."""

    text: str
    level: int
    line: int
    below: int
    end: int


class Container(Protocol):
    """A table, list or section in which cards stand; one class for each dialect.

    ``position`` is the container's own name of a card in it.  Everything is given as replacements in the
    source; ``None`` means that there is no place for it.
    """

    dialect: str
    heading: str | None

    def rewrite(self, position: int, changes: Fields) -> list[Replacement] | None:
        """Give fields of one card other values."""

    def name(self, position: int, id: str) -> list[Replacement] | None:
        """Write an id into a nameless row."""

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """Take a card's own lines out; ``gone`` are all positions that leave at once."""

    def remember(self, reading: Reading) -> None:
        """Lend what was read here to the next reading of the file."""

    def extent(self, position: int) -> tuple[int, int]:
        """Return the first line of a card with all that hangs on it, and the line behind."""

    def sample(self, position: int) -> list[tuple[int, int]]:
        """Return the line ranges that, read alone, give the same card first."""

    def holds(self, fields: Fields) -> bool:
        """Tell whether a new card with these fields belongs here by its phase or state."""

    def tail(self, fields: Fields) -> int | None:
        """Return the line before which such a new card goes."""

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Return the lines of a new card in the container's columns and habits."""

    def admits(self, other: Container, position: int) -> bool:
        """Tell whether the lines of a card of another container can move here unchanged."""

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """Return the line to which a change moves the card, with what else it changes; for boards."""


class Homes:
    """In which container each card stands, and at which position, by the card's key.

    ``places`` are indexes of containers with positions, so that they are the same in an edited file.
    """

    __slots__ = ("_containers", "_places")

    def __init__(self, containers: Sequence[Container] = (), places: Sequence[tuple[int, int]] = ()) -> None:
        self._containers = containers
        self._places = places

    def __getitem__(self, key: int) -> tuple[Container, int]:
        number, position = self._places[key]
        return self._containers[number], position

    def __iter__(self) -> Iterator[tuple[Container, int]]:
        return (self[key] for key in range(len(self._places)))

    def among(self, containers: Sequence[Container]) -> Homes:
        """Return the same places in other containers."""
        return Homes(containers, self._places)


@dataclass(frozen=True, eq=False)
class Document:
    """A parsed task file.

    ``homes`` says for each card, by its key, in which container it stands and where.  A document that
    is not ``readable`` has exactly one problem and no cards.  ``is_template`` and ``is_single`` tell that no
    card can be added: it is a form to be filled in, or it is one card as a whole.
    """

    path: str
    source: bytes
    options: ParseOptions
    cards: tuple[FileCard, ...] = ()
    problems: tuple[Problem, ...] = ()
    readable: bool = True
    has_markers: int | None = None
    blocks: tuple[Taken, ...] = ()
    front: FrontMatter = field(default_factory=FrontMatter)
    is_template: bool = False
    is_single: bool = False
    text: Source = field(default_factory=lambda: Source(""), repr=False)
    headings: tuple[Heading, ...] = field(default=(), repr=False)
    containers: Sequence[Container] = field(default=(), repr=False)
    homes: Homes = field(default=Homes(), repr=False)
    _kept: list[Document] = field(default_factory=list, repr=False, init=False)
    _found: dict[Hashable, Any] = field(default_factory=dict, repr=False, init=False)

    @property
    def can_insert(self) -> bool:
        """Whether a card can be added to the file."""
        return self.readable and not self.is_template and not self.is_single

    def keep(self, after: Document) -> None:
        """Keep how an edited content reads: whoever writes that reads it next, and need not do so again."""
        self._kept[:] = [after]

    def kept(self, source: bytes) -> Document | None:
        """Return how a content reads, if that is what was kept."""
        return next((each for each in self._kept if each.source == source), None)

    def once(self, question: Hashable, find: Callable[[], Found]) -> Found:
        """Return the answer to a question about this content: it cannot change, so it is found once."""
        if question not in self._found:
            self._found[question] = find()
        answer: Found = self._found[question]
        return answer

    def card_by_id(self, id: str) -> FileCard | None:
        """Return the card with this id, or ``None``."""
        key = self._keys.get(id)
        return None if key is None else self.cards[key]

    @cached_property
    def _keys(self) -> dict[str, int]:
        return {card.id: card.key for card in self.cards if card.id is not None}
