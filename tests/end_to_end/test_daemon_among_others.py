"""Daemons among others: servers that come and go, other workspaces on the same server, editors, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from syncd.store.embedded import EmbeddedServer
from tests.support.desk import DEADLINE_S, TABLE, Desk, bare_environment, desk, until
from tests.support.editors import Editors
from tests.support.postgres import fresh_database, served_postgres, shared_folder
from tests.support.switch import Switch

SOAK_S = float(os.environ.get("SYNCD_SOAK_S", "6"))
"""How long editors, psql and kills go on; ``make soak`` gives them longer."""
ROUNDS = max(1, round(SOAK_S / 60))
"""The editors' file grows all the while: after a minute they begin with a new one."""

KILL_EVERY_S = 1.5
SERVICE_CARDS = 20


@pytest.fixture
def own_served_dsn() -> Iterator[str]:
    """A served Postgres of this test alone, which may stop it."""
    with served_postgres() as dsn:
        yield dsn


def test_a_served_postgres_is_restarted(tmp_path: Path, own_served_dsn: str) -> None:
    """While its server is stopped a daemon says so and works on; when it is started again all of it is there."""
    here = desk(tmp_path / "shop", own_served_dsn)
    with closing(Switch(Path(here.sql("show data_directory")[0][0]))) as switch, here.daemon() as daemon:
        here.sql("update backlog set priority = 8 where id = 'A3'")
        switch.off()
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: daemon.events("store.offline"), "the daemon has noticed", deadline_s=10)
        status = here.ask("status")
        assert (status["mode"], status["store"]["reachable"]) == ("offline", False)
        assert here.json("backlog", "claim", "--owner", "w")["id"] == "A2"
        until(lambda: "| A2 | in-progress |" in here.unpadded, "the claim is in the file")
        switch.on()
        until(lambda: here.cell_now("status", "A1") == "done", "the edit is in the table")
        here.sql("update backlog set title = 'Write it all' where id = 'A2'")
        until(lambda: "| Write it all |" in here.text and "| A1, A2 | 8 |" in here.text, "the updates are in the file")
        assert here.ask("status")["conflicts"] == []
        assert here.cell("claim_owner", "A2") == "w"
        assert (len(daemon.events("store.back")), daemon.events("cycle.failed")) == (1, [])
        assert daemon.process.poll() is None


def test_followed_events_survive_a_restart_of_the_server(tmp_path: Path, own_served_dsn: str) -> None:
    """`events --follow` waits while the server is away, and goes on without a gap or a double, also with --since."""
    here = desk(tmp_path / "shop", own_served_dsn)
    here("sync")
    with closing(Switch(Path(here.sql("show data_directory")[0][0]))) as switch:
        following = here.start("backlog", "events", "--follow", "--json", stdout=subprocess.PIPE)
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline()) for _ in range(3)]
        for number in range(3):
            here.sql(f"insert into backlog (id, title) values ('B{number}', 'b')")
            switch.off()
            switch.on()
            until(lambda: _answers(here), "the server takes queries again")
            here.sql(f"update backlog set status = 'done' where id = 'B{number}'")
        while seen[-1]["id"] != "B2" or seen[-1]["type"] != "task.completed":
            seen.append(json.loads(following.stdout.readline()))
        following.terminate()
        following.communicate(timeout=DEADLINE_S)
        told = [(each["type"], each["id"]) for each in seen[3:]]
        assert told == [(kind, f"B{n}") for n in range(3) for kind in ("task.queued", "task.completed")]
        later = here("backlog", "events", "--json", "--since", str(seen[4]["seq"])).stdout.splitlines()
        assert [json.loads(each)["seq"] for each in later] == [each["seq"] for each in seen[5:]]


def _answers(here: Desk) -> bool:
    try:
        return bool(here.sql("select 1"))
    except psycopg.OperationalError:
        return False


def test_the_embedded_server_is_killed(embedded_home: Path, tmp_path: Path) -> None:
    """After kill -9 of the embedded server its daemon starts it again, and loses no edit of either side."""
    here = embedded_desk(tmp_path / "shop", embedded_home, grace="0.5")
    with here.daemon() as daemon:
        here.sql("update backlog set priority = 8 where id = 'A3'")
        os.kill(Switch(embedded_home / "data").pid, signal.SIGKILL)
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: here.cell_now("status", "A1") == "done", "the edit is in the table")
        until(lambda: "| A1, A2 | 8 |" in here.text, "the update is in the file")
        here.sql("update backlog set title = 'Write it all' where id = 'A2'")
        until(lambda: "| Write it all |" in here.text, "the daemon hears of updates again")
        assert here.ask("status")["conflicts"] == []
        assert daemon.process.poll() is None


@pytest.mark.usefixtures("embedded_dsn")
def test_two_workspaces_share_the_embedded_server(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two workspaces with the same ids, each with its daemon, live in one embedded server without meeting."""
    server = shared_folder(tmp_path_factory) / "embedded"
    name = tmp_path.name
    here, there = (embedded_desk(tmp_path / f"{each} {name}", server) for each in ("one", "two"))
    assert here.json("config", "get", "project") == f"one-{name}"
    with here.daemon(), there.daemon():
        here.edit("| A1 | not-started |", "| A1 | done |")
        there.edit("Write the docs", "Write the songs")
        rows = "select project, id from backlog where (id, status) = ('A1', 'done') or title = 'Write the songs'"
        expected = {(f"one-{name}", "A1"), (f"two-{name}", "A3")}
        until(lambda: expected <= set(here.sql(rows)), "both edits are in the table")
        assert "songs" not in here.text
        assert "done" not in there.text


def embedded_desk(root: Path, server: Path, *, grace: str | None = None) -> Desk:
    """Make a workspace on an embedded server, as a user does who has no other."""
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    made = Desk(root, bare_environment(root.parent, SYNCD_DATA_DIR=str(server)))
    if grace is not None:
        (root / "syncd.yaml").write_text(f"embedded_grace_s: {grace}\n")
    made("init", "--yes")
    joined = EmbeddedServer.join(server)
    assert joined is not None
    with joined:
        made.dsn = joined.dsn
    return made


@pytest.mark.timeout(SOAK_S + 110 * ROUNDS)
def test_editors_sql_and_kills_at_once(tmp_path: Path, embedded_dsn: str) -> None:
    """Three editors add rows, SQL updates others, the daemon is killed again and again: every row is on both sides."""
    for number in range(ROUNDS):
        with fresh_database(embedded_dsn) as dsn:
            _race_of_editors(tmp_path / f"shop{number}", dsn, SOAK_S / ROUNDS)


def _race_of_editors(root: Path, dsn: str, seconds: float) -> None:
    numbers = range(SERVICE_CARDS)
    rows = "".join(f"| S{number} | not-started | Card of the service {number} | — | 0 | |\n" for number in numbers)
    here = desk(root, dsn, TABLE.replace("\nWords", f"{rows}\nWords"))
    here("run", "--once")
    before = here.sql("select id, title from backlog order by id desc")
    begun = time.monotonic()
    editors = Editors(here.file, row, "\nWords")
    updates = kills = 0
    try:
        while time.monotonic() - begun < seconds:
            daemon, started = here.launch(), time.monotonic()
            while time.monotonic() - started < KILL_EVERY_S:
                updates += 1
                here.sql("update backlog set priority = %s where id = %s", updates, f"S{updates % SERVICE_CARDS}")
                assert daemon.process.poll() is None, daemon.text
            daemon.ended(signal.SIGKILL)
            kills += 1
    finally:
        editors.close()
    with here.daemon():
        titles = [f"Row {number} of an editor" for number in range(editors.rows)]
        titles += [title for _, title in before]
        until(lambda: here.titles_in_file() == sorted(titles), "every row is in the file, once")
        until(lambda: here.ask("status")["inSync"], "both sides agree")
        assert sorted(title for (title,) in here.sql("select title from backlog")) == sorted(titles)
        for id, title in before[:SERVICE_CARDS]:
            assert f"| {id} | not-started | {title} | — | {here.cell('priority', id)} |" in here.text
        status = here.ask("status")
        assert status["problems"] == []
        assert len(status["conflicts"]) <= editors.stale_saves
    assert (updates > 20, kills > 1, editors.rows > 20) == (True, True, True)


def row(number: int) -> str:
    """Return an editor's row; every other one has no id yet, and none has one that syncd would give."""
    id = f"E{number}x" if number % 2 else ""
    return f"| {id} | not-started | Row {number} of an editor | — | 1 | |\n"
