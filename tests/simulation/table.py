"""The task table as editors and the oracle read and change it: a dozen lines of their own, nothing of syncd's parsers.

A row is a line of pipes with the columns of ``COLUMNS``; a heading above it is its phase.  A row without an
id is known by its title, which no other row ever has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

COLUMNS = ("id", "title", "status", "priority", "deps", "owner", "note")
PHASES = ("Alpha", "Beta")
WORDS = {"not-started": "ready", "in-progress": "claimed", "blocked": "blocked", "done": "done"}


_NAMES = {"depends_on": "deps", **{name: name for name in COLUMNS}}


@dataclass(frozen=True)
class Row:
    """One row: where it stands, and its cells without the blanks around them; ``cells`` has the table's columns."""

    line: int
    cells: Mapping[str, str]
    phase: str | None = None

    @property
    def key(self) -> str:
        """The id, or ``?`` and the title of a nameless row."""
        return self.cells["id"] or f"?{self.cells['title']}"


def row_text(cells: Mapping[str, str], columns: Sequence[str] = COLUMNS) -> str:
    """Return the line of a row, without its end."""
    return "|" + "|".join(f" {cells.get(name, '')} " for name in columns) + "|"


def head_lines() -> list[str]:
    """Return the lines that begin a table."""
    return [row_text({name: name for name in COLUMNS}), "|" + "---|" * len(COLUMNS)]


def has_table(data: bytes | None) -> bool:
    """Return whether a file has the beginning of a table, whole."""
    return any(True for _ in tables(data))


def is_junk(key: str) -> bool:
    """Return whether an id is that of a malformed row: syncd makes of it what it likes, and nobody else touches it."""
    return key.startswith("J") and key.endswith("x")


def starting_text(rows: Sequence[Mapping[str, str]], *, has_phases: bool, newline: str, has_tail: bool) -> str:
    """Return the file that a world begins with."""
    head = head_lines()
    lines = ["# Plan", "", "Some words before.", ""]
    if has_phases:
        half = (len(rows) + 1) // 2
        for phase, part in zip(PHASES, (rows[:half], rows[half:]), strict=True):
            lines += [f"## {phase}", "", *head, *(row_text(row) for row in part), ""]
    else:
        lines += [*head, *(row_text(row) for row in rows)]
    if has_tail:
        lines += ["", "Some words after."]
    return newline.join(lines) + newline


def tables(data: bytes | None) -> Iterator[tuple[int, tuple[str, ...], str | None]]:
    """Yield each table: the line of its header, its columns, and the heading above it."""
    phase = None
    lines = split_lines(data)
    for at, line in enumerate(lines):
        if line.startswith("## "):
            phase = line[3:].strip()
        cells = _cells(line)
        columns = tuple(_NAMES.get(cell, "") for cell in cells)
        under = _cells(lines[at + 1]) if at + 1 < len(lines) else []
        if {"id", "title"} <= set(columns) and len(under) == len(cells) and all(cell == "---" for cell in under):
            yield at, columns, phase


def read_rows(data: bytes | None) -> dict[str, Row]:
    """Return the rows of a file by their keys; of rows with one id the first counts."""
    found: dict[str, Row] = {}
    lines = split_lines(data)
    for head, columns, phase in tables(data):
        for at in range(head + 2, len(lines)):
            if not lines[at].startswith("|"):
                break
            cells = _cells(lines[at])
            if len(cells) == len(columns) and lines[at].endswith("\n"):
                row = Row(at, dict(zip(columns, cells, strict=True)), phase)
                found.setdefault(row.key, row)
    return found


def _cells(line: str) -> list[str]:
    parts = [part.strip() for part in line.split("|")]
    return parts[1:-1] if len(parts) > 2 and not parts[0] and not parts[-1] else []


def mentioned(data: bytes | None) -> set[str]:
    """Return the first cells of all lines of pipes, whole rows or not."""
    return {line.split("|")[1].strip() for line in split_lines(data) if line.startswith("|")}


def repeated(data: bytes | None) -> set[str]:
    """Return the ids that stand in several rows."""
    ids = Counter(line.split("|")[1].strip() for line in split_lines(data) if line.startswith("|"))
    return {id for id, count in ids.items() if count > 1 and id not in ("", "id", "---")}


def split_lines(data: bytes | None) -> list[str]:
    """Return the lines of a file with their ends."""
    return (data or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True)


def joined(lines: Sequence[str]) -> bytes:
    """Return the bytes of lines."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def set_cell(data: bytes, key: str, column: str, value: str) -> bytes:
    """Return a file with one cell of one row changed, and nothing else; a table without the column stays as it is."""
    lines = split_lines(data)
    row = read_rows(data)[key]
    if column not in row.cells:
        return data
    parts = lines[row.line].split("|")
    parts[list(row.cells).index(column) + 1] = f" {value} "
    lines[row.line] = "|".join(parts)
    return joined(lines)


def elements(cell: str) -> tuple[str, ...]:
    """Return the ids in a dependency cell."""
    return tuple(part.strip() for part in cell.split(",") if part.strip() not in ("", "—", "-"))
