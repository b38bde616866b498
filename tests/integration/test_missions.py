"""mission.json and the tables mission, milestone and mission_session: both ways, byte for byte, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from syncd.core.plan import Winner
from syncd.engine.cycle import Cycle
from syncd.engine.mission_memory import MissionMemory
from syncd.wiring import Wiring
from tests.support.doom import Doomed, Killed
from tests.support.workspace import Site, site

MISSION = """\
{
    "schema_version": 1,
    "mission_id": "shop-2026",
    "name": "Shop",
    "team": {"lead": "Ada",   "size": 3},
    "status": "active",
    "tasks_file": "TASKS.md",
    "created_at": "2026-03-01T08:00:00+00:00",
    "quality_gates": ["lint", "test"],
    "milestones": [
        {
            "id": "M1",
            "name": "Foundations",
            "status": "in-progress",
            "issue": 12,
            "branch": "feat/m1",
            "color": "red"
        },
        {
            "id": "M2",
            "name": "Front",
            "status": "pending"
        }
    ]
}
"""


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A working copy with a mission, synced once."""
    with site(tmp_path / "here", postgres_dsn) as made:
        write(made, MISSION)
        made.sync()
        yield made


def write(here: Site, text: str, name: str = "mission.json") -> None:
    """Save a mission file as an editor does."""
    (here.root / name).write_bytes(text.encode())


def text(here: Site, name: str = "mission.json") -> str:
    """Return what a mission file says."""
    return (here.root / name).read_bytes().decode()


def change(here: Site, old: str, new: str) -> None:
    """Replace one place of the mission file."""
    before = text(here)
    assert before.count(old) == 1, (old, before)
    write(here, before.replace(old, new))


def milestones(here: Site, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the milestones in the store, in their order."""
    return [tuple(row) for row in here.sql(f"select {', '.join(columns)} from milestone order by position, id")]


def still(here: Site) -> object:
    """Return what must not move while nothing happens."""
    found = (here.root / "mission.json").stat()
    rows = here.sql("select id, version from milestone order by id"), here.sql("select id, version from mission")
    return found.st_mtime_ns, found.st_ino, rows, here.sql("select count(*) from mission_history")


# --- both ways -----------------------------------------------------------------------------------


def test_a_mission_file_goes_to_the_store_and_stays_as_it_is(here: Site) -> None:
    """Every known field is in the tables, in either type, and not a byte of the file moved."""
    assert text(here) == MISSION
    found = here.sql("select id, name, status, tasks_file, created_at::text, quality_gates, path from mission")
    assert found == [
        ("shop-2026", "Shop", "active", "TASKS.md", "2026-03-01 08:00:00+00", ["lint", "test"], "mission.json")
    ]
    assert milestones(here, "id", "name", "status", "issue", "branch", "position") == [
        ("M1", "Foundations", "in-progress", "12", "feat/m1", 0),
        ("M2", "Front", "pending", None, None, 1),
    ]


def test_a_second_cycle_changes_nothing(here: Site) -> None:
    """Neither the file nor a row nor the audit trail moves, also after a restart and a full compare."""
    before = still(here)
    here.sync()
    here.restart()
    here.cycle.run(full=True)
    assert still(here) == before


def test_an_edit_of_the_file_reaches_the_store(here: Site) -> None:
    """One changed value is one changed row."""
    change(here, '"status": "pending"', '"status": "active"')
    report = here.sync()
    assert [(each.id, dict(each.fields)) for each in report.to_store] == [
        ("mission:shop-2026/M2", {"status": "active"})
    ]
    assert milestones(here, "status", "version") == [("in-progress", 1), ("active", 2)]


def test_a_row_changed_by_plain_sql_is_one_changed_value_in_the_file(here: Site) -> None:
    """Everything else keeps its bytes; a new key comes where the others stand, in their spelling."""
    here.sql("update milestone set status = 'done', completed_at = '2026-04-01 10:00:00+02' where id = 'M1'")
    here.sync()
    assert text(here) == MISSION.replace('"in-progress"', '"done"').replace(
        '"color": "red"\n', '"color": "red",\n            "completed_at": "2026-04-01T08:00:00+00:00"\n'
    )


def test_numbers_stay_numbers(here: Site) -> None:
    """An issue that the author writes as a number is written as one."""
    here.sql("update milestone set issue = '13' where id = 'M1'")
    here.sync()
    assert text(here) == MISSION.replace('"issue": 12', '"issue": 13')


def test_camel_case_stays_camel_case(here: Site) -> None:
    """A file in the other spelling is read alike, and gets new keys in its own."""
    write(here, '{"missionId": "m", "name": "M", "milestones": [{"id": "A", "name": "A", "startedAt": null}]}')
    here.sync()
    here.sql("update milestone set started_at = '2026-01-01 00:00Z', completed_at = '2026-01-02 00:00Z' where id = 'A'")
    here.sync()
    assert text(here) == (
        '{"missionId": "m", "name": "M", "milestones": [{"id": "A", "name": "A", '
        '"startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-02T00:00:00Z"}]}'
    )


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("    ", "\t"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text), separators=(",", ":")),
    ],
    ids=["crlf", "bom", "no-last-line-end", "tabs", "one-line", "tight"],
)
def test_bytes_that_no_change_names_stay(here: Site, dress: Callable[[str], str]) -> None:
    """Line ends, a mark at the beginning, tabs and the last line stay as they are, also when milestones come and go."""
    write(here, dress(MISSION))
    here.sync()
    here.sql("update milestone set status = 'done' where id = 'M1'")
    here.sync()
    done = dress(MISSION.replace("in-progress", "done"))
    assert text(here) == done
    here.sql("insert into milestone (mission, id, name) values ('shop-2026', 'M3', 'Last')")
    here.sync()
    assert [each["id"] for each in json.loads(text(here).lstrip("\ufeff"))["milestones"]] == ["M1", "M2", "M3"]
    here.sql("delete from milestone where id = 'M3'")
    here.sync()
    assert text(here) == done


def test_milestones_come_go_and_move(here: Site) -> None:
    """A milestone typed in, one taken out and a changed order are in the store as in the file."""
    plain = json.loads(MISSION)
    plain["milestones"] = [plain["milestones"][1], {"id": "M3", "name": "New"}]
    write(here, json.dumps(plain, indent=4) + "\n")
    here.sync()
    assert milestones(here, "id", "name") == [("M2", "Front"), ("M3", "New")]
    plain["milestones"].reverse()
    write(here, json.dumps(plain, indent=4) + "\n")
    here.sync()
    assert milestones(here, "id") == [("M3",), ("M2",)]


def test_a_milestone_with_another_id_is_another_one(here: Site) -> None:
    """A renamed milestone takes the old one's place, with all that it says."""
    change(here, '"id": "M2"', '"id": "F2"')
    here.sync()
    assert milestones(here, "id", "name") == [("M1", "Foundations"), ("F2", "Front")]


def test_a_milestone_of_the_store_stands_in_the_file_as_its_neighbours_do(here: Site) -> None:
    """A new row is a new element behind the last, in the layout of the others."""
    here.sql("insert into milestone (mission, id, name, position) values ('shop-2026', 'M3', 'Ship “it”', 9)")
    here.sync()
    added = """,
        {
            "id": "M3",
            "name": "Ship “it”",
            "status": "pending"
        }"""
    assert text(here) == MISSION.replace("        }\n    ]", "        }" + added + "\n    ]")


def test_sessions_go_where_the_file_wants_them(here: Site) -> None:
    """A file without a list of sessions gets none; one with a list gets each, and sends its own."""
    here.sql("insert into mission_session (mission, session_id, runtime) values ('shop-2026', 'S1', 'claude')")
    here.sync()
    assert text(here) == MISSION
    change(here, '    "milestones": [', '    "sessions": [{"session_id": "S0", "pid": 7}],\n    "milestones": [')
    here.sync()
    assert [each["session_id"] for each in json.loads(text(here))["sessions"]] == ["S0", "S1"]
    assert here.sql("select session_id, pid from mission_session order by 1") == [("S0", 7), ("S1", None)]


def test_heartbeats_write_nothing(here: Site) -> None:
    """A session that is heard of moves no version and wakes nobody's file."""
    here.sql("insert into mission_session (mission, session_id) values ('shop-2026', 'S1')")
    here.sync()
    before = still(here)
    here.sql("update mission_session set seen_at = now() + interval '1 second'")
    here.sync()
    assert still(here) == before


# --- clashes -------------------------------------------------------------------------------------


def test_different_fields_never_clash(here: Site) -> None:
    """A name changed in the file and a status changed in the store are both kept."""
    change(here, '"Foundations"', '"Base"')
    here.sql("update milestone set status = 'blocked' where id = 'M1'")
    assert here.sync().conflicts == ()
    assert milestones(here, "name", "status")[0] == ("Base", "blocked")
    assert text(here) == MISSION.replace("Foundations", "Base").replace("in-progress", "blocked")


@pytest.mark.parametrize(
    ("old", "new", "column", "theirs", "winner"),
    [
        ('"Foundations"', '"Base"', "name", "Ground", Winner.LOCAL),
        ('"in-progress"', '"paused"', "status", "blocked", Winner.REMOTE),
        ('"in-progress"', '"done"', "status", "blocked", Winner.LOCAL),
        ('"feat/m1"', '"feat/x"', "branch", "feat/y", Winner.LOCAL),
    ],
)
def test_the_loser_of_a_clash_is_kept(here: Site, old: str, new: str, column: str, theirs: str, winner: Winner) -> None:
    """Words are the author's, the status the store's, unless the file says that it is done; the other is recorded."""
    change(here, old, new)
    here.sql(f"update milestone set {column} = %s where id = 'M1'", theirs)
    here.sync()
    mine = json.loads(new)
    stands = mine if winner is Winner.LOCAL else theirs
    assert milestones(here, column)[0] == (stands,)
    assert json.loads(text(here))["milestones"][0][column] == stands
    found = here.sql("select id, field, local, remote, winner from backlog_conflict")
    said = json.dumps(mine), json.dumps(theirs)
    assert found == [("mission:shop-2026/M1", column, *said, winner.value)]
    here.sync()
    assert len(here.sql("select 1 from backlog_conflict")) == 1


def test_lists_are_merged(here: Site) -> None:
    """Quality gates added on both sides are all there, and nothing clashes."""
    change(here, '["lint", "test"]', '["lint", "test", "types"]')
    here.sql("""update mission set quality_gates = '["test", "docs"]'""")
    assert here.sync().conflicts == ()
    assert here.sql("select quality_gates from mission") == [(["test", "types", "docs"],)]
    assert json.loads(text(here))["quality_gates"] == ["test", "types", "docs"]


def test_a_milestone_deleted_here_and_changed_there_lives(here: Site) -> None:
    """The edit lives, the deletion is a conflict, and the file shows the milestone again."""
    write(here, json.dumps({**json.loads(MISSION), "milestones": json.loads(MISSION)["milestones"][:1]}, indent=4))
    here.sql("update milestone set name = 'Facade' where id = 'M2'")
    here.sync()
    assert [each["name"] for each in json.loads(text(here))["milestones"]] == ["Foundations", "Facade"]
    assert here.sql("select id, field from backlog_conflict") == [("mission:shop-2026/M2", "*")]


def test_first_contact_deletes_nothing(here: Site) -> None:
    """Without a base, what one side has is made on the other, and what differs is a conflict."""
    here.sql("update milestone set name = 'Ground' where id = 'M1'")
    here.sql("insert into milestone (mission, id, name) values ('shop-2026', 'M9', 'Theirs')")
    change(here, '"id": "M2"', '"id": "M5"')
    here.wiring.state().forget_base()
    here.restart()
    here.sync()
    assert sorted(each for (each,) in milestones(here, "id")) == ["M1", "M2", "M5", "M9"]
    assert {each["id"] for each in json.loads(text(here))["milestones"]} == {"M1", "M2", "M5", "M9"}
    assert here.sql("select id, field, local, remote from backlog_conflict") == [
        ("mission:shop-2026/M1", "name", '"Foundations"', '"Ground"')
    ]


def test_an_editor_that_saves_an_old_buffer_reverts_nothing(here: Site) -> None:
    """A value that goes back to what syncd wrote over a moment ago is a conflict, and the store's stays."""
    here.sql("update milestone set status = 'blocked' where id = 'M1'")
    here.sync()
    write(here, MISSION.replace('"Front"', '"Facade"'))
    here.sync()
    assert milestones(here, "name", "status") == [("Foundations", "blocked"), ("Facade", "pending")]
    assert here.sql("select field, local, remote, winner from backlog_conflict") == [
        ("status", '"in-progress"', '"blocked"', "remote")
    ]


# --- mishaps -------------------------------------------------------------------------------------


def many(here: Site, count: int) -> str:
    """Write and sync a mission of many milestones; return its text."""
    said = {"mission_id": "big", "milestones": [{"id": f"M{each}", "name": f"Part {each}"} for each in range(count)]}
    write(here, json.dumps(said, indent=2))
    here.sync()
    return text(here)


def without(said: str, count: int) -> str:
    """Return a mission with that many milestones less."""
    plain = json.loads(said)
    return json.dumps({**plain, "milestones": plain["milestones"][count:]}, indent=2)


def test_many_milestones_gone_at_once_are_held(here: Site) -> None:
    """More than three and a fifth: each is held, and goes when a person says so."""
    write(here, without(many(here, 10), 5))
    held = here.sync().held
    assert [each.guard for each in held] == ["deletions"] * 5
    assert len(milestones(here, "id")) == 2 + 10
    here.wiring.state().decide({each.fingerprint: "accept" for each in held})
    here.restart()
    assert here.sync().held == ()
    assert len(here.sql("select 1 from milestone where mission = 'big'")) == 5


def test_a_rejected_deletion_comes_back_into_the_file(here: Site) -> None:
    """What a person rejects is in the file again."""
    write(here, without(many(here, 10), 5))
    held = here.sync().held
    here.wiring.state().decide({each.fingerprint: "reject" for each in held})
    here.restart()
    assert here.sync().held == ()
    assert {each["id"] for each in json.loads(text(here))["milestones"]} == {f"M{each}" for each in range(10)}


def test_milestones_that_vanish_from_the_store_are_held_too(here: Site) -> None:
    """A mass deletion by SQL does not empty the file."""
    said = many(here, 10)
    here.sql("delete from milestone where mission = 'big' and position > 3")
    assert len(here.sync().held) == 6
    assert text(here) == said


def test_an_old_version_of_the_file_reverts_nothing_unasked(here: Site) -> None:
    """A checkout that would take back two milestones is held; one edit that happens to be old is an edit."""
    change(here, '"in-progress"', '"done"')
    here.sync()
    change(here, '"pending"', '"active"')
    here.sync()
    write(here, MISSION)
    held = here.sync().held
    assert [(each.id, each.guard) for each in held] == [("mission.json", "time-travel")]
    assert milestones(here, "status") == [("done",), ("active",)]
    here.wiring.state().decide({each.fingerprint: "reject" for each in held})
    here.restart()
    here.sync()
    assert [each["status"] for each in json.loads(text(here))["milestones"]] == ["done", "active"]


@pytest.fixture
def rewound(here: Site) -> Site:
    """A mission in sync, whose store then went back: a milestone is older, and one is not there yet."""
    change(here, '"in-progress"', '"done"')
    here.sync()
    here.sql("alter table milestone disable trigger all")
    here.sql("update milestone set status = 'in-progress', version = 1 where id = 'M1'")
    here.sql("delete from milestone where id = 'M2'")
    here.sql("alter table milestone enable trigger all")
    here.sql("update backlog_meta set value = gen_random_uuid()::text where key = 'epoch'")
    return here


def decided(here: Site, answer: str) -> None:
    """Answer all that is held, and sync."""
    held = here.cycle.run(full=True).held
    assert {(each.id, each.guard) for each in held} >= {("mission.json", "store-rewound")}
    assert '"done"' in text(here)
    assert '"M2"' in text(here)
    here.wiring.state().decide({each.fingerprint: answer for each in held})
    here.restart()
    assert here.sync().held == ()


def mission_clashes(here: Site) -> set[tuple[str, str, object, object, Winner]]:
    found = [each.conflict for each in here.wiring.store().conflicts()]
    return {(each.id, each.field, each.local, each.remote, each.winner) for each in found}


def test_a_store_that_went_back_is_offered_what_the_file_says(rewound: Site) -> None:
    """Rows older than they were overwrite nothing, rows that are missing delete nothing; accepting gives them back."""
    said = text(rewound)
    decided(rewound, "accept")
    assert text(rewound) == said
    assert milestones(rewound, "id", "status") == [("M1", "done"), ("M2", "pending")]
    assert mission_clashes(rewound) == {("mission:shop-2026/M1", "status", "done", "in-progress", Winner.LOCAL)}


def test_a_store_that_went_back_may_count(rewound: Site) -> None:
    """Rejecting takes the store's word, as with cards, and records what the file said."""
    decided(rewound, "reject")
    assert milestones(rewound, "id", "status") == [("M1", "in-progress")]
    assert [(each["id"], each["status"]) for each in json.loads(text(rewound))["milestones"]] == [("M1", "in-progress")]
    assert mission_clashes(rewound) == {
        ("mission:shop-2026/M1", "status", "done", "in-progress", Winner.REMOTE),
        ("mission:shop-2026/M2", "*", "Front", None, Winner.REMOTE),
    }


def test_a_milestone_that_a_restored_store_lacks_is_not_deleted(here: Site) -> None:
    """Nothing else is older: what is missing in another history was not taken out there by anybody."""
    said = text(here)
    here.sql("alter table milestone disable trigger all")
    here.sql("delete from milestone where id = 'M2'")
    here.sql("alter table milestone enable trigger all")
    here.sql("update backlog_meta set value = gen_random_uuid()::text where key = 'epoch'")
    for _ in range(2):
        here.restart()
        assert ("mission.json", "store-rewound") in {(each.id, each.guard) for each in here.sync().held}
    assert text(here) == said


def test_a_mission_that_is_gone_from_the_store_is_offered_again(here: Site) -> None:
    """The file stands, so the mission does; its milestones come back with it."""
    here.sql("delete from mission")
    here.sync()
    assert milestones(here, "id") == [("M1",), ("M2",)]
    assert text(here) == MISSION


def test_a_broken_file_comes_back_when_it_is_rejected(here: Site) -> None:
    """The last good version is put in its place, with what the store changed since; the broken bytes are kept."""
    write(here, MISSION[:100])
    held = here.sync().held
    here.sql("update milestone set status = 'done' where id = 'M1'")
    here.wiring.state().decide({each.fingerprint: "reject" for each in held})
    here.restart()
    assert here.sync().held == ()
    assert text(here) == MISSION.replace("in-progress", "done")
    kept = [each.read_bytes() for each in (here.root / ".syncd" / "displaced").rglob("*") if each.is_file()]
    assert MISSION[:100].encode() in kept


def test_a_missing_file_comes_back(tmp_path: Path, postgres_dsn: str) -> None:
    """A file that vanishes is no deletion: after the grace it is there again, byte for byte."""
    with site(tmp_path / "gone", postgres_dsn, guards__grace_s=0.2) as here:
        write(here, MISSION)
        here.sync()
        (here.root / "mission.json").unlink()
        here.sync()
        assert text(here) == MISSION
        assert len(milestones(here, "id")) == 2


def test_a_moved_file_is_the_same_mission(here: Site) -> None:
    """The mission's id is the key: under another usual name it goes on, and the old name stays empty."""
    place = here.root / ".mosaic" / "orchestrator" / "mission.json"
    place.parent.mkdir(parents=True)
    (here.root / "mission.json").rename(place)
    change_at = MISSION.replace('"Front"', '"Facade"')
    place.write_text(change_at)
    here.sync()
    assert milestones(here, "name") == [("Foundations",), ("Facade",)]
    assert not (here.root / "mission.json").exists()


def test_a_file_is_made_where_the_configuration_names_one(tmp_path: Path, postgres_dsn: str, here: Site) -> None:
    """A second working copy that names a mission file and has none gets it from the store."""
    with site(tmp_path / "there", postgres_dsn, mission="docs/mission.json") as there:
        there.sync()
        plain = json.loads(text(there, "docs/mission.json"))
        assert (plain["mission_id"], [each["id"] for each in plain["milestones"]]) == ("shop-2026", ["M1", "M2"])
        there.sql("update milestone set status = 'done' where id = 'M2'")
        there.sync()
        here.sync()
    assert json.loads(text(here))["milestones"][1]["status"] == "done"


# --- problems ------------------------------------------------------------------------------------


def test_a_bad_value_holds_itself_only(here: Site) -> None:
    """A value of a wrong type is a problem at its place, keeps what the store says, and stops nothing else."""
    change(here, '"name": "Front"', '"name": ["Front"]')
    change(here, '"Foundations"', '"Base"')
    report = here.sync()
    assert [(each.code, each.line) for each in report.problems] == [("bad-mission-field", 21)]
    assert milestones(here, "name") == [("Base",), ("Front",)]
    assert '["Front"]' in text(here)


def test_paths_that_leave_the_workspace_are_told(here: Site) -> None:
    """Absolute, upwards, or by a link that leads out: a problem at the value's place, and nothing is opened."""
    (here.root / "out").symlink_to("/etc")
    for path in ("/etc/passwd", "../TASKS.md", "out/passwd"):
        write(here, MISSION.replace('"TASKS.md"', json.dumps(path)))
        assert [(each.code, each.line) for each in here.sync().problems] == [("outside-workspace", 7)], path
    with site(here.root.parent / "b", here.dsn, mission="out/mission.json", project="b") as there:
        (there.root / "out").symlink_to(here.root)
        (there.root / "TASKS.md").unlink()
        assert "unreadable" in {each.code for each in there.sync().problems}


def test_a_second_milestone_of_one_id_is_told(here: Site) -> None:
    """The first counts; the second stays as it is, and stops nothing."""
    change(here, '"id": "M2"', '"id": "M1"')
    assert [(each.code, each.line) for each in here.sync().problems] == [("duplicate-id", 19)]
    assert milestones(here, "id", "name") == [("M1", "Foundations")]


def test_several_missions(tmp_path: Path, postgres_dsn: str) -> None:
    """Each file of a list or glob is a mission of its own; a second file of one mission is told."""
    with site(tmp_path / "many", postgres_dsn, mission=["missions/*.json"]) as here:
        (here.root / "missions").mkdir()
        for name in ("a", "b"):
            write(here, MISSION.replace("shop-2026", name), f"missions/{name}.json")
        write(here, MISSION.replace("shop-2026", "a"), "missions/c.json")
        assert [(each.code, each.path) for each in here.sync().problems] == [("duplicate-id", "missions/c.json")]
        assert here.sql("select id, path from mission order by 1") == [
            ("a", "missions/a.json"),
            ("b", "missions/b.json"),
        ]
        here.sql("update milestone set status = 'done' where mission = 'b' and id = 'M1'")
        here.sync()
        assert text(here, "missions/a.json") == MISSION.replace("shop-2026", "a")
        assert '"done"' in text(here, "missions/b.json")
        assert [each["id"] for each in here.wiring.status().missions] == ["a", "b"]


# --- crashes -------------------------------------------------------------------------------------


STEPS = [
    ("_missions", "commit", False),
    ("_missions", "commit", True),
    ("_writer", "replace", False),
    ("_writer", "replace", True),
    ("_memory", "advance", False),
    ("_memory", "advance", True),
    ("_memory", "clear_journal", False),
]


@pytest.mark.parametrize(("part", "method", "after"), STEPS)
def test_a_crash_at_any_step_loses_and_invents_nothing(here: Site, part: str, method: str, after: bool) -> None:
    """Killed before or after the commit, the replacement or the advance: the same end, no conflict, no edit lost."""
    change(here, '"Foundations"', '"Base"')
    here.sql("update milestone set status = 'done' where id = 'M2'")
    here.restart(lambda wiring: _doomed(wiring, part, method, after=after))
    with pytest.raises(Killed):
        here.cycle.run()
    # Meanwhile somebody who has seen the new value goes on with it.
    here.sql("update milestone set name = 'Ground' where name = 'Base'")
    name = milestones(here, "name")[0][0]
    name = "Base" if name == "Foundations" else name
    here.restart()
    here.sync()
    assert milestones(here, "name", "status") == [(name, "in-progress"), ("Front", "done")]
    assert text(here) == MISSION.replace("Foundations", name).replace("pending", "done")
    assert here.sql("select 1 from backlog_conflict") == []
    before = still(here)
    here.sync()
    assert still(here) == before


def _doomed(wiring: Wiring, part: str, method: str, *, after: bool) -> Cycle:
    """Return a cycle that dies once at a step of the missions' pass."""
    cycle = wiring.cycle()
    companion: Any = cycle._companion
    found = companion._missions() if part == "_missions" else getattr(companion, part)
    dying = Doomed(found, method, after=after, how=Killed())
    setattr(companion, part, (lambda: dying) if part == "_missions" else dying)
    return cycle


def test_a_store_that_stood_in_for_another_is_no_backup(here: Site) -> None:
    """Versions are each history's own: what was done elsewhere meanwhile does not make this one look old."""
    memory = MissionMemory(here.wiring.state())
    ahead = {key: replace(each, version=99) for key, each in memory.base.items()}
    memory.advance(ahead, memory.paths, "stand-in")
    change(here, '"Front"', '"Facade"')
    assert here.sync().held == ()
    assert milestones(here, "name") == [("Foundations",), ("Facade",)]
