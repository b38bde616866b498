"""What every store does with missions."""

from __future__ import annotations

import pytest

from syncd.core.mission_merge import POSITION, RecordChange
from syncd.core.plan import ChangeKind, Conflict, Winner
from syncd.core.session import Proof, Session
from syncd.errors import AlreadyExists, NotFound, Refused
from syncd.ports import MissionBatch, MissionResult, MissionStore
from syncd.schemas.card import Fields
from syncd.schemas.mission import RecordKey, RecordKind
from tests.contract.conftest import World

MISSION = RecordKey(RecordKind.MISSION, "m")
M1 = RecordKey(RecordKind.MILESTONE, "m", "M1")
M2 = RecordKey(RecordKind.MILESTONE, "m", "M2")
S1 = RecordKey(RecordKind.SESSION, "m", "S1")


@pytest.fixture
def missions(world: World) -> MissionStore:
    """A store with a mission of two milestones."""
    store = world.store.missions
    commit(
        store, "c1", create(M1, name="One"), create(MISSION, quality_gates='["lint"]', path="mission.json"), create(M2)
    )
    return store


def create(key: RecordKey, **fields: str | int | None) -> RecordChange:
    return RecordChange(ChangeKind.CREATE, key, fields)


def update(key: RecordKey, version: int | None = None, **fields: str | int | None) -> RecordChange:
    return RecordChange(ChangeKind.UPDATE, key, fields, version)


def remove(key: RecordKey, version: int | None = None) -> RecordChange:
    return RecordChange(ChangeKind.REMOVE, key, version=version)


def commit(store: MissionStore, id: str, *changes: RecordChange, conflicts: tuple[Conflict, ...] = ()) -> MissionResult:
    return store.commit(MissionBatch(id, changes, conflicts))


def fields(store: MissionStore, key: RecordKey) -> Fields:
    return store.read().records[key].fields


def test_records_come_back_with_their_defaults(missions: MissionStore) -> None:
    """What was not said has the store's own word; JSON stays JSON, and milestones stand in their order."""
    view = missions.read()
    assert view.records[MISSION].fields["quality_gates"] == '["lint"]'
    assert (fields(missions, MISSION)["name"], fields(missions, MISSION)["status"]) == ("m", "active")
    assert (fields(missions, M1)["name"], fields(missions, M2)["name"]) == ("One", "M2")
    assert fields(missions, M1)["status"] == "pending"
    assert [view.records[key].position for key in (M1, M2)] == [0, 1]
    assert {each.version for each in view.records.values()} == {1}


def test_a_change_moves_its_row_and_the_place(missions: MissionStore) -> None:
    """A real change counts; the same value again does not."""
    place = missions.place()
    result = commit(missions, "c2", update(M1, 1, status="done", branch="x"))
    assert result.view.records[M1].version == 2
    assert (fields(missions, M1)["status"], fields(missions, M1)["name"]) == ("done", "One")
    assert missions.place() > place
    place = missions.place()
    commit(missions, "c3", update(M1, 2, status="done"))
    assert (missions.place(), missions.read().records[M1].version) == (place, 2)


def test_a_row_that_moved_is_left_alone(missions: MissionStore) -> None:
    """A change, a removal or a creation that was planned on another state is named, and the others go on."""
    commit(missions, "c2", update(M1, status="done"))
    result = commit(
        missions, "c3", update(M1, 1, status="x"), remove(M2, 9), create(MISSION), update(MISSION, 1, name="N")
    )
    assert result.moved == {M1, M2, MISSION}
    assert result.view.records[MISSION].fields["name"] == "N"
    assert fields(missions, M1)["status"] == "done"


def test_a_batch_happens_once(world: World, missions: MissionStore) -> None:
    """A commit id that is known changes nothing, and what was left out is remembered."""
    assert world.store.has_commit("c1")
    commit(missions, "c1", update(M1, name="Twice"))
    assert fields(missions, M1)["name"] == "One"
    commit(missions, "c2", update(M1, 9, name="Late"))
    assert world.store.left_out("c2") == {"mission:m/M1"}


def test_a_milestone_needs_its_mission(missions: MissionStore) -> None:
    """One of a mission that is not there is refused; the rest of the batch stands."""
    stray = RecordKey(RecordKind.MILESTONE, "nope", "M1")
    result = commit(missions, "c2", create(stray), update(M1, name="Other"))
    assert result.refused.keys() == {stray}
    assert fields(missions, M1)["name"] == "Other"


def test_rows_go_and_come_back_with_a_higher_version(missions: MissionStore) -> None:
    """A version never means two things; a mission takes its milestones along."""
    commit(missions, "c2", remove(M1, 1))
    assert M1 not in missions.read().records
    commit(missions, "c3", create(M1, name="Again"))
    assert missions.read().records[M1].version > 1
    commit(missions, "c4", remove(MISSION))
    assert missions.read().records == {}


def test_places_are_given(missions: MissionStore) -> None:
    """A milestone that is told its place has it; one that is not comes last."""
    commit(missions, "c2", update(M1, **{POSITION: 5}))
    commit(missions, "c3", create(RecordKey(RecordKind.MILESTONE, "m", "M3")))
    assert missions.read().records[RecordKey(RecordKind.MILESTONE, "m", "M3")].position == 6


def test_losers_are_recorded_once(world: World, missions: MissionStore) -> None:
    """A conflict goes with its batch, not with one that moved, and stands once."""
    clash = Conflict("mission:m/M1", "name", "One", "Mine", "Theirs", Winner.LOCAL)
    commit(missions, "c2", update(M1, 9, name="Mine"), conflicts=(clash,))
    assert list(world.store.conflicts()) == []
    for id in ("c3", "c4"):
        commit(missions, id, update(M1, name="Mine"), conflicts=(clash,))
    assert [each.conflict for each in world.store.conflicts()] == [clash]


def test_projects_are_apart(world: World, missions: MissionStore) -> None:
    """Another project has other missions, and its changes move nothing here."""
    other = world.open(project="another").missions
    place = missions.place()
    assert other.read().records == {}
    commit(other, "c1", create(MISSION))
    assert missions.place() == place


def test_sessions_begin_beat_and_end(missions: MissionStore) -> None:
    """A heartbeat moves no version; what it works on does; one that ended is not heard of any more."""
    begun = missions.start_session(S1, {"runtime": "claude"}, Proof("h", "b", 7, 99, True), lambda found: None)
    assert (begun.proof, begun.runtime, begun.ended_at) == (Proof("h", "b", 7, 99, True), "claude", None)
    assert fields(missions, S1)["pid"] == 7
    place = missions.place()
    assert missions.beat(S1).seen_at >= begun.seen_at
    assert missions.place() == place
    assert missions.beat(S1, card="A1").last_task_id == "A1"
    assert missions.place() > place
    commit(missions, "c2", update(S1, ended_at="2026-01-01T00:00:00Z", ended_reason="done"))
    (ended,) = missions.sessions("m")
    assert ended.ended_reason == "done"
    with pytest.raises(NotFound):
        missions.beat(S1)
    assert missions.sessions("other") == []


def test_whoever_wants_to_be_alone_sees_who_is_there(missions: MissionStore) -> None:
    """What the caller says to the open sessions decides; an id is given once, and a mission has to be there."""

    def alone(found: object) -> None:
        assert isinstance(found, list)
        if found:
            raise Refused(str([each.id for each in found if isinstance(each, Session)]))

    missions.start_session(S1, {}, Proof(), alone)
    with pytest.raises(Refused, match="S1"):
        missions.start_session(RecordKey(RecordKind.SESSION, "m", "S2"), {}, Proof(), alone)
    with pytest.raises(AlreadyExists):
        missions.start_session(S1, {}, Proof(), lambda found: None)
    with pytest.raises(NotFound):
        missions.start_session(RecordKey(RecordKind.SESSION, "nope", "S1"), {}, Proof(), alone)


def test_every_change_is_in_the_audit_trail(missions: MissionStore) -> None:
    """Who, what, from what to what; heartbeats are no changes; the last ones where a limit is given."""
    commit(missions, "c2", update(M1, status="done"))
    commit(missions, "c3", remove(M2))
    missions.start_session(S1, {}, Proof(), lambda found: None)
    missions.beat(S1)
    found = missions.history("m", None)
    assert [(each.id, each.op.value) for each in found][-3:] == [
        ("mission:m/M1", "update"),
        ("mission:m/M2", "delete"),
        ("mission:m/session/S1", "create"),
    ]
    (change,) = found[-3].changes
    assert (change.field, change.before, change.after) == ("status", "pending", "done")
    assert [each.id for each in missions.history("m", 1)] == ["mission:m/session/S1"]
    assert missions.history("other", None) == []
