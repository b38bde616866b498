"""Programs that save a task file in the ways that programs do, one after the other and against syncd.

Those that keep the file open write into what they read, whatever has taken its name meanwhile.  The one
that renames may save an old buffer over a newer file, as people's editors do; it notes when it did.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from syncd.files.atomic import exchange

_PAUSE_S = 0.02


class Editors:
    """Three programs that add rows to a file, by turns, in one thread, until ``close``.

    Args:
        path: the task file.
        row: makes the text of a row from its number; even numbers go without an id.
        mark: the line before which rows are added.
    """

    def __init__(self, path: Path, row: Callable[[int], str], mark: str) -> None:
        self._path = path
        self._row = row
        self._mark = mark
        self._is_closing = threading.Event()
        self.rows = 0
        self.stale_saves = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="editors")
        self._thread.start()

    def close(self) -> None:
        """End after the save under way; raise what went wrong."""
        self._is_closing.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        ways = (self._truncate, self._rename, self._write_halves)
        try:
            while not self._is_closing.is_set():
                ways[self.rows % len(ways)](self._row(self.rows))
                self.rows += 1
                self._is_closing.wait(_PAUSE_S)
        except BaseException as error:  # noqa: BLE001 - raised again by close, in the thread of the test
            self.failure = error

    def _with(self, row: str, text: str) -> str:
        before, mark, after = text.rpartition(self._mark)
        assert mark, text
        return f"{before}{row}{mark}{after}"

    def _truncate(self, row: str) -> None:
        """Read, empty the file, and write it anew."""
        with self._path.open("r+") as file:
            text = self._with(row, file.read())
            file.seek(0)
            file.truncate()
            file.write(text)

    def _rename(self, row: str) -> None:
        """Read, write another file, and give it the name; look what lost the name."""
        read = self._path.read_bytes()
        fresh = self._path.with_name(".TASKS.md.swp")
        fresh.write_text(self._with(row, read.decode()))
        exchange(fresh, self._path)
        self.stale_saves += fresh.read_bytes() != read
        fresh.unlink()

    def _write_halves(self, row: str) -> None:
        """Read, and write the file's end over itself in two pieces with a pause between them."""
        with self._path.open("r+b", buffering=0) as file:
            read = file.read() or b""
            text = self._with(row, read.decode()).encode()
            same = next(
                (at for at, (was, is_now) in enumerate(zip(read, text, strict=False)) if was != is_now), len(read)
            )
            file.seek(same)
            middle = (same + len(text)) // 2
            file.write(text[same:middle])
            self._is_closing.wait(_PAUSE_S)
            file.write(text[middle:])
