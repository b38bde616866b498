"""The task table as editors and the oracle read and change it: a dozen lines of their own, nothing of syncd's parsers.

A row is a line of pipes with the columns of ``COLUMNS``; a heading above it is its phase.  A row without an
id is known by its title, which no other row ever has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

COLUMNS = ("id", "title", "status", "priority", "deps", "owner", "note")
PHASES = ("Alpha", "Beta")
WORDS = {"not-started": "ready", "in-progress": "claimed", "blocked": "blocked", "done": "done"}


@dataclass(frozen=True)
class Row:
    """One row: where it stands, and its cells without the blanks around them."""

    line: int
    cells: Mapping[str, str]
    phase: str | None = None

    @property
    def key(self) -> str:
        """The id, or ``?`` and the title of a nameless row."""
        return self.cells["id"] or f"?{self.cells['title']}"


def row_text(cells: Mapping[str, str], pad: str = " ") -> str:
    """Return the line of a row, without its end."""
    return "|" + "|".join(f"{pad}{cells.get(name, '')}{pad}" for name in COLUMNS) + "|"


def head_lines() -> list[str]:
    """Return the lines that begin a table."""
    return [row_text({name: name for name in COLUMNS}), "|" + "---|" * len(COLUMNS)]


def has_table(data: bytes | None) -> bool:
    """Return whether a file has the beginning of a table, whole."""
    lines = [line.rstrip() for line in split_lines(data)]
    return any(pair == tuple(head_lines()) for pair in pairwise(lines))


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


def read_rows(data: bytes | None) -> dict[str, Row]:
    """Return the rows of a file by their keys; of rows with one id the first counts."""
    found: dict[str, Row] = {}
    phase = None
    for at, line in enumerate(split_lines(data)):
        if line.startswith("## "):
            phase = line[3:].strip()
        cells = [cell.strip() for cell in line.rstrip("\r\n").split("|")]
        is_row = len(cells) == len(COLUMNS) + 2 and not cells[0] and not cells[-1] and line.endswith("\n")
        if not is_row or cells[1] == "id" or cells[1].startswith("---"):
            continue
        row = Row(at, dict(zip(COLUMNS, cells[1:-1], strict=True)), phase)
        found.setdefault(row.key, row)
    return found


def mentioned(data: bytes | None) -> set[str]:
    """Return the first cells of all lines of pipes, whole rows or not."""
    return {line.split("|")[1].strip() for line in split_lines(data) if line.startswith("|") and line.count("|") > 1}


def split_lines(data: bytes | None) -> list[str]:
    """Return the lines of a file with their ends."""
    return (data or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True)


def joined(lines: Sequence[str]) -> bytes:
    """Return the bytes of lines."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def set_cell(data: bytes, key: str, column: str, value: str) -> bytes:
    """Return a file with one cell of one row changed, and nothing else."""
    lines = split_lines(data)
    row = read_rows(data)[key]
    parts = lines[row.line].split("|")
    at = COLUMNS.index(column) + 1
    parts[at] = f" {value} "
    lines[row.line] = "|".join(parts)
    return joined(lines)


def elements(cell: str) -> tuple[str, ...]:
    """Return the ids in a dependency cell."""
    return tuple(part.strip() for part in cell.split(",") if part.strip() not in ("", "—", "-"))
