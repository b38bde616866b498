"""What rejecting and accepting make of a part of a plan: the local side undone, or offered to the store.

Rejecting gives the files the store's values; what the files said is recorded as conflicts, so that
nothing is lost.  May import ``syncd.core``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec.structs import replace

from syncd.core import lease
from syncd.core.card_merge import take_back
from syncd.core.parts import join
from syncd.core.plan import CARD_FIELD, Change, ChangeKind, Conflict, Hold, LocalCard, Plan, RemoteCard, Winner
from syncd.core.reconcile import offer, render
from syncd.core.settling import vanished
from syncd.core.sight import Sight
from syncd.core.trips import CYCLE, EMPTIED, STORE_REWOUND
from syncd.core.values import CLAIM_OWNER, DEPENDS_ON, STATUS, is_empty, stored
from syncd.schemas.card import OWNER_TEXT, STATUS_WORD, Status, Value


def undone(taken: Plan, holds: Collection[Hold], sight: Sight) -> Plan:
    """Return what rejecting these holds of one guard does instead of the part that they held.

    A change of a row is taken back, a vanished row comes back, a new row goes; a row that the store
    dropped is offered to it again.  A store that went back keeps its values, and the files get them.
    """
    guards = {hold.guard for hold in holds}
    if STORE_REWOUND in guards:
        return replace(taken, conflicts=(*taken.conflicts, *_given_up(taken, sight)))
    if EMPTIED in guards:
        gone = vanished(sight)
        rows = [render(sight.remote[id], hold.id) for hold in holds for id in gone.get(hold.id, ())]
        return Plan(to_file=tuple(rows))
    is_cycle = CYCLE in guards
    undos = [_undo(change, sight, is_cycle=is_cycle) for change in taken.to_store]
    dropped = [each.id for each in taken.to_file if each.kind is ChangeKind.REMOVE]
    passing = Plan(
        to_store=tuple(_offer_again(sight.local[id], sight) for id in dropped),
        to_file=tuple(each for each in taken.to_file if each.kind is not ChangeKind.REMOVE),
        conflicts=tuple(each for each in taken.conflicts if each.winner is Winner.REMOTE),
    )
    return join(passing, _together(undos))


def offered(taken: Plan, sight: Sight) -> Plan:
    """Return the plan that gives a store that went back what the files say; the old values are recorded.

    Cards that only the store has come to the files; nothing is deleted for the store's sake.
    """
    offers: list[Plan] = []
    for change in taken.to_file:
        if change.kind is ChangeKind.CREATE:
            offers.append(Plan(to_file=(change,)))
        elif change.kind is ChangeKind.REMOVE:
            offers.append(Plan(to_store=(_offer_again(sight.local[change.id], sight),)))
        else:
            offers.append(_offer_fields(change, sight))
    kept = Plan(
        to_store=taken.to_store,
        conflicts=tuple(each for each in taken.conflicts if each.winner is not Winner.REMOTE),
    )
    return join(kept, _together(offers))


def _given_up(taken: Plan, sight: Sight) -> Iterator[Conflict]:
    """Yield what the files say and a store that went back has forgotten: to its ancestor that is no clash."""
    known = {(each.id, each.field) for each in taken.conflicts}
    for change in taken.to_file:
        base = sight.base[change.id].fields if change.id in sight.base else {}
        if change.kind is ChangeKind.REMOVE:
            title = change.before.get("title") or change.id
            yield Conflict(change.id, CARD_FIELD, base.get("title"), title, None, Winner.REMOTE)
        elif change.kind is ChangeKind.UPDATE:
            for name, value in change.fields.items():
                lost = change.before.get(name)
                if name != STATUS_WORD and (change.id, name) not in known and not is_empty(name, lost):
                    yield Conflict(change.id, name, base.get(name), lost, value, Winner.REMOTE)


def _together(plans: Collection[Plan]) -> Plan:
    """Return plans about different cards as one."""
    return Plan(
        to_store=tuple(change for plan in plans for change in plan.to_store),
        to_file=tuple(change for plan in plans for change in plan.to_file),
        conflicts=tuple(conflict for plan in plans for conflict in plan.conflicts),
    )


def _undo(change: Change, sight: Sight, *, is_cycle: bool) -> Plan:
    """Return what undoes one change that the files asked for."""
    local, remote = sight.local.get(change.id), sight.remote.get(change.id)
    if local is None:
        return Plan() if remote is None else Plan(to_file=(render(remote, change.path),))
    if change.kind in (ChangeKind.UPDATE, ChangeKind.CLAIM) and remote is not None:
        return _take_back(local, remote, sight, frozenset(change.fields))
    if is_cycle:
        return _without_dependencies(change, local)
    row = Change(ChangeKind.REMOVE, local.id, path=local.path, before=dict(local.fields))
    lost = Conflict(local.id, CARD_FIELD, None, local.fields.get("title") or local.id, None, Winner.REMOTE)
    return Plan(to_file=(row,), conflicts=(lost,))


def _take_back(local: LocalCard, remote: RemoteCard, sight: Sight, names: Collection[str]) -> Plan:
    """Return the plan that gives a row the store's values of these fields."""
    merge = take_back(sight.base.get(local.id), local, remote, names)
    if not merge.to_file:
        return Plan()
    return Plan(to_file=(_row_update(local, merge.to_file),), conflicts=tuple(merge.conflicts))


def _without_dependencies(change: Change, local: LocalCard) -> Plan:
    """Return the plan that takes a new card in, but not the dependencies that would close a cycle."""
    fields = {**change.fields, DEPENDS_ON: ()}
    lost = Conflict(local.id, DEPENDS_ON, None, local.fields.get(DEPENDS_ON), (), Winner.REMOTE)
    row = _row_update(local, {DEPENDS_ON: ()})
    return Plan(to_store=(replace(change, fields=fields),), to_file=(row,), conflicts=(lost,))


def _offer_again(local: LocalCard, sight: Sight) -> Change:
    """Return the store change that brings a card back as its row has it."""
    remote = sight.remote.get(local.id)
    kind = ChangeKind.CREATE if remote is None else ChangeKind.RESTORE
    return offer(kind, local, remote, sight.policy)


def _offer_fields(change: Change, sight: Sight) -> Plan:
    """Return the plan that gives the store a row's values of the fields that a file change would overwrite."""
    local, remote = sight.local[change.id], sight.remote[change.id]
    is_claimed = local.fields.get(STATUS) == Status.CLAIMED
    asks = is_claimed and (STATUS in change.fields or CLAIM_OWNER in change.fields)
    hidden = {CLAIM_OWNER, OWNER_TEXT} if is_claimed else {CLAIM_OWNER}
    fields = {
        name: stored(name, local.fields[name]) for name in change.fields if name in local.fields and name not in hidden
    }
    if asks:
        fields |= {STATUS: Status.CLAIMED.value, CLAIM_OWNER: lease.asked_owner(local, sight.policy)}
    if not fields:
        return Plan()
    update = Change(
        ChangeKind.CLAIM if asks else ChangeKind.UPDATE,
        local.id,
        fields,
        version=remote.version,
        path=local.path,
        before={name: remote.fields.get(name) for name in fields},
    )
    known = sight.base[local.id].fields if local.id in sight.base else {}
    conflicts = tuple(
        Conflict(local.id, name, known.get(name), value, remote.fields.get(name), Winner.LOCAL)
        for name, value in fields.items()
        if name != STATUS_WORD
    )
    return Plan(to_store=(update,), conflicts=conflicts)


def _row_update(local: LocalCard, fields: Mapping[str, Value]) -> Change:
    """Return the file change that sets these fields of a row."""
    return Change(
        ChangeKind.UPDATE,
        local.id,
        fields,
        path=local.path,
        before={name: local.fields.get(name) for name in fields},
    )
