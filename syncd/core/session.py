"""Sessions of a mission: which process each is, and whether it still lives.

A pid alone proves nothing, since the kernel gives it to somebody else in time.  A process is named for good
by host, boot, pid and the clock tick at which it started; a session that holds a lock is alive for as long
as the kernel says that the lock is held.  Both are looked at on the session's own host only; of a session
elsewhere its heartbeat tells.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

STALE_AFTER_S: Final = 300.0
"""So long after its last heartbeat a session counts as running."""


class Liveness(StrEnum):
    """How a session is."""

    RUNNING = "running"
    STALE = "stale"
    """Nothing was heard of it for long, and nothing proves that it ended."""
    DEAD = "dead"
    """Its process is gone, and it did not end the session."""
    ENDED = "ended"


class Proof(msgspec.Struct, frozen=True):
    """What names a session's process; all empty for one that only beats."""

    host: str | None = None
    boot: str | None = None
    pid: int | None = None
    process_started: int | None = None
    has_lock: bool = False


class Session(msgspec.Struct, frozen=True):
    """One session as the store has it; ``now`` is the store's clock at that moment."""

    mission: str
    id: str
    runtime: str | None
    milestone_id: str | None
    last_task_id: str | None
    started_at: datetime
    ended_at: datetime | None
    ended_reason: str | None
    seen_at: datetime
    proof: Proof
    now: datetime

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return max(0.0, (self.now - self.seen_at).total_seconds())


def liveness(session: Session, is_alive: bool | None) -> Liveness:
    """Return how a session is.

    Args:
        is_alive: what its host says of its process or lock; ``None`` where nobody here can tell.
    """
    if session.ended_at is not None:
        return Liveness.ENDED
    if is_alive is False:
        return Liveness.DEAD
    if is_alive and session.proof.has_lock:
        return Liveness.RUNNING
    return Liveness.RUNNING if session.silent_s <= STALE_AFTER_S else Liveness.STALE
