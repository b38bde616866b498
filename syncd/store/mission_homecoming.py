"""Bringing the missions of an absence into the database, behind its cards and by the same rules.

Planned by ``core.mission_rejoin``; each transaction is noted with what it sends before it is sent.
May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``, ``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from msgspec.structs import replace

from syncd.core.mission_merge import POSITION, RecordChange
from syncd.core.mission_rejoin import rejoin_missions
from syncd.core.plan import CARD_FIELD, ChangeKind, Conflict, Winner
from syncd.core.session import Proof
from syncd.errors import AlreadyExists, Busy, NotFound
from syncd.ports import Absence, Actable, Contact, KnownMissions, MissionBatch, MissionResult, MissionStore, Store
from syncd.schemas.card import Fields
from syncd.schemas.mission import Record, RecordKey, RecordKind, Records
from syncd.store.authorship import Authors
from syncd.store.flatfile.manifest import Manifest

PASSES_MAX: Final = 20

_SETTING: Final = (ChangeKind.CREATE, ChangeKind.UPDATE)


def bring_missions_home(
    manifest: Manifest,
    store: Store,
    contact: Contact,
    absence: Absence,
    *,
    is_known: bool,
    new_commit_id: Callable[[], str],
) -> KnownMissions:
    """Merge the missions of a manifest into the database that it stood in for; return them as they are then.

    Args:
        is_known: whether the database is the one of the last contact.

    Effects: transactions of the store; a crash or a cut anywhere is answered by calling it again.
    Raises: StoreUnreachable, with everything as it was; Busy when others change the same records all the time.
    """
    missions, known = store.missions, contact.missions()
    base = known.view.records if known is not None else {}
    local = {key: _record(manifest, key) for key, row in manifest.missions.items() if not row.is_gone}
    absence = _with_outcome(absence, store)
    authors = Authors(manifest.mission_trail, cast(Actable, store))
    done: set[RecordKey] = set()
    passes = 0
    while True:
        view = missions.read()
        plan = rejoin_missions(base, local, view.records, agreed=absence.mission_agreed, is_known=is_known)
        begun = [each for each in plan.changes if _is_begun(each)]
        others = [each for each in plan.changes if each not in begun and each.key not in done]
        author, changes = authors.first(others, lambda change: str(change.key))
        if changes or plan.conflicts:
            batch = MissionBatch(new_commit_id(), changes, plan.conflicts)
            absence = replace(absence, mission_commit_id=batch.commit_id, mission_sent=_sent(changes, local))
            contact.be_away(absence)
            with authors.acting(author):
                result = missions.commit(batch)
            absence = _agreeing(absence, {str(key) for key in (*result.moved, *result.refused)})
            if result.refused:
                missions.commit(MissionBatch(new_commit_id(), (), tuple(_refusals(changes, result))))
            done |= {each.key for each in changes} - result.moved
            if result.moved and (passes := passes + 1) == PASSES_MAX:
                raise Busy("others change the same missions all the time", hint="syncd sync")
            if result.moved or len(changes) < len(others):
                continue
        _begin(missions, begun, manifest, authors)
        return KnownMissions(missions.read(), missions.sessions())


def _record(manifest: Manifest, key: RecordKey) -> Record:
    row = manifest.missions[key]
    return Record(key, row.fields, row.version, row.position)


def _is_begun(change: RecordChange) -> bool:
    """Return whether a change is a session that goes on: what proves that it lives has to come along."""
    is_new = change.kind is ChangeKind.CREATE and change.key.kind is RecordKind.SESSION
    return is_new and change.fields.get("ended_at") is None


def _begin(missions: MissionStore, begun: Iterable[RecordChange], manifest: Manifest, authors: Authors) -> None:
    """Begin sessions in the database; one that is there already came with an earlier try."""
    for each in begun:
        proof = manifest.missions[each.key].proof or Proof()
        with suppress(AlreadyExists, NotFound), authors.acting(authors.of(str(each.key))):
            missions.start_session(each.key, each.fields, proof, lambda open_ones: None)


def _with_outcome(absence: Absence, store: Store) -> Absence:
    """Return the absence with what a transaction of unknown outcome has brought into the store, if it has."""
    if not absence.mission_commit_id:
        return absence
    if not store.has_commit(absence.mission_commit_id):
        return replace(absence, mission_commit_id="", mission_sent={})
    return _agreeing(absence, store.left_out(absence.mission_commit_id))


def _agreeing(absence: Absence, left_out: Iterable[str]) -> Absence:
    agreed, missing = dict(absence.mission_agreed), set(left_out)
    for name, fields in absence.mission_sent.items():
        if name not in missing:
            agreed[name] = {**agreed.get(name, {}), **fields}
    return replace(absence, mission_commit_id="", mission_sent={}, mission_agreed=agreed)


def _sent(changes: Iterable[RecordChange], local: Records) -> dict[str, Fields]:
    """Return what the manifest says of the fields that changes set: what is sent may be merged with others' work."""
    return {
        str(each.key): {name: local[each.key].fields.get(name) for name in each.fields if name != POSITION}
        for each in changes
        if each.kind in _SETTING
    }


def _refusals(changes: Iterable[RecordChange], result: MissionResult) -> Iterable[Conflict]:
    """Yield what the database would not take as conflicts that it won."""
    for change in changes:
        if change.key in result.refused:
            for name, value in (change.fields or {CARD_FIELD: None}).items():
                if name != POSITION:
                    yield Conflict(str(change.key), name, None, value, change.before.get(name), Winner.REMOTE)
