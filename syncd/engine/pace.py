"""How often a task file may be rewritten: a token bucket, so that an editor meets syncd rarely.

The first writes go at once, later ones at a steady rate; what waits goes in one write.
Imports nothing of syncd.
"""

from __future__ import annotations

from collections.abc import Callable

BURST = 4


class Pace:
    """One bucket a file.

    Args:
        interval_ms: the time in which a file earns one more write.
        monotonic: seconds from any start.
    """

    def __init__(self, interval_ms: int, monotonic: Callable[[], float]) -> None:
        self._interval_s = interval_ms / 1000
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        """When the bucket of a path is full again: each write moves it one interval on."""

    def wait_ms(self, path: str) -> int:
        """Return how long the next write of a file has to wait, 0 for not at all."""
        ahead_s = self._full_at.get(path, 0.0) - self._monotonic() - (BURST - 1) * self._interval_s
        return max(0, -int(-ahead_s * 1000 // 1))

    def wrote(self, path: str) -> None:
        """Count a write."""
        self._full_at[path] = max(self._full_at.get(path, 0.0), self._monotonic()) + self._interval_s
