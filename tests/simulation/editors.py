"""Editors and agents: they read a task file, think, and save in all the ways that programs save.

An editor is a generator of system calls: between any two of them the scheduler lets others act.  What it
does to the text is told to the oracle when it takes effect, together with what the editor had read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.simulation.disk import Disk, Inode
from tests.simulation.table import (
    COLUMNS,
    PHASES,
    WORDS,
    elements,
    has_table,
    head_lines,
    is_junk,
    joined,
    read_rows,
    row_text,
    set_cell,
    split_lines,
    tables,
)

HELD_S_MAX = 50.0
"""How long an editor writes into a file that it opened: for a minute syncd looks at what it displaced."""

Step = Generator[str, None, None]
Change = Callable[[bytes, Random], bytes]


@dataclass
class Values:
    """Gives values that nobody ever wrote before."""

    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def text(self, prefix: str) -> str:
        """Return a new word."""
        return f"{prefix}{next(self._numbers)}"

    def number(self) -> int:
        """Return a new number, unlike every other one."""
        return 1000 + next(self._numbers)


class Audience:
    """Who is told of saves; the oracle."""

    def save_begins(self, who: str, root: str, read: bytes, there: bytes, saved: bytes) -> int:
        """An editor that had read ``read`` begins to write ``saved`` over ``there``."""
        raise NotImplementedError

    def overwrites(self, read: bytes, there: bytes, saved: bytes) -> None:
        """An editor in the middle of a save destroys ``there``, which somebody put in its way."""
        raise NotImplementedError

    def save_ends(self, number: int, *, is_seen: bool) -> None:
        """The save is whole; ``is_seen`` when a name still leads to it."""
        raise NotImplementedError


@dataclass
class Editor:
    """One editor of one task file.

    ``is_saving`` from the first call of a save to its last: no two editors write into one file at once.
    """

    name: str
    root: str
    disk: Disk
    rng: Random
    values: Values
    audience: Audience
    is_saving: bool = False
    waits_for: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = lambda: 0.0

    @property
    def path(self) -> str:
        return f"{self.root}/TASKS.md"

    def session(self) -> Step:
        """Read the file, and save it once or twice from what was read."""
        style = self.rng.choice(("truncate", "truncate", "swap", "swap", "append", "hold", "backup"))
        try:
            handle = self.disk.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return
        read, opened_at = self.disk.read(handle, 1 << 20), self.clock()
        if style != "hold":
            self.disk.close(handle)
        yield f"reads ({style})"
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            saved = self._edited(read)
            for _ in range(self.rng.randrange(4)):
                yield "thinks"
            while self.waits_for():
                yield "waits for another editor"
            self.is_saving = True
            if style == "hold" and self.clock() - opened_at > HELD_S_MAX:
                style = "truncate"
            match style:
                case "truncate":
                    yield from self._truncate(read, saved)
                case "swap":
                    yield from self._swap(read, saved)
                case "append":
                    yield from self._append()
                    self.is_saving = False
                    return
                case "hold":
                    yield from self._write_held(handle, read, saved)
                case "backup":
                    yield from self._back_up(read, saved)
            self.is_saving = False
            read = saved
        yield "closes the file"

    # --- saving -----------------------------------------------------------------------------------

    def _truncate(self, read: bytes, saved: bytes) -> Step:
        there = self.disk.bytes_of(self.path) or b""
        handle = self.disk.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        number = self.audience.save_begins(self.name, self.root, read, there, saved)
        self.disk.inode_of(handle).is_whole = False
        yield "truncates"
        yield from self._chunks(handle, saved)
        self._end(number, handle)

    def _swap(self, read: bytes, saved: bytes) -> Step:
        new = f"{self.root}/TASKS.md.{self.name}"
        handle = self.disk.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        yield "makes a new file"
        yield from self._chunks(handle, saved)
        there = self.disk.bytes_of(self.path) or b""
        number = self.audience.save_begins(self.name, self.root, read, there, saved)
        self.disk.rename(new, self.path)
        self._end(number, handle)
        yield "renames it over the file"

    def _append(self) -> Step:
        there = self.disk.bytes_of(self.path)
        if there is None or not split_lines(there)[-1:] or not split_lines(there)[-1].startswith("|"):
            return
        columns = list(tables(there))[-1][1] if has_table(there) else COLUMNS
        line = row_text(self._new_row(named=self.rng.random() < 0.5), columns)
        line += "\r\n" if b"\r\n" in there else "\n"
        handle = self.disk.open(self.path, os.O_WRONLY | os.O_APPEND)
        yield "opens for appending"
        there = self.disk.inode_of(handle).data
        number = self.audience.save_begins(self.name, self.root, there, there, there + line.encode())
        self.disk.write(handle, line.encode())
        self._end(number, handle)
        yield f"appends {line.strip()}"

    def _write_held(self, handle: int, read: bytes, saved: bytes) -> Step:
        there = self.disk.inode_of(handle).data
        number = self.audience.save_begins(self.name, self.root, read, there, saved)
        self.disk.truncate(handle, 0)
        self.disk.seek(handle, 0)
        self.disk.inode_of(handle).is_whole = False
        yield "truncates the file that it holds"
        yield from self._chunks(handle, saved)
        self.audience.save_ends(number, is_seen=self._has_name(self.disk.inode_of(handle)))

    def _back_up(self, read: bytes, saved: bytes) -> Step:
        there = self.disk.bytes_of(self.path) or b""
        backup = f"{self.path}~"
        if self.path in self.disk.names:
            self.disk.rename(self.path, backup)
        number = self.audience.save_begins(self.name, self.root, read, there, saved)
        yield "renames the file away"
        self.audience.overwrites(read, self.disk.bytes_of(self.path) or b"", saved)
        handle = self.disk.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.disk.inode_of(handle).is_whole = False
        yield "makes it anew"
        yield from self._chunks(handle, saved)
        self._end(number, handle)
        if backup in self.disk.names:
            self.disk.unlink(backup)

    def _chunks(self, handle: int, data: bytes) -> Step:
        inode = self.disk.inode_of(handle)
        size = max(1, len(data) // self.rng.choice((1, 1, 2, 3)) + 1)
        # Half of a file that was never seen before, cut between two rows, is whole for all that anybody can tell.
        size += data[size - 1 : size] == b"\n"
        for at in range(0, len(data), size):
            self.disk.write(handle, data[at : at + size])
            yield f"writes {len(data[at : at + size])} bytes"
        inode.is_whole = True
        if self.rng.random() < 0.3:
            self.disk.fsync(handle)
            yield "fsyncs"

    def _end(self, number: int, handle: int) -> None:
        self.audience.save_ends(number, is_seen=self._has_name(self.disk.inode_of(handle)))
        self.disk.close(handle)

    def _has_name(self, inode: Inode) -> bool:
        return any(each is inode for each in self.disk.names.values())

    # --- editing ----------------------------------------------------------------------------------

    def _edited(self, data: bytes) -> bytes:
        """Return the text after one to three edits."""
        if not has_table(data):
            data = ("\n".join(["# Plan again", "", *head_lines()]) + "\n").encode()
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            data = self._edit(data)
        return data

    def _edit(self, data: bytes) -> bytes:
        keys = [key for key in read_rows(data) if not key.startswith("?") and not is_junk(key)]
        deed = self.rng.choices(
            ("cell", "status", "deps", "add", "delete", "order", "pad", "move", "junk", "copy", "strip"),
            (10, 4, 3, 4, 2, 1, 1, 1, 1, 0.5, 0.5),
        )[0]
        if not keys or deed == "add":
            return self._insert(data, self._new_row(named=self.rng.random() < 0.5))
        key = self.rng.choice(keys)
        match deed:
            case "cell":
                return self._set_unique(data, key)
            case "status":
                word = self.rng.choice(tuple(WORDS))
                data = set_cell(data, key, "status", word)
                owner = self.rng.choice(("", "ann", "bob")) if word == "in-progress" else ""
                return set_cell(data, key, "owner", owner)
            case "deps":
                return self._set_deps(data, key, keys)
            case "delete":
                return joined([line for line in split_lines(data) if not line.split("|")[1:2] or _id(line) != key])
            case "junk":
                return self._insert(data, f"| {self.values.text('J')}x | cut")
            case _:
                return self._rearranged(data, key, deed)

    def _set_unique(self, data: bytes, key: str) -> bytes:
        shown = read_rows(data)[key].cells
        column = self.rng.choice([each for each in ("title", "note", "priority") if each in shown])
        value = str(self.values.number()) if column == "priority" else self.values.text(column[0])
        return set_cell(data, key, column, value)

    def _set_deps(self, data: bytes, key: str, keys: list[str]) -> bytes:
        known = elements(read_rows(data)[key].cells["deps"])
        if known and self.rng.random() < 0.4:
            left = [each for each in known if each != self.rng.choice(known)]
        else:
            new = self.values.text("X") if self.rng.random() < 0.7 else self.rng.choice(keys)
            left = [*known, *([] if new in (*known, key) else [new])]
        return set_cell(data, key, "deps", ", ".join(left))

    def _rearranged(self, data: bytes, key: str, deed: str) -> bytes:
        """Change the text in ways that are no edit of a value: order, blanks, a copy, a row without its id."""
        lines, rows = split_lines(data), read_rows(data)
        at = rows[key].line
        match deed:
            case "order":
                other = rows[self.rng.choice([each for each in rows if not each.startswith("?")] or [key])].line
                if rows[key].phase == next(row.phase for row in rows.values() if row.line == other):
                    lines[at], lines[other] = lines[other], lines[at]
            case "pad":
                lines[at] = lines[at].replace(" | ", "  |   ")
            case "move":
                line = lines.pop(at)
                phase = self.rng.choice(PHASES)
                places = [n for n, text in enumerate(lines) if text.startswith("|---") and phase in "".join(lines[:n])]
                lines.insert(places[-1] + 1 if places else at, line)
            case "copy":
                lines.insert(at + 1, lines[at])
            case "strip":
                lines[at] = lines[at].replace(f" {key} ", "  ", 1)
        return joined(lines)

    def _new_row(self, *, named: bool) -> Mapping[str, str]:
        return {
            "id": self.values.text("N") if named else "",
            "title": self.values.text("t"),
            "status": self.rng.choice(tuple(WORDS)) if self.rng.random() < 0.3 else "not-started",
            "priority": str(self.values.number()),
            "note": self.values.text("n"),
        }

    def _insert(self, data: bytes, row: Mapping[str, str] | str) -> bytes:
        """Put a row, or a line, somewhere into a table."""
        lines = split_lines(data)
        end = "\r\n" if b"\r\n" in data else "\n"
        places = [(at + 2, columns) for at, columns, _ in tables(data)]
        places += [(each.line + 1, tuple(each.cells)) for each in read_rows(data).values()]
        if not places:
            return data
        at, columns = self.rng.choice(places)
        lines.insert(at, (row if isinstance(row, str) else row_text(row, columns)) + end)
        return joined(lines)


@dataclass
class Session:
    """An editor at work on a file."""

    editor: Editor
    steps: Step
    stepped_at: float = 0.0


def _id(line: str) -> str:
    return line.split("|")[1].strip()
