"""Answers for agents: short, because a context window is money.  What is empty or usual is left out.

May import ``syncd.ports``, ``syncd.core``, ``syncd.schemas``, ``syncd.errors``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from syncd.core.events import Event
from syncd.core.standing import Obstacle
from syncd.errors import SyncdError
from syncd.ports import QueueStats
from syncd.schemas.card import Card, Status, card_json, instant_json

if TYPE_CHECKING:
    from syncd.missions import MilestoneState, MissionState

Json = dict[str, Any]

EVENTS_MAX: Final = 100
_COMMAND: Final = re.compile(r"\bsyncd backlog (\w+)")
"""A command in a hint; an agent has the tool of that name."""

_USUAL: Final[Mapping[str, Any]] = {
    "priority": 0,
    "attempts": 0,
    "unmet": 0,
    "project": None,
    "createdAt": None,
    "idempotencyKey": None,
}
"""What says nothing: these values of these fields; ``None`` stands for any value."""


def brief(card: Card) -> Json:
    """Return a card as a line of a list."""
    found: Json = {"id": card.id, "title": card.title, "status": card.status.value}
    if card.priority:
        found["priority"] = card.priority
    if card.phase:
        found["phase"] = card.phase
    if card.unmet and card.status is not Status.DONE:
        # What is done already holds nothing up; coord_task_detail has all of them.
        found["dependsOn"] = list(card.depends_on)
        found["waitsFor"] = card.unmet
    if card.claim_owner:
        found["owner"] = card.claim_owner
    return found


def whole(card: Card) -> Json:
    """Return all of a card that says something."""
    return {
        name: value
        for name, value in card_json(card).items()
        if value not in (None, [], {}) and not (name in _USUAL and _USUAL[name] in (None, value))
    }


def leased(card: Card) -> Json:
    """Return a card that was claimed: all that its worker needs, and the numbers for the verbs to come."""
    found = whole(card)
    # A claim changes the card: both instants are one.
    found.pop("updatedAt", None)
    found["attempt"] = found.pop("attempts", card.attempts)
    return found


def changed(card: Card) -> Json:
    """Return how a card is after a change."""
    if card.deleted_at is not None:
        return {"id": card.id, "removed": True}
    found: Json = {"id": card.id, "status": card.status.value, "version": card.version}
    if card.run_after is not None:
        found["notBefore"] = instant_json(card.run_after)
    if card.last_error is not None and card.status is not Status.DONE:
        found["lastError"] = card.last_error
    return found


def page(cards: Sequence[Card], limit: int) -> Json:
    """Return a list of cards, and the cursor for the next page when there is one."""
    found: Json = {"cards": [brief(each) for each in cards[:limit]]}
    if len(cards) > limit:
        found["next"] = cards[limit - 1].id
    return found


def stats(found: QueueStats) -> Json:
    """Return the counts of the queue."""
    answer: Json = dict(found.counts)
    answer |= {name: number for name, number in found.queue.items() if name in ("failed", "delayed") and number}
    if found.expired_claim_count:
        answer["expiredLeases"] = found.expired_claim_count
    if found.paused:
        answer["paused"] = True
    return answer


def why(obstacles: Sequence[Obstacle]) -> Json:
    """Return whether a card can be claimed, and else what stands against it."""
    return {"claimable": not obstacles, "reasons": [each.message for each in obstacles]}


def mission(state: MissionState) -> Json:
    """Return how far a mission is, and where a milestone and its cards contradict each other."""
    found: Json = {"id": state.record.key.mission, "status": state.record.fields.get("status")}
    if state.milestones:
        found["milestones"] = [_milestone(each) for each in state.milestones]
    return found


def _milestone(state: MilestoneState) -> Json:
    found: Json = {"id": state.record.key.id, "status": state.record.fields.get("status")}
    if state.cards["total"]:
        found["cards"] = f"{state.cards['done']} of {state.cards['total']} done"
    if state.drift is not None:
        found["contradiction"] = state.drift
    return found


def event(found: Event) -> Json:
    """Return one event."""
    answer: Json = {"seq": found.seq, "type": found.type.value, "id": found.id, "by": found.actor}
    if found.to_state:
        answer["to"] = found.to_state
    return answer


def failure(error: SyncdError) -> str:
    """Return an error as an agent can act on it."""
    hint = _COMMAND.sub(r"backlog_\1", error.hint) if error.hint else None
    return f"{error.code}: {error.message}." + (f" Hint: {hint}" if hint else "")
