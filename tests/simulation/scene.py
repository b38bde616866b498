"""A simulated world that a test drives by hand: who acts at which call of syncd, and what goes wrong there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from syncd.core.plan import Conflict
from syncd.engine.report import CycleReport
from tests.simulation import system
from tests.simulation.replica import Killed
from tests.simulation.scheduler import Profile
from tests.simulation.store import PROJECT
from tests.simulation.table import read_rows, row_text, set_cell, starting_text
from tests.simulation.world import World

CALM = Profile(
    replicas=1,
    editors=0,
    steps=0,
    interleaving=0.0,
    faults=0.0,
    faults_max=0,
    kinds=(),
    has_phases=False,
    has_tail=False,
    newline="\n",
    cards=0,
    has_exchange=True,
    has_backups=False,
    is_paced=False,
)

Deed = Callable[[], None]


class Scene:
    """One working copy with its file, its store, and a script of what happens at its calls.

    ``path`` is the task file; ``disk`` and ``database`` are what others act on.
    """

    def __init__(self, *, has_exchange: bool) -> None:
        self._world = World(0, profile=replace(CALM, has_exchange=has_exchange))
        self.disk, self.database = self._world.disk, self._world.database
        self._replica = self._world.replicas[0]
        self._replica.hook = self._call
        self._script: list[tuple[str, str, Deed]] = []
        self.path = f"{self._replica.root}/TASKS.md"
        self.calls: list[str] = []

    def begin(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Put the file there, durably."""
        self.disk.mkdir(self._replica.root)
        self.disk.mkdir(f"{self._replica.root}/.syncd")
        self.save(starting_text(rows, has_phases=False, newline="\n", has_tail=False).encode())
        for path in (self.path, self._replica.root):
            handle = self.disk.open(path, os.O_RDONLY)
            self.disk.fsync(handle)
            self.disk.close(handle)

    @property
    def data(self) -> bytes:
        """What the file holds."""
        return self.disk.bytes_of(self.path) or b""

    def cell(self, id: str, column: str) -> str:
        """Return what a row shows."""
        return read_rows(self.data)[id].cells[column]

    def save(self, data: bytes) -> None:
        """Save the file as an editor does that truncates and writes, and never fsyncs."""
        self.write(self.disk.open(self.path, os.O_CREAT | os.O_WRONLY), data)

    def edit(self, id: str, column: str, value: str) -> None:
        """Change one cell, and save."""
        self.save(set_cell(self.data, id, column, value))

    def add(self, data: bytes, **cells: str) -> bytes:
        """Return a file with a row behind its last one."""
        return data + row_text(cells).encode() + b"\n"

    def hold(self) -> int:
        """Open the file as an editor does that writes into the one that it has, whatever becomes of its name."""
        return self.disk.open(self.path, os.O_RDWR)

    def write(self, handle: int, data: bytes) -> None:
        """Write a whole new content through a handle."""
        self.disk.truncate(handle, 0)
        self.disk.seek(handle, 0)
        self.disk.write(handle, data)

    def set(self, id: str, **columns: Any) -> None:
        """Update a row of the store as plain SQL does."""
        self.database.as_writer("service", lambda: self.database.set(id, **columns))

    def conflicts(self) -> list[Conflict]:
        """Return what is in the conflict record."""
        return [each.conflict for each in self.database.store().conflicts()]

    def stored(self, id: str) -> Any:
        """Return a row of the store."""
        return self.database.project(PROJECT).cards[id]

    # --- syncd ------------------------------------------------------------------------------------

    def sync(self, *, seconds: float = 0.0) -> CycleReport:
        """Run a cycle, in a process that is begun when none runs, and let time pass."""
        if self._replica.cycle is None:
            self._replica.start()
        try:
            return self._replica.run(full=True)
        except Killed:
            self._replica.stop()
            raise
        finally:
            self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._world._set_time(self._world.now_s + seconds)

    def look_late(self) -> None:
        """Run cycles until a late write that is there by now has been told."""
        for _ in range(3):
            self.sync(seconds=0.6)

    def rest(self) -> CycleReport:
        """Run cycles until all that was displaced has been looked at for the last time."""
        for seconds in (0.0, 0.06, 0.5, 2.1, 5.0, 31.0, 61.0, 0.1):
            report = self.sync(seconds=seconds)
        return report

    def at(self, deed: str, do: Deed, *, where: str = "") -> None:
        """Have something happen before the next call of a kind; ``where`` is part of what it is about."""
        self._script.append((deed, where, do))

    def at_taking_in(self, do: Deed) -> None:
        """Have something happen between a late write's way into the file and the note that it is there."""
        self.at(
            "exchange", lambda: self.at("rename", lambda: self.at("rename", do, where="displaced")), where="TASKS.md"
        )

    def kill(self) -> None:
        """End the process where it stands (in ``at``)."""
        raise Killed

    def stop(self) -> None:
        """End the process between two cycles."""
        self._replica.stop()

    def cut_power(self) -> None:
        """Lose all that is not on the medium; of what is not, nothing is kept."""
        self._replica.stop()
        self.disk.power_cut(self._replica.root, _Unlucky())
        self._replica.medium.power_cut(_Unlucky())

    def lose_state(self) -> None:
        """Lose the process and all that syncd remembers beside the files."""
        self._replica.stop()
        self._replica.medium.lose()

    def _call(self, deed: str, where: str) -> None:
        self.calls.append(deed)
        self._world._set_time(self._world.now_s + 0.00005)
        if deed == "exchange" and not self._world.profile.has_exchange:
            raise OSError(errno.EINVAL, "no RENAME_EXCHANGE here", where)
        for each in self._script:
            if each[0] == deed and each[1] in where:
                self._script.remove(each)
                each[2]()
                return


class _Unlucky(Random):
    """Chances that keep nothing which was not made durable."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: Any) -> Any:
        return seq[0]


@contextmanager
def scene(*ids: str, has_exchange: bool = True) -> Iterator[Scene]:
    """Give a scene whose file has rows of these ids, in sync with the store."""
    made = Scene(has_exchange=has_exchange)
    with system.installed(made.disk, made._call, Random(0)):
        rows = [{"id": id, "title": f"title {id}", "status": "not-started", "priority": "5", "note": "n"} for id in ids]
        made.begin(rows)
        if ids:
            made.sync(seconds=20)
            made.sync(seconds=61)
        yield made
