"""Where the text of cards stands that are cards no more: in a code block, or in a table that lost its header.

May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from syncd.parsers.cells import split_row
from syncd.parsers.document import Document
from syncd.parsers.fields import undecorated
from syncd.parsers.statuses import leading_emoji

_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)]|#{1,6})\s+(?:\[[^\]]?\]\s+)?(.*)")
_BEHIND: Final = ":,;.)]-–—"


def lines_naming(document: Document, ids: Collection[str]) -> dict[str, int]:
    """Return those of the ids that a line which is no card begins a cell, an item or a heading with.

    Returns:
        The first such line of each, counted from 1.
    """
    space = document.options.namespace
    wanted = {id.removeprefix(f"{space}/") if space else id: id for id in ids}
    cards = {card.line for card in document.cards}
    found: dict[str, int] = {}
    for number, text in enumerate(document.text.lines, start=1):
        if number in cards:
            continue
        for token in _first_words(text):
            if token in wanted:
                found.setdefault(wanted[token], number)
    return found


def _first_words(text: str) -> Iterator[str]:
    """Yield the word with which each cell of a row, or an item or heading, begins."""
    places = [item[1]] if (item := _ITEM.match(text)) else split_row(text, 0) if "|" in text else []
    for place in places:
        place = place.strip()
        bare = undecorated(place[len(leading_emoji(place)) :])
        if words := bare.split(None, 1):
            yield words[0]
            yield undecorated(words[0].rstrip(_BEHIND))
