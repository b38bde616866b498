"""A mission held against its cards: its milestones' counts, which of them contradict themselves, and what is next.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Final

import msgspec

from syncd.core.graph import circle_text, find_cycles
from syncd.errors import BadValue, NotFound
from syncd.parsers.fields import status_of
from syncd.parsers.words import fold
from syncd.schemas.card import Card, Fields, Status
from syncd.schemas.mission import Milestone, Mission

_REASONS_MAX: Final = 20


class MissionCard(msgspec.Struct, frozen=True):
    """A card as far as missions look at it: the file in which it stands, and its fields."""

    id: str
    path: str | None
    fields: Fields


class Tally(msgspec.Struct, frozen=True):
    """A milestone with its cards counted.  ``agrees`` is False when what it says is not what they say."""

    milestone: Milestone
    total: int
    done: int

    @property
    def agrees(self) -> bool:
        """A milestone is done exactly when all its cards are; without cards nothing speaks against it."""
        return self.total == 0 or is_done(self.milestone) == (self.done == self.total)


def is_done(milestone: Milestone) -> bool:
    """Return whether a milestone says that it is done, in whatever word."""
    return status_of(milestone.status or "") is Status.DONE


def cards_of(mission: Mission, cards: Sequence[MissionCard], missions: Sequence[Mission]) -> list[MissionCard]:
    """Return the cards of a mission.

    With a ``tasks_file`` in which cards stand, those; else, of several missions, the cards of no other one's
    file.  A mission that is alone has all cards.
    """
    own = [each for each in cards if mission.tasks_file is not None and each.path == mission.tasks_file]
    if own:
        return own
    others = {each.tasks_file for each in missions if each.id != mission.id and each.tasks_file is not None}
    return [each for each in cards if each.path not in others]


def tallies(mission: Mission, cards: Iterable[MissionCard]) -> Sequence[Tally]:
    """Count the cards of each milestone."""
    belonging = by_milestone(mission, cards)
    found = []
    for milestone in mission.milestones:
        own = belonging.get(milestone.id, ())
        found.append(Tally(milestone, len(own), sum(each.fields.get("status") == Status.DONE for each in own)))
    return found


def milestone_of(mission: Mission, phase: str | None) -> Milestone | None:
    """Return the milestone that a card's phase belongs to.

    It is the one whose id or name the phase is, or begins with (``M1`` for the phase ``M1: Foundations``);
    case and separators do not count.
    """
    folded = fold(phase or "")
    return next((each for each in mission.milestones if _is_phase_of(each, folded)), None)


def by_milestone(mission: Mission, cards: Iterable[MissionCard]) -> dict[str, list[MissionCard]]:
    """Return the cards of each milestone that has some, by its id."""
    belongs = cache(lambda phase: milestone_of(mission, phase))
    found: dict[str, list[MissionCard]] = {}
    for card in cards:
        phase = card.fields.get("phase")
        milestone = belongs(None if phase is None else str(phase))
        if milestone is not None:
            found.setdefault(milestone.id, []).append(card)
    return found


def _is_phase_of(milestone: Milestone, phase: str) -> bool:
    names = (fold(each) for each in (milestone.id, milestone.name) if each)
    return any(_is_named(phase, name) for name in names if name)


def _is_named(phase: str, name: str) -> bool:
    return phase == name or (phase.startswith(name) and not phase[len(name) :][:1].isalnum())


def chosen(id: str | None, all_missions: Sequence[Mission], here: Sequence[str]) -> Mission:
    """Return the mission that is meant: the one named, the only one of this working copy, or the only one at all.

    Raises: NotFound, BadValue when one of several is to be named.
    """
    missions = {each.id: each for each in all_missions}
    if id is not None:
        if id not in missions:
            raise NotFound(f"no mission {id}", hint="syncd mission list")
        return missions[id]
    candidates = [each for each in here if each in missions] or list(missions)
    if not candidates:
        raise NotFound("there is no mission yet", hint='syncd mission init --name "…"')
    if len(candidates) > 1:
        raise BadValue(f"there are several missions: {', '.join(candidates)}", hint="Name one of them.")
    return missions[candidates[0]]


def word_for(mission: Mission, state: Status | None, usual: str) -> str:
    """Return the mission's own word for a state: the one that most of its milestones have."""
    wanted = Status.READY if state is None else state
    words = Counter(each.status for each in mission.milestones if each.status and status_of(each.status) is wanted)
    return str(words.most_common(1)[0][0]) if words else usual


def counts_of(cards: Sequence[MissionCard]) -> dict[str, int]:
    """Return how many cards there are, and how many in each state."""
    counts = Counter(str(card.fields.get("status")) for card in cards)
    return {"total": counts.total(), **{each.value: counts[each.value] for each in Status}}


def contradiction(milestone: Milestone, counts: Mapping[str, int]) -> str | None:
    """Return what contradicts itself: a milestone that is done with cards open, or the reverse."""
    total, done = counts["total"], counts["done"]
    if total and is_done(milestone) and done < total:
        return f"says {milestone.status}, but {total - done} of {total} cards are open"
    if total and done == total and not is_done(milestone):
        return f"says {milestone.status or 'nothing'}, but all {total} cards are done"
    return None


# --- next ----------------------------------------------------------------------------------------


class Outlook(StrEnum):
    """What a mission has to do next."""

    CARD = "card"
    DONE = "done"
    WAITING = "waiting"
    """Nothing can be claimed before somebody finishes what he holds, or a pause ends."""
    DEADLOCK = "deadlock"
    """Nothing is left that could ever be claimed without somebody's doing."""


class Next(msgspec.Struct, frozen=True):
    """The card to do next, or why there is none; ``reasons`` say of each card that is left what it waits for."""

    outlook: Outlook
    card: Card | None
    milestone: Milestone | None
    reasons: tuple[tuple[str, str], ...]
    total: int
    done: int


def next_of(mission: Mission, cards: Sequence[Card], all_cards: Sequence[Card], *, claimable: frozenset[str]) -> Next:
    """Return what a mission has to do next.

    Milestones go in their order, cards of none last; among the cards of one the queue's order holds.

    Args:
        cards: the mission's, in the order of the queue.
        all_cards: the project's, in which its dependencies may lie.
        claimable: the ids that can be claimed now.
    """
    rank = {each.id: place for place, each in enumerate(mission.milestones)}
    belongs = cache(lambda phase: milestone_of(mission, phase))

    def place(card: Card) -> int:
        found = belongs(card.phase)
        return len(rank) if found is None else rank[found.id]

    done = sum(card.status is Status.DONE for card in cards)
    open_ones = sorted((card for card in cards if card.status is not Status.DONE), key=place)
    ready = next((card for card in open_ones if card.id in claimable), None)
    if ready is not None:
        return Next(Outlook.CARD, ready, milestone_of(mission, ready.phase), (), len(cards), done)
    if not open_ones:
        return Next(Outlook.DONE, None, None, (), len(cards), done)
    by_id = {card.id: card for card in all_cards}
    moving = [card for card in open_ones if _moves(card)]
    needed = {id for card in open_ones for id in _beyond(card, by_id)}
    moves = bool(moving) or any(_moves(by_id[id]) or id in claimable for id in needed if id in by_id)
    outlook = Outlook.WAITING if moves else Outlook.DEADLOCK
    reasons = tuple((card.id, _reason(card, by_id)) for card in open_ones[:_REASONS_MAX])
    return Next(outlook, None, None, reasons, len(cards), done)


def _moves(card: Card) -> bool:
    """Return whether a card will be claimable or done without anybody stepping in: leased, or pausing."""
    return card.status is Status.CLAIMED or (card.status is Status.READY and card.unmet == 0)


def _beyond(card: Card, by_id: dict[str, Card]) -> set[str]:
    """Return everything that a card waits for, near and far."""
    found: set[str] = set()
    waiting = list(card.depends_on)
    while waiting:
        id = waiting.pop()
        if id not in found and (id not in by_id or by_id[id].status is not Status.DONE):
            found.add(id)
            waiting += by_id[id].depends_on if id in by_id else ()
    return found


def _reason(card: Card, by_id: dict[str, Card]) -> str:
    """Return what a card waits for, in words."""
    if card.status is Status.BLOCKED:
        return f"blocked: {card.last_error}" if card.last_error else "blocked"
    if card.status is Status.CLAIMED:
        return f"claimed by {card.claim_owner}" if card.claim_owner else "claimed"
    open_ones = [each for each in card.depends_on if each not in by_id or by_id[each].status is not Status.DONE]
    if not open_ones:
        return "pauses after a failure" if card.last_error else "cannot be claimed yet"
    circles = find_cycles({id: each.depends_on for id, each in by_id.items()})
    circle = next((each for each in circles if card.id in each), None)
    if circle is not None:
        return f"is in a circle of dependencies: {circle_text(circle)}"
    said = [each if each in by_id else f"{each} (which does not exist)" for each in open_ones]
    return f"waits for {', '.join(said)}"
