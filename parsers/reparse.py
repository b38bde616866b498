"""Reading a file again of which only some rows or items changed: the cost follows the change, not the file.

Most edits change cells of a row or the line of an item, and nothing else.  Where that is certain from the lines
alone, those are read and all else is taken from the document before; in every other case the answer is ``None`` and
the file is read as a whole, equal lines from memory (``Reading.recall``).  May import ``syncd.schemas``.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from typing import Final, TypeAlias

from msgspec.structs import replace

from syncd.parsers.checklists import read_entry
from syncd.parsers.document import Document, FileCard
from syncd.parsers.items import scan_item
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.lists import Checklist
from syncd.parsers.reading import Reading, finished
from syncd.parsers.rows import Table
from syncd.parsers.source import Source
from syncd.parsers.tables import RowReader
from syncd.parsers.words import MARK_STATES

_LINES_MAX: Final = 100
_Place: TypeAlias = Table | Checklist


def with_changed_lines(previous: Document, source: bytes, text: str) -> Document | None:
    """Return the document of ``source``, when it differs from ``previous`` in rows and items alone.

    Args:
        previous: a document of an earlier content, read with the same path and options.
        source: bytes that have been found readable, with their ``text``.

    Holds: a result is equal to what reading the whole file gives.
    """
    places = [each for each in previous.containers if isinstance(each, Table | Checklist) and each.is_certain]
    if not places or len(places) < len(previous.containers):
        return None
    edited = previous.text.edited(text)
    lines = _changed_lines(previous, *edited) if edited else None
    if not edited or lines is None:
        return None
    moved: dict[int, _Place] = {id(place): place.with_source(edited[0]) for place in places}
    cards = list(previous.cards)
    for line in lines:
        key = _key_at(previous, line)
        if key is None:
            return None
        place = moved[id(previous.homes[key][0])]
        card = _read_row(previous, place, key) if isinstance(place, Table) else _read_item(previous, place, key)
        if card is None:
            return None
        cards[key] = card
    containers = [moved[id(each)] for each in previous.containers]
    for each in containers:
        each.peers = containers
    homes = previous.homes.among(containers)
    return dataclasses.replace(
        previous, source=source, text=edited[0], cards=tuple(cards), containers=containers, homes=homes
    )


def _changed_lines(previous: Document, after: Source, first: int, end: int, end_after: int) -> list[int] | None:
    """Return the lines that differ, or ``None`` when lines came or went, or a problem stands in one of them."""
    if end != end_after or end - first > _LINES_MAX:
        return None
    lines = [n for n in range(first, end) if previous.text.lines[n] != after.lines[n]]
    return None if any(problem.line - 1 in lines for problem in previous.problems) else lines


def _read_row(previous: Document, table: Table, key: int) -> FileCard | None:
    """Return the card of a changed row, or ``None`` when it is not the same card without problems.

    A line that began with a pipe and still does is a row of its table, and no other block begins there.
    """
    before = previous.cards[key]
    line = before.line - 1
    if not previous.text.lines[line].startswith("|") or not table.source.lines[line].startswith("|"):
        return None
    reading = _reading(previous, table.source)
    table.forget(line, previous.text)
    table.known.pop(previous.text.lines[line], None)
    rows, last, phases = table.rows, table.last, set(table.phases)
    table.rows = []
    reading.containers.append(table)
    RowReader(reading, table).read([line])
    table.rows, table.last = rows, last
    card = _same_card(reading, before)
    if card is None or table.phases != phases:
        return None
    if "phase" in table.by_field and card.fields.get("phase") != before.fields.get("phase"):
        return None
    return card


def _read_item(previous: Document, checklist: Checklist, key: int) -> FileCard | None:
    """Return the card of an item whose own line changed, or ``None`` when it is not the same card without problems.

    What stands around an item follows from what stands before its checkbox, and from pipes.
    """
    before = previous.cards[key]
    position = previous.homes[key][1]
    entry = checklist.entries[position]
    line = checklist.source.lines[entry.first]
    item = scan_item(line, accept_number=entry.item.accept_number)
    if item is None or item.mark not in MARK_STATES or entry.item.mark not in MARK_STATES:
        return None
    lead = entry.item.line[: entry.item.mark_at]
    if line[: item.mark_at] != lead or "|" in line or "|" in entry.item.line or before.id is None:
        return None
    own, known = item.find("id"), entry.item.find("id")
    if bool(own) != bool(known) or not (item.title() or own) or item.is_template:
        return None
    checklist.entries[position] = replace(entry, item=item)
    reading = _reading(previous, checklist.source)
    reading.containers.append(checklist)
    read_entry(reading, checklist, position)
    return _same_card(reading, before)


def _reading(previous: Document, source: Source) -> Reading:
    return Reading(previous.path, source, Lexicon(previous.options, previous.front.statuses), previous.front)


def _same_card(reading: Reading, before: FileCard) -> FileCard | None:
    (cards, _) = finished(reading)
    if len(cards) != 1 or reading.problems or cards[0].id != before.id or cards[0].line != before.line:
        return None
    return replace(cards[0], key=before.key)


def _key_at(document: Document, line: int) -> int | None:
    key = bisect_left(document.cards, line + 1, key=lambda card: card.line)
    return key if key < len(document.cards) and document.cards[key].line == line + 1 else None
