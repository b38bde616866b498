"""Reading a file again of which only some rows changed: the cost follows the change, not the file.

Most edits change cells in a row and nothing else.  Where that is certain from the lines alone, the rows that
changed are read and all else is taken from the document before; in every other case the answer is
``None`` and the file is read as a whole.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Final

from syncd.parsers.document import Document, FileCard
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import Reading, finished
from syncd.parsers.rows import Table
from syncd.parsers.source import Source
from syncd.parsers.tables import RowReader

_ROWS_MAX: Final = 100


def with_changed_rows(previous: Document, source: bytes) -> Document | None:
    """Return the document of ``source``, when it differs from ``previous`` in rows of tables alone.

    Args:
        previous: a document of an earlier content, read with the same path and options.
        source: bytes that have been found readable.

    Holds: a result is equal to what reading the whole file gives.
    """
    tables = [each for each in previous.containers if isinstance(each, Table) and each.is_certain]
    if not previous.readable or not tables or len(tables) < len(previous.containers):
        return None
    text = Source(source.decode())
    lines = _changed_lines(previous.text, text)
    if lines is None or any(problem.line - 1 in lines for problem in previous.problems):
        return None
    moved = {id(table): table.with_source(text) for table in tables}
    cards = list(previous.cards)
    for table in moved.values():
        for line in sorted(lines & set(table.rows)):
            card = _read_row(previous, table, line)
            if card is None:
                return None
            cards[card.key] = card
            lines.discard(line)
    if lines:
        return None
    containers = [moved[id(each)] for each in previous.containers if isinstance(each, Table)]
    for table in containers:
        table.peers = containers
    homes = tuple((moved[id(container)], position) for container, position in previous.homes)
    return replace(previous, source=source, text=text, cards=tuple(cards), containers=containers, homes=homes)


def _changed_lines(before: Source, after: Source) -> set[int] | None:
    """Return the lines that differ, or ``None`` when they may change what stands around them.

    A line that began with a pipe and still does is a row of its table and no other block begins there.
    """
    if before.starts[0] != after.starts[0] or len(before.lines) != len(after.lines):
        return None
    if "\r" in before.text or "\r" in after.text or before.text.endswith("\n") != after.text.endswith("\n"):
        return None
    changed = [n for n, (line, other) in enumerate(zip(before.lines, after.lines, strict=True)) if line != other]
    if len(changed) > _ROWS_MAX:
        return None
    if any(not before.lines[n].startswith("|") or not after.lines[n].startswith("|") for n in changed):
        return None
    return set(changed)


def _read_row(previous: Document, table: Table, line: int) -> FileCard | None:
    """Return the card of a changed row, or ``None`` when it is not the same card without problems."""
    key = _key_at(previous, line)
    if key is None:
        return None
    before = previous.cards[key]
    reading = Reading(previous.path, table.source, Lexicon(previous.options, previous.front.statuses), previous.front)
    table.forget(before.line - 1, previous.text)
    rows, last, phases = table.rows, table.last, set(table.phases)
    table.rows = []
    RowReader(reading, table).read([line])
    table.rows, table.last = rows, last
    (cards, _) = finished(reading)
    if len(cards) != 1 or reading.problems or cards[0].id != before.id or table.phases != phases:
        return None
    if "phase" in table.by_field and cards[0].fields.get("phase") != before.fields.get("phase"):
        return None
    return replace(cards[0], key=key)


def _key_at(document: Document, line: int) -> int | None:
    key = bisect_left(document.cards, line + 1, key=lambda card: card.line)
    return key if key < len(document.cards) and document.cards[key].line == line + 1 else None
