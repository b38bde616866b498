"""Conflicts that wait for an answer (``policy: ask``): each field has one open record, for the values as they are now.

May import ``syncd.core``, ``syncd.ports``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from syncd.core.plan import Conflict, Winner
from syncd.ports import State, SyncStore

ASKED: Final = "conflicts.asked"
"""Under this name the state remembers the clashes that were asked about in the last cycle."""

SUPERSEDED: Final = "superseded"


def settle_past(store: SyncStore, state: State, conflicts: Iterable[Conflict], replica: str) -> None:
    """Settle the records of clashes that are no more: the sides agree again, or hold other values.

    Args:
        conflicts: those of this cycle, recorded by now.
        replica: this working copy; what others ask about is theirs.

    Effects: nothing while the same is asked as in the last cycle.
    """
    now = {_key(each): each for each in conflicts if each.winner is Winner.NONE}
    known = state.meta(ASKED)
    asked = json.dumps(sorted(now))
    if asked == (known or "[]"):
        return
    past = set(json.loads(known or "[]")) - now.keys()
    for record in store.conflicts() if past else ():
        if record.replica == replica and _key(record.conflict) in past and record.conflict.winner is Winner.NONE:
            store.settle(record, SUPERSEDED)
    state.set_meta(ASKED, asked)


def _key(conflict: Conflict) -> str:
    """Return what tells one clash from another."""
    return json.dumps([conflict.id, conflict.field, conflict.local, conflict.remote])
