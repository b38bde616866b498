"""A task file as a sequence of units that can be merged: each card one unit, each other line another.

A card's unit is named by its id, so that two versions of a row are the same unit however much of it was
edited: rows that were added, moved and removed are merged as a sequence, and what a row says is merged
apart, field by field.  Pure.
May import ``syncd.parsers``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from syncd.parsers.document import Document, FileCard, ParseOptions
from syncd.parsers.source import Source
from syncd.parsers.tasks_md import parse

_CARD = "\0card "
_NAMELESS = "\0nameless "


class Version(msgspec.Struct, frozen=True):
    """One version of a file.

    ``units`` are line texts with their line ends, or names of cards; ``texts`` the text of each card's own
    lines.  A last line without a line end is given one, and ``is_open`` tells so.
    """

    document: Document | None
    units: Sequence[str]
    texts: dict[str, str] = msgspec.field(default_factory=dict)
    cards: dict[str, FileCard] = msgspec.field(default_factory=dict)
    mark: str = ""
    is_open: bool = False

    def text(self, units: Sequence[str]) -> str:
        """Return the text of some of the units, as this version has them."""
        return "".join(self.texts.get(each, each) for each in units)


def is_card(unit: str) -> bool:
    """Return whether a unit is a card, with an id or without."""
    return unit.startswith((_CARD, _NAMELESS))


def is_nameless(unit: str) -> bool:
    """Return whether a unit is a row without an id, which is known by its text alone."""
    return unit.startswith(_NAMELESS)


def unit_of(id: str) -> str:
    """Return the unit of a card."""
    return _CARD + id


def read_version(data: bytes, *, path: str, options: ParseOptions) -> Version:
    """Return a version of a file; bytes that are no task file, or no text, are lines alone."""
    document = parse(data, path=path, options=options)
    if not document.readable:
        return lines_alone(data)
    source = document.text
    starts = _own_lines(document)
    units: list[str] = []
    texts: dict[str, str] = {}
    cards: dict[str, FileCard] = {}
    line = 0
    while line < len(source.lines):
        found = starts.get(line)
        if found is None or found[0] in texts:
            units.append(_closed(source, line))
            line += 1
            continue
        unit, end, card = found
        units.append(unit)
        texts[unit] = "".join(_closed(source, each) for each in range(line, end))
        cards[unit] = card
        line = end
    return Version(document, units, texts, cards, _mark(source), _is_open(source))


def lines_alone(data: bytes) -> Version:
    """Return a version in which no card is known; bytes that are no UTF-8 come through unchanged."""
    source = Source(data.decode("utf-8", "surrogateescape"))
    units = [_closed(source, line) for line in range(len(source.lines))]
    return Version(None, units, mark=_mark(source), is_open=_is_open(source))


def _own_lines(document: Document) -> dict[int, tuple[str, int, FileCard]]:
    """Return, by first line, each card's unit and the line behind those lines that are its own.

    What is nested below a card begins lines that are not its own any more; blank lines behind it never are.
    """
    placed = []
    for card, (container, position) in zip(document.cards, document.homes, strict=True):
        first, end = container.extent(position)
        placed.append((first, end, card))
    placed.sort(key=lambda each: each[:2])
    seen: Counter[str] = Counter()
    own: dict[int, tuple[str, int, FileCard]] = {}
    for index, (first, end, card) in enumerate(placed):
        if index + 1 < len(placed):
            end = min(end, placed[index + 1][0])
        while end - 1 > first and document.text.is_blank(end - 1):
            end -= 1
        if end <= first:
            continue
        seen[card.text] += card.id is None
        unit = unit_of(card.id) if card.id is not None else f"{_NAMELESS}{card.text}#{seen[card.text]}"
        own[first] = (unit, end, card)
    return own


def _closed(source: Source, line: int) -> str:
    """Return a line with its line end, or the one that it would have."""
    return source.lines[line] + (source.line_end(line) or source.line_end_near(line))


def _mark(source: Source) -> str:
    return source.text[: source.starts[0]] if source.starts else source.text


def _is_open(source: Source) -> bool:
    return bool(source.lines) and not source.line_end(len(source.lines) - 1)
