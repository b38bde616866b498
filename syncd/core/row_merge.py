"""Three versions of one row, merged field by field, where neither side is a store.

What git merges are two files, and what an editor wrote over syncd's own write is a file too: no lease,
no version, no policy.  The rules are those of ``card_merge`` as far as they need none of these: a field
that one side changed takes that side's value, sets merge per element, long text by lines, ``done``
beats a state that raced it; everything else that both changed differently clashes.
May import ``syncd.core`` and ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from syncd.core.plan import Conflict, Winner
from syncd.core.set_merge import merge_lists
from syncd.core.text_merge import merge3
from syncd.core.values import BODY, CLAIM_OWNER, SETS, STATUS, is_empty, is_same, yields_to_done
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Fields, Status, Value, canonical

PARENT: Final = "extra.parent"
"""Where a row stands among others, which its indentation says."""

_APART: Final = frozenset({STATUS, STATUS_WORD, CLAIM_OWNER, OWNER_TEXT, PARENT})


class RowMerge(msgspec.Struct, frozen=True):
    """The merged values of the fields that both rows show, without those that clash.

    ``conflicts`` are in the words of reconcile; with winner ``NONE`` nothing decides, and the field is in
    ``local`` and ``remote`` with each side's value.
    """

    fields: Mapping[str, Value]
    conflicts: tuple[Conflict, ...] = ()

    @property
    def clashes(self) -> tuple[Conflict, ...]:
        """The fields that nothing decides."""
        return tuple(each for each in self.conflicts if each.winner is Winner.NONE)

    def local(self) -> dict[str, Value]:
        """Return the merged row as it is when the local side wins every clash."""
        return {**self.fields, **{each.field: each.local for each in self.clashes}}

    def remote(self) -> dict[str, Value]:
        """Return the merged row as it is when the remote side wins every clash."""
        return {**self.fields, **{each.field: each.remote for each in self.clashes}}


@dataclass(slots=True)
class _Merge:
    id: str
    base: Fields | None
    local: Fields
    remote: Fields
    fields: dict[str, Value] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def one_sided(self, name: str, base: Value, local: Value, remote: Value) -> tuple[bool, Value]:
        """Return whether at most one side changed a value, and what it is then."""
        if is_same(name, local, remote):
            return True, local
        if self.base is None:
            is_filled = is_empty(name, local) or is_empty(name, remote)
            return is_filled, remote if is_empty(name, local) else local
        if is_same(name, local, base):
            return True, remote
        return is_same(name, remote, base), local

    def clash(self, name: str, base: Value, local: Value, remote: Value, winner: Winner = Winner.NONE) -> None:
        """Record a value that both sides changed differently, and take the winner's."""
        self.conflicts.append(Conflict(self.id, name, base, local, remote, winner))
        if winner is not Winner.NONE:
            self.fields[name] = local if winner is Winner.LOCAL else remote


def merge_row(id: str, base: Fields | None, local: Fields, remote: Fields) -> RowMerge:
    """Merge two versions of a row.

    Args:
        base: the row that both came from; ``None`` when each side added it.
        local, remote: fields that only one of them has a place for are left as they are.

    Holds: the same with the sides swapped, but for the order of sets.
    """
    merge = _Merge(id, base, local, remote)
    for name in local:
        if name in remote and name not in _APART:
            _merge_field(merge, name)
    if STATUS in local and STATUS in remote:
        _merge_status(merge)
    _merge_owner(merge)
    return RowMerge(merge.fields, tuple(merge.conflicts))


def _merge_field(merge: _Merge, name: str) -> None:
    known = merge.base.get(name) if merge.base is not None else None
    here, there = merge.local[name], merge.remote[name]
    is_settled, value = merge.one_sided(name, known, here, there)
    if is_settled:
        merge.fields[name] = value
    elif name in SETS and (merged := merge_lists(known, here, there)) is not None:
        merge.fields[name] = merged
    elif name == BODY and merge.base is not None:
        text = merge3(str(known or ""), str(here or ""), str(there or ""))
        if text.is_clean:
            merge.fields[name] = canonical(text.text)
        else:
            merge.clash(name, known, here, there)
    else:
        merge.clash(name, known, here, there)


def _merge_status(merge: _Merge) -> None:
    """Settle the state, and let the author's word for it come from where the state comes from."""
    known = merge.base.get(STATUS) if merge.base is not None else None
    here, there = merge.local[STATUS], merge.remote[STATUS]
    is_settled, value = merge.one_sided(STATUS, known, here, there)
    if is_settled:
        merge.fields[STATUS] = value
    elif here == Status.DONE and yields_to_done(there):
        merge.clash(STATUS, known, here, there, Winner.LOCAL)
    elif there == Status.DONE and yields_to_done(here):
        merge.clash(STATUS, known, here, there, Winner.REMOTE)
    else:
        merge.clash(STATUS, known, here, there)
        return
    words = [merge.local.get(STATUS_WORD), merge.remote.get(STATUS_WORD)]
    if here == there:
        was = merge.base.get(STATUS_WORD) if merge.base is not None else None
        word = words[1] if words[0] == was else words[0]
    else:
        word = words[0] if merge.fields[STATUS] == here else words[1]
    if STATUS_WORD in merge.local or STATUS_WORD in merge.remote:
        merge.fields[STATUS_WORD] = word


def _merge_owner(merge: _Merge) -> None:
    """Settle the owner's cell, which has one of two names: that of the state that the row has then."""
    here, there = _owner(merge.local), _owner(merge.remote)
    if here is None or there is None:
        return
    known = _owner(merge.base) if merge.base is not None else None
    is_claimed = merge.fields.get(STATUS, merge.local.get(STATUS)) == Status.CLAIMED
    name = CLAIM_OWNER if is_claimed else OWNER_TEXT
    is_settled, value = merge.one_sided(name, known[0] if known else None, here[0], there[0])
    if is_settled:
        merge.fields[name] = value
    else:
        merge.clash(name, known[0] if known else None, here[0], there[0])


def _owner(fields: Fields) -> tuple[Value] | None:
    """Return what the owner's cell holds; ``None`` where there is no such cell."""
    return next(((fields[name],) for name in (CLAIM_OWNER, OWNER_TEXT) if name in fields), None)
