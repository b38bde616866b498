"""What worlds with absences share: how lines are cut and processes end."""

from __future__ import annotations

import random
from typing import Protocol

from tests.support.laptop import Line

CALLS_MAX = 6


class Caller(Protocol):
    """One working copy, as far as its line is concerned."""

    name: str
    line: Line


class Cuts:
    """The deeds of a world that take somebody's database away."""

    random: random.Random
    told: list[str]

    def cut(self, caller: Caller, step: int) -> None:
        """Cut a line."""
        self.told.append(f"{step}: {caller.name} is cut off")
        caller.line.is_cut = True

    def cut_soon(self, caller: Caller, step: int) -> None:
        """Have a line be cut after some calls, before or after the last of them."""
        if not caller.line.is_cut:
            self.told.append(f"{step}: {caller.name} is cut off {self._count_down(caller.line)}")

    def kill_soon(self, caller: Caller, step: int) -> None:
        """Have a process end after some calls, before or after the last of them."""
        if not caller.line.is_cut:
            caller.line.kills = True
            self.told.append(f"{step}: {caller.name} is killed {self._count_down(caller.line)}")

    def _count_down(self, line: Line) -> str:
        line.calls_left = self.random.randrange(CALLS_MAX)
        line.cuts_after = self.random.random() < 0.5
        return f"after {line.calls_left} calls" + (" and that one's answer" if line.cuts_after else "")
