"""The rows of one pipe table: where each cell stands, and how values are written into it.

Padding is never touched: a changed cell replaces the characters of its value, and nothing else.
May import ``syncd.schemas``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import Final

import msgspec

from syncd.parsers.cells import cell_spans, display_width, padded, separators_of
from syncd.parsers.document import Container
from syncd.parsers.fields import (
    decode,
    encode,
    is_empty,
    join_list,
    read_priority,
    split_ids,
    text_of,
    undecorated,
    write_priority,
)
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.reading import KnownRow, Reading
from syncd.parsers.source import Replacement, Source
from syncd.parsers.statuses import (
    Spelling,
    default_text,
    emoji_state,
    leading_emoji,
    read_status,
    write_emoji,
    write_status,
)
from syncd.parsers.values import OWNERS, as_list, is_struck, owner_value, state_of
from syncd.schemas.card import STATUS_WORD, Fields, Status, Value

_NEAR_ROWS: Final = 100


class Column(msgspec.Struct, frozen=True):
    """A column: where it stands, its header, and the field that it holds."""

    index: int
    header: str
    field: str


class Table:
    """A task table as a place for cards; a card's position is the line of its row.

    Args:
        emoji_field: ``id`` or ``title`` where the status is an emoji in that cell, else ``None``.
        peers: all containers of the file, for its habits.
    """

    dialect = "table"

    def __init__(
        self,
        source: Source,
        lexicon: Lexicon,
        lines: tuple[int, int],
        columns: Sequence[Column],
        heading: str | None,
        emoji_field: str | None,
        peers: Sequence[Container],
    ) -> None:
        self.source = source
        self.lexicon = lexicon
        self.first, self.last = lines[0], lines[0] + 1
        self.columns = columns
        self.width = len(columns)
        self.heading = heading
        self.emoji_field = emoji_field
        self.peers = peers
        self.by_field: dict[str, Column] = {column.field: column for column in columns}
        self.rows: list[int] = []
        self.status_texts: Counter[str] = Counter()
        self.phases: set[Value] = set()
        self.is_certain = False
        self.known: dict[str, KnownRow] = {}
        self._near: dict[tuple[int, int], list[str]] = {}

    def remember(self, reading: Reading) -> None:
        """Lend the rows that were read to the next reading of the file."""
        reading.known_rows.setdefault(self.kind, self.known)

    @property
    def kind(self) -> tuple[object, ...]:
        """What the reading of a row depends on, beside the row."""
        return (self.heading, self.emoji_field, *self.columns)

    def with_source(self, source: Source) -> Table:
        """Return the table with other cells in the same rows."""
        lines = (self.first, self.last)
        table = Table(source, self.lexicon, lines, self.columns, self.heading, self.emoji_field, self.peers)
        table.last, table.rows, table.phases = self.last, self.rows, self.phases
        table.is_certain, table.known = self.is_certain, self.known
        table.status_texts = Counter(self.status_texts)
        return table

    def forget(self, line: int, source: Source) -> None:
        """Take a row's status, as another source has it, out of the table's habits."""
        column = self.by_field["status"]
        spans = cell_spans(source.lines[line], self.width)
        if column.index < len(spans):
            start, end = spans[column.index]
            self.status_texts[source.lines[line][start:end].strip()] -= 1
            self.status_texts += Counter()

    # -- reading ------------------------------------------------------------------------------------------

    def spans(self, line: int) -> list[tuple[int, int]] | None:
        """Return the cells of a row, or ``None`` when it has more than the header and cannot be trusted."""
        spans = cell_spans(self.source.lines[line], self.width)
        return spans if len(spans) <= self.width else None

    def cell(self, line: int, column: Column) -> str | None:
        """Return the stripped text of one cell, or ``None`` where the row has none."""
        spans = self.spans(line)
        if spans is None or column.index >= len(spans):
            return None
        start, end = spans[column.index]
        return self.source.lines[line][start:end].strip()

    def near(self, column: Column, line: int) -> list[str]:
        """Return the column's texts in the rows around a line, the nearest first."""
        known = self._near.get((column.index, line))
        if known is None:
            at = bisect_left(self.rows, line)
            rows = [row for row in self.rows[max(0, at - _NEAR_ROWS) : at + _NEAR_ROWS] if row != line]
            rows.sort(key=lambda row: abs(row - line))
            known = [text for row in rows if (text := self.cell(row, column)) is not None]
            self._near[column.index, line] = known
        return known

    # -- writing ------------------------------------------------------------------------------------------

    def rewrite(self, position: int, changes: Fields) -> list[Replacement] | None:
        """Replace the cells that the changes name."""
        spans = self.spans(position)
        if spans is None:
            return None
        line = self.source.lines[position]
        result: list[Replacement] = []
        pending = dict(changes)
        if "status" in pending or STATUS_WORD in pending:
            written = self._status(position, spans, pending)
            if written is None:
                return None
            result.append(written)
        if any(name in pending for name in OWNERS):
            pending["owner"] = owner_value(pending)
        for name, value in pending.items():
            if name in ("status", STATUS_WORD, *OWNERS):
                continue
            column = self.by_field.get(name)
            if column is None or column.index >= len(spans):
                return None
            start, end = spans[column.index]
            text = self._text(column, value, line[start:end].strip(), position)
            if text is None:
                return None
            result.append(self._replaced(position, (start, end), text))
        return result

    def _status(self, position: int, spans: Sequence[tuple[int, int]], changes: dict[str, Value]) -> Replacement | None:
        if self.emoji_field is not None:
            return self._emoji(position, spans, changes)
        column = self.by_field["status"]
        if column.index >= len(spans):
            return None
        start, end = spans[column.index]
        current = read_status(self.source.lines[position][start:end], self.lexicon)
        if current.state is None and not current.is_empty:
            return None
        text = self._status_text(current, changes)
        return None if text is None else self._replaced(position, (start, end), encode(text))

    def _status_text(self, current: Spelling, changes: Mapping[str, Value]) -> str | None:
        word = changes.get(STATUS_WORD)
        state = state_of(changes["status"]) if "status" in changes else current.state
        if state is None:
            return None
        if isinstance(word, str) and read_status(word, self.lexicon).state is state:
            return write_status(state, word, current, {}, self.lexicon)
        if "status" not in changes:
            return None if word is not None else default_text(state, current, self.habits())
        text = write_status(state, None, current, self.status_texts, self.lexicon)
        return text if text in self.status_texts else write_status(state, None, current, self.habits(), self.lexicon)

    def habits(self) -> Counter[str]:
        """Return how often each status text stands in the tables of the file that write states as this one does."""
        counts: Counter[str] = Counter()
        for peer in self.peers:
            if isinstance(peer, Table) and peer.emoji_field is None and peer.has_marks == self.has_marks:
                counts.update(peer.status_texts)
        return counts

    @cached_property
    def has_marks(self) -> bool:
        """Whether states are mostly written as checkbox marks in the cells."""
        marked = sum(count for text, count in self.status_texts.items() if read_status(text, self.lexicon).mark)
        return marked * 2 > self.status_texts.total()

    def _emoji(
        self, position: int, spans: Sequence[tuple[int, int]], changes: Mapping[str, Value]
    ) -> Replacement | None:
        state = state_of(changes.get("status"))
        column = self.by_field[self.emoji_field or "id"]
        if state is None or changes.get(STATUS_WORD) is not None or column.index >= len(spans):
            return None
        start, end = spans[column.index]
        raw = self.source.lines[position][start:end]
        content = raw.strip()
        run = leading_emoji(content)
        # Never none: a table in which no emoji is left would be no task table.
        sign = write_emoji(state, {text: count for text, count in self.status_texts.items() if text})
        gap = run[len(run.rstrip()) :] if run else " "
        at = self.source.starts[position] + start + raw.index(content)
        return Replacement(at, at + len(run), sign + gap)

    def _text(self, column: Column, value: Value, current: str, position: int) -> str | None:
        if column.field == "priority":
            return self._priority(column, value, current, position)
        if value in (None, ()):
            return self.empty_text(column, position)
        if column.field == "dependsOn":
            ids = [self.lexicon.token_of(each) for each in as_list(value)]
            models = [current, *self.near(column, position)]
            return encode(join_list(ids, next((each for each in models if len(split_ids(each)) > 1), "")))
        if column.field == "acceptance":
            models = [current, *self.near(column, position)]
            gap = next((sign for model in models for sign in ("<br>", "; ") if sign in model), "; ")
            return gap.join(encode(each) for each in as_list(value))
        text = encode(text_of(value))
        if column.field == "title" and is_struck(current):
            return f"~~{text}~~"
        return text

    def _priority(self, column: Column, value: Value, current: str, position: int) -> str | None:
        if not isinstance(value, int) or read_priority(decode(current)) is None:
            return None
        near = self.near(column, position)
        if value == 0 and not any(text == "0" for text in near) and any(is_empty(text) for text in near):
            return self.empty_text(column, position)
        return encode(write_priority(value, [current, *near]))

    def empty_text(self, column: Column, position: int) -> str:
        """Return what the author writes for an empty cell of this column, or else of this table."""
        counts = Counter(text for text in self.near(column, position) if is_empty(text))
        if not counts:
            others = (each for each in self.columns if each.field not in ("id", "title", "status"))
            counts = Counter(text for each in others for text in self.near(each, position)[:20] if is_empty(text))
        return counts.most_common(1)[0][0] if counts else ""

    def _replaced(self, line: int, span: tuple[int, int], text: str) -> Replacement:
        raw = self.source.lines[line][span[0] : span[1]]
        base = self.source.starts[line] + span[0]
        content = raw.strip()
        if not content:
            if not text:
                return Replacement(base, base, "")
            if "\t" in raw:
                half = base + (len(raw) + 1) // 2
                return Replacement(half, half, text)
            if not raw and self._is_tight(line):
                return Replacement(base, base, text)
            return Replacement(base, base + len(raw), f" {text} ".ljust(len(raw)))
        start = base + raw.index(content)
        if not text and span[1] == len(self.source.lines[line]):
            # Without the pipe behind it an empty last cell would be none.
            text = "|"
        if text.endswith("\\") and raw.endswith(content):
            text += " "
        return Replacement(start, start + len(content), text)

    def name(self, position: int, id: str) -> list[Replacement] | None:
        """Write an id into the row's id cell."""
        spans = self.spans(position)
        column = self.by_field["id"]
        if spans is None or column.index >= len(spans):
            return None
        start, end = spans[column.index]
        token = self.lexicon.token_of(id)
        content = self.source.lines[position][start:end].strip()
        if undecorated(content) and not is_empty(content) and emoji_state(content):
            token = f"{content} {token}"
        return [self._replaced(position, (start, end), token)]

    def remove(self, position: int, gone: Set[int]) -> list[Replacement]:
        """Take the row's line out."""
        return [self.source.deletion(position, position + 1)]

    def extent(self, position: int) -> tuple[int, int]:
        """Return the row's line."""
        return position, position + 1

    def sample(self, position: int) -> list[tuple[int, int]]:
        """Return the header, the row and, where emoji are the status, a row that has one."""
        ranges = [(self.first, self.first + 2), (position, position + 1)]
        if self.emoji_field is not None:
            column = self.by_field[self.emoji_field]
            shown = (row for row in self.rows if row != position and leading_emoji(self.cell(row, column) or ""))
            ranges += [(row, row + 1) for row in list(shown)[:2]]
        return ranges

    # -- new cards ----------------------------------------------------------------------------------------

    def holds(self, fields: Fields) -> bool:
        """Tell whether the table is the place of the card's phase."""
        phase = fields.get("phase")
        return phase is not None and (phase in self.phases if "phase" in self.by_field else phase == self.heading)

    def tail(self, fields: Fields) -> int | None:
        """Return the line behind the last row."""
        return self.last + 1

    def admits(self, other: Container, position: int) -> bool:
        """Tell whether the other table has the same columns."""
        return (
            isinstance(other, Table)
            and other is not self
            and "phase" not in self.by_field
            and [each.field for each in other.columns] == [each.field for each in self.columns]
            and other.emoji_field == self.emoji_field
        )

    def section_for(self, position: int, changes: Fields) -> tuple[int, list[Replacement]] | None:
        """A change of a row never moves it."""
        return None

    def compose(self, id: str, fields: Fields) -> list[str] | None:
        """Return the line of a new row, with the padding of the rows above it."""
        model = self.rows[-1] if self.rows else self.first
        texts = [self._new_text(column, id, fields, model) for column in self.columns]
        return [self._row(texts, model)]

    def _new_text(self, column: Column, id: str, fields: Fields, model: int) -> str:
        state = state_of(fields.get("status")) or Status.READY
        prefix = ""
        if self.emoji_field == column.field and (sign := write_emoji(state, self.status_texts)):
            prefix = f"{sign} "
        if column.field == "id":
            return prefix + self.lexicon.token_of(id)
        if column.field == "status":
            blank = Spelling("", None, None)
            return encode(self._status_text(blank, {"status": state.value, **fields}) or state.value)
        value = owner_value(fields) if column.field == "owner" else fields.get(column.field)
        if column.field == "priority":
            return self._priority(column, value or 0, "", model + 1) or ""
        return prefix + (self._text(column, value, "", model + 1) or "")

    def _row(self, texts: Sequence[str], model: int) -> str:
        header = self.source.lines[self.first]
        outer = separators_of(header, self.width)
        line = self.source.lines[model]
        spans = cell_spans(line, self.width)
        widths = [display_width(line[start:end]) for start, end in spans[: self.width]]
        is_tight = self._is_tight(model)
        widths += [0] * (self.width - len(widths))
        if not self._is_aligned(widths, model):
            widths = [0] * self.width
        has_tabs = any(line[start:end].startswith("\t") for start, end in spans)
        space = "" if is_tight else "\t" if has_tabs else " "
        cells = [padded(f"{space}{text}{space}", width) for text, width in zip(texts, widths, strict=True)]
        indent = line[: len(line) - len(line.lstrip())]
        has_left = not header[: outer[0]].strip()
        has_right = not header[outer[-1] + 1 :].strip()
        row = "|".join(cells)
        row = ("|" + row) if has_left else row.lstrip()
        return indent + (row + "|" if has_right or not texts[-1] else row.rstrip())

    def _is_tight(self, line: int) -> bool:
        """Tell whether a row has no space around its cells."""
        text = self.source.lines[line]
        return all(text[start:end] == text[start:end].strip() for start, end in cell_spans(text, self.width))

    def _is_aligned(self, widths: Sequence[int], model: int) -> bool:
        """Tell whether the rows line up: another line has cells of the same widths as the model."""
        for each in (*self.rows[-3:-1], self.first, self.first + 1):
            line = self.source.lines[each]
            spans = cell_spans(line, self.width)
            if each != model and [display_width(line[start:end]) for start, end in spans] == list(widths):
                return any(line[start:end].endswith("  ") for start, end in spans) or len(set(widths)) > 1
        return False
