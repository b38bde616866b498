"""Whose work it was that is brought into a database later: the audit trail names them, not who brings it.

May import ``syncd.core``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from syncd.core.history import HistoryEntry
from syncd.ports import Actable

FACE: Final = "offline"
"""The face of what was done while the database was away."""

_Change = TypeVar("_Change")


class Authors:
    """Who changed each card or record last while the database was away.

    Args:
        trail: the audit trail of the absence, oldest first.
        store: the database.
    """

    def __init__(self, trail: Iterable[HistoryEntry], store: Actable) -> None:
        self._last = {entry.id: entry.actor for entry in trail}
        self._store = store

    def of(self, id: str) -> str | None:
        """Return who changed it last; ``None`` where nobody is known."""
        return self._last.get(id)

    def first(self, changes: Sequence[_Change], id: Callable[[_Change], str]) -> tuple[str | None, tuple[_Change, ...]]:
        """Return the author of the first of these changes, with all that are theirs."""
        author = self.of(id(changes[0])) if changes else None
        return author, tuple(each for each in changes if self.of(id(each)) == author)

    @contextmanager
    def acting(self, author: str | None) -> Iterator[None]:
        """Have what is done to the database recorded as this author's, else as the doing of whoever brings it."""
        before = self._store.acting
        self._store.act_as(author or before[0], FACE)
        try:
            yield
        finally:
            self._store.act_as(*before)
