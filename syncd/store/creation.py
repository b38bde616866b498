"""New cards: one, or thousands in the same few round trips.

All of them are one transaction: locks and look-ups for what may stand in the way, one insert for all, and
the cards as the triggers left them.  May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``,
``syncd.errors`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from syncd.core.graph import find_cycles
from syncd.ports import NewCard
from syncd.schemas.card import Card
from syncd.store import refusals
from syncd.store.changes import new_card
from syncd.store.commits import ids_of, reach, write
from syncd.store.rows import cards_of
from syncd.store.session import Link, Session, execute, together


def create(session: Session, new: Sequence[NewCard]) -> list[Card]:
    """Insert cards, all or none; where an idempotency key is known, its first card is the answer.

    Returns: the cards as stored, in the order given.
    Raises: AlreadyExists, CycleRefused, BadValue.
    """
    wanted = [new_card(each, project=session.project, now=None) for each in new]
    delays_s = {each.id: each.delay_s for each in new if each.delay_s is not None}

    def work(link: Link) -> list[Card]:
        with link.transaction():
            return _create(link, session.project, wanted, delays_s)

    return session.run(work) if wanted else []


def _create(link: Link, project: str, wanted: Sequence[Card], delays_s: Mapping[str, float]) -> list[Card]:
    ids = [card.id for card in wanted]
    keys = [card.idempotency_key for card in wanted if card.idempotency_key is not None]
    with together(link):
        if any(card.depends_on for card in wanted):
            execute(link, "lock_edges", project=project)
        clock = execute(link, "now")
        execute(link, "forget_tombstones", project=project, ids=ids, keys=keys)
        known = execute(link, "cards_by_key", project=project, keys=keys)
    by_key = _by_key(cards_of(known))
    now: datetime = clock.fetchall()[0][0]
    fresh: dict[str, Card] = {}
    for card in wanted:
        key = card.idempotency_key
        if key is not None and by_key.setdefault(key, card) is not card:
            continue
        if card.id in fresh:
            raise refusals.given_twice(card.id)
        delay_s = delays_s.get(card.id)
        run_after = None if delay_s is None else now + timedelta(seconds=delay_s)
        fresh[card.id] = replace(card, created_at=now, run_after=run_after)
    _refuse_cycle(link, project, fresh)
    with together(link):
        inserted = write(link, project, {}, fresh)
        rows = execute(link, "cards", project=project, ids=ids)
        same_key = execute(link, "cards_by_key", project=project, keys=keys)
    stored, by_key = cards_of(rows), _by_key(cards_of(same_key))
    written = ids_of(inserted)
    taken = [card.id for card in fresh.values() if card.id not in written and card.idempotency_key not in by_key]
    if taken:
        here = [id for id in taken if id in stored]
        raise refusals.taken(here) if here else refusals.anothers(taken)
    return [stored[card.id] if card.idempotency_key is None else by_key[card.idempotency_key] for card in wanted]


def _by_key(cards: Mapping[str, Card]) -> dict[str, Card]:
    return {card.idempotency_key: card for card in cards.values() if card.idempotency_key is not None}


def _refuse_cycle(link: Link, project: str, fresh: Mapping[str, Card]) -> None:
    needed = {each for card in fresh.values() for each in card.depends_on}
    if not needed:
        return
    # The new cards first: a cycle through one of them is then told from it on.
    new_edges = {id: card.depends_on for id, card in fresh.items()}
    cycle = next(
        (each for each in find_cycles({**new_edges, **reach(link, project, needed), **new_edges}) if each[0] in fresh),
        None,
    )
    if cycle is not None:
        raise refusals.closes_cycle((*cycle, cycle[0]), hint="Take one of these dependencies out.")
