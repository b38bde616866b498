"""Pipe tables: which are task tables, and what their rows say.

Columns are found by their headers, never by position.  A row is read into values at once; where exactly
each cell stands is worked out again only for a row that is changed (``rows.py``).  A table is a task table
when it has an id column and a status: a status column, or an emoji before most ids or titles.
May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from syncd.parsers.blocks import Block
from syncd.parsers.cells import cell_spans, split_row
from syncd.parsers.dialect import Offer
from syncd.parsers.fields import (
    decode,
    is_empty,
    is_id,
    is_placeholder,
    looks_like_id,
    read_priority,
    split_ids,
    undecorated,
)
from syncd.parsers.lexicon import Lexicon, extra_key
from syncd.parsers.reading import NOTHING_WEAK, Draft, Reading, owner_field
from syncd.parsers.rows import Column, Table
from syncd.parsers.statuses import author_word, emoji_state, leading_emoji, read_status
from syncd.parsers.values import is_struck, value_of
from syncd.parsers.words import SUMMARY_IDS, UNKNOWN_STATUS_HINT, UNSURE_ID_HEADERS, fold, fold_header
from syncd.schemas.card import EXTRA, STATUS_WORD, Status, Value

_SAMPLE_ROWS: Final = 50
_SIMPLE_ID: Final = re.compile(r"[A-Za-z]+[0-9_.-]*[0-9]")
_LIST_GAP: Final = re.compile(r"[;\n]")
_RULE: Final = re.compile(r":?-+:?")

COLUMNS_MAX: Final = 256
"""A wider table is no list of tasks; to tell its columns apart would take minutes."""

_Reader: TypeAlias = Callable[[str], Value]
_Plan: TypeAlias = list[tuple[int, str, _Reader, dict[str, Value] | None]]


class _UnreadableError(Exception):
    """The text of a cell means nothing."""


class Tables:
    """The dialect: tables with an id and a status column."""

    name = "table"
    reads = "a pipe table with an id and a status column"
    kinds = frozenset({"table", "paragraph"})

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def offer(self, offer: Offer) -> int | None:
        """Read a table; a paragraph that would be one is reported."""
        if offer.block.kind == "paragraph":
            _report_undelimited(self._reading, offer.block)
            return None
        _read_table(self._reading, offer.block, offer.heading.text if offer.heading else None)
        return offer.index + 1

    def finish(self) -> None:
        """Nothing is left to read."""


def _read_table(reading: Reading, block: Block, heading: str | None) -> None:
    lines = reading.source.lines
    header = lines[block.first]
    headers = [text.strip() for text in split_row(header, 0)]
    if len(headers) > COLUMNS_MAX:
        reading.take("table", block.first, f"more than {COLUMNS_MAX} columns")
        return
    rows = [n for n in range(block.first + 2, block.end) if "|" in lines[n]]
    sample = [split_row(lines[n], len(headers)) for n in rows[:_SAMPLE_ROWS]]
    columns = _columns(reading.lexicon, headers, sample)
    fields = {column.field: column for column in columns}
    if "id" not in fields:
        reading.take("table", block.first, "no id column")
        return
    emoji_field = (
        None if "status" in fields else _emoji_field(fields, [split_row(lines[n], len(headers)) for n in rows])
    )
    if "status" not in fields and emoji_field is None:
        reading.take("table", block.first, "no status column")
        return
    marked = len(cell_spans(lines[block.first + 1], 0))
    if marked < len(headers):
        reading.report(
            block.first + 1,
            0,
            "too-few-cells",
            f"the delimiter row has {marked} cells, the header {len(headers)}",
            f"Write {len(headers)} cells: {'|---' * len(headers)}|",
        )
    id_header = fold_header(fields["id"].header)
    table = Table(
        reading.source, reading.lexicon, (block.first, block.end), columns, heading, emoji_field, reading.containers
    )
    # Whether such a table is one depends on what its rows say, so that it is always read as a whole.
    table.is_certain = emoji_field is None and id_header not in UNSURE_ID_HEADERS
    reading.containers.append(table)
    before = len(reading.drafts)
    RowReader(reading, table).read(rows)
    reading.take("table", block.first, "has an id and a status column", len(reading.drafts) - before)


def _report_undelimited(reading: Reading, block: Block) -> None:
    """Report a paragraph that would be a task table, had it a delimiter row."""
    lines = reading.source.lines[block.first : block.end]
    if len(lines) < 2 or not all("|" in line for line in lines):
        return
    headers = [text.strip() for text in split_row(lines[0], 0)]
    sample = [split_row(line, len(headers)) for line in lines[1:_SAMPLE_ROWS]]
    fields = {column.field for column in _columns(reading.lexicon, headers, sample)}
    if {"id", "status"} <= fields:
        reading.report(
            block.first,
            0,
            "no-delimiter-row",
            "the header row has no delimiter row (|---|) below it",
            f"Write one: {'|---' * len(headers)}|",
        )


def _columns(lexicon: Lexicon, headers: Sequence[str], sample: Sequence[Sequence[str]]) -> list[Column]:
    """Give each field the column whose header names it best; the columns left over are extra."""
    ranks = [lexicon.ranks(header) for header in headers]
    taken: dict[int, str] = {}
    for field in ("id", "status", "title", *dict.fromkeys(name for each in ranks for name in each)):
        if field in taken.values():
            continue
        candidates = sorted((each[field], index) for index, each in enumerate(ranks) if field in each)
        for _, index in candidates:
            if index in taken:
                continue
            unsure = field == "id" and fold_header(headers[index]) in UNSURE_ID_HEADERS
            if unsure and not _look_like_ids(sample, index):
                continue
            taken[index] = field
            break
    columns: list[Column] = []
    names = set(taken.values())
    for index, header in enumerate(headers):
        name = taken.get(index) or extra_key(header or str(index + 1))
        while index not in taken and name in names:
            name += "'"
        names.add(name)
        columns.append(Column(index, header, name))
    return columns


def _look_like_ids(sample: Sequence[Sequence[str]], index: int) -> bool:
    texts = [undecorated(_without_emoji(cells[index])) for cells in sample if index < len(cells)]
    texts = [text for text in texts if not is_empty(text)]
    return sum(map(looks_like_id, texts)) * 2 > len(texts) if texts else False


def _emoji_field(fields: dict[str, Column], rows: Sequence[Sequence[str]]) -> str | None:
    """Return the field whose cells begin with a status emoji: one such id is enough, of titles it takes half."""
    for field, share in (("id", 0.0), ("title", 0.5)):
        if (column := fields.get(field)) is None:
            continue
        texts = [cells[column.index].strip() for cells in rows if column.index < len(cells)]
        shown = sum(bool(leading_emoji(text)) for text in texts)
        if shown and shown >= share * len(texts):
            return field
    return None


def _without_emoji(text: str) -> str:
    text = text.strip()
    return text[len(leading_emoji(text)) :]


class RowReader:
    """Reads the rows of one table; equal cells of a column are understood once."""

    def __init__(self, reading: Reading, table: Table) -> None:
        self.reading = reading
        self.table = table
        self.lexicon = reading.lexicon
        self.lines = reading.source.lines
        self.id = table.by_field["id"].index
        self.status = table.by_field["status"].index if "status" in table.by_field else None
        self.owner = table.by_field["owner"].index if "owner" in table.by_field else None
        self.statuses: dict[str, tuple[Status, str | None] | None] = {}
        # The text of a claim's place that is not claimed must not hide behind a column called "owner".
        self.owner_text = EXTRA + "claimed_by" if EXTRA + "owner" in table.by_field else None
        self.weak_phase = ({}, NOTHING_WEAK) if "phase" in table.by_field else reading.weak_phase(table.heading)
        self.plan = self._plan()

    def _plan(self) -> _Plan:
        readers: dict[str, _Reader] = {
            "title": _read_title,
            "dependsOn": lambda raw: split_ids(decode(raw)),
            "priority": _read_priority,
            "acceptance": _read_acceptance,
        }
        if self.table.emoji_field == "title":
            readers["title"] = lambda raw: _read_title(_without_emoji(raw))
        return [
            (column.index, column.field, readers.get(column.field, value_of), None if column.field == "title" else {})
            for column in self.table.columns
            if column.field not in ("id", "status", "owner")
        ]

    def read(self, rows: Sequence[int]) -> None:
        """Read all rows."""
        width = self.table.width
        drafts = self.reading.drafts
        for line in rows:
            cells = split_row(self.lines[line], width)
            is_even = len(cells) == width
            if not is_even and not self._is_trusted(line, cells):
                draft = self._id_alone(line, cells)
            else:
                draft = self._row(line, cells, is_even)
            if draft is not None:
                drafts.append(draft)
                self.table.rows.append(line)
            self.table.last = line

    def _is_trusted(self, line: int, cells: list[str]) -> bool:
        """Report a row of another width than the header; with too many cells, no value is sure of its column."""
        width = self.table.width
        count = len(cells)
        if count < width:
            if not self._is_no_card(cells):
                self.reading.report(
                    line,
                    len(self.lines[line].rstrip()),
                    "too-few-cells",
                    f"the row has {count} cells, the header {width}",
                    f"Add {width - count} cells, empty ones too; what is missing is not synced.",
                )
            return True
        self.reading.report(
            line,
            cell_spans(self.lines[line], width)[width][0],
            "too-many-cells",
            f"the row has {count} cells, the header {width}",
            "Write a pipe inside a cell as '\\|', or take the last cells out; until then only the id is read.",
        )
        return False

    def _id_alone(self, line: int, cells: Sequence[str]) -> Draft | None:
        token = self._token(cells[self.id].strip())
        if token is None or not is_id(token) or is_placeholder(token):
            return None
        return self._draft(line, token, {}, NOTHING_WEAK, cells)

    def _row(self, line: int, cells: Sequence[str], is_even: bool) -> Draft | None:
        raw_id = cells[self.id].strip() if is_even or self.id < len(cells) else ""
        token: str | None = raw_id
        if not _SIMPLE_ID.fullmatch(raw_id):
            if self._is_no_card(cells):
                return None
            token = self._token(raw_id)
        phase, weak = self.weak_phase
        fields: dict[str, Value] = dict(phase)
        for index, name, read, seen in self.plan:
            if not is_even and index >= len(cells):
                continue
            raw = cells[index]
            try:
                if seen is None:
                    fields[name] = read(raw)
                elif raw in seen:
                    fields[name] = seen[raw]
                else:
                    fields[name] = seen[raw] = read(raw)
            except _UnreadableError:
                self._report_priority(line, index, raw.strip())
        self._read_status(line, cells, fields)
        if self.owner is not None and self.owner < len(cells):
            name = owner_field(fields)
            fields[self.owner_text if self.owner_text and name != "claimOwner" else name] = value_of(cells[self.owner])
        tokens = fields.get("dependsOn")
        if isinstance(tokens, tuple) and (token in tokens or self.lexicon.options.namespace):
            column = cell_spans(self.lines[line], self.table.width)[self.table.by_field["dependsOn"].index][0]
            fields["dependsOn"] = self.reading.dependencies(tokens, token, line, column)
        if "phase" in self.table.by_field:
            self.table.phases.add(fields.get("phase"))
        return self._draft(line, token, fields, weak, cells)

    def _draft(
        self, line: int, token: str | None, fields: dict[str, Value], weak: frozenset[str], cells: Sequence[str]
    ) -> Draft:
        others = "|".join([*cells[: self.id], *cells[self.id + 1 :]])
        text = self.lines[line]
        column = len(text) - len(text.lstrip())
        table = self.table
        return Draft(line, column, token, fields, weak, table.heading, " ".join(others.split()), table, line)

    def _token(self, raw_id: str) -> str | None:
        text = undecorated(_without_emoji(undecorated(raw_id)))
        return None if is_empty(text) else decode(text)

    def _is_no_card(self, cells: Sequence[str]) -> bool:
        """Tell rows that are no cards: rules, sums, group titles, forms to fill in, and blank rows."""
        raw_id = cells[self.id].strip() if self.id < len(cells) else ""
        token = self._token(raw_id) or ""
        others = [cell.strip() for index, cell in enumerate(cells) if index != self.id]
        is_bare = all(is_empty(text) for text in others)
        if not token:
            title = self.table.by_field.get("title")
            return is_bare or (
                title is not None and (title.index >= len(cells) or is_empty(cells[title.index].strip()))
            )
        return (
            is_placeholder(raw_id)
            or is_placeholder(token)
            or fold(token) in SUMMARY_IDS
            or (is_bare and not is_id(token))
            or _RULE.fullmatch(token) is not None
        )

    def _read_status(self, line: int, cells: Sequence[str], fields: dict[str, Value]) -> None:
        if self.status is None:
            column = self.table.by_field[self.table.emoji_field or "id"]
            run = leading_emoji(cells[column.index].strip()).strip() if column.index < len(cells) else ""
            self.table.status_texts[run] += 1
            fields["status"] = (emoji_state(run) or Status.READY).value
            return
        if self.status >= len(cells):
            return
        raw = cells[self.status].strip()
        self.table.status_texts[raw] += 1
        if raw not in self.statuses:
            spelling = read_status(decode(raw), self.lexicon)
            self.statuses[raw] = None if spelling.state is None else (spelling.state, author_word(spelling))
        known = self.statuses[raw]
        if known is not None:
            fields["status"], fields[STATUS_WORD] = known[0].value, known[1]
        elif not is_empty(raw):
            self.reading.report(
                line,
                cell_spans(self.lines[line], self.table.width)[self.status][0] + 1,
                "unknown-status",
                f"{raw!r} is no status that is known",
                UNKNOWN_STATUS_HINT,
            )

    def _report_priority(self, line: int, index: int, raw: str) -> None:
        self.reading.report(
            line,
            cell_spans(self.lines[line], self.table.width)[index][0] + 1,
            "bad-priority",
            f"{raw!r} is no priority",
            "Write a whole number, P0 to P4, or low, medium, high, urgent, critical.",
        )


def _read_title(raw: str) -> Value:
    text = raw.strip()
    return value_of(text[2:-2] if text[:2] == "~~" and is_struck(text) else text)


def _read_priority(raw: str) -> Value:
    priority = read_priority(decode(raw))
    if priority is None:
        raise _UnreadableError
    return priority


def _read_acceptance(raw: str) -> Value:
    text = raw.strip()
    if is_empty(text):
        return ()
    return tuple(entry for each in _LIST_GAP.split(decode(text)) if (entry := each.strip()))
