"""What the dialects' readers share while one file is read: its text and words, and what was found so far.

A dialect hands in :class:`Draft` s; ids, duplicates and keys are settled for all dialects at once
in :func:`finished`.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

import msgspec

from syncd.parsers.document import Container, Document, FileCard, FrontMatter, Heading, Homes, Problem, Taken
from syncd.parsers.fields import is_id
from syncd.parsers.items import ItemLine, scan_item
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.source import Source
from syncd.schemas.card import OWNER_TEXT, Fields, Status, Value

NOTHING_WEAK: Final[frozenset[str]] = frozenset()
WEAK_PHASE: Final = frozenset({"phase"})


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A card as a dialect read it; ``token`` is its id as written, ``line`` and ``column`` count from 0.

    ``rest`` and ``id_cell`` are as in ``FileCard``.
    """

    line: int
    column: int
    token: str | None
    fields: Fields
    weak: frozenset[str]
    heading: str | None
    rest: str
    container: Container
    position: int
    id_cell: tuple[int, int] | None = None


class KnownRow(msgspec.Struct, frozen=True, gc=False):
    """What a table row was read as; ``status`` is how its state is written, where it has a place for one."""

    token: str | None
    fields: Fields
    weak: frozenset[str]
    status: str | None


class Reading:
    """One file being read."""

    def __init__(self, path: str, source: Source, lexicon: Lexicon, front: FrontMatter) -> None:
        self.path = path
        self.source = source
        self.lexicon = lexicon
        self.front = front
        self.headings: list[Heading] = []
        self.drafts: list[Draft] = []
        self.problems: list[Problem] = []
        self.taken: list[Taken] = []
        self.containers: list[Container] = []
        self.is_single = False
        self.known_items: dict[tuple[str, bool], ItemLine] = {}
        self.known_rows: dict[tuple[object, ...], dict[str, KnownRow]] = {}

    def recall(self, previous: Document) -> None:
        """Take from the document before what its lines were read as; equal lines are not taken apart again."""
        for container in previous.containers:
            container.remember(self)

    def item(self, line: int, *, accept_number: bool = True) -> ItemLine | None:
        """Return a checklist line taken apart, as it was before where the same line was known."""
        text = self.source.lines[line]
        known = self.known_items.get((text, accept_number))
        return known or scan_item(text, accept_number=accept_number)

    def report(self, line: int, column: int, code: str, message: str, hint: str) -> None:
        """Note a problem; ``line`` and ``column`` count from 0."""
        self.problems.append(Problem(self.path, line + 1, column + 1, code, message, hint))

    def take(self, kind: str, line: int, reason: str, cards: int = 0) -> None:
        """Note what a block was taken for; ``line`` counts from 0."""
        self.taken.append(Taken(kind, line + 1, reason, cards))

    def weak_phase(self, heading: str | None) -> tuple[dict[str, Value], frozenset[str]]:
        """Return the phase that the surroundings give, if they give one."""
        phase = heading or self.front.phase
        return ({"phase": phase}, WEAK_PHASE) if phase else ({}, NOTHING_WEAK)

    def dependencies(self, tokens: tuple[str, ...], own: str | None, line: int, column: int) -> tuple[str, ...]:
        """Return the ids that a card depends on, without the card itself, which is a problem."""
        if own is not None and own in tokens:
            self.report(
                line,
                column,
                "self-dependency",
                f"{own} depends on itself",
                f"Take {own} out of the card's own dependencies.",
            )
            tokens = tuple(each for each in tokens if each != own)
        if self.lexicon.options.namespace is None:
            return tokens
        return tuple(map(self.lexicon.id_of, tokens))


def owner_field(fields: dict[str, Value]) -> str:
    """Return the field that an owner's name is: the claim's owner only while the card is claimed."""
    return "claimOwner" if fields.get("status") == Status.CLAIMED.value else OWNER_TEXT


def finished(reading: Reading) -> tuple[tuple[FileCard, ...], Homes]:
    """Return the cards in the order of the file, with where each stands.

    An id that cannot be one, and every further occurrence of an id, becomes a problem and no card.
    """
    drafts = sorted(reading.drafts, key=attrgetter("line"))
    cards: list[FileCard] = []
    places: list[tuple[int, int]] = []
    numbers = {id(container): number for number, container in enumerate(reading.containers)}
    lines: dict[str, int] = {}
    id_of = reading.lexicon.id_of
    for draft in drafts:
        line, container = draft.line, draft.container
        name: str | None = None
        if draft.token is not None:
            if not is_id(name := id_of(draft.token)):
                reading.report(
                    line,
                    draft.column,
                    "bad-id",
                    f"{_shortened(draft.token)!r} cannot be an id",
                    "Write 1 to 128 characters without spaces, '|' or control characters.",
                )
                continue
            if (first := lines.setdefault(name, line)) != line:
                reading.report(
                    line,
                    draft.column,
                    "duplicate-id",
                    f"{name} stands already in line {first + 1}",
                    f"Give this one another id, or remove it; line {first + 1} is the card {name}.",
                )
                continue
        card = FileCard(
            len(cards),
            name,
            draft.fields,
            line + 1,
            draft.column + 1,
            container.dialect,
            draft.weak,
            draft.heading,
            draft.rest,
            draft.id_cell,
        )
        cards.append(card)
        places.append((numbers[id(container)], draft.position))
    return tuple(cards), Homes(reading.containers, places)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
