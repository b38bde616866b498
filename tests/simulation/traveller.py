"""A working copy in a world with absences: real files, state, manifest and cycle; only time is the world's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from syncd.engine.cycle import Cycle
from syncd.engine.report import CycleReport
from syncd.files.layout import Layout
from syncd.ports import Store
from syncd.wiring import Wiring
from tests.support.laptop import Line, OnLine
from tests.support.memory_store import MemoryDatabase

HEAD = "# Board\n\nSaved 0 times.\n\n| id | title | priority | status |\n|---|---|---|---|\n"
WAITS_MAX = 20


class Row(NamedTuple):
    """A row as the file shows it."""

    title: str
    priority: str
    status: str


def line_of(id: str, title: str, status: str = "todo") -> str:
    """Return a row's line."""
    return f"| {id} | {title} | 0 | {status} |\n"


@dataclass
class Traveller:
    """One working copy: its folder, its line, and the process that works in it."""

    name: str
    number: int
    root: Path
    database: MemoryDatabase
    line: Line = field(default_factory=Line)
    wiring: Wiring = field(init=False)
    cycle: Cycle = field(init=False)
    processes: int = 0
    saves: int = 0

    def start(self, wrap: Callable[[Wiring], Cycle] = Wiring.cycle) -> None:
        """Begin a process: nothing of an earlier one's memory is left."""
        self.processes += 1
        environ = {"DATABASE_URL": "postgresql://nowhere.invalid/db", "USER": self.name}
        self.wiring = Wiring(Layout(self.root), environ=environ, mode=None, actor=None, face="sim")

        def database() -> Any:
            return OnLine(self.database.store(replica=self.name), self.line)

        self.wiring.database = database  # type: ignore[method-assign]
        self.wiring.manifest.now = lambda: self.database.now
        assert self.wiring.reach is not None
        self.wiring.reach._clock = lambda: self.database.now
        self.cycle = wrap(self.wiring)
        missions: Any = self.cycle._companion
        for part in (self.cycle._observer, self.cycle._sighting, missions, missions._observer):
            part._monotonic = lambda: self.database.now.timestamp()

    def kill(self, wrap: Callable[[Wiring], Cycle] = Wiring.cycle) -> None:
        """End the process on the spot and begin another."""
        self.line.kills, self.line.calls_left = False, None
        self.wiring.close()
        self.start(wrap)

    def sync(self) -> CycleReport:
        """Run cycles until nothing waits any more."""
        report = self.cycle.run()
        for _ in range(WAITS_MAX):
            if not report.waits:
                break
            self.database.advance(min(each.retry_ms for each in report.waits) / 1000)
            report = report.then(self.cycle.run())
        return report

    @property
    def store(self) -> Store:
        """The store as a command has it."""
        return self.wiring.store()

    @property
    def worker(self) -> str:
        """The owner of the leases that this process asks for."""
        return f"{self.name}.{self.processes}"

    @property
    def is_away(self) -> bool:
        """Whether something stands in for the database here."""
        return self.wiring.absence() is not None

    # --- files ------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        return self.root / "TASKS.md"

    @property
    def lines(self) -> list[tuple[str, Row]]:
        """Each row as the file shows it, with its id."""
        cells = [line.split("|")[1:5] for line in self.file.read_text().splitlines() if line.startswith("| ")]
        return [(each[0].strip(), Row(*(cell.strip() for cell in each[1:]))) for each in cells[1:]]

    @property
    def rows(self) -> dict[str, Row]:
        """The rows by id."""
        return dict(self.lines)

    def type(self, id: str, title: str) -> None:
        """Give a row another title."""
        was = rf"^(\| *{re.escape(id)} *\| *){re.escape(self.rows[id].title)}(?= *\|)"
        self._save(re.sub(was, rf"\g<1>{title}", self.file.read_text(), flags=re.MULTILINE))

    def put_in(self, line: str) -> None:
        """Put a row behind the others."""
        self._save(self.file.read_text() + line)

    def take_out(self, title: str) -> None:
        """Take a row out, however it is padded: syncd pads as the rows around do."""
        lines = self.file.read_text().splitlines(keepends=True)
        self._save("".join(each for each in lines if title not in (cell.strip() for cell in each.split("|"))))

    def _save(self, text: str) -> None:
        """Save the task file; it never has the bytes of an older version, which would be a question to a person."""
        self.saves += 1
        self.save(self.file, re.sub(r"^Saved \d+ times", f"Saved {self.saves} times", text, flags=re.MULTILINE))

    @property
    def mission_file(self) -> Path:
        return self.root / "mission.json"

    @property
    def milestones(self) -> dict[str, Mapping[str, Any]]:
        """The milestones by id, as the file shows them."""
        return {each["id"]: each for each in json.loads(self.mission_file.read_text())["milestones"]}

    def set_milestone(self, id: str, name: str, value: str) -> None:
        """Give a milestone another value in the mission file."""
        mission = json.loads(self.mission_file.read_text())
        next(each for each in mission["milestones"] if each["id"] == id)[name] = value
        self.save(self.mission_file, json.dumps(mission, indent=2) + "\n")

    def save(self, path: Path, text: str) -> None:
        """Save a file in an editor that swaps files."""
        fresh = self.root / ".editor"
        fresh.write_text(text)
        fresh.rename(path)
