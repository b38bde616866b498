"""Task files that are not to be written now: a script edits them, or they were written a moment ago.

What such a file is to get waits, and goes in one write later; edits in it reach the store meanwhile.
May import ``syncd.core``, ``syncd.ports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from syncd.core.plan import ChangeKind, Wait
from syncd.core.sight import Guarded
from syncd.engine.observe import LocalView
from syncd.engine.pace import Pace
from syncd.ports import EditLock

LOCKED_RETRY_MS: Final = 100
"""When a file is looked at again while a script holds the lock."""


class Postponement:
    """Tells which files wait, and for whom.

    Args:
        pace: how often files may be rewritten; ``None`` for a single run.
        edit_lock: held while files are replaced, so that a script that holds it is not raced; ``None``
            where no scripts are.
    """

    def __init__(self, pace: Pace | None, edit_lock: EditLock | None) -> None:
        self._pace = pace
        self._edit_lock = edit_lock

    def waits(self, view: LocalView) -> dict[str, Wait]:
        """Return the task files that are not to be written now, each with why and for how long."""
        return self.waits_of(view.reads)

    def waits_of(self, paths: Iterable[str]) -> dict[str, Wait]:
        """Return which of these files are not to be written now, each with why and for how long."""
        if self._edit_lock is not None and (holder := self._edit_lock.holder()) is not None:
            reason = f"{holder} holds the lock for editing task files"
            return {path: Wait(path, reason, LOCKED_RETRY_MS) for path in paths}
        if self._pace is None:
            return {}
        left_ms = {path: self._pace.wait_ms(path) for path in paths}
        return {path: Wait(path, "written a moment ago", ms) for path, ms in left_ms.items() if ms > 0}

    def writing(self) -> AbstractContextManager[bool]:
        """Take the lock for editing at once or not at all; give whether files may be replaced."""
        return nullcontext(True) if self._edit_lock is None else self._edit_lock.taken()

    def wrote(self, path: str) -> None:
        """Count a write of a file."""
        if self._pace is not None:
            self._pace.wrote(path)


def wanted(waits: Mapping[str, Wait], guarded: Guarded, view: LocalView) -> tuple[Wait, ...]:
    """Return the waits of files that have something to be written."""
    paths = {change.path for change in guarded.plan.to_file} | {row.path for row in view.nameless}
    if any(change.kind is ChangeKind.CREATE and change.path is None for change in guarded.plan.to_file):
        paths.update(list(view.reads)[:1])
    return tuple(wait for path, wait in waits.items() if path in paths)
