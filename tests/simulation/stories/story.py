"""What a kind of work is to a world."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from syncd.core.plan import Conflict
from tests.simulation.traveller import Traveller
from tests.support.memory_store import MemoryDatabase

Deed = Callable[[Traveller, int], None]
"""Something that one working copy does at a step.  Raises Killed."""

Edit = Callable[[Traveller, int], Callable[[], None] | None]
"""A deed that saves a file; returns what edits the same place once more."""


class World(Protocol):
    """What a story sees of its world."""

    random: random.Random
    database: MemoryDatabase
    travellers: Sequence[Traveller]

    def tell(self, step: int, text: str) -> None:
        """Add a line to the history."""


@dataclass
class Known:
    """What a writer wrote last, and what may stand there instead: an answer was lost, so it may have been written."""

    value: str
    perhaps: set[str] = field(default_factory=set)

    def allows(self, value: str) -> bool:
        """Return whether a value may stand there."""
        return value == self.value or value in self.perhaps


class Story:
    """One kind of work in a world: its deeds, and what must hold.

    ``edits`` are those deeds that save a file: the cycle that takes one in may die.
    """

    rows: Sequence[str] = ()
    """The lines of the task file that the story begins with."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random

    @property
    def edits(self) -> Sequence[Edit]:
        return ()

    @property
    def deeds(self) -> Sequence[Deed]:
        """What is done beside the edits."""
        return ()

    def begin(self, root: Path) -> None:
        """Put other files than the task file into a new working copy."""

    def died(self, traveller: Traveller) -> None:
        """Hear that a process has ended."""

    def allows(self, conflict: Conflict) -> bool:
        """Return whether a conflict may be told."""
        return False

    def review(self) -> None:
        """Look at what must hold at any time.  Raises Violation."""

    def check(self) -> None:
        """Look at what must hold when everybody is home.  Raises Violation."""
