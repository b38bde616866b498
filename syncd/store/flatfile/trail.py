"""The audit trail of a manifest, in a file beside it: read when it is asked for, and bounded.

May import ``syncd.core``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from syncd.core.history import Deed, HistoryEntry
from syncd.store.flatfile.log import body_of, line_of, whole_lines
from syncd.store.flatfile.system import opened, write_all

BYTES_MAX: Final = 8 * 1024 * 1024
"""When the trail is longer, its older half is forgotten, but for the last deletion of each id."""

_decode_entry: Final = msgspec.json.Decoder(HistoryEntry).decode


class Trail:
    """The entries that were folded out of the log.

    Args:
        write: replaces a whole file durably.
    """

    def __init__(self, path: Path, write: Callable[[Path, bytes], None]) -> None:
        self._path = path
        self._write = write

    def read(self, newer: Iterable[HistoryEntry]) -> list[HistoryEntry]:
        """Return all entries, these newer ones too, each once, oldest first; a line that is damaged is left out."""
        found = {entry.seq: entry for entry in newer}
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        for line in whole_lines(data):
            if (body := body_of(line)) is not None:
                entry = _decode_entry(body)
                found[entry.seq] = entry
        return [found[seq] for seq in sorted(found)]

    def append(self, entries: Sequence[HistoryEntry]) -> None:
        """Add entries durably; the same ones again are no more than a few lines too many.  Raises OSError."""
        if not entries:
            return
        # The line end before them closes a line that a crash has torn.
        lines = b"\n".join((b"", *(line_of(each)[:-1] for each in entries), b""))
        with opened(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as handle:
            write_all(handle, lines)
            os.fdatasync(handle)
            size = os.fstat(handle).st_size
        if size > BYTES_MAX:
            self.put(_newer_half(self.read(())))

    def put(self, entries: Sequence[HistoryEntry]) -> None:
        """Keep these entries and no other."""
        self._write(self._path, b"".join(map(line_of, entries)))


def kept_since(entries: Sequence[HistoryEntry], is_kept: Callable[[HistoryEntry], bool]) -> list[HistoryEntry]:
    """Return these entries and the last deletion of each id, from which its version goes on."""
    last = {each.id: each.seq for each in entries if each.op is Deed.DELETE}
    return [each for each in entries if is_kept(each) or last.get(each.id) == each.seq]


def _newer_half(entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    middle = entries[len(entries) // 2].seq
    return kept_since(entries, lambda each: each.seq >= middle)
