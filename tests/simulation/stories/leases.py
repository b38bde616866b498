"""Workers claim cards, and complete, fail, release or renew what they hold; they talk to the store at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.core.plan import Conflict
from syncd.core.values import CLAIM_OWNER, STATUS
from syncd.errors import NotOwner, SyncdError
from syncd.schemas.card import Card, Status
from tests.simulation.oracle import Violation
from tests.simulation.stories.story import Deed, Story, World
from tests.simulation.traveller import Traveller, line_of
from tests.support.doom import Killed

CARDS = 8
TTL_S = 600
NOT_YOURS = (3, 4)
"""The exit codes of a refusal: the card is another's, or not known."""


@dataclass(eq=False)
class Held:
    """A lease as its owner believes in it."""

    holder: Traveller
    owner: str
    id: str
    attempt: int
    until: datetime

    @property
    def is_at_home(self) -> bool:
        """Whether what was done under this lease is in the database, if it was done."""
        return not self.holder.is_away

    def __str__(self) -> str:
        return f"{self.owner}'s attempt {self.attempt} on {self.id}"


class Leases(Story):
    """Finished work stays finished, once for each attempt; a lease has one holder, or who lost it is told."""

    rows = tuple(line_of(f"L{card}", f"work {card}") for card in range(CARDS))

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.held: list[Held] = []
        self.finished: dict[str, list[Held]] = defaultdict(list)
        """The leases under which a card was finished: by those who worked apart, more than one."""
        self.owners: dict[str, set[str]] = defaultdict(set)
        """Who asked for a card, perhaps in vain."""

    @property
    def deeds(self) -> Sequence[Deed]:
        return (self.claim, self.claim, self.claim, self.complete, self.complete, self.fail, self.release, self.renew)

    # --- deeds ------------------------------------------------------------------------------------

    def claim(self, traveller: Traveller, step: int) -> None:
        """Claim a card, any or a certain one."""
        owner = traveller.worker
        id = self.random.choice((None, f"L{self.random.randrange(CARDS)}"))
        try:
            cards = traveller.store.claim(owner, TTL_S, id=id)
        except Killed:
            for card in self._cards.values():
                if card.claim_owner == owner:
                    self.owners[card.id].add(owner)
            raise
        for card in cards:
            self.world.tell(step, f"{owner} claims {card.id}, attempt {card.attempts}")
            self.owners[card.id].add(owner)
            lease = Held(traveller, owner, card.id, card.attempts, self._now + timedelta(seconds=TTL_S))
            self.review()
            others = [each for each in self.held if each.id == card.id and each.is_at_home]
            if others and not traveller.is_away:
                raise Violation(f"{lease} beside {others[0]}")
            self.held.append(lease)

    def complete(self, traveller: Traveller, step: int) -> None:
        """Complete a card that one holds."""
        verb = traveller.store.complete
        if lease := self._ended(
            traveller, step, "completed", lambda it: verb(it.id, owner=it.owner, attempt=it.attempt)
        ):
            others = [each for each in self.finished[lease.id] if each.attempt == lease.attempt and each.is_at_home]
            if others and lease.is_at_home:
                raise Violation(f"{lease} was completed, and {others[0]} had been before")
            self.finished[lease.id].append(lease)

    def fail(self, traveller: Traveller, step: int) -> None:
        """Fail at a card that one holds."""
        verb = traveller.store.fail
        self._ended(traveller, step, "failed", lambda it: verb(it.id, "broken", owner=it.owner, attempt=it.attempt))

    def release(self, traveller: Traveller, step: int) -> None:
        """Give a card back."""
        verb = traveller.store.release
        self._ended(traveller, step, "given back", lambda it: verb(it.id, it.owner, attempt=it.attempt))

    def renew(self, traveller: Traveller, step: int) -> None:
        """Renew a lease."""
        verb = traveller.store.renew
        if lease := self._ended(traveller, step, "renewed", lambda it: verb(it.id, it.owner, attempt=it.attempt)):
            lease.until = self._now + timedelta(seconds=TTL_S)
            self.held.append(lease)

    def _ended(self, traveller: Traveller, step: int, how: str, verb: Callable[[Held], Card]) -> Held | None:
        """Do something to one of one's leases, which one does not count on any more; return it if that was done."""
        mine = [each for each in self.held if each.holder is traveller]
        if not mine:
            return None
        lease = self.random.choice(mine)
        self.held.remove(lease)
        self.world.tell(step, f"{lease} is {how}")
        is_good = self._stands(lease) and lease.until > self._now
        try:
            verb(lease)
        except SyncdError as error:
            if is_good or error.exit_code not in NOT_YOURS:
                raise
            self.world.tell(step, f"that was refused: {error.message}")
            return None
        return lease

    # --- laws -------------------------------------------------------------------------------------

    @property
    def _now(self) -> datetime:
        return self.world.database.now

    @property
    def _cards(self) -> Mapping[str, Card]:
        return self.world.database.project("default").cards

    def died(self, traveller: Traveller) -> None:
        self.held = [each for each in self.held if each.holder is not traveller]

    def allows(self, conflict: Conflict) -> bool:
        return conflict.field in (STATUS, CLAIM_OWNER) and len(self.owners[conflict.id]) > 1

    def review(self) -> None:
        """Whoever is not away holds what they believe to hold, or was told, or will be told when they ask."""
        told = [each.conflict for each in self.world.database.store().conflicts(settled=True)]
        for lease in tuple(self.held):
            if lease.until <= self._now:
                self.held.remove(lease)
            elif lease.is_at_home and not self._stands(lease):
                self.held.remove(lease)
                is_told = any(each.id == lease.id and each.local in (lease.owner, Status.CLAIMED) for each in told)
                is_done = self._cards[lease.id].status is Status.DONE
                if not (self._will_be_told(lease) if is_done else is_told):
                    raise Violation(f"{lease} was lost, and nobody told: {self._cards[lease.id]}")

    def _stands(self, lease: Held) -> bool:
        card = self._cards[lease.id]
        stands = (Status.CLAIMED, lease.owner, lease.attempt)
        return (card.status, card.claim_owner, card.attempts) == stands

    def _will_be_told(self, lease: Held) -> bool:
        """Return whether a holder whose card another one has finished is refused when they complete it, too."""
        try:
            self.world.database.store().complete(lease.id, owner=lease.owner, attempt=lease.attempt)
        except NotOwner:
            return True
        return False

    def check(self) -> None:
        for id, leases in self.finished.items():
            if self._cards[id].status is not Status.DONE:
                raise Violation(f"{id} was finished under {leases[0]}, and is {self._cards[id].status}")
