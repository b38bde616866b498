"""What an attempt says: kept in a file up to a limit, its beginning and its end, and the last lines of its errors.

May import nothing of syncd.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote

KEPT_FILES: Final = 500
"""How many attempts' output a workspace keeps; the oldest go first."""

TAIL_LINES: Final = 20
TAIL_CHARACTERS: Final = 2000
_CHUNK: Final = 1 << 16
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class Output:
    """The file of one attempt: both streams as they come.

    Args:
        limit: bytes kept; of more, the first and the last half.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._half = max(1, limit // 2)
        self._file = path.open("wb", buffering=0)
        self._written = 0
        self._late: deque[bytes] = deque()
        self._late_bytes = self._left_out = 0
        self._errors = bytearray()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._left_out:
            self._file.write(f"\n… {self._left_out} bytes are left out …\n".encode())
        self._file.write(b"".join(self._late))
        self._file.close()

    async def take(self, stream: asyncio.StreamReader, *, is_errors: bool) -> None:
        """Read a stream to its end, however much comes."""
        while data := await stream.read(_CHUNK):
            self._keep(data)
            if is_errors:
                self._errors += data
                del self._errors[: -4 * TAIL_CHARACTERS]

    def last_errors(self) -> str:
        """Return the last lines that were said on the error stream, without what acts on a terminal."""
        text = _CONTROL.sub("", self._errors.decode("utf-8", "replace").replace("\r\n", "\n"))
        return "\n".join(text.strip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]

    def _keep(self, data: bytes) -> None:
        early = data[: max(0, self._half - self._written)]
        if early:
            self._file.write(early)
            self._written += len(early)
        late = data[len(early) :]
        if not late:
            return
        self._late.append(late)
        self._late_bytes += len(late)
        while self._late_bytes > self._half:
            over = self._late_bytes - self._half
            first = self._late.popleft()
            if len(first) > over:
                self._late.appendleft(first[over:])
            dropped = min(over, len(first))
            self._late_bytes -= dropped
            self._left_out += dropped


def attempt_file(folder: Path, id: str, attempt: int) -> Path:
    """Return the file for an attempt's output, after the oldest ones have made room for it."""
    kept = sorted(folder.glob("*.log"), key=lambda each: each.stat().st_mtime_ns)
    for each in kept[: max(0, len(kept) - KEPT_FILES + 1)]:
        each.unlink(missing_ok=True)
    return folder / f"{file_name(id)}.{attempt}.log"


def file_name(id: str) -> str:
    """Return a card's id as one name in a folder."""
    name = quote(id, safe="")
    return name if not name.startswith(".") else f"%2E{name[1:]}"
