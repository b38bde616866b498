"""Embedded data of an older PostgreSQL: dumped by its own server, loaded into the installed one, swapped in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from syncd.errors import Busy, ConfigError, SchemaVersionError
from syncd.files.atomic import exchange
from syncd.store.embedded import binaries, sockets
from syncd.store.embedded.home import Deadline
from syncd.store.embedded.upgrade import Upgraded, _serving, upgrade
from syncd.store.migrate import arrive, migrate
from tests.support.embedded import start, wait_until_stopped
from tests.support.migrated import Database
from tests.support.postgres import SERVED_PROGRAMS

needs_old_server = pytest.mark.skipif(
    not (SERVED_PROGRAMS / "postgres").exists(), reason=f"no older PostgreSQL in {SERVED_PROGRAMS}"
)
MAJOR = 15


@contextmanager
def old_server(home: Path) -> Iterator[str]:
    """Run the older PostgreSQL in the data folder; give the address of syncd's database."""
    folder = home / "data"
    with _serving(folder, SERVED_PROGRAMS, binaries.server_account(folder, home), Deadline.after(60)):
        yield sockets.dsn(folder)


@pytest.fixture
def open_home(runtime_dir: Path) -> Iterator[Path]:
    """A folder that every account can walk to: an older server looks at the path from which it was started."""
    with tempfile.TemporaryDirectory(prefix="syncd-upgrade-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        home = Path(name) / "postgres"
        home.mkdir(mode=0o755)
        yield home
        wait_until_stopped(home)


@pytest.fixture
def old_home(open_home: Path) -> Path:
    """The folder of an embedded server whose data PostgreSQL 15 made: cards, and transaction ids far ahead."""
    embedded_home = open_home
    folder = embedded_home / "data"
    folder.mkdir(parents=True, mode=0o700)
    account = binaries.server_account(embedded_home)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    initdb = ["-D", "/proc/self/cwd", "--username", sockets.USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
    binaries.run(SERVED_PROGRAMS / "initdb", *initdb, "--no-sync", account=account, folder=folder, timeout_s=60)
    single = ("--single", "-D", "/proc/self/cwd", "template1")
    made = binaries.run(
        SERVED_PROGRAMS / "postgres",
        *single,
        account=account,
        folder=folder,
        timeout_s=60,
        text="create database syncd\n",
    )
    assert made.returncode == 0, made.stderr
    with old_server(embedded_home) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as link:
            for _ in range(3000):
                link.execute("select pg_current_xact_id()")
            link.execute("insert into backlog (id, title) values ('A', 'a'), ('B', 'b')")
            link.execute("update backlog set depends_on = '[\"A\"]' where id = 'B'")
    return embedded_home


def upgraded(home: Path, programs: Path | None = None) -> Upgraded:
    """Upgrade it as `syncd db upgrade` does."""

    def loaded(dsn: str) -> None:
        migrate(dsn)
        arrive(dsn)

    return upgrade(home, programs=programs, exchange=exchange, loaded=loaded)


@needs_old_server
def test_data_of_an_older_version_comes_along(old_home: Path) -> None:
    """Cards, history and counts are in the new server, its feed and events go on; the old data stays."""
    with pytest.raises(SchemaVersionError):
        start(old_home)
    done = upgraded(old_home)
    assert (done.before, done.kept is not None) == (MAJOR, True)
    assert done.kept is not None
    assert (done.kept / "PG_VERSION").read_text().strip() == str(MAJOR)
    with start(old_home) as server:
        assert int(server.server_version.split(".")[0]) == done.after
        database = Database(server.dsn)
        store = database.store()
        assert [(card.id, card.unmet) for card in store.read(None).cards.values()] == [("A", 0), ("B", 1)]
        trail = store.trail(limit=10)
        assert ([entry.id for entry in trail.entries], trail.is_waiting) == (["A", "B", "B"], False)
        cursor = store.read(None).cursor
        assert store.read(cursor).cards == {}
        store.complete("A")
        assert store.claim("w", 60)[0].id == "B"
        database.close()
    wait_until_stopped(old_home)
    assert upgraded(old_home).kept is None


@needs_old_server
def test_a_dump_that_fails_leaves_everything_as_it_was(old_home: Path, tmp_path: Path) -> None:
    """Without a server of that version, while one runs, or with a failing load nothing is changed."""
    with pytest.raises(ConfigError, match=f"PostgreSQL {MAJOR}"):
        upgraded(old_home, programs=tmp_path)

    def broken(dsn: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        upgrade(old_home, programs=SERVED_PROGRAMS, exchange=exchange, loaded=broken)
    assert (old_home / "data" / "PG_VERSION").read_text().strip() == str(MAJOR)
    assert [path for path in old_home.iterdir() if path.name.startswith(("upgrade-", "data."))] == []
    with old_server(old_home) as dsn, psycopg.connect(dsn) as link:
        assert link.execute("select count(*) from backlog").fetchone() == (2,)


def test_a_server_that_runs_is_not_upgraded(embedded_home: Path) -> None:
    """Data in use is left alone; data of the installed version needs nothing."""
    with start(embedded_home):
        assert upgraded(embedded_home).kept is None
        (embedded_home / "data" / "PG_VERSION").write_text("15\n")
        with pytest.raises(Busy):
            upgraded(embedded_home, programs=_any_postgres(embedded_home))
        (embedded_home / "data" / "PG_VERSION").write_text(f"{_installed()}\n")
    wait_until_stopped(embedded_home)


def _installed() -> int:
    return binaries.find(None if os.geteuid() else binaries.server_account()).major


def _any_postgres(home: Path) -> Path:
    """Return a folder with a program of that name; it is never run."""
    folder = home / "bin"
    folder.mkdir()
    (folder / "postgres").write_text("")
    return folder


def test_a_dump_from_another_server_is_made_at_home(database: Database) -> None:
    """Rows with transaction ids that this server has yet to give are stamped anew, so that events do not wait."""
    store = database.store()
    database.rows("insert into backlog (id, title) values ('A', 'a')")
    database.rows("alter table backlog disable trigger user")
    database.rows("update backlog set changed_xid = '900000000'")
    database.rows("update backlog_history set xid = '900000000'")
    database.rows("alter table backlog enable trigger user")
    assert store.trail(limit=10).is_waiting
    assert arrive(database.dsn)
    trail = store.trail(limit=10)
    assert ([entry.id for entry in trail.entries], trail.is_waiting) == (["A"], False)
    cursor = store.read(None).cursor
    assert store.read(cursor).cards == {}
    assert not arrive(database.dsn)
