"""The base's advance: from what the store returned and what the files hold, never from what was meant.

May import ``syncd.core``, ``syncd.ports``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

import msgspec
from msgspec.structs import replace

from syncd.core.plan import BaseCard, Change, ChangeKind, Plan, advance
from syncd.core.values import is_same
from syncd.engine import edits
from syncd.engine.observe import LocalView
from syncd.engine.remote import RemoteView
from syncd.ports import Batch, BatchResult, State
from syncd.schemas.card import STATUS_WORD, Fields

SETTING: Final = frozenset({ChangeKind.CREATE, ChangeKind.UPDATE, ChangeKind.CLAIM, ChangeKind.RESTORE})
"""The changes for the store that set fields."""
REMOVING: Final = frozenset({ChangeKind.REMOVE, ChangeKind.ARCHIVE})
"""The changes for the store that take a card out."""


class Outcome(msgspec.Struct, frozen=True):
    """What a write really did: the cards whose base may move, those that are gone, and what was on both sides.

    ``sent`` holds the values that the files showed when the store took them, by card; ``claimed`` the cards
    whose rows asked for the claim and got it.
    """

    touched: Set[str]
    forgotten: Set[str]
    sent: Mapping[str, Fields] = msgspec.field(default_factory=dict)
    claimed: Set[str] = frozenset()


def shown(view: LocalView, changes: Iterable[Change]) -> Mapping[str, Fields]:
    """Return of these changes for the store the values that the rows show as well, by card.

    A merged list or text goes to both sides: until the row is written it is on one of them only.
    """
    found: dict[str, Fields] = {}
    for change in changes:
        if change.kind in SETTING and change.id in view.local:
            here = view.local[change.id].fields
            found[change.id] = {
                name: value
                for name, value in change.fields.items()
                if name in here and is_same(name, here[name], value)
            }
    return found


def outcome_of(view: LocalView, plan: Plan, batch: Batch, result: BatchResult, replaced: Set[str]) -> Outcome:
    """Return what a batch and the replacement of these files did; what failed keeps its old base.

    Args:
        view: the files as the plan was made on them.
    """
    failed = result.moved | result.refused.keys()
    done = [change for change in batch.changes if change.id not in failed]
    gone = {change.id for change in done if change.kind in REMOVING}
    touched, forgotten = set(plan.agreed), set(plan.forgotten) | gone
    for change in plan.to_file:
        if change.path in replaced:
            (forgotten if change.kind is ChangeKind.REMOVE else touched).add(change.id)
    touched |= {change.id for change in done}
    claimed = {change.id for change in done if change.kind is ChangeKind.CLAIM}
    return Outcome(touched - failed - forgotten, forgotten, shown(view, done), claimed)


def move_base(
    state: State,
    view: LocalView,
    remote: RemoteView,
    outcome: Outcome,
    *,
    is_rewound: bool,
    is_new_history: bool,
) -> None:
    """Advance the base of these cards in one durable transaction; with nothing new nothing is written.

    What was sent was on both sides when the store took it, even where a trigger changed it at once: so
    the store's value counts as newer than the file's, and flows.

    Args:
        is_rewound: a hold stands because the store went back: its place in the feed is not taken over.
        is_new_history: that hold was decided, so its place is taken over whatever else there is to do.

    Holds: I6.
    """
    base = state.base()
    agreed: list[BaseCard] = []
    for id in outcome.touched:
        there = remote.remote.get(id)
        if there is None or id not in view.local:
            continue
        known = base.get(id)
        if sent := outcome.sent.get(id):
            known = replace(known, fields={**known.fields, **sent}) if known else BaseCard(id, sent, there.version)
        card = advance(
            known,
            view.local[id],
            there,
            unshown=edits.unshown(view, id, there),
            is_own_claim=id in outcome.claimed,
        )
        if card != base.get(id):
            agreed.append(card)
    gone = [id for id in outcome.forgotten if id in base]
    known_place = state.cursor()
    place = known_place if is_rewound else remote.cursor
    is_new_history |= place is not None and (known_place is None or known_place.epoch != place.epoch)
    if agreed or gone or is_new_history:
        state.advance(agreed, gone, place)


def differs(batch: Batch, result: BatchResult, remote: RemoteView) -> bool:
    """Return whether the store made something else of what it was sent."""
    return any(
        remote.remote[change.id].fields.get(name) != (value or None)
        for change in batch.changes
        if change.id in result.cards and change.id in remote.remote and change.kind in SETTING
        for name, value in change.fields.items()
        if name not in (STATUS_WORD, "priority", "dependsOn")
    )


def says_more(written: Iterable[Change], view: LocalView, remote: RemoteView) -> bool:
    """Return whether a file has a word of its own for what was written into it, which the store has not heard yet.

    Args:
        written: the changes that are in files now.
        view: the files as they are after it.
    """
    return any(
        view.local[change.id].fields.get(STATUS_WORD) != remote.remote[change.id].fields.get(STATUS_WORD)
        for change in written
        if change.id in view.local and change.id in remote.remote
    )
