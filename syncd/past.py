"""The past of a workspace, as every face sees it: what changed, a card as it was, the task file as it was.

May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from syncd.core.history import HistoryEntry
    from syncd.engine.report import CycleReport
    from syncd.engine.waiting import Stop
    from syncd.schemas.card import Card
    from syncd.wiring import Wiring


class Undo(msgspec.Struct, frozen=True):
    """A task file that was put back; ``kept`` is where what it was until then is, ``report`` the sync after it."""

    path: str
    kept: str
    report: CycleReport


class Past:
    """The audit trail, and the ways back.

    Args:
        sync: brings files and store together now.
        nudge: does so as far as the store can be reached.
    """

    def __init__(self, wiring: Wiring, *, sync: Callable[[], CycleReport], nudge: Callable[[], None]) -> None:
        self._wiring = wiring
        self._sync = sync
        self._nudge = nudge

    def history(self, id: str | None = None, *, limit: int | None = None) -> tuple[HistoryEntry, ...]:
        """Return the audit trail of all cards or of one, the last ``limit`` entries, oldest first.

        Raises: NotFound when there neither is nor was a card ``id``.
        """
        store = self._wiring.store(may_make=False)
        entries = store.history(id, limit=limit).entries
        if id is not None and not entries:
            store.get(id)
        return entries

    def follow(
        self, id: str | None = None, *, limit: int | None = None, stop: Stop | None = None
    ) -> Iterator[HistoryEntry]:
        """Yield what ``history`` returns, and then every entry that is written, until ``stop``."""
        from syncd.engine.following import follow

        return follow(self._wiring.followed(), id, limit, stop)

    def restore(self, id: str, version: int | None = None) -> Card:
        """Bring a deleted or archived card back, or an older version of a card, into store and file.

        Raises: NotFound, Refused, CycleRefused, StaleVersion.
        """
        from syncd.engine.restore import restore

        card = restore(self._wiring.store(), id, version, commit_id=self._wiring.new_commit_id())
        self._nudge()
        return card

    def undo(self, path: str | None = None) -> Undo:
        """Put a task file back as it was before syncd's last write to it, and sync that as an edit.

        Args:
            path: which; may be left out where syncd wrote only one.

        Raises: NotFound when there is nothing to undo, Refused when the file was edited since, Busy while a
        script holds the lock for editing.
        """
        from syncd.engine.report import CycleReport
        from syncd.engine.undo import choose_file

        path = choose_file(self._wiring.files, path)
        if (answer := self._wiring.ask({"op": "undo", "path": path})) is not None:
            return Undo(path, answer["kept"], CycleReport.from_wire(answer["report"]))
        done = self._wiring.cycle().undo(path)
        return Undo(path, done.kept, self._sync())
