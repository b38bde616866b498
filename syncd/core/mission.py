"""A mission held against its cards: which milestone says done while cards are open, or the other way round.

May import ``syncd.parsers``, ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syncd.parsers.fields import status_of
from syncd.parsers.words import fold
from syncd.schemas.card import Fields, Status
from syncd.schemas.mission import Milestone, Mission


@dataclass(frozen=True, slots=True)
class Tally:
    """A milestone with its cards counted.  ``agrees`` is False when what it says is not what they say."""

    milestone: Milestone
    total: int
    done: int

    @property
    def agrees(self) -> bool:
        """A milestone is done exactly when all its cards are; without cards nothing speaks against it."""
        says_done = status_of(self.milestone.status or "") is Status.DONE
        return self.total == 0 or says_done == (self.done == self.total)


def tallies(mission: Mission, cards: Iterable[Fields]) -> Sequence[Tally]:
    """Count the cards of each milestone.

    A card belongs to the milestone whose id or name its phase is, or begins with (``M1`` for the phase
    ``M1: Foundations``); case and separators do not count.
    """
    phases = [(fold(str(card.get("phase") or "")), card.get("status") == Status.DONE) for card in cards]
    found = []
    for milestone in mission.milestones:
        names = [fold(each) for each in (milestone.id, milestone.name) if each]
        done = [is_done for phase, is_done in phases if any(_is_named(phase, name) for name in names)]
        found.append(Tally(milestone, len(done), sum(done)))
    return found


def _is_named(phase: str, name: str) -> bool:
    return phase == name or (phase.startswith(name) and not phase[len(name) :][:1].isalnum())
