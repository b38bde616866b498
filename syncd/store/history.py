"""Reading the audit trail that the triggers write.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from syncd.core.history import HistoryEntry, changes_between, deed_of
from syncd.ports import History
from syncd.schemas.card import Card
from syncd.store.rows import Row
from syncd.store.session import Session

_PLACE: Final = 1
"""Where an entry's columns begin: after the snapshot's place."""

_NAMES: Final = dict(zip(Card.__struct_fields__, Card.__struct_encode_fields__, strict=True))


def history(session: Session, id: str | None, limit: int | None, since: int | None) -> History:
    """Return entries of the project, or of one card, oldest first, and the place from which to read on."""
    if since is None:
        rows = session.fetch("history", id=id, limit=limit)
    else:
        rows = session.fetch("history_since", id=id, xmin=str(since))
    entries = tuple(_entry_of(row[_PLACE:]) for row in rows if row[_PLACE] is not None)
    return History(entries, int(rows[0][0]))


def _entry_of(row: Row) -> HistoryEntry:
    seq, at, id, version, op, actor, face, before, after = row
    changes = changes_between(_record(before), _record(after))
    return HistoryEntry(seq, at, id, version, deed_of(op, changes), actor, face, changes)


def _record(columns: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a record under the names of the card's JSON; a column without one keeps its own."""
    return {_NAMES.get(name, name): value for name, value in (columns or {}).items()}
