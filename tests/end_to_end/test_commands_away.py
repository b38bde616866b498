"""Commands as their users run them while the server of their database is stopped, and after it is started again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.support.crew import script, working
from tests.support.desk import TABLE, Desk, desk, until
from tests.support.postgres import served_postgres
from tests.support.switch import Switch

MISSION = json.dumps({"mission_id": "shop", "name": "Shop", "milestones": [{"id": "M1", "name": "One"}]}, indent=2)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Desk, Switch]]:
    """A working copy in sync, and the switch of the server that it is with."""
    with served_postgres() as dsn:
        with psycopg.connect(dsn) as link:
            data = link.execute("show data_directory").fetchall()[0][0]
        with closing(Switch(Path(data))) as switch:
            made = desk(tmp_path / "shop", dsn, TABLE)
            (made.root / "mission.json").write_text(MISSION)
            made("sync")
            yield made, switch


def test_everything_but_db_works_and_comes_home(shop: tuple[Desk, Switch]) -> None:
    """No command ends with 5 but those about the database itself; afterwards it has what was done."""
    here, switch = shop
    switch.off()
    here("mission", "milestone", "start", "M1")
    here("mission", "milestone", "add", "M2", "--name", "Two")
    here("mission", "session", "start", "--id", "s1", "--runtime", "test")
    here("mission", "session", "beat", "s1")
    here("mission", "session", "end", "s1")
    here("mission", "init", "--id", "trip", "--name", "Trip", "--path", "trip.json")
    for words in (
        ("list",),
        ("status", "shop"),
        ("next", "shop"),
        ("log",),
        ("session", "list"),
    ):
        here("mission", *words)
    assert here.json("workers") == []
    with working(here, script(here, "true"), "--until-done") as worker:
        assert worker.ended() == 0
    assert {each["status"] for each in here.json("backlog", "list")} == {"done"}
    here("sync")
    for words in (("conflicts",), ("log",), ("held",), ("diff",), ("verify",), ("backlog", "stats"), ("status",)):
        here(*words)
    here("db", "status", code=5)
    switch.on()
    until(lambda: here.cell_now("id", "A1"), "the server answers")
    here("sync")
    assert here.sql("select id, status from milestone order by id") == [("M1", "in-progress"), ("M2", "pending")]
    assert here.sql("select id from mission order by id") == [("shop",), ("trip",)]
    assert here.sql("select ended_at is not null from mission_session") == [(True,)]
    assert {here.cell("status", id) for id in ("A1", "A2", "A3")} == {"done"}
    assert here.json("status")["inSync"]
    assert here.json("conflicts") == []


def test_workers_of_other_hosts_are_told_as_last_known(shop: tuple[Desk, Switch]) -> None:
    """While the database is away, ``workers`` says whom it cannot hear of, and what they held at last."""
    here, switch = shop
    here("backlog", "claim", "--id", "A1", "--owner", "builder.1f3c")
    here("sync")
    assert "away" not in here("workers").stdout
    switch.off()
    here("backlog", "claim", "--id", "A3", "--owner", "me", code=None)
    said = here("workers").stdout
    assert "Nobody works on this machine." in said
    assert "The database is away: workers on other hosts are not heard of." in said
    assert "Held when it was last heard: A1 by builder.1f3c." in said
    assert here.json("workers") == []


def test_a_worker_works_on_through_an_absence(shop: tuple[Desk, Switch]) -> None:
    """Its running card is finished, the next ones are claimed of what stands in, and the database has all of it."""
    here, switch = shop
    command = script(here, 'echo "$SYNCD_CARD_ID" >> ../done; until [ -e "../go.$SYNCD_CARD_ID" ]; do sleep 0.05; done')
    done = here.root.parent / "done"
    with working(here, command, "--until-done", "--ttl", "60") as worker:
        until(done.exists, "the first card runs")
        switch.off()
        (here.root.parent / "go.A1").touch()
        until(lambda: done.read_text() == "A1\nA2\n", "the second one runs while the server is stopped")
        (workers,) = here.json("workers")
        assert [each["id"] for each in workers["cards"]] == ["A2"]
        switch.on()
        until(lambda: here.cell_now("id", "A1"), "the server answers")
        until(lambda: here.cell_now("status", "A1") == "done", "the first card is done in the database, too")
        for id in ("A2", "A3"):
            (here.root.parent / f"go.{id}").touch()
        assert worker.ended() == 0
    assert done.read_text() == "A1\nA2\nA3\n"
    here("sync")
    assert here.sql("select id, status, attempts, failures from backlog order by id") == [
        (id, "done", 1, 0) for id in ("A1", "A2", "A3")
    ]
    assert here.json("conflicts") == []
    assert here.json("workers") == []
