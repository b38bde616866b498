"""One working copy of a simulated world: its files, its state, and the process that syncs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

from syncd.core.plan import BaseCard, Policy
from syncd.core.sight import Thresholds
from syncd.engine.cycle import Cycle, CycleSettings
from syncd.engine.pace import Pace
from syncd.engine.report import CycleReport
from syncd.files.atomic import digest
from syncd.files.layout import Layout
from syncd.files.task_files import WorkspaceFiles
from syncd.schemas.config import Config
from tests.simulation.disk import Disk
from tests.simulation.state import SimulatedState, StateMedium
from tests.simulation.store import SimulatedDatabase, SimulatedStore
from tests.simulation.system import SimulatedPath

PACE_MS = 250


class Killed(BaseException):
    """Stands for SIGKILL and for a power cut: nothing in the program catches it."""


@dataclass
class Replica:
    """A working copy; ``cycle`` is ``None`` while no process runs.

    Args:
        hook: called before each call of the process to its files, its state and the store.
        lost_after: whether the connection is cut when a commit is done, but not answered.
        advanced: told of each base that is given up for another.
        is_paced: whether the process is a daemon, which writes politely.
    """

    name: str
    root: str
    disk: Disk
    database: SimulatedDatabase
    monotonic: Callable[[], float]
    hook: Callable[[str, str], None]
    lost_after: Callable[[], bool]
    advanced: Callable[[str, Mapping[str, BaseCard], Mapping[str, BaseCard]], None]
    is_paced: bool
    medium: StateMedium = field(default_factory=StateMedium)
    cycle: Cycle | None = None
    files: WorkspaceFiles | None = None
    _commits: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Begin a process: nothing of an earlier one's memory is left."""
        self.files = WorkspaceFiles(Layout(SimulatedPath(self.root)), Config(), clock=self.monotonic)  # type: ignore[arg-type]
        settings = CycleSettings(
            policy=Policy(replica=self.name), thresholds=Thresholds(), options=self.files.parse_options
        )
        self.cycle = Cycle(
            self.files,
            SimulatedStore(self.database, self.name, self.hook, self.lost_after),
            SimulatedState(self.medium, self.hook, lambda before, after: self.advanced(self.root, before, after)),
            settings,
            lock=nullcontext,
            monotonic=self.monotonic,
            new_commit_id=lambda: f"{self.name}-{next(self._commits)}",
            digest=digest,
            pace=Pace(PACE_MS, self.monotonic) if self.is_paced else None,
        )

    def run(self, *, full: bool) -> CycleReport:
        """Run a cycle as the daemon does, leases that ended put back after it."""
        assert self.cycle is not None
        report = self.cycle.run(full=full)
        if self.cycle.remote.next_expiry_s() == 0.0:
            store = self.database.store()
            self.database.as_writer("reclaim", store.reclaim)
        return report

    def stop(self) -> None:
        """End the process on the spot."""
        self.cycle = self.files = None

    @property
    def data(self) -> bytes | None:
        """What the task file holds."""
        return self.disk.bytes_of(f"{self.root}/TASKS.md")
