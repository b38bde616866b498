"""Missions while the database is away: files, milestones and sessions go on, and are merged when it is back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import api
from syncd.core.mission_merge import RecordChange
from syncd.core.plan import CARD_FIELD, ChangeKind, Winner
from syncd.core.session import Liveness
from syncd.errors import Refused
from syncd.missions import Missions
from syncd.ports import MissionBatch, NewCard
from syncd.schemas.mission import RecordKey, RecordKind
from tests.support.doom import Killed, doomed_cycle
from tests.support.laptop import Line, another, back, laptop, put_on
from tests.support.workspace import TABLE, Site, site

M2 = RecordKey(RecordKind.MILESTONE, "shop", "M2")
MISSION = """\
{
  "mission_id": "shop",
  "name": "Shop",
  "status": "active",
  "extra": {"kept": "as  it is"},
  "milestones": [
    {"id": "M1", "name": "Foundations", "status": "in-progress"},
    {"id": "M2", "name": "Front", "status": "pending"}
  ]
}
"""


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Site, Line]]:
    """A working copy with a mission, in sync, and its line."""
    with laptop(tmp_path / "laptop", postgres_dsn, TABLE) as (made, line):
        (made.root / "mission.json").write_text(MISSION)
        made.sync()
        yield made, line


@pytest.fixture
def there(tmp_path: Path, postgres_dsn: str, here: tuple[Site, Line]) -> Iterator[Site]:
    """Another working copy of the same mission, in sync, whose line is never cut."""
    with site(tmp_path / "office", postgres_dsn, here[0].text) as made:
        (made.root / "mission.json").write_text(MISSION)
        made.sync()
        yield made


def missions(made: Site) -> Missions:
    """Return the missions as a command has them."""
    return api.Workspace(made.wiring).missions


def text(made: Site) -> str:
    return (made.root / "mission.json").read_text()


def change(made: Site, old: str, new: str) -> None:
    """Replace one place of the mission file."""
    assert text(made).count(old) == 1
    (made.root / "mission.json").write_text(text(made).replace(old, new))


def milestones(made: Site) -> dict[str, tuple[str, str]]:
    """Return name and status of each milestone in the database."""
    rows = made.sql("select id, name, status from milestone where project = 'default' order by position, id")
    return {id: (name, status) for id, name, status in rows}


def test_files_and_commands_go_on_and_come_home(here: tuple[Site, Line]) -> None:
    """What is written into the file and what is commanded meet at once, and are in the database afterwards."""
    made, line = here
    line.is_cut = True
    change(made, '"Foundations"', '"Groundwork"')
    made.sync()
    found = missions(made).status()
    assert [each.record.fields["name"] for each in found.milestones] == ["Groundwork", "Front"]
    missions(made).start_milestone("M2")
    assert '"id": "M2", "name": "Front", "status": "in-progress"' in text(made)
    missions(made).add_milestone("M3", name="Back")
    assert '"Back"' in text(made)
    assert milestones(made)["M1"] == ("Foundations", "in-progress")
    assert made.wiring.status().mode == "offline"
    before = text(made)
    back(here)
    assert milestones(made) == {
        "M1": ("Groundwork", "in-progress"),
        "M2": ("Front", "in-progress"),
        "M3": ("Back", "pending"),
    }
    assert text(made) == before
    assert '"extra": {"kept": "as  it is"}' in before
    assert made.wiring.store().conflicts() == []
    assert made.sync().held == ()
    assert made.wiring.status().in_sync


def test_the_audit_trail_tells_whose_work_it_was(here: tuple[Site, Line]) -> None:
    """Milestones and sessions stand under the names of those who worked on them, whoever brings them home."""
    made, line = here
    line.is_cut = True
    made.wiring.act_as("ann")
    missions(made).complete_milestone("M1")
    missions(made).sessions.start("s1", runtime="claude")
    made.wiring.act_as("ben")
    missions(made).add_milestone("M3", name="Back")
    missions(made).sessions.start("s2", runtime="codex")
    missions(made).sessions.end("s2", reason="handed over")
    made.wiring.act_as("carl")
    back(here)
    found = made.sql("select id, actor from mission_history where face = 'offline' order by id")
    assert found == [
        ("mission:shop/M1", "ann"),
        ("mission:shop/M3", "ben"),
        ("mission:shop/session/s1", "ann"),
        ("mission:shop/session/s2", "ben"),
    ]
    missions(made).start_milestone("M2")
    assert made.sql("select actor, face from mission_history order by seq desc limit 1") == [("carl", "test")]


def test_next_and_its_reasons_work_away(here: tuple[Site, Line]) -> None:
    """The orchestrator's question is answered from what stands in."""
    made, line = here
    line.is_cut = True
    (card,) = [missions(made).next().card]
    assert card is not None
    assert card.id == "A2"
    assert [each.record.key.mission for each in missions(made).all()] == ["shop"]


def test_both_sides_worked(here: tuple[Site, Line], there: Site) -> None:
    """Different fields are both kept; of the same one a rule decides, the loser is kept, and done work stays done."""
    made, line = here
    line.is_cut = True
    change(made, '"Foundations"', '"Groundwork"')
    change(made, '"Front", "status": "pending"', '"Front", "status": "done"')
    made.sync()
    change(there, '"Foundations", "status": "in-progress"', '"Basement", "status": "done"')
    change(there, '"Front", "status": "pending"', '"Front", "status": "in-progress", "branch": "feat/front"')
    there.sync()
    back(here)
    there.sync()
    made.sync()
    assert milestones(made) == {"M1": ("Groundwork", "done"), "M2": ("Front", "done")}
    assert made.sql("select branch from milestone where id = 'M2'") == [("feat/front",)]
    found = [each.conflict for each in made.wiring.store().conflicts() if each.conflict.field == "name"]
    assert [(each.id, each.local, each.remote, each.winner) for each in found] == [
        ("mission:shop/M1", "Groundwork", "Basement", Winner.LOCAL)
    ]
    assert json.loads(text(made))["milestones"] == json.loads(text(there))["milestones"]


def test_a_milestone_that_went_and_one_that_was_edited(here: tuple[Site, Line], there: Site) -> None:
    """Removed on one side and untouched on the other it goes; edited on the other it lives, and that is told."""
    made, line = here
    line.is_cut = True
    change(made, ',\n    {"id": "M2", "name": "Front", "status": "pending"}', "")
    change(made, '"Foundations"', '"Groundwork"')
    made.sync()
    change(there, '"Front"', '"Facade"')
    change(there, '{"id": "M1", "name": "Foundations", "status": "in-progress"},\n    ', "")
    there.sync()
    back(here)
    assert milestones(made) == {"M2": ("Facade", "pending"), "M1": ("Groundwork", "in-progress")}
    told = {each.conflict.id for each in made.wiring.store().conflicts() if each.conflict.field == CARD_FIELD}
    assert told == {"mission:shop/M1", "mission:shop/M2"}


def test_a_mission_made_away(here: tuple[Site, Line]) -> None:
    """init makes the file and the mission at once; the database has both when it is back."""
    made, line = here
    line.is_cut = True
    missions(made).init("trip", name="A trip", milestones=[("T1", "Pack")], path="trip.json")
    made.cycle = made.wiring.cycle()
    made.sync()
    assert {each.record.key.mission for each in missions(made).all()} == {"shop", "trip"}
    back(here)
    assert made.sql("select id from mission order by id") == [("shop",), ("trip",)]
    assert milestones(made)["T1"] == ("Pack", "pending")


def test_sessions_go_on(here: tuple[Site, Line]) -> None:
    """A session begun away runs after the return, one that ended away has ended, and exclusive means it."""
    made, line = here
    sessions = missions(made).sessions
    sessions.start("before", pid=os.getpid())
    made.sync()
    line.is_cut = True
    assert [each.liveness for each in sessions.list()] == [Liveness.RUNNING]
    with pytest.raises(Refused):
        sessions.start("alone", exclusive=True)
    sessions.start("away", pid=os.getpid(), milestone="M1")
    sessions.beat("away", card="A2")
    sessions.end("before", reason="moved on")
    sessions.start("short")
    sessions.end("short")
    back(here)
    found = {each.session.id: each for each in sessions.list()}
    assert {id: each.liveness for id, each in found.items()} == {
        "before": Liveness.ENDED,
        "away": Liveness.RUNNING,
        "short": Liveness.ENDED,
    }
    assert found["away"].session.proof.pid == os.getpid()
    assert (found["away"].session.last_task_id, found["before"].session.ended_reason) == ("A2", "moved on")


def test_the_files_follow_what_others_did_meanwhile(here: tuple[Site, Line], there: Site) -> None:
    """With nothing done here the return only brings what others did, and tells of no conflict."""
    made, line = here
    line.is_cut = True
    made.wiring.store().get("A1")
    made.sync()
    there.wiring.store().create(NewCard(id="C1", title="New", phase="M2"))
    change(there, '"Front"', '"Facade"')
    there.sync()
    back(here)
    assert '"Facade"' in text(made)
    assert made.wiring.store().conflicts() == []


@pytest.mark.parametrize("cuts_after", [False, True])
@pytest.mark.parametrize("calls", range(14))
def test_a_cut_at_any_step_of_the_return(here: tuple[Site, Line], there: Site, calls: int, cuts_after: bool) -> None:
    """A connection that is cut again at any call of the merge loses nothing, doubles nothing, and reverts nobody."""
    made, line = here
    line.is_cut = True
    change(made, '"Foundations"', '"Groundwork"')
    missions(made).add_milestone("M3", name="Back")
    missions(made).sessions.start("away")
    line.is_cut, line.calls_left, line.cuts_after = False, calls, cuts_after
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    made.sync()
    there.sync()
    seen = '"Groundwork"' in text(there)
    change(there, '"Groundwork"' if seen else '"Front"', '"By the office"')
    there.sync()
    line.calls_left = None
    back(here)
    there.sync()
    made.sync()
    names = {id: name for id, (name, _) in milestones(made).items()}
    changed = {"M1": "By the office"} if seen else {"M2": "By the office"}
    assert names == {"M1": "Groundwork", "M2": "Front", "M3": "Back", **changed}
    assert [each.session.id for each in missions(made).sessions.list()] == ["away"]
    assert made.wiring.store().conflicts() == []
    assert made.sync().held == ()


@pytest.mark.parametrize("cuts_after", [False, True])
def test_a_change_whose_answer_was_lost(here: tuple[Site, Line], there: Site, cuts_after: bool) -> None:
    """A commit that the cut left in doubt is found out at the return, and whoever wrote after it is not reverted."""
    made, line = here
    change(made, '"Foundations"', '"Groundwork"')
    made.wiring.store().read(None)
    line.cut_at, line.cuts_after = "missions.commit", cuts_after
    made.sync()
    assert made.wiring.absence() is not None
    assert ("Groundwork" in str(milestones(made))) is cuts_after
    there.sync()
    change(there, '"Groundwork"' if cuts_after else '"Front"', '"By the office"')
    there.sync()
    back(here)
    assert made.wiring.store().conflicts() == []
    assert milestones(made)["M1"][0] == ("By the office" if cuts_after else "Groundwork")


@pytest.mark.parametrize("is_away", [False, True])
def test_a_kill_between_the_commit_and_the_base(here: tuple[Site, Line], is_away: bool) -> None:
    """Whichever of both took the change, and whether the line is cut or mended then: the next edit is no clash with it.

    What stood in is gone after the return, and with it whoever knew of the commit.
    """
    made, line = here
    line.is_cut = is_away
    change(made, '"Foundations"', '"Groundwork"')
    made.cycle = doomed_cycle("companion.memory", "advance", after=False, how=Killed())(made.wiring)
    with pytest.raises(Killed):
        made.sync()
    made.restart()
    put_on(made, line)
    change(made, '"Groundwork"', '"Cellar"')
    line.is_cut = not is_away
    if line.is_cut:
        assert made.sync().conflicts == ()
    back(here)
    assert made.wiring.store().conflicts() == []
    assert milestones(made)["M1"][0] == "Cellar"


def test_a_batch_that_was_planned_elsewhere(here: tuple[Site, Line], there: Site) -> None:
    """A change that was planned on what stood in is not applied to the database, though the versions look the same."""
    made, line = here
    line.is_cut = True
    missions(made).start_milestone("M2")
    branch = RecordChange(ChangeKind.UPDATE, M2, {"branch": "feat/front"})
    made.wiring.store().missions.commit(MissionBatch("branch", (branch,)))
    planned = made.wiring.store().missions.read().records[M2]
    change(there, '"Front"', '"Facade"')
    there.sync()
    line.is_cut = False
    assert made.wiring.reach is not None
    made.wiring.reach.hurry()
    made.wiring.store().get("A1")
    assert there.wiring.store().missions.read().records[M2].version == planned.version
    late = RecordChange(ChangeKind.UPDATE, M2, {"name": "Late"}, planned.version)
    assert made.wiring.store().missions.commit(MissionBatch("late", (late,))).moved == {M2}
    assert milestones(made)["M2"] == ("Facade", "in-progress")


def test_a_restart_and_a_second_process(here: tuple[Site, Line]) -> None:
    """A killed process loses nothing of the missions, and another one sees the same."""
    made, line = here
    line.is_cut = True
    missions(made).start_milestone("M2")
    made.restart()
    put_on(made, line)
    other = another(made, line)
    view = other.store().missions.read()
    assert {str(key): each.fields["status"] for key, each in view.records.items()}["mission:shop/M2"] == "in-progress"
    other.close()
    back((made, line))
    assert milestones(made)["M2"] == ("Front", "in-progress")


def test_a_database_that_is_another_one(here: tuple[Site, Line]) -> None:
    """A restored backup is not written over: new records are offered, everything else is told."""
    made, line = here
    line.is_cut = True
    change(made, '"Foundations"', '"Groundwork"')
    missions(made).add_milestone("M3", name="Back")
    made.sync()
    made.sql("update backlog_meta set value = 'restored' where key = 'epoch'")
    back(here)
    assert milestones(made)["M1"] == ("Foundations", "in-progress")
    assert milestones(made)["M3"] == ("Back", "pending")
    told = [each.conflict for each in made.wiring.store().conflicts()]
    assert [(each.id, each.local, each.winner) for each in told] == [("mission:shop/M1", "Groundwork", Winner.REMOTE)]


def test_a_damaged_standin_keeps_what_files_say(here: tuple[Site, Line]) -> None:
    """A manifest that cannot be trusted is made anew of what was agreed: the mission file is not turned back."""
    made, line = here
    line.is_cut = True
    change(made, '"Foundations"', '"Groundwork"')
    made.sync()
    log = made.root / ".syncd" / "manifest.log"
    log.write_bytes(log.read_bytes().replace(b"Groundwork", b"Groundless"))
    made.wiring.manifest.close()
    made.sync()
    assert '"Groundwork"' in text(made)
    back(here)
    assert milestones(made)["M1"][0] == "Groundwork"
    assert made.sync().held == ()


def test_away_from_the_very_beginning(tmp_path: Path, postgres_dsn: str) -> None:
    """A workspace whose database was never reached has its mission, and brings it there."""
    with laptop(tmp_path / "new", postgres_dsn, TABLE) as (made, line):
        line.is_cut = True
        (made.root / "mission.json").write_text(MISSION)
        made.sync()
        assert missions(made).status().record.fields["name"] == "Shop"
        back((made, line))
        assert milestones(made)["M1"] == ("Foundations", "in-progress")
