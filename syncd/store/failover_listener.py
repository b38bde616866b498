"""A subscription to a store that can be away: to the database, and to what stands in for it meanwhile.

May import ``syncd.ports``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from syncd.errors import SyncdError
from syncd.ports import Listener, Store

if TYPE_CHECKING:
    from syncd.store.reach import Reach


class FailoverListener:
    """A subscription to a database and, while that is away, to what stands in for it.

    The database's own listener connects again by itself, and so is the first to know that it is back.
    """

    def __init__(self, reach: Reach, database: Callable[[], Store], standin: Store, wake: Callable[[], None]) -> None:
        self._reach = reach
        self._database = database
        self._standin = standin
        self._wake = wake
        self._primary: Listener | None = None
        self._beside: Listener | None = None
        self._is_closed = False

    @property
    def mode(self) -> str:
        """``live`` while the database tells by itself, else ``poll``."""
        return self._primary.mode if self._primary is not None else "poll"

    def hurry(self) -> None:
        """Connect again at once where a connection was lost."""
        if self._primary is not None:
            self._primary.hurry()

    def switch(self) -> None:
        """Listen where the cards are now, and have the subscriber look."""
        is_away = self._reach.absence() is not None
        if self._primary is None and not self._is_closed:
            with suppress(SyncdError):
                self._primary = self._database().listen(self._hear)
        if is_away and self._beside is None and not self._is_closed:
            self._beside = self._standin.listen(self._wake)
        elif not is_away and self._beside is not None:
            self._beside.close()
            self._beside = None
        self._wake()

    def close(self) -> None:
        """End both subscriptions."""
        self._is_closed = True
        self._reach.forget(self)
        for each in (self._primary, self._beside):
            if each is not None:
                each.close()

    def _hear(self) -> None:
        self._reach.heard()
        self._wake()
