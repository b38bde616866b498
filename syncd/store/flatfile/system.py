"""The few calls of the operating system that the files of a manifest need.

Imports nothing of syncd.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_READ_BYTES: Final = 1 << 20


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file, no link, for one moment; a new one is private."""
    handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def read_from(handle: int, start: int) -> bytes:
    """Return what a file holds from a place on."""
    parts: list[bytes] = []
    while part := os.pread(handle, _READ_BYTES, start):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def bytes_of(path: Path) -> bytes | None:
    """Return what a file holds; ``None`` when it is absent."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def signature(found: os.stat_result) -> tuple[int, ...]:
    """Return what changes whenever a file may have changed."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev)
