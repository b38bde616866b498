"""Waiting for task files that somebody is writing.

May import ``syncd.core``, ``syncd.engine.report``, ``syncd.errors``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from syncd.core.plan import Hold, Wait
from syncd.engine.report import CycleReport
from syncd.errors import Busy

SETTLE_S_MAX: Final = 5.0
"""How long a single run waits for a file that is being written."""

HOLDS_WAIT_S: Final = 3.0
"""How long a decision about holds waits for a file that still settles."""


def settled(run: Callable[[], CycleReport], *, on_wait: Callable[[Wait], None] = lambda wait: None) -> CycleReport:
    """Run cycles until no file is unsettled, or it has been waited for long enough; ``on_wait`` is told for which."""
    deadline = time.monotonic() + SETTLE_S_MAX
    report = run()
    while report.waits and time.monotonic() < deadline:
        for wait in report.waits:
            on_wait(wait)
        time.sleep(min(wait.retry_ms for wait in report.waits) / 1000)
        report = report.then(run())
    return report


def holds_now(look: Callable[[], CycleReport]) -> tuple[Hold, ...]:
    """Return the holds; while there are none, a file that settles in a moment is waited for.

    A file that was emptied just now is held two seconds later: who asks in between is not told that nothing is.
    """
    deadline = time.monotonic() + HOLDS_WAIT_S
    while not (report := look()).held:
        left_s = deadline - time.monotonic()
        soon_s = [wait.retry_ms / 1000 for wait in report.waits if wait.retry_ms / 1000 <= left_s]
        if not soon_s:
            break
        time.sleep(min(soon_s))
    return report.held


def settled_holds(look: Callable[[], CycleReport]) -> tuple[Hold, ...]:
    """Return the holds, once there are any: a file that still settles is waited for.

    Raises: Busy when nothing is held yet and a file takes longer.
    """
    deadline = time.monotonic() + HOLDS_WAIT_S
    while not (report := look()).held and report.waits:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            wait = report.waits[0]
            left = f"{wait.reason} ({math.ceil(wait.retry_ms / 1000)} s more)"
            hint = f"{left}. {wait.hint}" if wait.hint else f"{left}; try again."
            raise Busy(f"nothing is held yet: {wait.path} is still settling", hint=hint)
        time.sleep(min(left_s, *(wait.retry_ms / 1000 for wait in report.waits)))
    return report.held
