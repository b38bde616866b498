"""What syncd itself wrote last, field by field: the history in which a field is seen to go to and fro.

May import ``syncd.core``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from syncd.core.sight import OwnWrite
from syncd.core.values import is_same

OWN_WRITES_MAX: Final = 200


class OwnWrites:
    """The last writes, oldest first, at most ``OWN_WRITES_MAX``; noting one costs the same however many there are."""

    def __init__(self) -> None:
        self._writes: deque[OwnWrite] = deque()
        self._last: dict[tuple[str, str], OwnWrite] = {}

    def __iter__(self) -> Iterator[OwnWrite]:
        return iter(self._writes)

    def note(self, write: OwnWrite) -> None:
        """Add to the history of a field; the same word of the same side again is none."""
        last = self._last.get((write.id, write.field))
        if last is not None and last.side == write.side and is_same(write.field, last.value, write.value):
            return
        if len(self._writes) == OWN_WRITES_MAX:
            oldest = self._writes.popleft()
            if self._last.get((oldest.id, oldest.field)) is oldest:
                del self._last[oldest.id, oldest.field]
        self._writes.append(write)
        self._last[write.id, write.field] = write

    def keep(self, is_wanted: Callable[[OwnWrite], bool]) -> None:
        """Forget all others."""
        kept = list(filter(is_wanted, self._writes))
        self.clear()
        for write in kept:
            self.note(write)

    def clear(self) -> None:
        """Forget all."""
        self._writes.clear()
        self._last.clear()
