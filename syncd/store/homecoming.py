"""Bringing the work of an absence into the database: planned by ``core.rejoin``, committed like any batch.

Each transaction has the work of one person, so that the audit trail tells whose it was, and is noted with what it
sends before it is sent.  Whatever happens then, the next try looks whether it
was committed, and counts what it had sent as agreed: nothing is brought twice, and nobody who wrote in between is
written over.  May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

from msgspec.structs import replace

from syncd.core.history import HistoryEntry
from syncd.core.plan import CARD_FIELD, Change, ChangeKind, Conflict, Policy, Winner
from syncd.core.rejoin import Fate, Return, rejoin
from syncd.core.values import CLAIM_OWNER, STATUS, is_same
from syncd.errors import Busy, NotFound
from syncd.ports import Absence, Actable, Batch, BatchResult, Contact, Feed, Store
from syncd.schemas.card import Fields, card_fields
from syncd.store.authorship import Authors
from syncd.store.flatfile.manifest import Manifest
from syncd.store.mission_homecoming import bring_missions_home

PASSES_MAX: Final = 20

_SETTING: Final = (ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.CLAIM, ChangeKind.RESTORE)


def bring_home(
    manifest: Manifest,
    store: Store,
    contact: Contact,
    absence: Absence,
    policy: Policy,
    *,
    trail: Iterable[HistoryEntry],
    new_commit_id: Callable[[], str],
    now: Callable[[], datetime],
) -> Mapping[str, Fate]:
    """Merge a manifest into the database that it stood in for, and have that be the store again.

    Args:
        trail: the manifest's audit trail, oldest first.

    Returns: the fate of each card that was touched while the database was away.
    Effects: transactions of the store; a crash or a cut anywhere is answered by calling it again.
    Raises: StoreUnreachable, with everything as it was; Busy when others change the same cards all the time.
    """
    authors = Authors(trail, cast(Actable, store))
    absence, fates, is_known = _bring_cards(manifest, store, contact, absence, policy, authors, new_commit_id, now)
    if manifest.is_paused:
        store.set_paused(True)
    _settle(manifest, store, contact)
    missions = bring_missions_home(manifest, store, contact, absence, is_known=is_known, new_commit_id=new_commit_id)
    contact.be_back(store.read(None), missions)
    return fates


def _bring_cards(
    manifest: Manifest,
    store: Store,
    contact: Contact,
    absence: Absence,
    policy: Policy,
    authors: Authors,
    new_commit_id: Callable[[], str],
    now: Callable[[], datetime],
) -> tuple[Absence, Mapping[str, Fate], bool]:
    """Merge the cards, one author's after the other's.

    Returns: the absence with what was brought, the cards' fates, and whether the database is that of the last contact.
    """
    base, place = contact.cards(), contact.cursor()
    absence = _with_outcome(absence, store)
    fates: dict[str, Fate] = {}
    done: set[str] = set()
    passes = 0
    while True:
        feed = store.read(None)
        absence = _with_what_stands(absence, feed)
        is_known = place is not None and not place.is_of_another_history(feed.cursor)
        plan = rejoin(
            base,
            manifest.cards,
            feed.cards,
            policy,
            agreed=absence.agreed,
            local_now=now(),
            remote_now=feed.now,
            is_known=is_known,
        )
        fates = {**plan.fates, **{id: fate for id, fate in fates.items() if fate is Fate.LOST or id in done}}
        left = [change for change in plan.changes if change.id not in done]
        author, changes = authors.first(left, lambda change: change.id)
        batch = Batch(new_commit_id(), changes, (*_recorded(manifest, contact), *plan.conflicts))
        if not (batch.changes or batch.conflicts):
            break
        absence = replace(absence, commit_id=batch.commit_id, sent=_sent(batch.changes, manifest))
        contact.be_away(absence)
        with authors.acting(author):
            result = store.commit(batch)
        absence = _agreeing(absence, result.moved | result.refused.keys())
        if result.refused:
            _record_refusals(store, plan, result, feed, new_commit_id())
            fates.update(dict.fromkeys(result.refused, Fate.LOST))
        done |= {change.id for change in changes} - result.moved
        if not result.moved and len(changes) == len(left):
            break
        passes += bool(result.moved)
        if passes == PASSES_MAX:
            raise Busy("others change the same cards all the time", hint="syncd sync")
    return absence, fates, is_known


def _with_outcome(absence: Absence, store: Store) -> Absence:
    """Return the absence with what a transaction of unknown outcome has brought into the store, if it has."""
    if not absence.commit_id:
        return absence
    if not store.has_commit(absence.commit_id):
        return replace(absence, commit_id="", sent={})
    return _agreeing(absence, store.left_out(absence.commit_id))


def _with_what_stands(absence: Absence, feed: Feed) -> Absence:
    """Return the absence with what perhaps came into the store agreed where it is there, and else forgotten."""
    if not absence.perhaps:
        return absence
    agreed = dict(absence.agreed)
    for id, fields in absence.perhaps.items():
        there = card_fields(feed.cards[id]) if id in feed.cards else {}
        stands = {name: value for name, value in fields.items() if there and is_same(name, there.get(name), value)}
        if CLAIM_OWNER in fields and CLAIM_OWNER not in stands:
            # Somebody else's lease.
            stands.pop(STATUS, None)
        if stands:
            agreed[id] = {**stands, **agreed.get(id, {})}
    return replace(absence, perhaps={}, agreed=agreed)


def _agreeing(absence: Absence, left_out: frozenset[str]) -> Absence:
    agreed = dict(absence.agreed)
    for id, fields in absence.sent.items():
        if id not in left_out:
            agreed[id] = {**agreed.get(id, {}), **fields}
    return replace(absence, commit_id="", sent={}, agreed=agreed)


def _sent(changes: tuple[Change, ...], manifest: Manifest) -> dict[str, Fields]:
    """Return what the manifest says of the fields that changes set.

    Not what is sent: that may be merged with what others did, and beside it the manifest would look as if somebody
    had taken theirs out again.
    """
    said = {change.id: card_fields(manifest.cards[change.id]) for change in changes}
    return {
        change.id: {name: said[change.id].get(name) for name in change.fields}
        for change in changes
        if change.kind in _SETTING
    }


def _recorded(manifest: Manifest, contact: Contact) -> list[Conflict]:
    """Return the conflicts that were made while the database was away and still stand."""
    known = {each.seq for each in contact.conflicts()}
    made = [each for seq, each in sorted(manifest.conflicts.items()) if seq not in known]
    return [each.conflict for each in made if each.settled is None]


def _settle(manifest: Manifest, store: Store, contact: Contact) -> None:
    """Settle in the database what was settled away of its conflicts; one that is settled or gone there stays so."""
    for known in contact.conflicts():
        here = manifest.conflicts.get(known.seq)
        if here is not None and here.settled is not None and here.conflict == known.conflict:
            with suppress(NotFound):
                store.settle(known, here.settled)


def _record_refusals(store: Store, plan: Return, result: BatchResult, feed: Feed, commit_id: str) -> None:
    """Keep what the database would not take as conflicts that it won."""
    conflicts = [
        Conflict(change.id, name, None, value, change.before.get(name), Winner.REMOTE)
        for change in plan.changes
        if change.id in result.refused
        for name, value in (change.fields or {CARD_FIELD: None}).items()
    ]
    store.commit(Batch(commit_id, (), tuple(conflicts)))
