"""How a worker is, from when it was last heard of.  May import nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

BEAT_S: Final = 5.0
"""How often a worker says that it is there."""

STALE_S: Final = 3 * BEAT_S
DEAD_S: Final = 12 * BEAT_S


class WorkerState(StrEnum):
    """What can be said of a worker."""

    RUNNING = "running"
    DRAINING = "draining"
    """It claims nothing more and ends when its cards are done."""
    STALE = "stale"
    """Not heard of for three beats: it may be cut off from the store."""
    DEAD = "dead"
    """Its process is gone, or was not heard of for a minute."""


def worker_state(age_s: float, *, is_gone: bool, is_ordered_out: bool) -> WorkerState:
    """Return how a worker is.

    Args:
        age_s: how long ago it was heard of.
        is_gone: its process is known to have ended.
        is_ordered_out: it was told to drain or to end.
    """
    if is_gone or age_s > DEAD_S:
        return WorkerState.DEAD
    if age_s > STALE_S:
        return WorkerState.STALE
    return WorkerState.DRAINING if is_ordered_out else WorkerState.RUNNING
