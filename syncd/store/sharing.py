"""Cards of one load that hold what they have in common once: at 10,000 of them it is a part of a process that shows.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from datetime import datetime
from sys import intern
from typing import Final

from msgspec.structs import force_setattr

from syncd.schemas.card import Card

_WORDS: Final = ("id", "phase", "path", "project")
_INSTANTS: Final = ("created_at", "updated_at")


class Sharing:
    """Gives the cards of one load their words and instants from a common stock.

    Words are the interpreter's own (``sys.intern``), so that they are those of the base and the files too.
    """

    def __init__(self) -> None:
        self._instants: dict[datetime, datetime] = {}

    def __call__(self, card: Card) -> Card:
        """Return this very card, what it says the same objects as in other cards."""
        for name in _WORDS:
            if (word := getattr(card, name)) is not None:
                # A caller's own kind of text, such as an enumeration's, is text all the same.
                force_setattr(card, name, intern(str(word)))
        for name in _INSTANTS:
            if (at := getattr(card, name)) is not None:
                force_setattr(card, name, self._instants.setdefault(at, at))
        return card
