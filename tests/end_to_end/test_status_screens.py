"""The status screen over time and over all workspaces of a user."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.files.registry import known, remember
from tests.support.desk import TABLE, Desk, bare_environment, desk, until


def test_a_watched_status_tells_each_change_once(tmp_path: Path, postgres_dsn: str) -> None:
    """With --watch --json a line comes at the start and with each change, and none in between."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("sync")
    log = tmp_path / "watched"
    with log.open("w") as out, here.start("status", "--watch", "--json", stdout=out, stderr=subprocess.PIPE) as process:
        try:
            until(lambda: log.read_text().count("\n") == 1, "the first line is there")
            here.edit("| A1 | not-started |", "| A1 | done |")
            until(lambda: log.read_text().count("\n") == 2, "the edit is told")
        finally:
            process.terminate()
    first, second = map(json.loads, log.read_text().splitlines())
    Draft202012Validator(bundle("status")).validate(second)
    assert first["inSync"]
    assert [each["id"] for each in second["drift"]] == ["A1"]


def test_all_workspaces_of_a_user(tmp_path: Path, postgres_dsn: str) -> None:
    """Every workspace that was made or run is listed: those in sync, those not, and one that cannot say why not."""
    calm = desk(tmp_path / "calm", postgres_dsn, project="calm")
    needy = desk(tmp_path / "needy", postgres_dsn, "| id | status |\n|--|--|\n| N1 | todo |\n", project="needy")
    broken = desk(tmp_path / "broken", postgres_dsn)
    calm("sync")
    for each in (calm, needy, broken):
        remember(each.root, calm.environ)
    (broken.root / "syncd.yaml").write_text("project: [1\n")
    remember(tmp_path / "gone", calm.environ)
    listed = calm.json("status", "--all")
    Draft202012Validator(bundle("overview")).validate(listed)
    found = {Path(each["workspace"]).name: each for each in listed}
    assert found.keys() == {"calm", "needy", "broken"}
    assert found["calm"]["inSync"]
    assert not found["needy"]["inSync"]
    assert found["broken"]["error"]["code"] == "config"
    said = calm("status", "--all", "--exit-code", code=1).stdout
    assert "1 of 3 workspaces in sync" in said
    assert f"syncd -C {needy.root} status" in said


def test_working_copies_on_other_hosts(tmp_path: Path, postgres_dsn: str) -> None:
    """With --all the other working copies of a project are listed, until those long gone are pruned."""
    here = desk(tmp_path / "shop", postgres_dsn)
    remember(here.root, here.environ)
    here("sync")
    here.sql(
        "insert into backlog_replica (project, replica, host, path, seen_at) values"
        " ('default', 'r-old', 'attic', '/srv/old', now() - interval '200 days'),"
        " ('default', 'r-far', 'laptop', '/home/ann/shop', now() - interval '3 hours')"
    )
    (found,) = here.json("status", "--all")
    Draft202012Validator(bundle("overview")).validate([found])
    assert [(each["host"], each["isHere"]) for each in found["replicas"]][1:] == [("laptop", False), ("attic", False)]
    assert found["replicas"][0]["replica"] == found["replica"]
    assert found["replicas"][0]["isHere"]
    said = here("status", "--all").stdout
    assert "laptop:/home/ann/shop  seen 3 h ago" in said
    assert "syncd db prune --days 90" in said
    assert here.json("db", "prune", "--days", "90")["pruned"]["replicas"] == 1
    said = here("status", "--all").stdout
    assert "laptop:/home/ann/shop" in said
    assert "attic" not in said
    assert "prune" not in said
    here("db", "prune", "--days", "0")
    (found,) = here.json("status", "--all")
    assert [each["isHere"] for each in found["replicas"]] == [True], "whoever prunes is here"


def test_no_working_copies_are_told_while_the_database_is_away(tmp_path: Path, postgres_dsn: str) -> None:
    """What stands in for a database knows of no others, and does not pretend that there are none."""
    here = desk(tmp_path / "shop", postgres_dsn)
    remember(here.root, here.environ)
    here("sync")
    away = {**here.environ, "DATABASE_URL": "postgresql://syncd@127.0.0.1:9/nothing"}
    (found,) = json.loads(here("status", "--all", "--json", env=away).stdout)
    Draft202012Validator(bundle("overview")).validate([found])
    assert found["replicas"] is None


def test_init_and_run_remember_a_workspace(tmp_path: Path, postgres_dsn: str) -> None:
    """A workspace is on the user's list once, however often it is made and run."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("init", "--yes")
    with here.daemon():
        assert known(here.environ) == (here.root,)


@pytest.fixture
def flat(tmp_path: Path) -> Desk:
    """A workspace without a database, with a task file of three cards that is not taken in yet."""
    here = Desk(tmp_path / "shop", bare_environment(tmp_path))
    here.root.mkdir()
    here.file.write_text(TABLE)
    here("--mode", "flatfile", "init", "--yes")
    return here


def test_markers_from_the_start_are_edited_out_or_accepted(flat: Desk) -> None:
    """A file never seen without its merge markers cannot be put back: rejecting is refused, and not offered."""
    flat.file.write_text(TABLE + "<<<<<<< ours\n=======\n>>>>>>> theirs\n")
    shown = flat("status").stdout
    assert "finish the merge: edit the markers out of TASKS.md, or\n      syncd accept TASKS.md  adds 3 cards" in shown
    assert "syncd reject" not in shown
    assert "syncd accept TASKS.md" in flat("reject", code=4).stderr
    flat.file.write_text(TABLE)
    flat("sync")
    flat.file.write_text(TABLE + "<<<<<<< ours\n=======\n>>>>>>> theirs\n")
    assert "syncd reject TASKS.md  puts TASKS.md back as it was, with 3 rows\n" in flat("held").stdout
    flat("reject")
    assert flat.file.read_text() == TABLE


def test_a_missing_file_says_what_becomes_of_it(flat: Desk) -> None:
    """What status says of a file that is gone holds: made empty, and accepted, its cards go."""
    flat("sync")
    flat.file.unlink()
    assert (
        "Then it is written again. To delete its cards instead: touch TASKS.md && syncd accept" in flat("status").stdout
    )
    flat.file.touch()
    flat("accept", "TASKS.md")
    assert flat.json("backlog", "list") == []
    assert flat.text == ""


def test_what_was_emptied_just_now_is_held(flat: Desk) -> None:
    """Who asks at once what is held is not told that nothing is, because the file settles first."""
    flat("sync")
    flat.file.write_text("")
    assert [each["guard"] for each in flat.json("held")] == ["emptied"]


def test_a_daemon_tells_of_an_id_that_it_wrote(flat: Desk) -> None:
    """A row that got its id from syncd is named among what was written to the file."""
    flat("sync")
    with flat.daemon() as running:
        flat.edit("\nWords after", "| | not-started | Paint it | | | |\n\nWords after")
        until(lambda: "| A4 |" in flat.unpadded, "the row has its id")
        (done,) = until(lambda: running.events("cycle.done"), "the cycle is told")
    assert (done["to_store"], done["to_file"]) == (["A4"], ["A4"])
