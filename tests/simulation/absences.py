"""Worlds in which a database comes and goes for three working copies: what each does is kept, or its loss is told.

A seed says everything: who does what, whose line is cut before or after which call, which process is killed.  The
stores, the state beside the files, the manifest and its log are the real ones; only the database is in memory, and
time moves when the world says so.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind, Policy
from syncd.errors import SyncdError
from syncd.files.layout import Layout
from syncd.files.state import StateFile
from syncd.ports import CardFilter, MissionBatch, NewCard, Pending, Store
from syncd.schemas.card import Card, Status
from syncd.schemas.mission import RecordKey, RecordKind
from syncd.store.failover import FailoverStore
from syncd.store.flatfile.standin import Standin
from syncd.store.reach import Reach
from syncd.stores import manifest_files
from tests.simulation.cuts import Cuts
from tests.simulation.oracle import Violation
from tests.support.laptop import Line, OnLine
from tests.support.memory_store import MemoryDatabase

PROJECT = "default"
STEPS = 45
NAMES = ("ann", "bob", "laptop")


MISSION = RecordKey(RecordKind.MISSION, "m")
MILESTONES = tuple(RecordKey(RecordKind.MILESTONE, "m", id) for id in ("M1", "M2"))


@dataclass
class Copy:
    """One working copy: its folder, its line, and the process that works in it."""

    name: str
    root: Path
    database: MemoryDatabase
    line: Line = field(default_factory=Line)
    made: int = 0

    def start(self) -> None:
        """Begin a process: nothing of an earlier one's memory is left."""
        layout = Layout(self.root)
        self.state = StateFile(layout)
        files = manifest_files(layout.manifest, PROJECT)
        files.now = lambda: self.database.now
        contact = self.state.contact
        standin = Standin(files, lambda: absence.epoch if (absence := contact.absence()) else None)
        self.reach = Reach(
            lambda may_write: contact,
            standin,
            project=PROJECT,
            replica=lambda: self.name,
            policy=Policy(),
            revive=lambda: False,
            pending=Pending,
            missions_agreed=dict,
            new_id=self._new_id,
            clock=lambda: self.database.now,
        )

        def primary() -> Store:
            return OnLine(self.database.store(PROJECT, self.name), self.line)  # type: ignore[return-value]

        self.store = FailoverStore(self.reach, primary, self.reach.store(self.name, "sim"), layout.workers)

    def kill(self) -> None:
        """End the process on the spot and begin another."""
        self.state.close()
        self.start()

    def _new_id(self) -> str:
        self.made += 1
        return f"{self.name}-{self.made}"


@dataclass(frozen=True)
class Written:
    """A title that somebody gave a card, or a name a milestone, and what they saw there then.

    ``is_sure`` is False when the connection was cut in the middle, and they were told that it was not done.
    """

    card: str
    title: str
    replaced: str | None
    is_sure: bool


class World(Cuts):
    """One world; ``run`` lives through it and checks it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.database = MemoryDatabase()
        self.copies = [Copy(name, folder / name, self.database) for name in NAMES]
        self.titles: list[Written] = []
        self.finished: set[str] = set()
        self.told: list[str] = []

    def run(self) -> None:
        """Let everybody work, with cuts and kills, then bring everybody home and look for what is missing."""
        for copy in self.copies:
            copy.root.mkdir(parents=True)
            copy.start()
        self.database.store().create_many([NewCard(id=f"T{number}", title=f"T{number}") for number in range(6)])
        made = (RecordChange(ChangeKind.CREATE, key) for key in (MISSION, *MILESTONES))
        self.database.store().missions.commit(MissionBatch("the mission", tuple(made)))
        for copy in self.copies:
            copy.store.read(None)
        for step in range(STEPS):
            self.database.advance(self.random.choice((1, 1, 5, 40)))
            self._step(self.random.choice(self.copies), step)
        for _ in range(3):
            for copy in self.copies:
                copy.line.is_cut, copy.line.calls_left = False, None
                copy.reach.hurry()
                copy.store.read(None)
        self._check()

    def _step(self, copy: Copy, step: int) -> None:
        deed = self.random.choice(
            (
                self.cut,
                self.cut_soon,
                self._mend,
                self._kill,
                self._title,
                self._title,
                self._finish,
                self._make,
                self._milestone,
            )
        )
        deed(copy, step)

    # --- the line and the process -----------------------------------------------------------------

    def _mend(self, copy: Copy, step: int) -> None:
        self.told.append(f"{step}: {copy.name} can reach the database")
        copy.line.is_cut = False
        copy.reach.hurry()
        copy.store.read(None)

    def _kill(self, copy: Copy, step: int) -> None:
        self.told.append(f"{step}: {copy.name} is killed")
        copy.store.read(None)
        copy.kill()

    # --- work -------------------------------------------------------------------------------------

    def _title(self, copy: Copy, step: int) -> None:
        card = self._some(copy)
        title = f"{card.id} by {copy.name} at {step}"
        self.told.append(f"{step}: {copy.name} calls {card.id} {title!r} instead of {card.title!r}")
        is_sure = self._try(lambda: copy.store.update(card.id, {"title": title}))
        self.titles.append(Written(card.id, title, card.title, is_sure))

    def _finish(self, copy: Copy, step: int) -> None:
        for card in copy.store.claim(copy.name, 600):
            self.told.append(f"{step}: {copy.name} finishes {card.id}")
            if self._try(lambda id=card.id: copy.store.complete(id, owner=copy.name)):  # type: ignore[misc]
                self.finished.add(card.id)

    def _make(self, copy: Copy, step: int) -> None:
        id = f"{copy.name}{step}"
        self.told.append(f"{step}: {copy.name} makes {id}")
        needed = self._some(copy).id
        is_sure = self._try(lambda: copy.store.create(NewCard(id=id, title=id, depends_on=(needed,))))
        self.titles.append(Written(id, id, None, is_sure))

    def _milestone(self, copy: Copy, step: int) -> None:
        missions = copy.store.missions
        key = self.random.choice(MILESTONES)
        record = missions.read().records[key]
        name = f"{key.id} by {copy.name} at {step}"
        self.told.append(f"{step}: {copy.name} calls {key} {name!r} instead of {record.fields['name']!r}")
        change = RecordChange(ChangeKind.UPDATE, key, {"name": name}, record.version)
        moved = missions.commit(MissionBatch(f"{copy.name} {step}", (change,))).moved
        self.titles.append(Written(str(key), name, str(record.fields["name"]), is_sure=not moved))

    def _some(self, copy: Copy) -> Card:
        return self.random.choice(sorted(copy.store.list(CardFilter()), key=lambda card: card.id))

    def _try(self, work: Callable[[], object]) -> bool:
        """Do something, and return whether it was done.

        It may be refused (somebody else's lease), or be about a card that was never heard of before the cut.
        """
        try:
            work()
        except SyncdError as error:
            if error.exit_code not in (3, 4):
                raise
            return False
        return True

    # --- the end ----------------------------------------------------------------------------------

    def _check(self) -> None:
        cards = self.database.project(PROJECT).cards
        kept = [each.conflict for each in self.database.store().conflicts(settled=True)]
        shown = {(each.id, value) for each in kept for value in (each.base, each.local, each.remote)}
        replaced = {(each.card, each.replaced) for each in self.titles}
        for copy in self.copies:
            if copy.reach.absence() is not None:
                raise Violation(f"{copy.name} is still away")
            remembered = {id: card.version for id, card in copy.state.contact.cards().items()}
            if remembered != {id: card.version for id, card in cards.items() if card.deleted_at is None}:
                raise Violation(f"{copy.name} remembers other cards than there are")
        named = {str(key): each.fields["name"] for key, each in self.database.store().missions.read().records.items()}
        named |= {id: card.title for id, card in cards.items()}
        for each in self.titles:
            is_current = named.get(each.card) == each.title
            if each.is_sure and not is_current and (each.card, each.title) not in replaced | shown:
                raise Violation(f"lost: {each.title!r} of {each.card}")
        for id in self.finished:
            if cards[id].status is not Status.DONE:
                raise Violation(f"{id} was finished, and is {cards[id].status}")
        doubled = {each for each in kept if kept.count(each) > 1}
        if doubled:
            raise Violation(f"told twice: {doubled}")


def live(seed: int) -> None:
    """Live through one world.  Raises Violation, with its history."""
    with tempfile.TemporaryDirectory(prefix="syncd-absences-") as folder:
        world = World(seed, Path(folder))
        try:
            world.run()
        except Exception as error:
            history = "\n".join(world.told)
            raise Violation(f"seed {seed}: {error}\n{history}") from error


def main() -> None:
    """Live through many worlds, or tell the history of one."""
    parser = argparse.ArgumentParser(description="Look for lost work in worlds whose database comes and goes.")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--from", type=int, default=0, dest="first")
    chosen = parser.parse_args()
    logging.disable()
    for seed in range(chosen.first, chosen.first + chosen.runs):
        live(seed)
    print(f"{chosen.runs} worlds with absences: nothing lost, nothing twice")


if __name__ == "__main__":
    main()
