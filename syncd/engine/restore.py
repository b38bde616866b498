"""Bringing a card back as it was: from its history, as a new version.

May import ``syncd.core``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from syncd.core.history import Deed, HistoryEntry, fields_of, is_live, record_at
from syncd.core.plan import Change, ChangeKind
from syncd.errors import BadValue, CycleRefused, NotFound, Refused, StaleVersion
from syncd.ports import Batch, Refusal, Store
from syncd.schemas.card import Card


def restore(store: Store, id: str, version: int | None, *, commit_id: str) -> Card:
    """Bring a deleted or archived card back, or an older version of a card; return it as it is then.

    The state comes back too, but for a claim: a lease is given by a claim only, and one that stands stays.

    Args:
        version: which; by default the last one that was live.

    Raises: NotFound without such a card or version; Refused when there is nothing to bring back, or the
    version is itself a deletion; CycleRefused; StaleVersion when the card changed meanwhile.
    """
    entries = store.history(id).entries
    if not entries:
        store.get(id)
        raise Refused(f"{id} has no history", hint=f"syncd backlog show {shlex.quote(id)}")
    chosen = _last_live(entries) if version is None else _known(entries, version)
    change = _change(entries, chosen)
    result = store.commit(Batch(commit_id, (change,), ()))
    if refusal := result.refused.get(id):
        raise _error(refusal)
    if id in result.moved:
        raise StaleVersion(f"{id} changed meanwhile", hint=f"syncd log {shlex.quote(id)}")
    return result.cards[id]


def _last_live(entries: Sequence[HistoryEntry]) -> int:
    """Return the last version at which a card that is gone was there."""
    now = entries[-1]
    if is_live(entries, now.version):
        raise Refused(
            f"{now.id} is neither deleted nor archived", hint=f"syncd restore {shlex.quote(now.id)} --version N"
        )
    for entry in reversed(entries):
        if is_live(entries, entry.version):
            return entry.version
    return entries[0].version - 1


def _known(entries: Sequence[HistoryEntry], version: int) -> int:
    id = entries[-1].id
    first = entries[0]
    is_before_all = first.op is not Deed.CREATE and version == first.version - 1
    if not is_before_all and all(entry.version != version for entry in entries):
        raise NotFound(f"{id} has no version {version}", hint=f"syncd log {shlex.quote(id)}")
    if not is_live(entries, version):
        raise Refused(f"{id} is deleted or archived in version {version}", hint=f"syncd log {shlex.quote(id)}")
    return version


def _change(entries: Sequence[HistoryEntry], version: int) -> Change:
    now = entries[-1]
    fields = fields_of(record_at(entries, version))
    if now.op is Deed.DELETE:
        return Change(ChangeKind.CREATE, now.id, fields)
    if not is_live(entries, now.version):
        return Change(ChangeKind.RESTORE, now.id, fields, version=now.version)
    if "claimed" in (record_at(entries, version).get("status"), record_at(entries, now.version).get("status")):
        fields.pop("status", None)
    return Change(ChangeKind.UPDATE, now.id, fields, version=now.version)


def _error(refusal: Refusal) -> Refused | BadValue:
    match refusal.code:
        case "cycle":
            return CycleRefused(refusal.message)
        case "bad-value":
            return BadValue(refusal.message)
        case _:
            return Refused(refusal.message)
