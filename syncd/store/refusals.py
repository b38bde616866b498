"""What a store says when it refuses: one wording for all, whatever keeps the cards.

May import ``syncd.errors``, ``syncd.schemas``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from syncd.errors import AlreadyExists, CycleRefused, NotFound, NotOwner, Paused, Refused, StaleVersion
from syncd.schemas.card import Card, Status

_NAMED_MAX: Final = 5


def not_found(project: str, id: str) -> NotFound:
    """Return the error for a card that is not there."""
    return NotFound(f"no card {id} in project {project}", hint="syncd backlog list")


def no_conflict(project: str, seq: int) -> NotFound:
    """Return the error for a conflict that is not there."""
    return NotFound(f"no conflict {seq} in project {project}", hint="syncd conflicts")


def stale(card: Card, if_version: int) -> StaleVersion:
    """Return the error for a write at a version that the card is not at any more."""
    return StaleVersion(
        f"{card.id} is at version {card.version}, not {if_version}", hint=f"syncd backlog show {shlex.quote(card.id)}"
    )


def not_owner(card: Card, owner: str | None, attempt: int | None) -> NotOwner:
    """Return the error for who writes to a lease that is not theirs, or has ended."""
    if card.status is Status.DONE and attempt not in (None, card.attempts):
        return NotOwner(f"{card.id} was done by attempt {card.attempts}, not by {attempt}")
    if card.status is not Status.CLAIMED:
        whose = f", not claimed by {owner}" if owner else ""
        return NotOwner(f"{card.id} is {card.status}{whose}")
    if owner is not None and card.claim_owner != owner:
        return NotOwner(f"{card.id} is claimed by {card.claim_owner}, not by {owner}")
    if attempt is not None and card.attempts != attempt:
        return NotOwner(f"{card.id} is at attempt {card.attempts}, not {attempt}")
    return NotOwner(
        f"the lease of {owner} on {card.id} has expired", hint=f"syncd backlog claim --id {shlex.quote(card.id)}"
    )


def paused(project: str) -> Paused:
    """Return the error for a claim while the queue is paused."""
    return Paused(f"project {project} is paused", hint="syncd backlog resume")


def nothing_to_retry(card: Card) -> Refused:
    """Return the error for trying a card again that has not failed."""
    return Refused(
        f"{card.id} is {card.status}: there is nothing to try again", hint=f"syncd backlog show {shlex.quote(card.id)}"
    )


def not_blocked(card: Card) -> Refused:
    """Return the error for unblocking a card that is not blocked."""
    return Refused(f"{card.id} is {card.status}, not blocked")


def taken(ids: Sequence[str]) -> AlreadyExists:
    """Return the error for cards that exist already."""
    hint = f"syncd backlog show {shlex.quote(ids[0])}"
    if len(ids) == 1:
        return AlreadyExists(f"there is a card {ids[0]} already", hint=hint)
    return AlreadyExists(f"there are cards {_named(ids)} already", hint=hint)


def anothers(ids: Sequence[str]) -> AlreadyExists:
    """Return the error for cards whose id or key is another project's, in a table that has each only once."""
    return AlreadyExists(
        f"another project has the id or the idempotency key of {_named(ids)} in the same table",
        hint="Give another one: an adopted table has each only once.",
    )


def given_twice(id: str) -> AlreadyExists:
    """Return the error for two cards of one request under one id."""
    return AlreadyExists(f"{id} is given twice")


def depended_on(id: str, dependents: Sequence[str]) -> Refused:
    """Return the error for removing a card that others need."""
    verb = "depends" if len(dependents) == 1 else "depend"
    return Refused(f"{_named(dependents)} {verb} on {id}", hint=f"syncd backlog remove --id {shlex.quote(id)} --force")


def closes_cycle(path: Sequence[str], *, hint: str | None = None) -> CycleRefused:
    """Return the error for a dependency that closes a cycle: ``path`` begins and ends with the same card."""
    if len(path) == 2:
        return CycleRefused(f"this closes a cycle: {' → '.join(path)}", hint="A card cannot wait for itself.")
    return CycleRefused(
        f"this closes a cycle: {' → '.join(path)}",
        hint=hint or f"syncd backlog unlink --from {shlex.quote(path[-2])} --to {shlex.quote(path[-1])}",
    )


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED_MAX]) + (f" and {len(ids) - _NAMED_MAX} more" if len(ids) > _NAMED_MAX else "")
