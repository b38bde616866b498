"""Pipe tables: which are task tables, and what their rows say.

Columns are found by their headers, never by position.  A row is read into values at once; where exactly
each cell stands is worked out again only for a row that is changed (``rows.py``).  A table is a task table
when it has an id column and a status: a status column, or an emoji before most ids or titles.
May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from syncd.parsers.blocks import Block
from syncd.parsers.cells import cell_spans, split_row
from syncd.parsers.columns import columns_of, emoji_field_of, without_emoji
from syncd.parsers.dialect import Offer
from syncd.parsers.fields import (
    decode,
    is_empty,
    is_id,
    is_placeholder,
    read_priority,
    split_ids,
    undecorated,
)
from syncd.parsers.reading import NOTHING_WEAK, Draft, KnownRow, Reading, owner_field
from syncd.parsers.rows import Table
from syncd.parsers.statuses import author_word, emoji_state, leading_emoji, read_status
from syncd.parsers.values import as_list, is_struck, value_of
from syncd.parsers.words import DONE_HEADERS, SUMMARY_IDS, UNKNOWN_STATUS_HINT, UNSURE_ID_HEADERS, fold, fold_header
from syncd.schemas.card import EXTRA, STATUS_WORD, Status, Value

_SAMPLE_ROWS: Final = 50
_SIMPLE_ID: Final = re.compile(r"[A-Za-z]+[0-9_.-]*[0-9]")
_EMPTY_MAX: Final = 4
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
    columns = columns_of(reading.lexicon, headers, sample)
    fields = {column.field: column for column in columns}
    if "id" not in fields:
        reading.take("table", block.first, "no id column")
        return
    emoji_field = (
        None if "status" in fields else emoji_field_of(fields, [split_row(lines[n], len(headers)) for n in rows])
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
    status_header = fold_header(fields["status"].header) if "status" in fields else ""
    table.is_certain = bool(status_header) and not {id_header, status_header} & (UNSURE_ID_HEADERS | DONE_HEADERS)
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
    fields = {column.field for column in columns_of(reading.lexicon, headers, sample)}
    if {"id", "status"} <= fields:
        reading.report(
            block.first,
            0,
            "no-delimiter-row",
            "the header row has no delimiter row (|---|) below it",
            f"Write one: {'|---' * len(headers)}|",
        )


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
        self.title = table.by_field["title"].index if "title" in table.by_field else None
        self.is_ticked = self.status is not None and fold_header(table.by_field["status"].header) in DONE_HEADERS
        self.statuses: dict[str, tuple[str, str | None] | None] = {}
        others = [column.index for column in table.columns if column.field not in ("id", "title")]
        self.others = itemgetter(*others) if others else len
        self.alike: dict[object, KnownRow] = {}
        # The text of a claim's place that is not claimed must not hide behind a column called "owner".
        self.owner_text = EXTRA + "claimed_by" if EXTRA + "owner" in table.by_field else None
        self.weak_phase = ({}, NOTHING_WEAK) if "phase" in table.by_field else reading.weak_phase(table.heading)
        self.has_phases = "phase" in table.by_field
        self.plan = self._plan()

    def _plan(self) -> _Plan:
        readers: dict[str, _Reader] = {
            "title": _read_title,
            "dependsOn": lambda raw: split_ids(decode(raw)),
            "priority": _read_priority,
            "acceptance": _read_acceptance,
        }
        if self.table.emoji_field == "title":
            readers["title"] = lambda raw: _read_title(without_emoji(raw))
        return [
            (column.index, column.field, readers.get(column.field, value_of), None if column.field == "title" else {})
            for column in self.table.columns
            if column.field not in ("id", "status", "owner")
        ]

    def read(self, rows: Sequence[int]) -> None:
        """Read all rows; those that the document before had are not read again."""
        table, lines = self.table, self.lines
        before = self.reading.known_rows.get(table.kind, {})
        drafts = self.reading.drafts
        statuses: dict[str, int] = {}
        id_cell = (self.id, table.width)
        for line in rows:
            raw = lines[line]
            if (row := before.get(raw)) is None:
                row = self._read(line, raw)
            else:
                table.known[raw] = row
            table.last = line
            if row is None:
                continue
            status = row.status
            if status is not None:
                statuses[status] = statuses.get(status, 0) + 1
            column = 0 if raw[:1] == "|" else len(raw) - len(raw.lstrip())
            drafts.append(
                Draft(line, column, row.token, row.fields, row.weak, table.heading, raw, table, line, id_cell)
            )
            table.rows.append(line)
            if self.has_phases:
                table.phases.add(row.fields.get("phase"))
        for text, count in statuses.items():
            table.status_texts[text] += count

    def _read(self, line: int, raw: str) -> KnownRow | None:
        """Read a row; ``None`` when it is no card."""
        problems = len(self.reading.problems)
        cells = split_row(raw, self.table.width)
        if len(cells) == self.table.width and _SIMPLE_ID.fullmatch(token := cells[self.id].strip()):
            row: KnownRow | None = self._plain_row(line, token, cells)
        elif len(cells) != self.table.width and not self._is_trusted(line, cells):
            row = self._id_alone(cells)
        else:
            raw_id = cells[self.id].strip() if self.id < len(cells) else ""
            row = None if self._is_no_card(cells) else self._row(line, self._token(raw_id), cells)
        if row is not None and len(self.reading.problems) == problems:
            self.table.known[raw] = row
        return row

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

    def _id_alone(self, cells: Sequence[str]) -> KnownRow | None:
        token = self._token(cells[self.id].strip())
        if token is None or not is_id(token) or is_placeholder(token):
            return None
        return KnownRow(token, {}, NOTHING_WEAK, None)

    def _plain_row(self, line: int, token: str, cells: list[str]) -> KnownRow:
        """Read a row with an ordinary id; of rows that differ in id and title alone, all else is read once."""
        if self.title is None or self.status is None:
            return self._row(line, token, cells)
        key = self.others(cells)
        if (like := self.alike.get(key)) is not None:
            depends_on = like.fields.get("dependsOn")
            if not depends_on or self.lexicon.id_of(token) not in as_list(depends_on):
                fields = {**like.fields, "title": _read_title(cells[self.title])}
                return KnownRow(token, fields, like.weak, like.status)
        problems = len(self.reading.problems)
        row = self._row(line, token, cells)
        # What is to be reported is reported for each row.
        if len(self.reading.problems) == problems:
            self.alike[key] = row
        return row

    def _row(self, line: int, token: str | None, cells: Sequence[str]) -> KnownRow:
        phase, weak = self.weak_phase
        fields: dict[str, Value] = phase.copy()
        width = len(cells)
        for index, name, read, seen in self.plan:
            if index >= width:
                continue
            raw = cells[index]
            if seen is not None and raw in seen:
                fields[name] = seen[raw]
                continue
            try:
                fields[name] = value = read(raw)
            except _UnreadableError:
                self._report_priority(line, index, raw.strip())
                continue
            if seen is not None:
                seen[raw] = value
        status = self._read_status(line, cells, fields)
        if self.owner is not None and self.owner < width:
            name = owner_field(fields)
            fields[self.owner_text if self.owner_text and name != "claimOwner" else name] = value_of(cells[self.owner])
        tokens = fields.get("dependsOn")
        if tokens and isinstance(tokens, tuple) and (token in tokens or self.lexicon.options.namespace):
            column = cell_spans(self.lines[line], self.table.width)[self.table.by_field["dependsOn"].index][0]
            fields["dependsOn"] = self.reading.dependencies(tokens, token, line, column)
        return KnownRow(token, fields, weak, status)

    def _token(self, raw_id: str) -> str | None:
        text = undecorated(without_emoji(undecorated(raw_id)))
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

    def _read_status(self, line: int, cells: Sequence[str], fields: dict[str, Value]) -> str | None:
        """Read the state into the fields; return how it is written, where there is a place for it."""
        if self.status is None:
            column = self.table.by_field[self.table.emoji_field or "id"]
            run = leading_emoji(cells[column.index].strip()).strip() if column.index < len(cells) else ""
            fields["status"] = (emoji_state(run) or Status.READY).value
            return run
        if self.status >= len(cells):
            return None
        raw = cells[self.status].strip()
        if raw not in self.statuses:
            spelling = read_status(decode(raw), self.lexicon)
            state = spelling.state
            if self.is_ticked and state is Status.BLOCKED and spelling.word is None:
                # A cross under "Done" says no, and no more.
                state = Status.READY
            self.statuses[raw] = None if state is None else (state.value, author_word(spelling))
        known = self.statuses[raw]
        if known is not None:
            fields["status"], fields[STATUS_WORD] = known
        elif not is_empty(raw):
            self.reading.report(
                line,
                cell_spans(self.lines[line], self.table.width)[self.status][0] + 1,
                "unknown-status",
                f"{raw!r} is no status that is known",
                UNKNOWN_STATUS_HINT,
            )
        return raw

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
    if len(text) > _EMPTY_MAX and "~" not in text and "\\" not in text and "<" not in text:
        return text
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
