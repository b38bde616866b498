"""Moving a workspace's cards from one store to another: Postgres, the embedded one, or files.

Everything is copied and compared before ``syncd.yaml`` names the other store; until then nothing has happened, and
doing it again goes on.  May import everything below the faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncd.core.mission_merge import POSITION, RecordChange
from syncd.core.plan import Change, ChangeKind
from syncd.errors import BadValue, Refused, StoreUnreachable
from syncd.files.settings_edit import edit_config
from syncd.ports import Batch, KnownMissions, MissionBatch
from syncd.schemas.config import Mode, StoreRecord
from syncd.schemas.mission import RecordKind
from syncd.wiring import Wiring

if TYPE_CHECKING:
    from syncd.ports import MissionStore, Store
    from syncd.schemas.card import Card, Value
    from syncd.schemas.mission import Record

_STORES_OWN: Final = frozenset(
    {"id", "project", "version", "unmet", "created_at", "updated_at", "line", "archived_at", "deleted_at"}
)


class Moved(msgspec.Struct, frozen=True):
    """What was moved, from where to where; ``is_done`` is False for a look."""

    source: StoreRecord
    target: StoreRecord
    project: str
    cards: int
    missions: int
    conflicts: int
    is_done: bool


def move(wiring: Wiring, to: str, *, project: str | None = None, dry_run: bool = False) -> Moved:
    """Copy a workspace's cards, missions and open conflicts to another store, and have that be its store.

    Args:
        to: the kind of the other store; a Postgres is the one that the environment names.
        project: whose cards they are there; by default the same project.

    Raises: BadValue for the store that it has already, Refused when other cards stand there, StoreUnreachable,
    Busy beside a daemon, ConfigError.
    Effects: the other store gets the cards, ``syncd.yaml`` names it; the store before is left as it is.
    """
    from syncd.files.lock import daemon_lock

    wiring, target = _source(wiring), _target(wiring, to, project)
    try:
        source, there = wiring.choice.record, target.choice.record
        if there == source:
            raise BadValue(f"the workspace's store is {there.kind} at {there.address} already")
        cards, missions, conflicts = _all_of(wiring)
        count = sum(key.kind is RecordKind.MISSION for key in missions.view.records)
        moved = Moved(source, there, target.config.project, len(cards), count, len(conflicts), is_done=not dry_run)
        if dry_run:
            return moved
        wiring.state()
        with daemon_lock(wiring.layout):
            _copy(target, cards, missions, tuple(conflicts))
            _name(wiring, target, there)
        return moved
    finally:
        target.close()
        wiring.close()


def _source(wiring: Wiring) -> Wiring:
    """Return the workspace with the store that it was made with, whatever the environment names by now."""
    recorded = wiring.config.store
    mode = wiring.mode if recorded is None else recorded.kind.value
    return Wiring(
        wiring.layout, environ=wiring.environ, mode=mode, actor=wiring.actor, face="move", config=wiring.config
    )


def _target(wiring: Wiring, to: str, project: str | None) -> Wiring:
    """Return the workspace as it would be with the other store."""
    config = replace(wiring.config, store=None, mode=Mode(to), project=project or wiring.config.project)
    return Wiring(wiring.layout, environ=wiring.environ, mode=None, actor=wiring.actor, face="move", config=config)


def _all_of(wiring: Wiring) -> tuple[dict[str, Card], KnownMissions, list[Any]]:
    """Return the live and archived cards of a store, its missions and its open conflicts.  Raises StoreUnreachable."""
    store = wiring.store(may_make=False)
    feed, missions = store.read(None), known_missions(store.missions)
    conflicts = [each.conflict for each in store.conflicts()]
    if (absence := wiring.absence()) is not None:
        raise StoreUnreachable(absence.reason, hint="Move when the database answers.")
    return {id: card for id, card in feed.cards.items() if card.deleted_at is None}, missions, conflicts


def known_missions(store: MissionStore) -> KnownMissions:
    """Return all missions of a store, and their sessions."""
    return KnownMissions(store.read(), store.sessions())


def _copy(target: Wiring, cards: Mapping[str, Card], missions: KnownMissions, conflicts: tuple[Any, ...]) -> None:
    """Put cards and missions into the other store, and see that they are there."""
    store: Store = _manifest(target) if target.reach is None else _database(target)
    try:
        stand = {id: card for id, card in store.read(None).cards.items() if card.deleted_at is None}
        if others := sorted(id for id, card in stand.items() if id not in cards or _said(card) != _said(cards[id])):
            raise Refused(
                f"project {target.config.project} has other cards there, {others[0]} for one",
                hint="--project NAME moves to a project of its own.",
            )
        made = tuple(
            Change(ChangeKind.CREATE, id, path=card.path, columns={**_said(card), "created_at": card.created_at})
            for id, card in sorted(cards.items(), key=lambda each: (str(each[1].created_at), each[0]))
            if id not in stand
        )
        result = store.commit(Batch(target.new_commit_id(), made, conflicts))
        if result.refused:
            id, refusal = next(iter(result.refused.items()))
            raise Refused(f"{id} cannot be moved: {refusal.message}")
        archived = [id for id, card in cards.items() if card.archived_at is not None and id in result.cards]
        kept = tuple(Change(ChangeKind.ARCHIVE, id, version=result.cards[id].version) for id in archived)
        store.commit(Batch(target.new_commit_id(), kept, ()))
        found = store.read(None).cards
        if missing := [id for id, card in cards.items() if id not in found or _said(found[id]) != _said(card)]:
            raise Refused(f"{missing[0]} did not arrive as it was", hint="Nothing was switched; try again.")
        _copy_missions(target, store.missions, missions)
    finally:
        store.close()


def _copy_missions(target: Wiring, store: MissionStore, missions: KnownMissions) -> None:
    """Put the missions into the other store, open sessions with what proves that they live."""
    wanted, stand = missions.view.records, store.read().records
    if others := sorted(key for key, each in stand.items() if key not in wanted or each.fields != wanted[key].fields):
        raise Refused(
            f"project {target.config.project} has other missions there, {others[0]} for one",
            hint="--project NAME moves to a project of its own.",
        )
    proofs = {(each.mission, each.id): each.proof for each in missions.sessions if each.ended_at is None}
    begun = {key for key in wanted if key.kind is RecordKind.SESSION and (key.mission, key.id) in proofs}
    made = tuple(
        RecordChange(ChangeKind.CREATE, key, {**each.fields, **_place(each)})
        for key, each in wanted.items()
        if key not in stand and key not in begun
    )
    store.commit(MissionBatch(target.new_commit_id(), made))
    for key in begun - stand.keys():
        store.start_session(key, wanted[key].fields, proofs[key.mission, key.id], lambda open_ones: None)
    found = store.read().records
    if missing := [key for key, each in wanted.items() if key not in found or found[key].fields != each.fields]:
        raise Refused(f"{missing[0]} did not arrive as it was", hint="Nothing was switched; try again.")


def _place(record: Record) -> dict[str, Value]:
    return {POSITION: record.position} if record.key.kind is RecordKind.MILESTONE else {}


def _manifest(target: Wiring) -> Store:
    """Return an empty store in files; one that was left there when the workspace moved away is kept aside."""
    with target.manifest.locked():
        target.manifest.set_aside()
    return target.another_store()


def _database(target: Wiring) -> Store:
    """Return the other store, which is reached now or not at all, with its tables made."""
    target.migrate()
    return target.database()


def _name(wiring: Wiring, target: Wiring, there: StoreRecord) -> None:
    """Have the workspace name the other store, and know its place in it."""
    edit_config(wiring.layout.config, "store", {"kind": there.kind.value, "address": there.address})
    edit_config(wiring.layout.config, "mode", there.kind.value)
    if target.config.project != wiring.config.project:
        edit_config(wiring.layout.config, "project", target.config.project)
    store = target.store()
    feed, state = store.read(None), target.state()
    state.forget_missions()
    state.contact.be_back(feed, known_missions(store.missions))
    state.advance((), (), feed.cursor)
    target.greet()


def _said(card: Card) -> dict[str, Any]:
    """Return what a card says, apart from what each store counts for itself."""
    return {name: getattr(card, name) for name in card.__struct_fields__ if name not in _STORES_OWN}
