"""Reading the audit trail that the triggers write, and forgetting what is too old.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from syncd.core.history import HistoryEntry, changes_between, deed_of
from syncd.ports import History, Pruned, Trail
from syncd.schemas.card import Card
from syncd.store.rows import Row
from syncd.store.session import Link, Session, execute

_PLACE: Final = 1
"""Where an entry's columns begin: after the snapshot's place."""

_NAMES: Final = dict(zip(Card.__struct_fields__, Card.__struct_encode_fields__, strict=True))


def history(session: Session, id: str | None, limit: int | None, since: int | None) -> History:
    """Return entries of the project, or of one card, oldest first, and the place from which to read on."""
    if since is None:
        rows = session.fetch("history", id=id, limit=limit)
    else:
        rows = session.fetch("history_since", id=id, xmin=str(since))
    entries = tuple(entry_of(row[_PLACE:]) for row in rows if row[_PLACE] is not None)
    return History(entries, int(rows[0][0]))


def trail(session: Session, after: int | None, limit: int) -> Trail:
    """Return a page of the trail in the order of its transactions, none of which can get an entry in between."""
    rows = session.fetch("trail", after=after, limit=limit)
    entries = tuple(entry_of(row[_PLACE:]) for row in rows if row[_PLACE] is not None)
    return Trail(entries, has_more=len(entries) == limit, is_waiting=rows[0][0])


def prune(session: Session, older_than_s: float, *, dry_run: bool) -> Pruned:
    """Delete what is older and nobody needs, in one transaction; with ``dry_run`` only count it."""

    def work(link: Link) -> Pruned:
        with link.transaction(force_rollback=dry_run):
            history, commits, replicas = (
                execute(link, f"prune_{kind}", project=session.project, age=older_than_s).rowcount
                for kind in ("history", "commits", "replicas")
            )
            return Pruned(history, commits, replicas)

    return session.run(work)


def entry_of(row: Row) -> HistoryEntry:
    """Return the entry of a row of the audit trail."""
    seq, at, id, version, op, actor, face, before, after = row
    changes = changes_between(_record(before), _record(after))
    return HistoryEntry(seq, at, id, version, deed_of(op, changes), actor, face, changes)


def _record(columns: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a record under the names of the card's JSON; a column without one keeps its own."""
    return {_NAMES.get(name, name): value for name, value in (columns or {}).items()}
