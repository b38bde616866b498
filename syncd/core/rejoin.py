"""What becomes of the work done while the store was away: the same reconcile, with the manifest as the local side.

*base* is what was known of the store at the last contact, *local* what the manifest that stood in for it says now,
*remote* what the store says.  Beside the fields that reconcile compares, a card has its lease and its retries: they go
along where the store's own were not touched meanwhile.  Nothing flows the other way: the store takes over again.
May import ``syncd.core`` and ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from msgspec.structs import replace as changed

from syncd.core.plan import (
    BaseCard,
    Change,
    ChangeKind,
    Conflict,
    LocalCard,
    Policy,
    Presence,
    RemoteCard,
    Winner,
)
from syncd.core.reconcile import reconcile
from syncd.core.standing import lease_end
from syncd.core.values import CLAIM_OWNER, STATUS, is_same
from syncd.schemas.card import EXTRA, OWNER_TEXT, Card, Fields, Status, Value, card_fields

_UNLEASED: Final[Mapping[str, Any]] = {"claim_owner": None, "claim_ttl_seconds": None, "claimed_at": None}
_LEASE: Final = ("claim_owner", "claim_ttl_seconds", "claimed_at", "attempts")
_OF_A_NEW_CARD: Final = ("attempts", "idempotency_key", "max_retries", "run_after", "created_at")
_RETRIES: Final = ("failures", "last_error")


class Fate(StrEnum):
    """What became of what was done to a card while the store was away."""

    KEPT = "kept"
    """It is in the store now."""
    MERGED = "merged"
    """It is in the store, beside what others did to the same card."""
    LOST = "lost"
    """The store's own stands; what lost is a conflict."""


class Return(msgspec.Struct, frozen=True):
    """What goes to the store when it is back, what clashed, and the fate of each card that was touched."""

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]
    fates: Mapping[str, Fate]


def rejoin(
    base: Mapping[str, Card],
    local: Mapping[str, Card],
    remote: Mapping[str, Card],
    policy: Policy,
    *,
    agreed: Mapping[str, Fields],
    local_now: datetime,
    remote_now: datetime,
    is_known: bool,
) -> Return:
    """Return what brings the work of an absence into the store.

    Args:
        base: the store's cards at the last contact; archived ones too.
        local: the manifest's cards; tombstones too.
        remote: the store's cards; tombstones too.
        agreed: what the manifest said of fields that an earlier try of this return already brought into the store, by
            card; what stands there now may be more.
        local_now, remote_now: each side's clock, so that a lease keeps what was left of it.
        is_known: False when the store is another one than at the last contact, or went back: then nothing is
            deleted and nothing overwritten; what differs is a conflict, and a card that it lacks is offered.

    Holds: I8, I13 (one lease a card: one that was taken meanwhile is lost), I2.
    """
    apart = remote_now - local_now
    leased = {id: fields for id, fields in agreed.items() if id in base and id in remote}
    base = {**base, **{id: _with_lease(base[id], fields, remote[id]) for id, fields in leased.items()}}
    local = {id: _without_expiry(base.get(id), card, local_now) for id, card in local.items()}
    # Of the others nothing goes to the store, and what they are there is all that is wanted.
    ids = dict.fromkeys((*touched(base, local), *agreed)) if is_known else dict.fromkeys((*local, *remote))
    known = {}
    if is_known:
        known = {id: _base_card(base[id], agreed.get(id, {})) for id in ids if id in base and base[id].is_live}
        known |= {id: BaseCard(id, agreed[id], 0, "") for id in agreed if id not in known}
    here = {
        id: _local_card(local[id], known.get(id), remote.get(id)) for id in ids if id in local and local[id].is_live
    }
    there = {id: _remote_card(remote[id], remote_now) for id in ids if id in remote}
    plan = reconcile(known, here, there, policy)
    conflicts = list(plan.conflicts)
    changes: list[Change] = []
    for change in plan.to_store:
        settled = _settled(change, base.get(change.id), local[change.id], remote.get(change.id), conflicts)
        if settled is not None and (is_known or change.kind is ChangeKind.CREATE):
            sides = base.get(change.id), local[change.id], remote.get(change.id)
            changes.append(_with_queue(settled, *sides, apart))
    if not is_known:
        # Whoever would have won: nothing is overwritten, so the store's own stands.
        conflicts = [replace(each, winner=Winner.REMOTE) for each in conflicts]
        conflicts += _offers(plan.to_store, conflicts)
    else:
        changes += _queue_alone(base, local, remote, apart, {change.id for change in changes})
    changes = [_on_their_clock(change, apart) for change in changes]
    return Return(tuple(changes), tuple(conflicts), _fates(base, local, remote, changes, conflicts))


def touched(base: Mapping[str, Card], local: Mapping[str, Card]) -> list[str]:
    """Return the cards that were changed, made or removed while the store was away."""
    return [id for id, card in local.items() if id not in base or card.version != base[id].version]


# --- the three sides -----------------------------------------------------------------------------


def _with_lease(base: Card, agreed: Fields, remote: Card) -> Card:
    """Return a card of the last contact with the lease that was given here and in the store, if it stands there yet.

    It is the one if it has the same owner and the next number: then its end, too, is for who works here to tell.
    """
    is_given = remote.status is Status.CLAIMED and remote.claim_owner == agreed.get(CLAIM_OWNER)
    if not is_given or remote.attempts != base.attempts + 1:
        return base
    return changed(base, status=Status.CLAIMED, **{name: getattr(remote, name) for name in _LEASE})


def _without_expiry(base: Card | None, local: Card, now: datetime) -> Card:
    """Return a card of the manifest as if nothing but time had ended its lease.

    A lease that stood at the last contact may have been renewed where nobody here could see it: that it ran out here
    says nothing.  One that was made while the store was away, and has run out, is over.
    """
    ends_at = lease_end(local)
    if local.status is Status.CLAIMED and ends_at is not None and ends_at <= now:
        if base is None or base.attempts != local.attempts:
            return changed(local, status=Status.READY, **_UNLEASED)
        return local
    has_run_out = base is not None and (end := lease_end(base)) is not None and end <= now
    if base is None or base.status is not Status.CLAIMED or not has_run_out or local.status is not Status.READY:
        return local
    if (local.attempts, local.failures) != (base.attempts, base.failures):
        return local
    return changed(local, status=Status.CLAIMED, **{name: getattr(base, name) for name in _UNLEASED})


def _base_card(card: Card, agreed: Fields) -> BaseCard:
    return BaseCard(card.id, {**card_fields(card), **agreed}, card.version, card.path or "")


def _local_card(card: Card, base: BaseCard | None, remote: Card | None) -> LocalCard:
    """Return a card of the manifest as a side of reconcile: what it does not have is empty, not unknown."""
    fields = dict(card_fields(card))
    known = {*(base.fields if base else ()), *(card_fields(remote) if remote else ())}
    fields.update((name, None) for name in known if name not in fields and name.startswith(EXTRA))
    is_text_news = base is None or not is_same(OWNER_TEXT, fields.get(OWNER_TEXT), base.fields.get(OWNER_TEXT))
    if card.status is Status.DONE and not is_text_news:
        # A name that was there before says nothing of who finished the work.
        fields.pop(OWNER_TEXT, None)
    return LocalCard(card.id, fields, card.path or "")


def _remote_card(card: Card, now: datetime) -> RemoteCard:
    presence = Presence.DELETED if card.deleted_at else Presence.ARCHIVED if card.archived_at else Presence.LIVE
    ends_at = lease_end(card)
    is_leased = card.status is Status.CLAIMED and (ends_at is None or ends_at > now)
    return RemoteCard(card.id, card_fields(card), card.version, presence, card.path or "", is_leased)


# --- one change ----------------------------------------------------------------------------------


def _settled(
    change: Change, base: Card | None, local: Card, remote: Card | None, conflicts: list[Conflict]
) -> Change | None:
    """Return a change as the store is to take it, ``None`` when nothing of it is left."""
    if change.kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE):
        kind = ChangeKind.ARCHIVE if local.archived_at is not None and local.deleted_at is None else ChangeKind.REMOVE
        return replace(change, kind=kind, path=None)
    change = replace(change, path=change.path or None)
    if change.kind is not ChangeKind.CLAIM or remote is None or _is_untouched(base, remote):
        return change
    # Somebody has claimed the card meanwhile, even if they are done with it: the numbers of both leases are the same.
    conflicts.append(
        Conflict(change.id, CLAIM_OWNER, _owner(base), local.claim_owner, remote.claim_owner, Winner.REMOTE)
    )
    rest = {name: value for name, value in change.fields.items() if name not in (STATUS, CLAIM_OWNER)}
    return replace(change, kind=ChangeKind.UPDATE, fields=rest) if rest else None


def _is_untouched(base: Card | None, remote: Card) -> bool:
    """Return whether nobody has worked on a card in the store since the last contact."""
    return base is not None and all(
        getattr(base, name) == getattr(remote, name) for name in ("attempts", "claim_owner")
    )


def _owner(card: Card | None) -> Value:
    return card.claim_owner if card is not None else None


def _longer_lease(local: Card, remote: Card, apart: timedelta) -> dict[str, Any]:
    """Return what goes on of a lease that both sides gave to the same owner.

    The store had made it before the cut, and its answer was lost: so the owner asked again, of what stood in.

    Args:
        apart: how far the store's clock is ahead.
    """
    if not (local.status is remote.status is Status.CLAIMED and local.claim_owner == remote.claim_owner):
        return {}
    if local.attempts < remote.attempts:
        return {}
    columns = {"attempts": local.attempts} if local.attempts > remote.attempts else {}
    ends_at, theirs = lease_end(local), lease_end(remote)
    if theirs is not None and (ends_at is None or ends_at + apart > theirs):
        columns |= {name: getattr(local, name) for name in ("claim_ttl_seconds", "claimed_at")}
    return columns


def _number_beyond(base: Card | None, local: Card, remote: Card) -> dict[str, Any]:
    """Return a number beyond both leases for a card that one side finished and the other had given to somebody.

    Both leases may have the same number: whoever did not finish the card must not take the work for their own.
    """
    known = base.attempts if base is not None else 0
    is_finished_here = local.status is Status.DONE and remote.status is Status.CLAIMED
    is_finished_there = remote.status is Status.DONE and local.status is Status.CLAIMED and local.attempts > known
    if not (is_finished_here or (is_finished_there and local.attempts >= remote.attempts)):
        return {}
    return {"attempts": remote.attempts + max(1, local.attempts - known)}


def _with_queue(change: Change, base: Card | None, local: Card, remote: Card | None, apart: timedelta) -> Change:
    """Return a change with the lease and the retries of its card, where the store's own stand as they were."""
    if change.kind in (ChangeKind.REMOVE, ChangeKind.ARCHIVE):
        return change
    columns: dict[str, Any] = {}
    if remote is None:
        columns = {name: getattr(local, name) for name in _OF_A_NEW_CARD}
        columns |= {name: getattr(local, name) for name in _RETRIES}
    if remote is None or _is_untouched(base, remote):
        if change.kind is ChangeKind.CLAIM or (remote is None and local.status is Status.CLAIMED):
            columns |= {name: getattr(local, name) for name in _LEASE}
        elif STATUS in change.fields or (base is not None and local.attempts != base.attempts):
            columns["attempts"] = local.attempts
        columns |= _changed_retries(base, local) | _renewed(base, local)
    else:
        columns |= _longer_lease(local, remote, apart) | _number_beyond(base, local, remote)
    return replace(change, columns=columns)


def _changed_retries(base: Card | None, local: Card) -> dict[str, Any]:
    """Return what failing or retrying a card has changed."""
    names = (*_RETRIES, "run_after")
    return {name: getattr(local, name) for name in names if base is None or getattr(local, name) != getattr(base, name)}


def _renewed(base: Card | None, local: Card) -> dict[str, Any]:
    """Return what renewing a lease of the last contact, or taking it anew, has changed."""
    if base is None or not base.status is local.status is Status.CLAIMED or base.claim_owner != local.claim_owner:
        return {}
    names = ("claim_ttl_seconds", "claimed_at")
    return {name: getattr(local, name) for name in names if getattr(local, name) != getattr(base, name)}


def _queue_alone(
    base: Mapping[str, Card],
    local: Mapping[str, Card],
    remote: Mapping[str, Card],
    apart: timedelta,
    done: set[str],
) -> Iterable[Change]:
    """Yield changes for cards of which only the lease was renewed, or only the retries moved."""
    for id in touched(base, local):
        before, card, there = base.get(id), local[id], remote.get(id)
        if id in done or before is None or there is None or not card.is_live or not there.is_live:
            continue
        if not _is_untouched(before, there):
            if columns := _longer_lease(card, there, apart) | _number_beyond(before, card, there):
                yield Change(ChangeKind.UPDATE, id, {}, version=there.version, columns=columns)
            continue
        if there.status is not before.status:
            continue
        columns = _changed_retries(before, card) | _renewed(before, card)
        if card.attempts != before.attempts:
            columns["attempts"] = card.attempts
        if columns:
            yield Change(ChangeKind.UPDATE, id, {}, version=there.version, columns=columns)


def _on_their_clock(change: Change, apart: timedelta) -> Change:
    """Return a change whose instants are by the store's clock: what was left of a lease or a pause is left still."""
    if not change.columns or abs(apart) < timedelta(seconds=1):
        return change
    moved = {name: value + apart if isinstance(value, datetime) else value for name, value in change.columns.items()}
    return replace(change, columns=moved)


# --- what is told --------------------------------------------------------------------------------


def _offers(changes: Iterable[Change], conflicts: Iterable[Conflict]) -> list[Conflict]:
    """Return what a store that is not known any more would have been sent, as conflicts that it won."""
    told = {(each.id, each.field) for each in conflicts}
    return [
        Conflict(change.id, name, None, value, change.before.get(name), Winner.REMOTE)
        for change in changes
        if change.kind is not ChangeKind.CREATE
        for name, value in change.fields.items()
        if (change.id, name) not in told
    ]


def _fates(
    base: Mapping[str, Card],
    local: Mapping[str, Card],
    remote: Mapping[str, Card],
    changes: Iterable[Change],
    conflicts: Iterable[Conflict],
) -> dict[str, Fate]:
    sent = {change.id for change in changes}
    lost = {each.id for each in conflicts if each.winner is Winner.REMOTE}
    fates: dict[str, Fate] = {}
    for id in touched(base, local):
        there, before = remote.get(id), base.get(id)
        is_moved = there is not None and (before is None or there.version != before.version)
        if id in lost:
            fates[id] = Fate.LOST
        elif is_moved or id not in sent:
            fates[id] = Fate.MERGED
        else:
            fates[id] = Fate.KEPT
    return fates
