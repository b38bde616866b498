"""The guards: what of a plan goes on, what waits, and what a person must say.

A plan is cut into what nobody minds and what looks like a mishap.  The first goes on at once (I12);
the second is held with a reason and the command that ends it (I14), until it is accepted, rejected,
or its cause is gone.  Pure: ages and hashes are passed in.  May import ``syncd.core``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from syncd.core.outlook import accepted, with_outlook
from syncd.core.parts import join, split
from syncd.core.plan import Change, ChangeKind, Hold, Plan, RemoteCard
from syncd.core.reversal import undone
from syncd.core.settling import settle
from syncd.core.sight import ACCEPT, REJECT, Guarded, Sight, Thresholds
from syncd.core.trips import GUARDS, MARKERS, Trip, cycles, undecided


def guard(plan: Plan, sight: Sight, thresholds: Thresholds, decisions: Mapping[str, str]) -> Guarded:
    """Cut a plan into what may be carried out now and what may not.

    Args:
        plan: what ``reconcile`` made of the sight's base, local and remote.
        sight: everything that the guards look at.
        thresholds: when they trip.
        decisions: what people said about holds: fingerprint -> ``accept`` or ``reject``.

    Returns:
        The plan that may be carried out, with the decisions in it, and the holds and waits.

    Holds: I8, I12, I14 (tests/unit/core/test_guard*.py, tests/property/test_guard_laws.py).
    """
    settled, waits = settle(plan, sight, thresholds)
    waiting = frozenset(wait.path for wait in waits)
    desk = _Desk(settled, sight, decisions, waiting)
    for look in GUARDS:
        trips = list(look(desk.open, sight, thresholds))
        # Of a file that waits nobody is asked yet, but what its guard would hold does not go on either.
        desk.judge([replace(each, hold=None) if each.path in waiting else each for each in trips])
    desk.open, desk.decided = join(desk.open, desk.decided), Plan()
    desk.judge(list(cycles(desk.open, sight, thresholds)))
    result = _in_order(join(desk.open, desk.decided), plan, sight.remote)
    return Guarded(
        plan=result,
        holds=(*desk.holds, *undecided(result, sight)),
        waits=waits,
        rejected=tuple(desk.rejected),
        accepted=tuple(desk.accepted),
        marks=frozenset(desk.marks),
        planned=plan,
    )


def carried_out(guarded: Guarded) -> tuple[Hold, ...]:
    """Return the holds whose decision is done with.

    That about merge markers stands as long as they do: a file that was taken as it is has them still.
    """
    return (*(each for each in guarded.accepted if each.guard != MARKERS), *guarded.rejected)


@dataclass(slots=True)
class _Desk:
    """Where trips are judged: ``open`` is what the next guard still looks at, ``decided`` what a person said."""

    open: Plan
    sight: Sight
    decisions: Mapping[str, str]
    waiting: frozenset[str]
    decided: Plan = field(default_factory=Plan)
    holds: list[Hold] = field(default_factory=list)
    accepted: list[Hold] = field(default_factory=list)
    rejected: list[Hold] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)

    def judge(self, trips: Sequence[Trip]) -> None:
        """Hold the parts of one guard's trips, or do with them what was decided."""
        answers = [(trip, self._answer(trip)) for trip in trips]
        self._accept([trip for trip, answer in answers if answer == ACCEPT])
        self._reject([trip for trip, answer in answers if answer == REJECT])
        self._hold([trip for trip, answer in answers if answer is None])

    def _answer(self, trip: Trip) -> str | None:
        """Return what a person said of a trip, ``None`` for nothing that could be done now."""
        if trip.hold is None or trip.hold.path in self.waiting:
            return None
        answer = self.decisions.get(trip.hold.fingerprint)
        may = trip.may_undo if answer == REJECT else trip.may_pass
        return answer if may else None

    def _take(self, trips: Sequence[Trip]) -> tuple[Plan, list[Hold]]:
        """Take the trips' parts from the open plan."""
        taken, self.open = split(self.open, [part for trip in trips for part in trip.parts])
        return taken, [trip.hold for trip in trips if trip.hold is not None]

    def _accept(self, trips: Sequence[Trip]) -> None:
        """Let the parts pass."""
        taken, holds = self._take(trips)
        self.decided = join(self.decided, accepted(taken, holds, self.sight))
        self.accepted += holds

    def _reject(self, trips: Sequence[Trip]) -> None:
        """Undo the local side of the parts."""
        taken, holds = self._take(trips)
        self.decided = join(self.decided, undone(taken, holds, self.sight))
        self.rejected += holds

    def _hold(self, trips: Sequence[Trip]) -> None:
        """Keep the parts back; what goes on meanwhile takes their place."""
        taken, _ = self._take(trips)
        acting = [trip for trip in trips if all(row.path not in self.waiting for row in trip.meanwhile)]
        rows = tuple(row for trip in acting for row in trip.meanwhile)
        self.open = join(self.open, Plan(to_file=rows, conflicts=tuple(each for trip in acting for each in trip.lost)))
        self.holds += with_outlook(trips, taken, self.sight)
        self.marks.update(mark for trip in trips for mark in trip.marks)


def _in_order(result: Plan, plan: Plan, remote: Mapping[str, RemoteCard]) -> Plan:
    """Return the result in the order of the plan; rows that a guard or a decision added in the store's order."""

    def sort(changes: tuple[Change, ...], order: tuple[Change, ...]) -> tuple[Change, ...]:
        rank = {change.id: at for at, change in enumerate(order)}
        if all(change.id in rank for change in changes):
            return tuple(sorted(changes, key=lambda change: rank[change.id]))
        stored = {id: at for at, id in enumerate(remote)}

        def place(change: Change) -> tuple[int, int]:
            is_row = change.kind is ChangeKind.CREATE
            return len(rank) if is_row else rank.get(change.id, len(rank)), stored.get(change.id, len(stored))

        return tuple(sorted(changes, key=place))

    return replace(result, to_store=sort(result.to_store, plan.to_store), to_file=sort(result.to_file, plan.to_file))
