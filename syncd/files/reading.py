"""A stable look at a file: stat, bytes, stat, and the two stats equal.

May import ``syncd.ports``.
"""

from __future__ import annotations

import itertools
import os
import shlex
import stat
import time
from pathlib import Path
from typing import Final

from syncd.files import atomic
from syncd.files.atomic import Signature, failure
from syncd.ports import FileRead

_LOOKS_MAX: Final = 5
"""How often a file that changes under the reader is read again before that is reported."""

_RACY_NS: Final = 20_000_000
"""Time stamps advance by ticks of up to 10 ms: writes within one leave the same stat."""

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Reader:
    """Reads files whole, up to ``bytes_max``; what cannot be read is told, never raised."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._serial = itertools.count()

    def read(self, path: str, target: Path) -> FileRead:
        """Return a look at a file.

        Args:
            path: its name, for the result and for messages.
            target: where it is; the last part is no link.
        """
        for _ in range(_LOOKS_MAX):
            if (look := self._look(path, target)) is not None:
                return look
        return FileRead(path, None, None, self.signature(target), f"{path} changes while it is read.")

    def signature(self, target: Path) -> Signature | None:
        """Return a file's signature, unlike every other one while the file is young; ``None`` when out of reach."""
        try:
            mark = atomic.signature(target)
        except OSError:
            return None
        return None if mark is None else self._guarded(mark)

    def _look(self, path: str, target: Path) -> FileRead | None:
        try:
            handle = os.open(target, _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            return FileRead(path, None, None, None)
        except OSError as error:
            told = failure(error, f"{path} cannot be read").message
            remedy = f"chmod u+r {shlex.quote(path)}" if isinstance(error, PermissionError) else None
            return FileRead(path, None, None, self.signature(target), told, remedy=remedy)
        mark = None
        try:
            before = os.fstat(handle)
            mark = atomic.signature_of(before)
            if not stat.S_ISREG(before.st_mode):
                remedy = "Put a regular file in its place"
                return FileRead(path, None, None, mark, f"{path} is no regular file.", remedy=remedy)
            if before.st_size > self._bytes_max:
                told = f"{path} has {before.st_size} bytes; at most {self._bytes_max} are read (`bytes_max`)."
                remedy = f"Make it smaller, or have more read: syncd config set bytes_max {2 * before.st_size}"
                return FileRead(path, None, None, mark, told, remedy=remedy)
            data = _whole(handle, before.st_size)
            if len(data) != before.st_size or atomic.signature(target) != mark:
                return None
        except OSError as error:
            return FileRead(path, None, None, mark, failure(error, f"{path} cannot be read").message)
        finally:
            os.close(handle)
        return FileRead(path, data, atomic.digest(data), self._guarded(mark), links=before.st_nlink)

    def _guarded(self, mark: Signature) -> Signature:
        """Make the signature of a file that changed a moment ago unlike every other one."""
        if abs(time.time_ns() - max(mark[:2])) < _RACY_NS:
            return (*mark, next(self._serial))
        return mark


def _whole(handle: int, size: int) -> bytes:
    """Read to the end, or one byte beyond ``size``: more than that is a file that grows."""
    pieces: list[bytes] = []
    left = size + 1
    while left > 0 and (piece := os.read(handle, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
