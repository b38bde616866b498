"""Cycles that die at a step: what a kill, a full disk or a cut connection does to one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from syncd.engine.cycle import Cycle
from syncd.wiring import Wiring


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the program catches it."""


class Doomed:
    """A port whose ``method`` dies, before or after it has done its work."""

    def __init__(self, port: Any, method: str, *, after: bool, how: BaseException) -> None:
        self._port = port
        self._method = method
        self._after = after
        self._how: BaseException | None = how

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name != self._method or self._how is None:
            return found

        def dying(*args: Any, **named: Any) -> Any:
            how, self._how = self._how, None
            if how is None:
                return found(*args, **named)
            if self._after:
                found(*args, **named)
            raise how

        return dying


def doomed_cycle(port: str, method: str, *, after: bool, how: BaseException) -> Callable[[Wiring], Cycle]:
    """Return a maker of cycles that die once at this step.

    Args:
        port: its name in the cycle; ``companion.`` before it for one of the missions'.
    """

    def make(wiring: Wiring) -> Cycle:
        cycle = wiring.cycle()
        *path, name = (f"_{each}" for each in port.split("."))
        owner: Any = reduce(getattr, path, cycle)
        setattr(owner, name, Doomed(getattr(owner, name), method, after=after, how=how))
        return cycle

    return make
