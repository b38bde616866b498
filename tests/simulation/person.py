"""Somebody at the command line: holds are let through or undone, conflicts settled, at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from syncd.core.plan import Hold
from syncd.engine.decisions import decide, resolve
from syncd.errors import SyncdError
from tests.simulation.oracle import Oracle
from tests.simulation.state import SimulatedState
from tests.simulation.store import SimulatedDatabase


@dataclass(frozen=True)
class Person:
    """Decides by chance; the oracle hears what is given up on purpose.

    Args:
        note: takes a line for the trace.
    """

    database: SimulatedDatabase
    oracle: Oracle
    rng: Random
    note: Callable[[str], None]

    def answer(self, who: str, holds: Sequence[Hold], state: SimulatedState, answer: str | None = None) -> None:
        """Answer what a working copy held last; ``None`` for any answer."""
        if holds:
            answer = answer or self.rng.choice(("accept", "reject"))
            self.note(f"== {who}: {answer} of {len(holds)} holds")
            decide(holds, state, [], answer)
            self.oracle.decided(holds, answer)

    def settle(self, state: SimulatedState) -> None:
        """Settle a conflict, for either side."""
        records = self.database.store().conflicts()
        if not records:
            return
        clash, use, store = (
            self.rng.choice(records).conflict,
            self.rng.choice(("local", "remote")),
            self.database.store(),
        )
        try:
            self.database.as_writer("syncd resolve", lambda: resolve(store, state, clash.id, clash.field, use))
        except SyncdError as error:
            self.note(f"== {use} for {clash.field} of {clash.id} is refused: {error.message}")
        else:
            self.note(f"== {use} for {clash.field} of {clash.id}")
            self.oracle.settled(records, clash)
