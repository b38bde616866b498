"""Worlds in which working copies sync their files while the database comes and goes, and processes die in between.

Each field, row and lease has one writer at a time, who knows what stood there (``stories``).  So nobody ever disagrees:
whatever is cut off or killed, nothing may be held, no conflict may be told but of a lease that two were given apart,
and at the end every side shows what each writer wrote last.  Files, state, manifest and cycle are the real ones; only
the database is in memory, and time moves when the world says so.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

from syncd.core.plan import Conflict
from syncd.engine.report import CycleReport
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.parsers.fields import status_of
from syncd.ports import CardFilter
from tests.simulation.cuts import Cuts
from tests.simulation.oracle import Violation
from tests.simulation.stories import STORIES
from tests.simulation.stories.story import Story
from tests.simulation.traveller import HEAD, Traveller
from tests.support.doom import Killed, doomed_cycle
from tests.support.memory_store import MemoryDatabase

STEPS = 40
COPIES = 2
FOCUS = 0.7
SETTINGS = {"guards.deletions_max": 1000}
DEATHS = (
    ("files", "stage"),
    ("state", "write_journal"),
    ("store", "commit"),
    ("files", "replace"),
    ("state", "advance"),
    ("state", "clear_journal"),
    ("store", "read"),
    ("companion.memory", "write_journal"),
    ("companion.writer", "replace"),
    ("companion.memory", "advance"),
    ("companion.memory", "clear_journal"),
)


class World(Cuts):
    """One world; ``run`` lives through it and checks it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.database = MemoryDatabase()
        self.travellers = [
            Traveller(f"copy{number}", number, folder / f"copy{number}", self.database) for number in range(COPIES)
        ]
        self.told: list[str] = []
        self.stories = [story(self) for story in STORIES]
        self.focus = self.random.choice(self.stories)
        """What is mostly done in this world: rare chains of events are about one thing."""

    def tell(self, step: int, text: str) -> None:
        """Add a line to the history."""
        self.told.append(f"{step}: {text}")

    def run(self) -> None:
        """Let everybody work, with cuts and kills, then bring everybody home and compare."""
        for each in self.travellers:
            each.root.mkdir(parents=True)
            each.file.write_text(HEAD + "".join(line for story in self.stories for line in story.rows))
            for story in self.stories:
                story.begin(each.root)
            create(Layout(each.root), SETTINGS)
            each.start()
            self._cycle(each)
        of_the_line = (self.cut, self.cut_soon, self._mend, self._kill, self.kill_soon, self._die)
        for step in range(STEPS):
            traveller = self.random.choice(self.travellers)
            story = self._some_story()
            deeds = self.random.choice((of_the_line, of_the_line, story.edits or story.deeds, story.deeds))
            self._live(traveller, step, self.random.choice(deeds))
            self.database.advance(self.random.choice((1, 1, 5, 60)))
            for story in self.stories:
                story.review()
        for _ in range(3):
            for each in self.travellers:
                self._come_home(each)
        self._check()

    def _some_story(self) -> Story:
        return self.focus if self.random.random() < FOCUS else self.random.choice(self.stories)

    def _live(self, traveller: Traveller, step: int, deed: Callable[[Traveller, int], None]) -> None:
        """Do something, and mostly sync then; a process that dies over it is begun anew."""
        try:
            deed(traveller, step)
            if self.random.random() < 0.7:
                self._cycle(traveller)
        except Killed:
            self.tell(step, f"{traveller.name} dies")
            self._begin_anew(traveller)

    # --- the line and the process -----------------------------------------------------------------

    def _mend(self, traveller: Traveller, step: int) -> None:
        self.tell(step, f"{traveller.name} can reach the database")
        self._come_home(traveller)

    def _come_home(self, traveller: Traveller) -> None:
        line = traveller.line
        line.is_cut, line.calls_left, line.kills = False, None, False
        assert traveller.wiring.reach is not None
        traveller.wiring.reach.hurry()
        self._cycle(traveller)

    def _kill(self, traveller: Traveller, step: int) -> None:
        self.tell(step, f"{traveller.name} is killed")
        self._begin_anew(traveller)

    def _begin_anew(self, traveller: Traveller) -> None:
        for story in self.stories:
            story.died(traveller)
        traveller.kill()

    def _die(self, traveller: Traveller, step: int) -> None:
        """Have the cycle that takes in an edit die at a call, before or after its work.

        Whoever starts again may find the line cut, and the same place edited once more.
        """
        port, method = self.random.choice(DEATHS)
        after, is_cut = self.random.random() < 0.5, self.random.random() < 0.5
        edits = self._some_story().edits or [edit for story in self.stories for edit in story.edits]
        again = self.random.choice(edits)(traveller, step)
        self.tell(step, f"{traveller.name} dies {'after' if after else 'before'} {port}.{method}")
        self._begin_anew(traveller)
        traveller.kill(doomed_cycle(port, method, after=after, how=Killed()))
        with suppress(Killed):
            self._cycle(traveller)
        if is_cut:
            self.cut(traveller, step)
        if again is not None and self.random.random() < 0.5:
            again()
        traveller.kill()

    def _cycle(self, traveller: Traveller) -> None:
        report: CycleReport = traveller.sync()
        if report.held:
            raise Violation(f"{traveller.name} holds {[(each.guard, each.reason) for each in report.held]}")
        self._require_allowed(report.conflicts)

    # --- the end ----------------------------------------------------------------------------------

    def _require_allowed(self, conflicts: Iterable[Conflict]) -> None:
        for each in conflicts:
            if not any(story.allows(each) for story in self.stories):
                raise Violation(f"a conflict that nobody made: {each}")

    def _check(self) -> None:
        store = self.database.store()
        self._require_allowed(each.conflict for each in store.conflicts(settled=True))
        for story in self.stories:
            story.review()
            story.check()
        cards = {card.id: card for card in store.list(CardFilter())}
        for each in self.travellers:
            if sorted(id for id, _ in each.lines) != sorted(cards):
                raise Violation(f"{each.name} shows {sorted(each.rows)}, the database {sorted(cards)}")
            for id, card in cards.items():
                row = each.rows[id]
                if (row.title, row.priority, status_of(row.status)) != (card.title, str(card.priority), card.status):
                    raise Violation(f"{each.name} shows {row} for {id}, the database {card}")


def live(seed: int) -> None:
    """Live through one world.  Raises Violation, with its history."""
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="syncd-journeys-") as folder:
        world = World(seed, Path(folder))
        try:
            world.run()
        except Exception as error:
            history = "\n".join(world.told)
            raise Violation(f"seed {seed}: {error!r}\n{history}") from error
        finally:
            for each in world.travellers:
                with suppress(AttributeError):
                    each.wiring.close()


def _told(seed: int) -> str:
    try:
        live(seed)
    except Violation as violation:
        return str(violation)
    return ""


def main() -> int:
    """Live through many worlds; print the histories of those that failed."""
    parser = argparse.ArgumentParser(description="Look for lost edits while the database comes and goes.")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--from", type=int, default=0, dest="first")
    chosen = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        failed = [each for each in pool.map(_told, range(chosen.first, chosen.first + chosen.runs)) if each]
    print(*failed, f"{chosen.runs} worlds with absences and files: {len(failed)} failed", sep="\n\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
