"""Running a command while the lock for editing task files is held, as ``flock(1)`` does.

May import ``syncd.files``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from syncd.files import forwarding
from syncd.files.layout import Layout
from syncd.files.lock import HELD_VARIABLE, advisory_lock, is_held_above
from syncd.files.workspace import make_dot


def run_locked(layout: Layout, command: Sequence[str], environ: Mapping[str, str], *, wait_s: float | None) -> int:
    """Run a command with the lock held, and return its exit code; signals sent to this process go on to it.

    Args:
        wait_s: how long to wait for the lock; ``None`` for ever.

    Raises: Busy when somebody else holds it for longer; as ``forwarding.run``.
    Effects: ``SYNCD_LOCK_HELD`` tells the command's own calls of syncd that the lock is theirs.
    """
    make_dot(layout)
    lock = nullcontext() if is_held_above(layout, environ) else advisory_lock(layout, -1 if wait_s is None else wait_s)
    with lock:
        return forwarding.run(command, {**environ, HELD_VARIABLE: str(layout.advisory_lock)})
