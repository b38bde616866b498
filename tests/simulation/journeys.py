"""Worlds in which working copies sync their files while the database comes and goes, and processes die in between.

Each field of each card has one writer, who knows what stood there: titles are typed into the file of one working
copy, priorities are given by commands of one.  So nobody ever disagrees: whatever is cut off or killed, nothing may be
held, no conflict may be told, and at the end every side shows what each writer wrote last.  Files, state, manifest and
cycle are the real ones; only the database is in memory.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

from syncd.engine.cycle import Cycle
from syncd.engine.patience import settled
from syncd.engine.report import CycleReport
from syncd.errors import SyncdError
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.wiring import Wiring
from tests.simulation.absences import Violation
from tests.support.doom import Killed, doomed_cycle
from tests.support.laptop import Line, OnLine
from tests.support.memory_store import MemoryDatabase

STEPS = 30
COPIES = 2
CARDS = 6
HEAD = "# Board\n\n| id | title | priority | status |\n|---|---|---|---|\n"
DEATHS = (
    ("files", "stage"),
    ("state", "write_journal"),
    ("store", "commit"),
    ("files", "replace"),
    ("state", "advance"),
    ("state", "clear_journal"),
    ("store", "read"),
)


def row(card: int, title: str, priority: int) -> str:
    """Return a card's row."""
    return f"| T{card} | {title} | {priority} | todo |\n"


@dataclass
class Traveller:
    """One working copy: its folder, its line, and the process that works in it."""

    name: str
    root: Path
    database: MemoryDatabase
    line: Line = field(default_factory=Line)
    wiring: Wiring = field(init=False)
    cycle: Cycle = field(init=False)

    def start(self, wrap: Callable[[Wiring], Cycle] = Wiring.cycle) -> None:
        """Begin a process: nothing of an earlier one's memory is left."""
        environ = {"DATABASE_URL": "postgresql://nowhere.invalid/db", "USER": self.name}
        self.wiring = Wiring(Layout(self.root), environ=environ, mode=None, actor=None, face="sim")

        def database() -> Any:
            return OnLine(self.database.store(replica=self.name), self.line)

        self.wiring.database = database  # type: ignore[method-assign]
        self.cycle = wrap(self.wiring)

    def kill(self, wrap: Callable[[Wiring], Cycle] = Wiring.cycle) -> None:
        """End the process on the spot and begin another."""
        self.wiring.close()
        self.start(wrap)

    @property
    def file(self) -> Path:
        return self.root / "TASKS.md"

    @property
    def rows(self) -> dict[str, tuple[str, str]]:
        """Title and priority by id, as the file shows them."""
        cells = [line.split("|") for line in self.file.read_text().splitlines() if line.startswith("| T")]
        return {each[1].strip(): (each[2].strip(), each[3].strip()) for each in cells}

    def type(self, id: str, title: str) -> None:
        """Give a row another title, in an editor that swaps files."""
        now = self.rows[id][0]
        fresh = self.root / ".editor"
        fresh.write_text(self.file.read_text().replace(f"| {id} | {now} |", f"| {id} | {title} |"))
        fresh.rename(self.file)


@dataclass
class Known:
    """What a writer wrote last, and what may stand there instead: an answer was lost, so it may have been written."""

    value: str
    perhaps: set[str] = field(default_factory=set)


class World:
    """One world; ``run`` lives through it and checks it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.database = MemoryDatabase()
        self.travellers = [
            Traveller(f"copy{number}", folder / f"copy{number}", self.database) for number in range(COPIES)
        ]
        self.titles = {f"T{card}": Known(f"title {card}") for card in range(CARDS)}
        self.priorities = {f"T{card}": Known("0") for card in range(CARDS)}
        self.told: list[str] = []

    def run(self) -> None:
        """Let everybody work, with cuts and kills, then bring everybody home and compare."""
        text = HEAD + "".join(row(card, f"title {card}", 0) for card in range(CARDS))
        for each in self.travellers:
            each.root.mkdir(parents=True)
            each.file.write_text(text)
            create(Layout(each.root), {})
            each.start()
            self._cycle(each)
        deeds = (
            self._cut,
            self._cut_soon,
            self._mend,
            self._kill,
            self._die,
            *repeat(self._type, 4),
            *repeat(self._give, 2),
        )
        for step in range(STEPS):
            traveller = self.random.choice(self.travellers)
            self.random.choice(deeds)(traveller, step)
            if self.random.random() < 0.7:
                self._cycle(traveller)
        for _ in range(3):
            for each in self.travellers:
                self._come_home(each)
        self._check()

    # --- the line and the process -----------------------------------------------------------------

    def _cut(self, traveller: Traveller, step: int) -> None:
        self.told.append(f"{step}: {traveller.name} is cut off")
        traveller.line.is_cut = True

    def _cut_soon(self, traveller: Traveller, step: int) -> None:
        if not traveller.line.is_cut:
            traveller.line.calls_left = self.random.randrange(6)
            traveller.line.cuts_after = self.random.random() < 0.5
            after = " and its answer" if traveller.line.cuts_after else ""
            self.told.append(f"{step}: {traveller.name} is cut off after {traveller.line.calls_left} calls{after}")

    def _mend(self, traveller: Traveller, step: int) -> None:
        self.told.append(f"{step}: {traveller.name} can reach the database")
        self._come_home(traveller)

    def _come_home(self, traveller: Traveller) -> None:
        traveller.line.is_cut, traveller.line.calls_left = False, None
        assert traveller.wiring.reach is not None
        traveller.wiring.reach.hurry()
        self._cycle(traveller)

    def _kill(self, traveller: Traveller, step: int) -> None:
        self.told.append(f"{step}: {traveller.name} is killed")
        traveller.kill()

    def _die(self, traveller: Traveller, step: int) -> None:
        """Have the cycle that takes in an edit die at a call, before or after its work.

        Whoever starts again may find the line cut, and the same row edited once more.
        """
        port, method = self.random.choice(DEATHS)
        after, is_cut = self.random.random() < 0.5, self.random.random() < 0.5
        id = self._type(traveller, step)
        self.told.append(f"{step}: {traveller.name} dies {'after' if after else 'before'} {port}.{method}")
        traveller.kill(doomed_cycle(port, method, after=after, how=Killed()))
        with suppress(Killed):
            self._cycle(traveller)
        if is_cut:
            self._cut(traveller, step)
        if self.random.random() < 0.5:
            self._type(traveller, step, id)
        traveller.kill()

    def _cycle(self, traveller: Traveller) -> None:
        report: CycleReport = settled(traveller.cycle.run)
        if report.held:
            raise Violation(f"{traveller.name} holds {[(each.guard, each.reason) for each in report.held]}")
        if report.conflicts:
            raise Violation(f"{traveller.name} made a conflict: {report.conflicts}")

    # --- work -------------------------------------------------------------------------------------

    def _type(self, traveller: Traveller, step: int, id: str | None = None) -> str:
        """Type a title into a row of one's own; return which."""
        number = self.travellers.index(traveller)
        id = id or f"T{self.random.choice([card for card in range(CARDS) if card % COPIES == number])}"
        title = f"{id} typed at {step}" + "." * (self.titles[id].value.startswith(f"{id} typed at {step}"))
        self.told.append(f"{step}: {traveller.name} types {title!r}")
        traveller.type(id, title)
        self.titles[id] = Known(title)
        return id

    def _give(self, traveller: Traveller, step: int) -> None:
        """Give one of the others' cards a priority, by a command."""
        number = self.travellers.index(traveller)
        id = f"T{self.random.choice([card for card in range(CARDS) if card % COPIES != number])}"
        self.told.append(f"{step}: {traveller.name} gives {id} the priority {step + 1}")
        try:
            traveller.wiring.store().update(id, {"priority": step + 1})
        except SyncdError as error:
            self.told.append(f"{step}: that failed: {error.message}")
            self.priorities[id].perhaps.add(str(step + 1))
        else:
            self.priorities[id] = Known(str(step + 1))

    # --- the end ----------------------------------------------------------------------------------

    def _check(self) -> None:
        cards = self.database.project("default").cards
        if conflicts := [each.conflict for each in self.database.store().conflicts(settled=True)]:
            raise Violation(f"conflicts that nobody made: {conflicts}")
        for id, card in cards.items():
            for what, known, value in (
                ("title", self.titles[id], card.title),
                ("priority", self.priorities[id], str(card.priority)),
            ):
                if value != known.value and value not in known.perhaps:
                    raise Violation(f"{id} has the {what} {value!r}, and not {known.value!r}")
            for each in self.travellers:
                if each.rows[id] != (card.title, str(card.priority)):
                    raise Violation(
                        f"{each.name} shows {each.rows[id]} for {id}, the database {card.title, card.priority}"
                    )
        if len(cards) != CARDS or any(len(each.rows) != CARDS for each in self.travellers):
            raise Violation("cards came or went")


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
