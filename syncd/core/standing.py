"""What stands between a card and a claim.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from syncd.schemas.card import Card, Status


class Reason(StrEnum):
    """Why a card cannot be claimed."""

    PAUSED = "paused"
    ARCHIVED = "archived"
    BLOCKED = "blocked"
    DONE = "done"
    LEASED = "leased"
    UNMET = "unmet"
    UNKNOWN = "unknown"
    DELAYED = "delayed"


class Standing(msgspec.Struct, frozen=True):
    """A card with what decides whether it can be claimed, as one snapshot saw it.

    ``dependencies`` has every id that the card depends on; ``None`` for one that is no card, or a deleted one.
    """

    card: Card
    dependencies: Mapping[str, Card | None]
    is_paused: bool
    now: datetime


class Obstacle(msgspec.Struct, frozen=True):
    """One thing that has to happen before the card can be claimed."""

    reason: Reason
    message: str
    id: str | None = None
    """The dependency that is not met."""
    owner: str | None = None
    until: datetime | None = None
    """When this obstacle goes away by itself."""


def obstacles(standing: Standing) -> tuple[Obstacle, ...]:
    """Return everything that keeps a card from being claimed, what no wait can end first."""
    return (*_of_state(standing), *_of_dependencies(standing))


def _of_state(standing: Standing) -> Iterator[Obstacle]:
    card, now = standing.card, standing.now
    if card.archived_at is not None:
        yield Obstacle(Reason.ARCHIVED, "it is archived")
    match card.status:
        case Status.DONE:
            yield Obstacle(Reason.DONE, "it is done")
        case Status.BLOCKED:
            why = f": {card.last_error}" if card.last_error else ""
            yield Obstacle(Reason.BLOCKED, f"it is blocked{why}")
        case Status.CLAIMED:
            ends_at = lease_end(card)
            if ends_at is None or ends_at > now:
                yield Obstacle(Reason.LEASED, f"{card.claim_owner} holds it", owner=card.claim_owner, until=ends_at)
        case Status.READY:
            if card.run_after is not None and card.run_after > now:
                yield Obstacle(Reason.DELAYED, "its time has not come", until=card.run_after)
    if standing.is_paused:
        yield Obstacle(Reason.PAUSED, "the queue is paused")


def _of_dependencies(standing: Standing) -> Iterator[Obstacle]:
    for id, needed in standing.dependencies.items():
        if needed is None:
            yield Obstacle(Reason.UNKNOWN, f"it depends on {id}, and there is no such card", id=id)
        elif needed.status is not Status.DONE:
            yield Obstacle(
                Reason.UNMET, f"it depends on {id}, which is {needed.status}", id=id, owner=needed.claim_owner
            )


def lease_end(card: Card) -> datetime | None:
    """Return when a claimed card's lease ends; ``None`` for one that ends only by hand."""
    if card.claim_ttl_seconds is None or card.claimed_at is None:
        return None
    return card.claimed_at + timedelta(seconds=card.claim_ttl_seconds)
