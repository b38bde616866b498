"""What a cycle brings together beside the task files, under the same lock.

May import ``syncd.engine.report``.
"""

from __future__ import annotations

from typing import Protocol

from syncd.engine.report import CycleReport, Preview


class Companion(Protocol):
    """A second part of each cycle: the missions."""

    def has_news(self) -> bool:
        """Return whether anything may have moved since the last run."""

    def run(self, *, full: bool = False) -> CycleReport:
        """Bring both sides together; with nothing to do nothing is written."""

    def preview(self, *, is_alone: bool = False) -> Preview:
        """Look and plan, and write nothing; alone with the store away."""

    def next_look_s(self) -> float | None:
        """Return in how many seconds a file that was replaced is to be looked at again; ``None`` for never."""


class NoCompanion:
    """The task files are all there is."""

    def has_news(self) -> bool:
        """Return that nothing moved."""
        return False

    def run(self, *, full: bool = False) -> CycleReport:
        """Do nothing."""
        return CycleReport()

    def preview(self, *, is_alone: bool = False) -> Preview:
        """Plan nothing."""
        return Preview(CycleReport(), ())

    def next_look_s(self) -> float | None:
        """Return that there is nothing to look at."""
        return None
