"""Milestones are edited in the mission files and by commands; each field of each has one writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from syncd.core.mission_merge import RecordChange
from syncd.core.plan import ChangeKind, Conflict
from syncd.ports import MissionBatch
from syncd.schemas.mission import RecordKey, RecordKind
from tests.simulation.oracle import Violation
from tests.simulation.stories.story import Deed, Edit, Known, Story, World
from tests.simulation.traveller import Traveller

MILESTONES = 4
TYPED = ("name", "status")
"""What the owner of a milestone types; the others type its branch, and its issue is set by commands."""
FIELDS = (*TYPED, "branch", "issue")
TRIES = 3


class Missions(Story):
    """At the end every side shows what each writer wrote last."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.values = {
            (f"M{milestone}", name): Known(f"{name} {milestone}") for milestone in range(MILESTONES) for name in FIELDS
        }
        self.made = 0
        self.untold: set[str] = set()
        """What commands set that were killed over it: nobody knows that it was, so the next value may clash with it."""

    def begin(self, root: Path) -> None:
        milestones = [
            {"id": f"M{milestone}", **{name: f"{name} {milestone}" for name in FIELDS}}
            for milestone in range(MILESTONES)
        ]
        mission = {"mission_id": "m", "name": "Mission", "status": "active", "milestones": milestones}
        (root / "mission.json").write_text(json.dumps(mission, indent=2) + "\n")

    @property
    def edits(self) -> Sequence[Edit]:
        return (self.type,) * 3

    @property
    def deeds(self) -> Sequence[Deed]:
        return (self.set_issue,)

    def type(self, traveller: Traveller, step: int) -> Callable[[], None]:
        """Give a milestone another value in the file."""
        milestone = self.random.randrange(MILESTONES)
        name = self.random.choice(TYPED) if milestone % 2 == traveller.number % 2 else "branch"
        self._type(traveller, step, f"M{milestone}", name)
        return lambda: self._type(traveller, step, f"M{milestone}", name)

    def _type(self, traveller: Traveller, step: int, id: str, name: str) -> None:
        value = self._value(step, name)
        self.world.tell(step, f"{traveller.name} types the {name} of {id}: {value!r}")
        traveller.set_milestone(id, name, value)
        self.values[id, name] = Known(value)

    def set_issue(self, traveller: Traveller, step: int) -> None:
        """Give a milestone another issue by a command."""
        id = f"M{self.random.choice([each for each in range(MILESTONES) if each % 2 == traveller.number % 2])}"
        value, known = self._value(step, "issue"), self.values[id, "issue"]
        self.world.tell(step, f"{traveller.name} gives {id} the issue {value!r}")
        known.perhaps.add(value)
        self.untold.add(value)
        missions, key = traveller.store.missions, RecordKey(RecordKind.MILESTONE, "m", id)
        for _ in range(TRIES):
            change = RecordChange(ChangeKind.UPDATE, key, {"issue": value}, missions.read().records[key].version)
            if not missions.commit(MissionBatch(traveller.wiring.new_commit_id(), (change,))).moved:
                self.values[id, "issue"] = Known(value)
                self.untold.remove(value)
                break

    def allows(self, conflict: Conflict) -> bool:
        """Return whether a value clashes with one that nobody was told of."""
        return not self.untold.isdisjoint({conflict.local, conflict.remote})

    def _value(self, step: int, name: str) -> str:
        """Return a value that nobody wrote before."""
        self.made += 1
        return f"{name} of step {step}, {self.made}"

    def check(self) -> None:
        records = self.world.database.store().missions.read().records
        for (id, name), known in self.values.items():
            value = records[RecordKey(RecordKind.MILESTONE, "m", id)].fields[name]
            if not known.allows(str(value)):
                raise Violation(f"{id} has the {name} {value!r}, and not {known.value!r}")
            for each in self.world.travellers:
                if each.milestones[id][name] != value:
                    raise Violation(
                        f"{each.name} shows the {name} {each.milestones[id][name]!r} of {id}, not {value!r}"
                    )
