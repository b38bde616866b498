"""How long each step of a cycle took, so that a slow cycle can say which one it was.

May import the standard library.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """What a cycle is at; the first is recovery, the others are the eight steps."""

    RECOVER = "recover"
    READ_FILES = "read_files"
    READ_STORE = "read_store"
    PLAN = "plan"
    JOURNAL = "journal"
    COMMIT = "commit"
    REPLACE = "replace"
    BASE = "base"
    CLEAR = "clear"


class StepClock:
    """Adds up the time of each step, over the passes of a cycle.

    Args:
        monotonic: seconds from any start.
        on_step: called as each step begins: a sign of life in a long cycle.
    """

    def __init__(self, monotonic: Callable[[], float], on_step: Callable[[], None] = lambda: None) -> None:
        self._monotonic = monotonic
        self.on_step = on_step
        self._step: Step | None = None
        self._since = 0.0
        self._took_s: dict[Step, float] = {}

    def start(self) -> None:
        """Forget the cycle before."""
        self._took_s = {}
        self._step = None

    def begin(self, step: Step) -> None:
        """End the step under way and begin another."""
        self.end()
        self._step, self._since = step, self._monotonic()
        self.on_step()

    def end(self) -> None:
        """End the step under way."""
        if self._step is not None:
            spent = self._monotonic() - self._since
            self._took_s[self._step] = self._took_s.get(self._step, 0.0) + spent
            self._step = None

    @property
    def took_ms(self) -> dict[str, float]:
        """What each step of the last cycle took, in their order; empty after one with nothing to do."""
        return {step.value: round(spent * 1000, 2) for step, spent in self._took_s.items()}
