"""Who acts next, and what goes wrong: every decision of a world comes from one seed.

The process under test runs as ordinary code; before each of its calls to the outside the scheduler may let
others act, or end the process, the machine's power, the disk or the connection.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from syncd.errors import InputOutputError, StoreUnreachable
from tests.simulation.replica import Killed

STORE_CALLS = frozenset({"read", "commit", "has_commit", "left_out", "reserve_ids"})
STATE_CALLS = frozenset(
    {"advance", "write_journal", "clear_journal", "remember_version", "set_meta", "decide", "drop_decisions"}
)


@dataclass(frozen=True)
class Profile:
    """What kind of world a seed gives.

    ``interleaving`` and ``faults`` are chances for each call; ``faults_max`` bounds a world's accidents.
    """

    replicas: int
    editors: int
    steps: int
    interleaving: float
    faults: float
    faults_max: int
    kinds: tuple[str, ...]
    has_phases: bool
    has_tail: bool
    newline: str
    cards: int
    has_exchange: bool
    has_backups: bool
    is_paced: bool
    has_outages: bool = False
    loses_state: bool = False
    decides: bool = False

    @classmethod
    def of(cls, rng: Random, more: Random) -> Profile:
        """Draw a profile; what came to it later comes from ``more``, so that seeds go on meaning the same worlds."""
        replicas = rng.choice((1, 1, 1, 1, 2, 2, 3))
        is_faulty = rng.random() < 0.6
        return cls(
            replicas=replicas,
            editors=rng.choice((1, 1, 2)),
            steps=rng.randrange(8, 40),
            interleaving=rng.choice((0.0, 0.02, 0.05, 0.1)),
            faults=rng.choice((0.003, 0.01, 0.02)) if is_faulty else 0.0,
            faults_max=rng.randrange(1, 7),
            kinds=tuple(rng.sample(("kill", "power", "disk", "cut", "lost"), rng.randrange(1, 6))),
            has_phases=rng.random() < 0.4,
            has_tail=rng.random() < 0.5,
            newline=rng.choice(("\n", "\n", "\r\n")),
            cards=rng.randrange(1, 9),
            has_exchange=rng.random() < 0.8,
            has_backups=(replicas == 1 and rng.random() < 0.1) or more.random() < 0.1,
            is_paced=rng.random() < 0.5,
            has_outages=more.random() < 0.2,
            loses_state=more.random() < 0.2,
            decides=more.random() < 0.3,
        )


@dataclass
class Scheduler:
    """Decides at each call of the process under test.

    Args:
        others: lets somebody else act.
        lose_power: takes the power of the machine under test.
        note: takes a line for the trace.
    """

    profile: Profile
    rng: Random
    others: Callable[[], None]
    lose_power: Callable[[], None]
    note: Callable[[str], None]
    faults: int = 0
    is_calm: bool = False
    is_quiet: bool = False

    def call(self, deed: str, where: str) -> None:
        """Be asked by a call that is about to be made."""
        if self.is_quiet:
            return
        if self.rng.random() < self.profile.interleaving:
            self.others()
        self.accident(deed, where)

    def accident(self, deed: str, where: str) -> None:
        """Have something go wrong at a call, perhaps, with nobody else acting."""
        if self.is_quiet:
            return
        if self.is_calm or self.faults >= self.profile.faults_max or self.rng.random() >= self.profile.faults:
            return
        kinds = self.profile.kinds
        kind = self.rng.choice(kinds)
        if kind == "kill":
            self._accident(f"is killed before: {deed} {where}")
            raise Killed
        if kind == "power":
            self._accident(f"loses its power before: {deed} {where}")
            self.lose_power()
            raise Killed
        if kind == "cut" and deed in STORE_CALLS:
            self._accident(f"has its connection cut before: {deed}")
            raise StoreUnreachable("the connection was cut")
        if kind == "disk" and deed not in STORE_CALLS and deed != "lexists":
            self._disk_error(deed, where)

    def is_lost_after_commit(self) -> bool:
        """Return whether the connection is cut between a commit and its answer."""
        if self.is_calm or "lost" not in self.profile.kinds or self.faults >= self.profile.faults_max:
            return False
        if self.rng.random() >= self.profile.faults * 10:
            return False
        self._accident("has its connection cut after: commit")
        return True

    def _disk_error(self, deed: str, where: str) -> None:
        number = self.rng.choice((errno.EIO, errno.ENOSPC, errno.EDQUOT))
        if number != errno.EIO and deed in ("read whole", "fstat", "stat", "unlink"):
            number = errno.EIO
        self._accident(f"gets {os.strerror(number)} at: {deed} {where}")
        if deed in STATE_CALLS:
            raise InputOutputError(f"{deed}: {os.strerror(number)}")
        raise OSError(number, os.strerror(number), where)

    def _accident(self, what: str) -> None:
        self.faults += 1
        self.note(f"  !! {what}")
