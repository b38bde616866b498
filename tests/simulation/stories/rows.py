"""Rows are put into a file and taken out by their one owner, and cards made and removed by commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from syncd.errors import SyncdError
from syncd.ports import CardFilter, NewCard
from tests.simulation.oracle import Violation
from tests.simulation.stories.story import Deed, Edit, Story, World
from tests.simulation.traveller import Traveller, line_of

CARDS = 6
STATUS = "blocked"
"""Nobody is to claim these cards."""
NEVER_S = 1e9
OLD_S = 11
"""A row that goes sooner after syncd wrote it may be an editor's old buffer: somebody is asked."""


class Being(StrEnum):
    """Whether a card is to be there."""

    THERE = "there"
    GONE = "gone"
    PERHAPS = "perhaps"
    """The answer was lost."""


@dataclass
class Thing:
    """A card, known by its title: its id may be given by syncd."""

    owner: int
    being: Being = Being.THERE


class Rows(Story):
    """What was removed stays removed, and what was made exists once, on every side."""

    rows = tuple(line_of(f"R{card}", f"thing {card}", STATUS) for card in range(CARDS))

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.things = {f"thing {card}": Thing(card % len(world.travellers)) for card in range(CARDS)}

    @property
    def edits(self) -> Sequence[Edit]:
        return (self.put_in, self.put_in_nameless, self.take_out, self.take_out)

    @property
    def deeds(self) -> Sequence[Deed]:
        return (self.make, self.remove)

    # --- deeds ------------------------------------------------------------------------------------

    def put_in(self, traveller: Traveller, step: int) -> Callable[[], None]:
        """Put a row with an id into the file."""
        return self._put_in(traveller, step, f"N{traveller.number}-{step}", f"row of step {step}")

    def put_in_nameless(self, traveller: Traveller, step: int) -> Callable[[], None]:
        """Put a row without an id into the file; syncd gives it one."""
        return self._put_in(traveller, step, "", f"nameless row of step {step}")

    def _put_in(self, traveller: Traveller, step: int, id: str, title: str) -> Callable[[], None]:
        self.world.tell(step, f"{traveller.name} puts in a row {id!r}: {title!r}")
        traveller.put_in(line_of(id, title, STATUS))
        self.things[title] = Thing(traveller.number)
        return lambda: self._take_out(traveller, step, title)

    def take_out(self, traveller: Traveller, step: int) -> Callable[[], None] | None:
        """Take a row of one's own out of the file."""
        mine = [(id, row.title) for id, row in traveller.lines if self._is_of(traveller, row.title)]
        if not mine:
            return None
        id, title = self.random.choice(mine)
        self._take_out(traveller, step, title)
        return (lambda: self._put_back(traveller, step, id, title)) if id else None

    def _take_out(self, traveller: Traveller, step: int, title: str) -> None:
        self.world.database.advance(OLD_S)
        self.world.tell(step, f"{traveller.name} takes out {title!r}")
        traveller.take_out(title)
        self.things[title].being = Being.GONE

    def _put_back(self, traveller: Traveller, step: int, id: str, title: str) -> None:
        """Put a row back as it was, into a working copy that is at work; it knows of no row that comes and goes."""
        if id not in traveller.rows and not traveller.line.is_cut:
            traveller.kill()
            self._put_in(traveller, step, id, title)
            traveller.sync()

    def make(self, traveller: Traveller, step: int) -> None:
        """Make a card by a command."""
        title = f"made at step {step}"
        new = NewCard(f"C{traveller.number}-{step}", title, delay_s=NEVER_S)
        self.world.tell(step, f"{traveller.name} makes {new.id}: {title!r}")
        self.things[title] = Thing(traveller.number, Being.PERHAPS)
        self._command(step, lambda: traveller.store.create(new), title, Being.THERE)

    def remove(self, traveller: Traveller, step: int) -> None:
        """Remove a card of one's own by a command."""
        cards = sorted(traveller.store.list(CardFilter()), key=lambda card: card.id)
        mine = [card for card in cards if self._is_of(traveller, card.title)]
        if mine:
            card = self.random.choice(mine)
            self.world.tell(step, f"{traveller.name} removes {card.id}: {card.title!r}")
            self.things[card.title].being = Being.PERHAPS
            self._command(step, lambda: traveller.store.remove(card.id), card.title, Being.GONE)

    def _is_of(self, traveller: Traveller, title: str) -> bool:
        """Return whether a card is a traveller's own, and has not been removed yet."""
        thing = self.things.get(title)
        return thing is not None and thing.owner == traveller.number and thing.being is not Being.GONE

    def _command(self, step: int, verb: Callable[[], object], title: str, being: Being) -> None:
        try:
            verb()
        except SyncdError as error:
            self.world.tell(step, f"that failed: {error.message}")
        else:
            self.things[title].being = being

    # --- laws -------------------------------------------------------------------------------------

    def check(self) -> None:
        live = Counter(card.title for card in self.world.database.store().list(CardFilter()))
        for title, thing in self.things.items():
            there = live[title]
            if there > 1 or (thing.being is Being.THERE and not there) or (thing.being is Being.GONE and there):
                raise Violation(f"{title!r} is to be {thing.being}, and is there {there} times")
