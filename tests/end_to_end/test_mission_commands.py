"""Missions as their users call them: files, commands, other processes and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from tests.support.desk import Desk, bare_environment, desk, until

TASKS = """\
| id | status | title | depends_on | milestone |
|----|--------|-------|------------|-----------|
| A1 | not-started | Parser | — | M1: Base |
| A2 | not-started | Renderer | A1 | M1: Base |
| B1 | not-started | Page | A2 | Front |
"""


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A working copy with a mission of two milestones."""
    made = desk(tmp_path / "here", postgres_dsn, TASKS)
    made("mission", "init", "--name", "Web shop", "--milestone", "M1=Base", "--milestone", "M2=Front")
    return made


def valid(name: str, value: Any) -> Any:
    """Assert that a value is as its schema says, and return it."""
    Draft202012Validator(bundle(name)).validate(value)
    return value


def mission_file(here: Desk) -> Any:
    return json.loads((here.root / "mission.json").read_text())


def test_a_mission_from_its_beginning_to_its_end(here: Desk) -> None:
    """What is next follows milestones and dependencies; milestones are done when their cards are, in file and store."""
    (only,) = here.json("mission", "list")
    assert valid("mission-status", only)["cards"]["total"] == 3
    assert [each["cards"]["total"] for each in only["milestones"]] == [2, 1]
    here("mission", "milestone", "start", "M1")
    assert here.sql("select status, started_at is not null from milestone where id = 'M1'") == [("in-progress", True)]
    for id in ("A1", "A2"):
        found = valid("next", here.json("mission", "next"))
        assert (found["state"], found["card"]["id"], found["milestone"]["id"]) == ("card", id, "M1")
        assert here.json("backlog", "claim", "--owner", "w", "--id", id)["id"] == id
        assert valid("next", here.json("mission", "next"))["state"] == "waiting"
        here("backlog", "complete", "--id", id, "--owner", "w")
    status = valid("mission-status", here.json("mission", "status"))
    assert status["milestones"][0]["drift"] == "says in-progress, but all 2 cards are done"
    here("mission", "milestone", "complete", "M1")
    assert mission_file(here)["milestones"][0]["status"] == "completed"
    refused = here("mission", "milestone", "complete", "M2", code=4)
    assert "1 of 1 cards of M2 are open: B1" in refused.stderr
    here("mission", "milestone", "complete", "M2", "--force")
    said = here.json("mission", "status", "web-shop")["milestones"][1]
    assert (said["agrees"], said["drift"]) == (False, "says completed, but 1 of 1 cards are open")
    (told,) = valid("status", here.json("status"))["missions"]
    assert [each["agrees"] for each in told["milestones"]] == [True, False]
    here("backlog", "complete", "--id", "B1")
    assert valid("next", here.json("mission", "next"))["state"] == "done"
    log = [valid("history", each) for each in here.json("mission", "log")]
    assert [each["changes"] for each in log if each["id"] == "mission:web-shop/M2"][-1][0]["to"] == "completed"


def test_a_deadlock_says_why(here: Desk) -> None:
    """Nothing left that anybody could claim: exit 1, with the reason for each card."""
    here("backlog", "block", "--id", "A1", "--reason", "no specification")
    found = valid("next", here.json("mission", "next", code=1))
    assert found["state"] == "deadlock"
    assert found["reasons"] == [
        {"id": "A1", "reason": "blocked: no specification"},
        {"id": "A2", "reason": "waits for A1"},
        {"id": "B1", "reason": "waits for A2"},
    ]
    assert "Deadlock" in here("mission", "next", code=1).stdout


def test_the_capsule_says_the_same(here: Desk) -> None:
    """next-task.json lies beside the mission file and has the card, its milestone and the quality gates."""
    assert here.json("mission", "next", "--capsule")["capsule"] == "next-task.json"
    capsule = json.loads((here.root / "next-task.json").read_text())
    assert (capsule["next_task"], capsule["task"]["title"], capsule["mission_id"]) == ("A1", "Parser", "web-shop")
    assert capsule["current_milestone"] == {"id": "M1", "name": "Base"}


def test_what_a_person_typed_is_known_at_once(here: Desk) -> None:
    """Without a daemon: a milestone that only the file has yet can be started."""
    plain = mission_file(here)
    plain["milestones"].append({"id": "M9", "name": "Typed", "status": "planned"})
    (here.root / "mission.json").write_text(json.dumps(plain, indent=2))
    here("mission", "milestone", "start", "M9")
    assert mission_file(here)["milestones"][2]["status"] == "in-progress"
    here("mission", "milestone", "add", "M10", "--name", "Added", "--issue", "17")
    assert mission_file(here)["milestones"][3] == {"id": "M10", "name": "Added", "status": "pending", "issue": "17"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status", "nope"), 3, "no mission nope"),
        (("milestone", "start", "nope"), 3, "It has M1, M2."),
        (("milestone", "add", "M1"), 4, "already"),
        (("milestone", "add", "a b"), 2, "no id"),
        (("init", "--name", "Web shop"), 4, "there is a mission web-shop already"),
        (("init", "--name", "Other", "--path", "../x.json"), 74, "leads out"),
        (("init", "--name", "Other"), 4, "mission.json is there already"),
        (("session", "end", "nope"), 3, "no session nope"),
        (("session", "start", "--pid", "4194304"), 3, "no process"),
        (("session", "run", "--", "/nope"), 2, "no such command"),
    ],
)
def test_wrong_input_is_told(here: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    """Each mistake has its exit code and a sentence, and changes nothing."""
    before = (here.root / "mission.json").read_bytes()
    ended = here("mission", *words, "--json", code=code)
    assert said in ended.said, ended
    assert (here.root / "mission.json").read_bytes() == before


def test_a_second_mission_is_named_in_the_settings(here: Desk) -> None:
    """A mission in another file is added to the configuration; then one of the two has to be named."""
    here("mission", "init", "--name", "Docs", "--id", "docs", "--path", "docs/mission.json")
    assert here.json("config", "get", "mission") == ["mission.json", "docs/mission.json"]
    assert "several missions" in here("mission", "status", code=2).stderr
    assert here.json("mission", "status", "docs")["path"] == "docs/mission.json"


def test_missions_need_no_database(tmp_path: Path) -> None:
    """In flatfile mode everything is in the manifest: milestones, sessions, what is next, both ways with the file."""
    root = tmp_path / "bare"
    root.mkdir()
    (root / "TASKS.md").write_text(TASKS)
    bare = Desk(root, bare_environment(tmp_path))
    bare("--mode", "flatfile", "init", "--yes")
    bare("config", "set", "mode", "flatfile")
    bare("sync")
    bare("mission", "init", "--name", "Web shop", "--milestone", "M1=Base")
    bare("mission", "milestone", "start", "M1")
    assert mission_file(bare)["milestones"][0]["status"] == "in-progress"
    assert valid("next", bare.json("mission", "next"))["card"]["id"] == "A1"
    bare("mission", "session", "start", "--id", "S1", "--pid", str(os.getpid()))
    assert states(bare) == {"S1": "running"}
    valid("manifest", json.loads((root / ".syncd" / "manifest.json").read_text()))
    (root / "mission.json").write_text((root / "mission.json").read_text().replace('"Base"', '"Ground"'))
    bare("sync")
    assert bare.json("mission", "status")["milestones"][0]["name"] == "Ground"


# --- sessions ------------------------------------------------------------------------------------


def states(here: Desk) -> dict[str, str]:
    """Return how each session is."""
    return {each["id"]: valid("session", each)["state"] for each in here.json("mission", "session", "list")}


def test_a_session_lives_as_long_as_its_process(here: Desk) -> None:
    """Running while its process lives, dead when it was killed, ended when somebody says so; in the file, too."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        here("mission", "session", "start", "--id", "S1", "--pid", str(process.pid), "--runtime", "claude")
        assert states(here) == {"S1": "running"}
        refused = here("mission", "session", "start", "--exclusive", code=4)
        assert "S1 (running)" in refused.stderr
        process.kill()
        process.wait()
    assert states(here) == {"S1": "dead"}
    here("mission", "session", "start", "--exclusive", "--id", "S2")
    here("mission", "session", "end", "S1", "--reason", "crashed")
    here("mission", "session", "end", "S1")
    assert states(here) == {"S1": "ended", "S2": "running"}
    assert [each.get("ended_reason") for each in mission_file(here)["sessions"]] == ["crashed", None]


def test_a_number_that_was_given_to_another_process_is_no_life(here: Desk) -> None:
    """The process of that pid lives, but it is not the one: started at another tick, or on another boot."""
    here("mission", "session", "start", "--id", "S1", "--pid", str(os.getpid()))
    here("mission", "session", "start", "--id", "S2", "--pid", str(os.getpid()))
    here.sql("update mission_session set process_started = process_started - 1 where session_id = 'S1'")
    here.sql("update mission_session set boot = 'another' where session_id = 'S2'")
    assert states(here) == {"S1": "dead", "S2": "dead"}


def test_a_session_elsewhere_is_judged_by_its_heartbeat(here: Desk) -> None:
    """Nobody here can see its process: it is stale when nothing was heard of it for long, and never dead."""
    here("mission", "session", "start", "--id", "S1")
    here.sql("update mission_session set host = 'elsewhere', pid = 1, seen_at = now() - interval '6 minutes'")
    assert states(here) == {"S1": "stale"}
    here("mission", "session", "beat", "S1", "--card", "A1")
    found = here.json("mission", "session", "list")[0]
    assert (found["state"], found["lastTask"]) == ("running", "A1")


def test_a_command_runs_as_a_session(here: Desk) -> None:
    """It knows its session, counts as running while it runs, and its exit code is the command's."""
    script = "import os,sys; print(os.environ['SYNCD_SESSION'], os.environ['SYNCD_MISSION']); sys.exit(3)"
    ended = here("mission", "session", "run", "--id", "S1", "--", sys.executable, "-c", script, code=3)
    assert ended.stdout == "S1 web-shop\n"
    (found,) = here.json("mission", "session", "list")
    assert (found["state"], found["endedReason"]) == ("ended", "exit 3")


def test_a_session_survives_syncd_and_not_its_command(here: Desk) -> None:
    """kill -9 of syncd leaves it running while the command lives; when that is gone it is dead: no pid is guessed."""
    script = "import os; print(os.getpid(), flush=True); input()"
    words = ("mission", "session", "run", "--id", "S1", "--", sys.executable, "-c", script)
    reader, writer = os.pipe()
    with here.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=reader) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert states(here) == {"S1": "running"}
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert states(here) == {"S1": "running"}
        os.close(writer)
        until(lambda: not Path(f"/proc/{child}").exists(), "the command is gone")
        assert states(here) == {"S1": "dead"}
    os.close(reader)


@pytest.fixture
def clashed(here: Desk) -> Desk:
    """A milestone's name and the mission's were changed on both sides, and a milestone went that was edited."""
    text = (here.root / "mission.json").read_text()
    (here.root / "mission.json").write_text(text.replace('"Base"', '"Basement"').replace('"Web shop"', '"Shop"'))
    here.sql("update milestone set name = 'Groundwork' where id = 'M1'")
    here.sql("update mission set name = 'The shop'")
    here.sql("delete from milestone where id = 'M2'")
    plain = mission_file(here)
    plain["milestones"][1]["branch"] = "feat/front"
    (here.root / "mission.json").write_text(json.dumps(plain, indent=2) + "\n")
    here.json("sync")
    assert {(each["id"], each["field"]) for each in here.json("conflicts")} == {
        ("mission:web-shop/M1", "name"),
        ("mission:web-shop", "name"),
        ("mission:web-shop/M2", "*"),
    }
    return here


def test_a_clash_about_a_mission_is_settled_as_the_screen_says(clashed: Desk) -> None:
    """A value of either side, or another one, goes to the store and the file; the deletion is carried out after all."""
    (name,) = [each for each in clashed.json("conflicts") if each["id"] == "mission:web-shop/M1"]
    other = "remote" if name["winner"] == "local" else "local"
    after = valid("mission-status", clashed.json("resolve", "mission:web-shop/M1", "--field", "name", "--use", other))
    assert after["milestones"][0]["name"] == name[other]
    assert mission_file(clashed)["milestones"][0]["name"] == name[other]
    said = clashed("resolve", "mission:web-shop", "--use", "value:Our shop")
    assert "Our shop" in said.stdout
    assert clashed.sql("select name from mission") == [("Our shop",)]
    clashed("resolve", "mission:web-shop/M2", "--use", "remote")
    assert [each["id"] for each in mission_file(clashed)["milestones"]] == ["M1"]
    assert clashed.json("conflicts") == []
    assert clashed("resolve", "mission:web-shop/M1", "--use", "local", code=3).stdout == ""


def test_all_clashes_are_settled_at_once(clashed: Desk) -> None:
    """``resolve --all`` takes missions along with cards."""
    told = clashed("resolve", "--all", "--use", "local")
    assert "3 mission records" in told.stdout
    assert (mission_file(clashed)["name"], mission_file(clashed)["milestones"][0]["name"]) == ("Shop", "Basement")
    assert clashed.json("conflicts") == []
