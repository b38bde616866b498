"""Titles are typed into the file of one working copy; priorities are given by commands of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncd.errors import SyncdError
from tests.simulation.oracle import Violation
from tests.simulation.stories.story import Deed, Edit, Known, Story, World
from tests.simulation.traveller import Traveller, line_of

CARDS = 6


class Fields(Story):
    """At the end every side shows what each writer wrote last."""

    rows = tuple(line_of(f"T{card}", f"title {card}") for card in range(CARDS))

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.titles = {f"T{card}": Known(f"title {card}") for card in range(CARDS)}
        self.priorities = {f"T{card}": Known("0") for card in range(CARDS)}

    @property
    def edits(self) -> Sequence[Edit]:
        return (self.type,) * 4

    @property
    def deeds(self) -> Sequence[Deed]:
        return (self.give,) * 2

    def type(self, traveller: Traveller, step: int) -> Callable[[], None]:
        """Type a title into a row of one's own."""
        id = f"T{self.random.choice([card for card in range(CARDS) if card % 2 == traveller.number % 2])}"
        self._type(traveller, step, id)
        return lambda: self._type(traveller, step, id)

    def _type(self, traveller: Traveller, step: int, id: str) -> None:
        title = f"{id} typed at {step}"
        while title == self.titles[id].value:
            title += "."
        self.world.tell(step, f"{traveller.name} types {title!r}")
        traveller.type(id, title)
        self.titles[id] = Known(title)

    def give(self, traveller: Traveller, step: int) -> None:
        """Give one of the others' cards a priority, by a command."""
        id = f"T{self.random.choice([card for card in range(CARDS) if card % 2 != traveller.number % 2])}"
        self.world.tell(step, f"{traveller.name} gives {id} the priority {step + 1}")
        # Who is killed over it has not told anybody, and is not whose work this is about.
        is_mortal, traveller.line.kills = traveller.line.kills, False
        try:
            traveller.store.update(id, {"priority": step + 1})
        except SyncdError as error:
            self.world.tell(step, f"that failed: {error.message}")
            self.priorities[id].perhaps.add(str(step + 1))
        else:
            self.priorities[id] = Known(str(step + 1))
        traveller.line.kills = is_mortal and traveller.line.calls_left is not None

    def check(self) -> None:
        cards = self.world.database.project("default").cards
        for id in self.titles:
            card = cards[id]
            stands = (("title", self.titles[id], card.title), ("priority", self.priorities[id], str(card.priority)))
            for what, known, value in stands:
                if not known.allows(value):
                    raise Violation(f"{id} has the {what} {value!r}, and not {known.value!r}")
