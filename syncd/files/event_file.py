"""The file that events are appended to, one JSON object a line, where its folder says that somebody wants them.

Others may append to it too, and may take it away at any moment.  May import ``syncd.errors``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from syncd.errors import InputOutputError
from syncd.files.atomic import failure
from syncd.files.layout import Layout
from syncd.files.paths import inside

EVENTS_PATH: Final = ".mosaic/orchestrator/events.ndjson"


class EventFile:
    """The event file of one workspace; implements ``ports.LineFile``."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.root

    def is_wanted(self) -> bool:
        """Return whether the folder for it is there."""
        return (self._root / EVENTS_PATH).parent.is_dir()

    def read_from(self, offset: int) -> bytes | None:
        """Return what stands behind an offset; ``None`` when the file is absent or shorter."""
        try:
            with self._path().open("rb") as file:
                if os.fstat(file.fileno()).st_size < offset:
                    return None
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, f"Cannot read {EVENTS_PATH}") from error

    def append(self, data: bytes, *, cut: int = 0) -> int:
        """Add lines durably, and return how long the file is then.

        Args:
            cut: bytes at its end that go first: a line that a crash has torn.

        Raises: InputOutputError; what was added may be torn.
        """
        try:
            handle = os.open(self._path(), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise failure(error, f"Cannot write {EVENTS_PATH}") from error
        try:
            size = os.fstat(handle).st_size
            if cut:
                os.ftruncate(handle, size - cut)
                size -= cut
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
            return os.fstat(handle).st_size
        except OSError as error:
            raise failure(error, f"Cannot write {EVENTS_PATH}") from error
        finally:
            os.close(handle)

    def _path(self) -> Path:
        try:
            return inside(self._root, EVENTS_PATH)
        except InputOutputError as error:
            raise InputOutputError(error.message, hint="Put the folder inside the workspace.") from error
