"""Parts of a plan: taking one out, putting another in.

The guards work on parts: what they hold leaves the plan, and the rest goes on (I12).  May import
``syncd.core.plan`` and ``values``.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from syncd.core.plan import Change, ChangeKind, Conflict, FieldName, Plan, Winner
from syncd.core.values import CLAIM_OWNER, STATUS
from syncd.schemas.card import STATUS_WORD


class Part(msgspec.Struct, frozen=True):
    """A part of a plan: what it would do with one card, or only with some of its fields, on one side or both."""

    id: str
    fields: frozenset[FieldName] | None = None
    to_store: bool = True
    to_file: bool = True


def parts_of_file(plan: Plan, path: str) -> list[Part]:
    """Return everything that a plan does with the cards of a file."""
    ids = dict.fromkeys(each.id for each in (*plan.to_store, *plan.to_file) if each.path == path)
    return [Part(id) for id in ids]


def split(plan: Plan, parts: Iterable[Part]) -> tuple[Plan, Plan]:
    """Return what the plan does with these parts, and the rest of it.

    A field of a change that adds or takes away a whole card takes that change with it.  Conflicts go
    with the fields that they are about.
    """
    chosen: dict[str, Part] = {}
    for part in parts:
        chosen[part.id] = _united(chosen[part.id], part) if part.id in chosen else part
    if not chosen:
        return Plan(), plan
    to_store = [
        _cut(each, chosen.get(each.id) if each.id in chosen and chosen[each.id].to_store else None)
        for each in plan.to_store
    ]
    to_file = [
        _cut(each, chosen.get(each.id) if each.id in chosen and chosen[each.id].to_file else None)
        for each in plan.to_file
    ]
    whole = {id for id, part in chosen.items() if part.fields is None}
    taken = Plan(
        to_store=tuple(change for change, _ in to_store if change),
        to_file=tuple(change for change, _ in to_file if change),
        conflicts=tuple(each for each in plan.conflicts if _is_about(each, chosen.get(each.id))),
    )
    rest = Plan(
        to_store=tuple(change for _, change in to_store if change),
        to_file=tuple(change for _, change in to_file if change),
        conflicts=tuple(each for each in plan.conflicts if not _is_about(each, chosen.get(each.id))),
        agreed=tuple(id for id in plan.agreed if id not in whole),
        forgotten=tuple(id for id in plan.forgotten if id not in whole),
    )
    return taken, rest


def without_writes(plan: Plan, writes: Iterable[Change]) -> Plan:
    """Return the plan less some of its file changes, and less the conflicts that those would decide."""
    parts = [
        Part(each.id, frozenset(each.fields) if each.kind is ChangeKind.UPDATE else None, to_store=False)
        for each in writes
    ]
    return split(plan, parts)[1]


def _united(one: Part, other: Part) -> Part:
    """Return both parts of one card as one."""
    is_whole = one.fields is None or other.fields is None
    fields = None if is_whole else (one.fields or frozenset()) | (other.fields or frozenset())
    return Part(one.id, fields, one.to_store or other.to_store, one.to_file or other.to_file)


def _cut(change: Change, part: Part | None) -> tuple[Change | None, Change | None]:
    """Return the part of a change, and the rest of it."""
    if part is None:
        return None, change
    if part.fields is None:
        return change, None
    inside = frozenset(change.fields) & _with_state(part.fields)
    if not inside:
        return None, change
    if change.kind not in (ChangeKind.UPDATE, ChangeKind.CLAIM) or len(inside) == len(change.fields):
        return change, None
    return _only(change, inside), _only(change, frozenset(change.fields) - inside)


def _with_state(names: frozenset[FieldName]) -> frozenset[FieldName]:
    """Return the fields, with those that say nothing without the status where that is among them."""
    return names | {CLAIM_OWNER, STATUS_WORD} if STATUS in names else names


def _only(change: Change, names: frozenset[FieldName]) -> Change:
    """Return a change of these fields alone."""
    return replace(
        change,
        kind=change.kind if STATUS in names else ChangeKind.UPDATE,
        fields={name: value for name, value in change.fields.items() if name in names},
        before={name: value for name, value in change.before.items() if name in names},
    )


def _is_about(conflict: Conflict, part: Part | None) -> bool:
    """Return whether a conflict belongs to a part: the loser in it would be overwritten by that part."""
    if part is None or (part.fields is not None and conflict.field not in _with_state(part.fields)):
        return False
    match conflict.winner:
        case Winner.LOCAL:
            return part.to_store
        case Winner.REMOTE:
            return part.to_file
        case Winner.NONE:
            return part.fields is None and part.to_store and part.to_file


def join(plan: Plan, more: Plan) -> Plan:
    """Return both plans as one; where both update a card on one side, the second's values stand."""
    return Plan(
        to_store=_join_changes(plan.to_store, more.to_store),
        to_file=_join_changes(plan.to_file, more.to_file),
        conflicts=tuple(dict.fromkeys(plan.conflicts + more.conflicts)),
        agreed=tuple(dict.fromkeys(plan.agreed + more.agreed)),
        forgotten=tuple(dict.fromkeys(plan.forgotten + more.forgotten)),
    )


def _join_changes(first: tuple[Change, ...], second: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes of a side, one for each card; a change of the whole card stands over an update."""
    joined = {change.id: change for change in first}
    for change in second:
        known = joined.get(change.id)
        if known is None or change.kind not in (ChangeKind.UPDATE, ChangeKind.CLAIM):
            joined[change.id] = change
        elif known.kind in (ChangeKind.UPDATE, ChangeKind.CLAIM):
            joined[change.id] = replace(
                known,
                kind=change.kind if STATUS in change.fields else known.kind,
                fields={**known.fields, **change.fields},
                before={**change.before, **known.before},
            )
    return tuple(joined.values())
