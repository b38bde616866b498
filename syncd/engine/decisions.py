"""What people decide: holds let through or undone, conflicts settled.

May import ``syncd.core``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.core.plan import CARD_FIELD, Hold, Winner
from syncd.errors import BadValue, NotFound
from syncd.ports import ConflictRecord, State, Store
from syncd.schemas.card import Card, Value

VALUE = "value:"


def decide(held: Sequence[Hold], state: State, ids: Sequence[str], decision: str) -> tuple[Hold, ...]:
    """Keep a decision (``accept`` or ``reject``) about these holds, by card or file; none named is all.

    Raises: NotFound when an id is not held.
    Effects: remembered until the next cycle carries it out.
    """
    chosen = tuple(hold for hold in held if not ids or hold.id in ids or hold.path in ids)
    known = {hold.id for hold in chosen} | {hold.path for hold in chosen}
    if missing := [id for id in ids if id not in known]:
        raise NotFound(f"nothing is held for {', '.join(missing)}", hint="syncd held")
    state.decide({hold.fingerprint: decision for hold in chosen})
    return chosen


def resolve(store: Store, state: State, id: str, field: str, use: str) -> Card:
    """Settle the open conflicts of a card's field.

    Args:
        use: ``local``, ``remote`` or ``value:TEXT``.

    Raises: NotFound without such a conflict, BadValue for another ``use``.
    Effects: the value goes to the store; where the file still shows the value that clashed, the base
    takes it over, so that the chosen one flows into the file instead of clashing again.
    """
    if use not in ("local", "remote") and not use.startswith(VALUE):
        raise BadValue(f"--use {use}", hint="Say local, remote, or value:TEXT.")
    open_ones = [each for each in store.conflicts() if each.conflict.id == id and each.conflict.field == field]
    if not open_ones:
        raise NotFound(f"no open conflict about {field} of {id}", hint="syncd conflicts")
    latest = open_ones[-1]
    card = _settle_card(store, latest, use) if field == CARD_FIELD else _settle_field(store, state, latest, use)
    for each in open_ones:
        store.settle(each, "value" if use.startswith(VALUE) else use)
    return card


def _settle_card(store: Store, record: ConflictRecord, use: str) -> Card:
    """Settle deletion against edit: the edit lives already, so only the other choice needs a write."""
    conflict = record.conflict
    if use.startswith(VALUE):
        raise BadValue("a deletion has no value", hint="Say local or remote.")
    if use != conflict.winner.value and conflict.winner is not Winner.NONE:
        return store.remove(conflict.id, force=True)
    return store.get(conflict.id)


def _settle_field(store: Store, state: State, record: ConflictRecord, use: str) -> Card:
    conflict = record.conflict
    value: Value = {"local": conflict.local, "remote": conflict.remote}.get(use)
    if use.startswith(VALUE):
        value = _read(use.removeprefix(VALUE), conflict.remote if conflict.local is None else conflict.local)
    base = state.base().get(conflict.id)
    if base is not None and conflict.winner is Winner.NONE:
        state.advance([replace(base, fields={**base.fields, conflict.field: conflict.local})], (), state.cursor())
    return store.update(conflict.id, {conflict.field: value})


def _read(text: str, like: Value) -> Value:
    """Return a typed value as the kind of one that clashed."""
    if isinstance(like, tuple):
        return tuple(part for part in (each.strip() for each in text.split(",")) if part)
    if isinstance(like, int):
        try:
            return int(text)
        except ValueError:
            raise BadValue(f"{text!r} is no whole number") from None
    return text or None
