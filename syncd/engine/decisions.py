"""What people decide: holds let through or undone, conflicts settled.

May import ``syncd.core``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence, Set
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from syncd.core.guard import carried_out
from syncd.core.plan import CARD_FIELD, Conflict, Deed, FieldName, Hold, Winner
from syncd.core.sight import ACCEPT, Guarded
from syncd.core.text_merge import merge3
from syncd.core.trips import ASK
from syncd.core.values import BODY, CLAIM_OWNER, STATUS, is_same
from syncd.engine.report import CycleReport
from syncd.engine.restore import restore
from syncd.errors import BadValue, NotFound, Refused
from syncd.ports import ConflictRecord, NewCard, State, Store
from syncd.schemas.card import Card, Status, Value, canonical, card_fields

VALUE = "value:"


class Settled(msgspec.Struct, frozen=True):
    """What had conflicts that are settled now: the cards, and the names of what belongs to missions."""

    cards: tuple[Card, ...]
    records: tuple[str, ...]


def decide(held: Sequence[Hold], state: State, ids: Sequence[str], decision: str) -> tuple[Hold, ...]:
    """Keep a decision (``accept`` or ``reject``) about these holds, by card or file; none named is all.

    Raises: NotFound when an id is not held, Refused when nothing of what is meant can be decided so: it must be
    resolved, or the file mended.
    Effects: remembered until the next cycle carries it out.
    """
    asked = {hold.id: hold for hold in held if hold.guard == ASK}
    open_ones = [hold for hold in held if hold.guard != ASK]
    chosen = tuple(hold for hold in open_ones if not ids or hold.id in ids or hold.path in ids)
    known = {hold.id for hold in chosen} | {hold.path for hold in chosen}
    missing = [id for id in ids if id not in known]
    if only_asked := [asked[id] for id in missing if id in asked]:
        raise Refused(only_asked[0].reason, hint=only_asked[0].release)
    if missing:
        raise NotFound(f"nothing is held for {', '.join(missing)}", hint="syncd held")
    able = tuple(hold for hold in chosen if _outlook(hold, decision) is not None)
    if chosen and not able:
        raise Refused(chosen[0].reason, hint=_way_out(chosen[0], decision))
    state.decide({hold.fingerprint: decision for hold in able})
    return able


def _outlook(hold: Hold, decision: str) -> tuple[Deed, ...] | None:
    """Return what a decision would do, ``None`` where it can do nothing."""
    return hold.accepting if decision == ACCEPT else hold.rejecting


def _way_out(hold: Hold, decision: str) -> str:
    """Return what helps where a decision does not."""
    if decision == ACCEPT:
        return hold.release
    return f"There is no earlier version to put back. Edit {hold.path}, or {hold.release}."


class Decided:
    """What was decided about holds, until it is carried out or its hold is gone."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._to_do: Set[str] = frozenset()

    def carry_out(self, guarded: Guarded, unwritten: Set[str], failed: Set[str]) -> None:
        """Forget what a pass has carried out.

        Args:
            unwritten: files whose rows still wait to be written.
            failed: cards that the store did not take.
        """
        done = {
            hold.fingerprint for hold in carried_out(guarded) if hold.path not in unwritten and hold.id not in failed
        }
        if done:
            self._state.drop_decisions(done)
        self._to_do = {hold.fingerprint for hold in (*guarded.accepted, *guarded.rejected)} - done

    def forget_past(self, report: CycleReport) -> None:
        """Forget decisions whose holds are gone: should the like of them come up, a person is asked again.

        While something waits a hold may only be out of sight.  Holds: I8.
        """
        standing = {hold.fingerprint for hold in report.held} | self._to_do
        if not report.waits and (stale := self._state.decisions().keys() - standing):
            self._state.drop_decisions(stale)


def resolve(store: Store, state: State, id: str, field: str | None, use: str) -> Card:
    """Settle the open conflicts of a card's field.

    Args:
        field: ``None`` for the only one that the card has conflicts in.
        use: ``local``, ``remote`` or ``value:TEXT``.

    Raises: NotFound without such a conflict, BadValue for another ``use`` or a field that is to be named, Refused
        when the choice would replace what somebody wrote after the clash, StaleVersion when the card changes now.
    Effects: the value goes to the store; where the file still shows the value that clashed, the base
    takes it over, so that the chosen one flows into the file instead of clashing again.
    """
    require_use(use)
    open_ones = open_conflicts(store, id, field)
    latest = open_ones[-1]
    is_whole = latest.conflict.field == CARD_FIELD
    card = _settle_card(store, latest, use) if is_whole else _settle_field(store, state, latest, use)
    for each in open_ones:
        store.settle(each, "value" if use.startswith(VALUE) else use)
    return card


def open_conflicts(store: Store, id: str, field: FieldName | None) -> Sequence[ConflictRecord]:
    """Return the open conflicts about a field, oldest first; ``None`` for the only field that has some.

    Raises: NotFound without any, BadValue when the field is to be named.
    """
    of_id = [each for each in store.conflicts() if each.conflict.id == id]
    chosen = _only_field(id, of_id) if field is None else field
    if found := [each for each in of_id if each.conflict.field == chosen]:
        return found
    raise NotFound(f"no open conflict about {chosen} of {id}", hint="syncd conflicts")


def require_use(use: str) -> None:
    """Raise BadValue for what names no value."""
    if use not in ("local", "remote") and not use.startswith(VALUE):
        raise BadValue(f"--use {use}", hint="Say local, remote, or value:TEXT.")


def _only_field(id: str, records: Sequence[ConflictRecord]) -> FieldName:
    """Return the field that all conflicts of a card are about."""
    fields = sorted({each.conflict.field for each in records})
    if not fields:
        raise NotFound(f"no open conflict about {id}", hint="syncd conflicts")
    if len(fields) > 1:
        raise BadValue(f"{id} has conflicts in {', '.join(fields)}", hint="Name one of them with --field.")
    return fields[0]


def _settle_card(store: Store, record: ConflictRecord, use: str) -> Card:
    """Settle whether a card lives, where one side has it and the other has not: only the loser's way needs a write."""
    conflict = record.conflict
    if use.startswith(VALUE):
        raise BadValue("a deletion has no value", hint="Say local or remote.")
    if _was_left_gone(conflict):
        return _settle_gone(store, record, use)
    card = _card(store, record)
    if use != conflict.winner.value and conflict.winner is not Winner.NONE and card.deleted_at is None:
        return store.remove(conflict.id, force=True)
    return card


def _was_left_gone(conflict: Conflict) -> bool:
    """Return whether the file wanted a card back that the store had dropped, and that was not let through."""
    return conflict.winner is Winner.REMOTE and conflict.remote is None


def _settle_gone(store: Store, record: ConflictRecord, use: str) -> Card:
    """Settle a card that was left gone: ``local`` brings it back as it was last, ``remote`` leaves it gone."""
    id = record.conflict.id
    card = _card(store, record)
    if use == "remote" or card.is_live:
        return card
    if store.history(id, limit=1).entries:
        return restore(store, id, None, commit_id=uuid4().hex)
    return store.create(NewCard(id, card.title))


def _card(store: Store, record: ConflictRecord) -> Card:
    """Return the card that a conflict is about; one that is gone as nothing but its name."""
    conflict = record.conflict
    try:
        return store.get(conflict.id)
    except NotFound:
        title = str(conflict.local) if conflict.field == CARD_FIELD else conflict.id
        return Card(id=conflict.id, title=title, deleted_at=record.at)


def _settle_field(store: Store, state: State, record: ConflictRecord, use: str) -> Card:
    conflict, name = record.conflict, record.conflict.field
    card = _card(store, record)
    if card.deleted_at is not None:
        if keeps(conflict, use):
            return card
        raise NotFound(f"{card.id} is gone", hint=f"syncd restore {shlex.quote(card.id)}")
    current = card_fields(card).get(name)
    value = choose(conflict, use, current)
    is_claim = name == CLAIM_OWNER or (name == STATUS and value == Status.CLAIMED)
    if is_claim and not keeps(conflict, use):
        raise _must_be_claimed(card, conflict, value)
    # The lease is what it is in the store: keeping it needs no write there.
    if not is_claim and not is_same(name, value, current):
        card = store.update(card.id, {name: value}, if_version=card.version)
    base = state.base().get(card.id)
    if base is not None and conflict.winner is Winner.NONE:
        state.advance([replace(base, fields={**base.fields, name: conflict.local})], (), state.cursor())
    return card


def keeps(conflict: Conflict, use: str) -> bool:
    """Return whether a choice leaves the store as it is: that side's value was there once the clash was recorded."""
    return use == _kept(conflict).value


def _kept(conflict: Conflict) -> Winner:
    """Return whose value the store had once a clash was recorded; where a person is asked, its own."""
    return Winner.REMOTE if conflict.winner is Winner.NONE else conflict.winner


def choose(conflict: Conflict, use: str, current: Value) -> Value:
    """Return the value that the store is to have of a field that clashed.

    The side that won is there, or what somebody made of it since: choosing it changes nothing.  The one that lost
    takes the place of what won, and of nothing that came later, which nobody who decides has been shown.

    Raises: Refused when the field was changed since; BadValue for a TEXT that is no such value.
    Holds: I2.
    """
    id, name = conflict.id, conflict.field
    if use.startswith(VALUE):
        return read_value(use.removeprefix(VALUE), conflict.remote if conflict.local is None else conflict.local)
    if keeps(conflict, use):
        return current
    value = conflict.local if use == "local" else conflict.remote
    if is_same(name, current, value) or is_same(name, current, _standing(conflict)):
        return value
    raise Refused(
        f"{name} of {id} was changed since: it is {current!r} now",
        hint=f"{_command(conflict, _kept(conflict))} keeps that; --use value:TEXT replaces it.",
    )


def _command(conflict: Conflict, use: Winner) -> str:
    return f"syncd resolve {shlex.quote(conflict.id)} --field {shlex.quote(conflict.field)} --use {use}"


def _standing(conflict: Conflict) -> Value:
    """Return what the store had of a field once its clash was recorded."""
    won, lost = conflict.remote, conflict.local
    if _kept(conflict) is Winner.LOCAL:
        won, lost = lost, won
    if conflict.field != BODY or conflict.winner is Winner.NONE:
        return won
    return canonical(merge3(*(str(each or "") for each in (conflict.base, won, lost))).text)


def _must_be_claimed(card: Card, conflict: Conflict, value: Value) -> BadValue:
    """Return the error for a choice that would be a claim: only a claim makes a lease."""
    id, name, holder = card.id, shlex.quote(card.id), card.claim_owner
    owner = shlex.quote(str(value)) if conflict.field == CLAIM_OWNER and value else "NAME"
    steps = [
        *([f"syncd backlog release --id {name} --owner {shlex.quote(holder)}"] if holder is not None else []),
        f"syncd backlog claim --id {name} --owner {owner}",
        _command(conflict, Winner.REMOTE),
    ]
    said = f"{id} is leased by {holder}" if holder is not None else f"nobody holds {id}"
    return BadValue(f"only a claim changes who holds a card; {said}", hint=" && ".join(steps))


def read_value(text: str, like: Value) -> Value:
    """Return a typed value as the kind of one that clashed.  Raises BadValue."""
    if isinstance(like, tuple):
        return tuple(part for part in (each.strip() for each in text.split(",")) if part)
    if isinstance(like, int):
        try:
            return int(text)
        except ValueError:
            raise BadValue(f"{text!r} is no whole number") from None
    return text or None
