"""A server that hangs is noticed within seconds, and the work goes on without it; one that is busy is waited for.

How things stand is told within two seconds in any case.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

import syncd
from syncd.engine.asker import ask
from syncd.errors import StoreUnreachable
from syncd.store.embedded import available
from tests.support.crew import script, working
from tests.support.desk import DEADLINE_S, TABLE, Desk, Running, bare_environment, desk, until
from tests.support.embedded import start
from tests.support.hosts import Host, hosts
from tests.support.postgres import frozen

SOON_S = 30.0
"""Far more than the few seconds that it takes, for a machine with too much to do, and far less than for ever."""

READS = (
    ("diff",),
    ("held",),
    ("conflicts",),
    ("backlog", "list"),
    ("backlog", "show", "A1"),
    ("backlog", "stats"),
    ("backlog", "why", "A1"),
    ("workers",),
)
"""Commands that cannot do without the store while a daemon works with it."""


@pytest.fixture
def shop(tmp_path: Path, served_dsn: str) -> Desk:
    return desk(tmp_path / "shop", served_dsn)


def _status(shop: Desk) -> Any:
    """Return the drift report, which must come within two seconds; a machine with too much to do gets three tries.

    And some more time, if it takes long for a program there to do as good as nothing.
    """
    took = []
    for _ in range(3):
        began = time.monotonic()
        shop("--version")
        started = time.monotonic()
        report = shop.json("status")
        took.append((time.monotonic() - started, started - began))
        if took[-1][0] < 2 + 4 * took[-1][1]:
            return report
    raise AssertionError(took)


def _drift(report: Any) -> list[tuple[str, ...]]:
    return [(each["id"], each["field"], each["direction"]) for each in report["drift"]]


def _is_stuck(shop: Desk) -> bool:
    """Return whether the daemon's one thread waits."""
    try:
        ask(shop.socket, {"op": "metrics"}, timeout_s=0.3)
    except TimeoutError:
        return True
    return False


def _open_files() -> list[str]:
    return sorted(str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())


def _is_away(daemon: Running) -> bool:
    return bool(daemon.events("store.offline"))


def _is_taken(shop: Desk, title: str) -> None:
    """Wait until what a file says of A2 is what commands say."""
    until(lambda: shop.json("backlog", "show", "A2")["title"] == title, "the edit is taken")


def _is_home(shop: Desk, daemon: Running) -> None:
    """Wait until a daemon has come back to its database by itself, with nothing left to do and nobody asked."""
    until(lambda: daemon.events("store.back"), "the daemon is back")
    report = until(lambda: (found := shop.json("status"))["inSync"] and found, "both sides agree")
    assert (report["daemon"]["pid"], report["store"]["reachable"]) == (daemon.pid, True)
    assert (report["conflicts"], report["held"], report["problems"]) == ([], [], [])


def test_beside_a_daemon_whose_server_hangs(shop: Desk) -> None:
    """What was last known is shown at once; after some seconds everything goes on, and all of it is merged."""
    with shop.daemon() as daemon:
        shop("backlog", "list")  # the connection for commands stands
        with frozen(shop.dsn):
            began = time.monotonic()
            shop.edit("Write the parser", "Write a parser")
            until(lambda: _is_stuck(shop), "the daemon waits for the server")
            pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            asked = {words: shop.start(*words, **pipes) for words in READS}

            report = _status(shop)
            assert (report["mode"], report["inSync"], report["daemon"]["running"]) == ("offline", False, True)
            assert not report["store"]["reachable"]
            assert "does not answer" in report["store"]["error"]
            assert report["cards"]["total"] == 3

            until(lambda: _is_away(daemon), "the daemon has found out")
            assert time.monotonic() - began < SOON_S
            for words, process in asked.items():
                _, said = process.communicate(timeout=DEADLINE_S)
                assert process.returncode in ((0, 1) if words == ("diff",) else (0,)), (words, said)
            _is_taken(shop, "Write a parser")
            assert shop.json("backlog", "claim", "--owner", "w", "--id", "A1")["claimOwner"] == "w"
            until(lambda: "| w |" in shop.unpadded, "the claim is in the file")
        _is_home(shop, daemon)
    assert shop.cell("title", "A2") == "Write a parser"
    assert (shop.cell("status", "A1"), shop.cell("claim_owner", "A1")) == ("claimed", "w")


def test_a_server_that_hangs_while_nothing_happens(shop: Desk) -> None:
    """It is missed before anybody needs it, and the daemon is back once it answers."""
    with shop.daemon() as daemon:
        until(lambda: shop.json("status")["mode"] == "live", "the daemon listens")
        with frozen(shop.dsn):
            until(lambda: _is_away(daemon), "the daemon has found out", deadline_s=20)
        _is_home(shop, daemon)


@contextmanager
def _slow_commits(shop: Desk) -> Iterator[None]:
    """Have each commit of a change of a card take a second on the server."""
    shop.sql(
        "create function take_time() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(1); return null; end $$"
    )
    shop.sql(
        "create constraint trigger take_time after update on backlog deferrable initially deferred"
        " for each row execute function take_time()"
    )
    yield
    shop.sql("drop trigger take_time on backlog")


def _commits(shop: Desk) -> bool:
    """Return whether a commit is under way."""
    return bool(shop.sql("select pid from pg_stat_activity where state = 'active' and query ilike 'commit%%'"))


def _edited_in_a_commit(shop: Desk, hang: AbstractContextManager[None]) -> None:
    """Edit, have the server hang while that is committed, edit the same cell again, and have it go on."""
    with shop.daemon() as daemon, _slow_commits(shop):
        shop.edit("Write the parser", "Write a parser")
        until(lambda: _commits(shop), "the edit is committed")
        with hang:
            until(lambda: _is_away(daemon), "the daemon has found out")
            shop.edit("Write a parser", "Write another parser")
            _is_taken(shop, "Write another parser")
        _is_home(shop, daemon)
    assert shop.cell("title", "A2") == "Write another parser"
    assert "Write another parser" in shop.text


def test_a_server_that_hangs_in_a_commit(shop: Desk) -> None:
    """What becomes of the commit when the server goes on is found out, and clashes with nothing."""
    _edited_in_a_commit(shop, frozen(shop.dsn))


def test_an_answer_to_a_commit_that_hangs_on_the_way(tmp_path: Path, postgres_dsn: str) -> None:
    """The commit is done, and the daemon learns it only when the line goes on."""
    with _behind_a_line(tmp_path, postgres_dsn) as (shop, line):

        @contextmanager
        def hang() -> Iterator[None]:
            line.freeze()
            yield
            assert shop.cell("title", "A2") == "Write a parser"
            line.mend()

        _edited_in_a_commit(shop, hang())


@contextmanager
def _behind_a_line(tmp_path: Path, dsn: str) -> Iterator[tuple[Desk, Host]]:
    """Make a working copy whose line to its server may hang; plain SQL goes past it."""
    with hosts(["laptop"], dsn) as (line,):
        shop = desk(tmp_path / "shop", dsn)
        environ = {**shop.environ, "DATABASE_URL": line.dsn}
        yield replace(shop, environ=environ, popen={"python": line.python(tmp_path)}), line


def test_a_server_that_hangs_in_a_transaction(shop: Desk) -> None:
    """A transaction that was open is over when the server goes on, and its edit goes the way of all edits."""
    with shop.daemon() as daemon, psycopg.connect(shop.dsn) as other:
        other.execute("update backlog set priority = 8 where id = 'A2'")
        shop.edit("Write the parser", "Write a parser")
        until(lambda: _waiting(shop), "the daemon waits for the row")
        with frozen(shop.dsn):
            until(lambda: _is_away(daemon), "the daemon has found out")
            _is_taken(shop, "Write a parser")
        other.commit()
        _is_home(shop, daemon)
        until(lambda: "| 8 |" in shop.text, "the other's change is in the file")
    assert (shop.cell("title", "A2"), shop.cell("priority", "A2")) == ("Write a parser", "8")
    assert "| Write a parser |" in shop.unpadded


def _waiting(shop: Desk) -> Sequence[tuple[Any, ...]]:
    """Return who waits for a lock on the server."""
    return shop.sql("select pid from pg_stat_activity where wait_event_type = 'Lock'")


@pytest.mark.skipif(available() is not None, reason=f"no embedded server here: {available()}")
def test_an_embedded_server_that_hangs(tmp_path: Path, embedded_home: Path) -> None:
    """A server of one's own is not waited for either, by a daemon or by a command without one."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    bare = Desk(root, bare_environment(tmp_path, SYNCD_DATA_DIR=str(embedded_home)))
    bare("init")
    with start(embedded_home) as server:
        shop = replace(bare, dsn=server.dsn)
        with shop.daemon() as daemon:
            with frozen(shop.dsn):
                began = time.monotonic()
                shop.edit("Write the parser", "Write a parser")
                until(lambda: _is_away(daemon), "the daemon has found out")
                assert time.monotonic() - began < SOON_S
                _is_taken(shop, "Write a parser")
            _is_home(shop, daemon)
        assert shop.cell("title", "A2") == "Write a parser"
        with frozen(shop.dsn):
            began = time.monotonic()
            shop("backlog", "update", "A2", "title=Write another parser")
            assert time.monotonic() - began < SOON_S
        shop("sync")
        assert shop.cell("title", "A2") == "Write another parser"


def test_a_command_whose_server_hangs_goes_on_without_it(shop: Desk) -> None:
    """Without a daemon a command that waits notices by itself; only what is about the database itself ends with 5."""
    shop("sync")
    with psycopg.connect(shop.dsn) as other:
        other.execute("lock table backlog in access exclusive mode")
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        update = shop.start("backlog", "update", "A2", "title=Write a parser", **pipes)
        backup = shop.start("db", "backup", **pipes)
        until(lambda: len(_waiting(shop)) == 2, "both wait")
        with frozen(shop.dsn):
            began = time.monotonic()
            told, said = backup.communicate(timeout=DEADLINE_S)
            assert (backup.returncode, told) == (5, ""), said
            assert "does not answer" in said
            _, said = update.communicate(timeout=DEADLINE_S)
            assert update.returncode == 0, said
            assert time.monotonic() - began < SOON_S
            assert shop.json("backlog", "show", "A2")["title"] == "Write a parser"
        other.rollback()
    shop("sync")
    assert (shop.cell("title", "A2"), shop.json("conflicts")) == ("Write a parser", [])


def test_a_worker_whose_server_hangs_goes_on_without_it(shop: Desk) -> None:
    """Its card is completed, and so are those that follow, all of it once."""
    shop("sync")
    go = shop.root.parent / "go"
    begun = shop.root.parent / "begun"
    text = f'echo "$SYNCD_CARD_ID" >> "{begun}"\nwhile [ ! -e "{go}" ]; do sleep 0.05; done\n'
    with working(shop, script(shop, text), "--until-done") as worker:
        until(begun.exists, "a card is worked on")
        with frozen(shop.dsn):
            go.touch()
            assert worker.ended() == 0
    assert begun.read_text().split() == ["A1", "A2", "A3"]
    shop("sync")
    assert {shop.cell("status", id) for id in ("A1", "A2", "A3")} == {"done"}
    assert {shop.cell("attempts", id) for id in ("A1", "A2", "A3")} == {"1"}
    assert shop.json("conflicts") == []


def test_a_program_whose_server_hangs_goes_on_without_it(shop: Desk) -> None:
    """The library answers from what is known here, after some seconds, and leaves no thread and no file open."""
    shop("sync")
    before = _open_files()
    with syncd.open(shop.root, environ=shop.environ) as workspace:
        workspace.backlog.show("A1")  # the connection stands
        with frozen(shop.dsn):
            began = time.monotonic()
            assert workspace.backlog.claim(owner="w", ttl_seconds=600).id == "A1"
            assert time.monotonic() - began < SOON_S
            assert workspace.is_away
            with pytest.raises(StoreUnreachable):
                workspace.database.status()
        until(lambda: workspace.backlog.show("A1") and not workspace.is_away, "the work is brought home")
        assert (shop.cell("status", "A1"), shop.cell("claim_owner", "A1")) == ("claimed", "w")
    until(lambda: not [each for each in threading.enumerate() if each.name.startswith("syncd-")], "no thread is left")
    assert _open_files() == before


def test_without_a_daemon(shop: Desk) -> None:
    """A server that hangs is as good as away: what was last known is shown, and nothing is written."""
    shop("sync")
    with frozen(shop.dsn):
        shop.edit("Write the parser", "Write a parser")
        edited = shop.text
        report = _status(shop)
        assert (report["mode"], report["store"]["reachable"], report["store"]["since"]) == ("offline", False, None)
        assert _drift(report) == [("A2", "title", "to-store")]
        said = shop("status").stdout
        assert said.startswith("Not in sync: the store does not answer, 1 edit waits for the store")
        assert "merged when the database answers: tried with the next command, or now by syncd sync" in said
        assert shop.text == edited
    assert shop.json("status")["store"]["reachable"]


def test_beside_a_daemon_that_is_busy(shop: Desk) -> None:
    """A row that somebody's transaction holds keeps the daemon, and nobody who asks how things stand."""
    with shop.daemon(), psycopg.connect(shop.dsn) as other:
        other.execute("select from backlog where id = 'A2' for update")
        shop.edit("Write the parser", "Write a parser")
        until(lambda: _is_stuck(shop), "the daemon waits for the row")
        report = _status(shop)
        assert (report["inSync"], report["daemon"]["busy"], report["store"]["reachable"]) == (False, True, True)
        assert _drift(report) == [("A2", "title", "to-store")]
        assert "the daemon is busy" in shop("status").stdout
        assert {each["id"] for each in shop.json("backlog", "list")} == {"A1", "A2", "A3"}
        other.rollback()
        until(lambda: shop.json("status")["inSync"], "the daemon goes on")
