"""Bad input as its user meets it: the exit code, one line with place and hint, no password; the rest goes on."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from syncd.store.migrate import migrate
from tests.support.desk import TABLE, Desk, Ended, bare_environment, desk, quiet_for, until
from tests.support.embedded import ordinary_user, wait_until_stopped
from tests.support.postgres import fresh_database

PASSWORD = "s3cret-Pa55"
MORE = "| id | status | title |\n|---|---|---|\n| M1 | not-started | More |\n"


def said_well(ended: Ended, *, message: str, hint: str) -> None:
    """Assert that a failed command said one line, with its hint in a second, and nothing that it must not say."""
    lines = ended.stderr.splitlines()
    assert len(lines) == 2, ended
    assert lines[0].startswith("syncd: "), ended
    assert message in lines[0], ended
    assert lines[1].startswith("hint: "), ended
    assert hint in lines[1], ended
    assert ended.stdout == ""
    assert PASSWORD not in ended.said


def told(ended: Ended, code: str) -> dict[str, str]:
    """Return the error of a command with ``--json``: the last line of stderr, and nothing on stdout."""
    error: dict[str, str] = json.loads(ended.stderr.splitlines()[-1])["error"]
    assert ended.stdout == ""
    assert error["code"] == code
    assert PASSWORD not in ended.said
    return error


# --- stores --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What is wrong with a store, and what has to be said of it.

    ``url`` makes the URL from that of a good database (user, host and so on by name), after ``spoil`` had it.
    """

    url: str
    exit_code: int
    code: str
    message: str
    hint: str
    is_served: bool = False
    spoil: Callable[[psycopg.Connection], object] | None = None


def newer(connection: psycopg.Connection) -> None:
    """Make the schema one of a later syncd."""
    migrate(connection.info.dsn)
    connection.execute("update backlog_meta set value = '99' where key = 'schema_version'")


def foreign(connection: psycopg.Connection) -> None:
    """Have a table that another program made under the same name."""
    connection.execute("create table backlog (id text primary key, note text)")


GOOD = "host={host} port={port} user={user} dbname={dbname}"
STORES = {
    "unparsable URL": Fault(
        f"postgresql://me:{PASSWORD}@[::1/app", 78, "config", "cannot be read", "postgresql://user"
    ),
    "unknown option": Fault(f"postgresql://me:{PASSWORD}@localhost/app?ssl=on", 78, "config", "URL", "looks like"),
    "wrong password": Fault(
        f"postgresql://{{user}}:{PASSWORD}@{{host}}:{{port}}/{{dbname}}",
        78,
        "credentials",
        "password authentication failed",
        "password",
        is_served=True,
    ),
    "no such database": Fault(f"{GOOD}_not", 78, "config", "does not exist", "createdb"),
    "newer schema": Fault(GOOD, 78, "schema-version", "unknown schema version: 99", "newer syncd", spoil=newer),
    "foreign table": Fault(GOOD, 78, "schema-version", "backlog table that syncd did not make", "adopt", spoil=foreign),
    "not migrated": Fault(GOOD, 78, "schema-version", "there is no backlog yet", "syncd db migrate"),
}


@pytest.mark.parametrize("name", STORES)
def test_a_store_that_cannot_be_used(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What is wrong with the store is said with its address and a remedy, and neither file nor state is touched."""
    fault = STORES[name]
    dsn = str(request.getfixturevalue("served_dsn" if fault.is_served else "postgres_dsn"))
    if fault.spoil is not None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            fault.spoil(connection)
    url = fault.url.format(**conninfo_to_dict(dsn))
    (tmp_path / "shop" / ".syncd").mkdir(parents=True)
    (tmp_path / "shop" / "TASKS.md").write_text(TABLE)
    here = Desk(tmp_path / "shop", bare_environment(tmp_path, DATABASE_URL=url))
    said_well(here("sync", code=fault.exit_code), message=fault.message, hint=fault.hint)
    error = told(here("backlog", "list", "--json", code=fault.exit_code), fault.code)
    assert fault.message in error["message"]
    assert fault.hint in error["hint"]
    if fault.exit_code == 78:
        ended = here("run", code=78)
        assert fault.message in ended.stderr.splitlines()[-2]
        assert (PASSWORD in ended.said, "Traceback" in ended.said) == (False, False)
    assert here.text == TABLE


@pytest.mark.parametrize("place", ["127.0.0.1:1", "nowhere.invalid"])
def test_a_store_that_does_not_answer(place: str, tmp_path: Path) -> None:
    """Nobody listening, or an unknown host, keeps nobody from working; only what is about tables ends with 5."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "TASKS.md").write_text(TABLE)
    here = Desk(tmp_path / "shop", bare_environment(tmp_path, DATABASE_URL=f"postgresql://me:{PASSWORD}@{place}/app"))
    said = here("init", "--yes").said
    assert "does not answer now" in said
    assert here("sync").code == 0
    assert here.json("backlog", "claim", "--owner", "w")["id"] == "A1"
    status = here.json("status")
    assert (status["mode"], status["inSync"]) == ("offline", False)
    assert place.partition(":")[0] in status["store"]["error"]
    ended = here("db", "status", "--json", code=5)
    assert told(ended, "store-unreachable")["hint"]
    assert PASSWORD not in said + ended.said + json.dumps(status)


def test_a_daemon_whose_store_is_away_works_on(tmp_path: Path, postgres_dsn: str) -> None:
    """A daemon whose server does not answer from the start says so, and takes edits in and hands cards out."""
    here = desk(tmp_path / "shop", postgres_dsn)
    here("run", "--once")
    here.edit("| A1 | not-started |", "| A1 | done |")
    away = Desk(here.root, {**here.environ, "DATABASE_URL": f"postgresql://me:{PASSWORD}@127.0.0.1:1/app"})
    daemon = away.launch()
    try:
        until(lambda: daemon.events("store.offline"), "the daemon has noticed")
        until(lambda: away.json("backlog", "show", "A1")["status"] == "done", "the edit is taken in")
        report = away.json("status")
        assert (report["mode"], report["store"]["reachable"], report["inSync"]) == ("offline", False, False)
        assert report["drift"] == []
        assert away.json("backlog", "claim", "--owner", "w")["id"] == "A2"
        assert PASSWORD not in daemon.text + json.dumps(report)
    finally:
        daemon.process.terminate()
        assert daemon.ended() == 0


def test_a_store_of_another_kind_is_refused(tmp_path: Path, postgres_dsn: str) -> None:
    """A workspace that was made with one store is not synced with another because the environment changed."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    here = Desk(root, bare_environment(tmp_path, DATABASE_URL=postgres_dsn), postgres_dsn)
    here("init", "--yes")
    elsewhere = Desk(root, bare_environment(tmp_path))
    said_well(elsewhere("sync", code=78), message="belongs to the postgres store", hint="export SYNCD_DATABASE_URL")
    other = Desk(root, bare_environment(tmp_path, DATABASE_URL=f"postgresql://me:{PASSWORD}@elsewhere/app"))
    error = told(other("run", "--json", code=78), "store-mismatch")
    assert "$DATABASE_URL" in error["message"]
    assert "unset DATABASE_URL" in error["hint"]
    assert not (tmp_path / "data").exists()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is too small for an embedded server."""
    place = tmp_path / "small disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone")
    yield place
    wait_until_stopped(place / "postgres")
    subprocess.run(["umount", "-l", place], check=True)


def test_no_space_for_the_embedded_server(full_disk: Path, tmp_path: Path) -> None:
    """Without space for the embedded server the command ends with 74, names the place, and leaves nothing half-made."""
    root = tmp_path / "shop"
    (root / ".syncd").mkdir(parents=True)
    (root / "TASKS.md").write_text(TABLE)
    here = Desk(root, bare_environment(tmp_path, SYNCD_DATA_DIR=str(full_disk / "postgres")))
    said_well(here("sync", code=74), message="No space left on device", hint=str(full_disk))
    told(here("run", "--json", code=74), "io")
    assert not list(full_disk.glob("postgres/data*"))
    assert here.text == TABLE


def test_a_workspace_on_a_full_disk(full_disk: Path, tmp_path: Path) -> None:
    """Where nothing can be written any more each command says that the disk is full; with room again all goes on."""
    root = full_disk / "shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE)
    here = Desk(root, bare_environment(tmp_path))
    here("init", "--yes", "--mode", "flatfile")
    here("sync")
    here.edit("A1 | not-started", "A1 | done")
    fill = full_disk / "fill"
    with suppress(OSError), fill.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    for words in (("status",), ("sync",), ("backlog", "update", "A2", "title=Other")):
        said_well(here(*words, code=74), message="the disk is full", hint="Make room")
    fill.unlink()
    here("sync")
    assert here.json("backlog", "show", "A1")["status"] == "done"
    assert here("verify").code == 0


# --- configuration -------------------------------------------------------------------------------

CONFIGS = {
    "no YAML": ("project: [a\n", "syncd.yaml:"),
    "unknown key": ("mode: auto\nprojekt: a\n", "syncd.yaml:2: "),
    "unknown mode": ("mode: postgrse\n", "syncd.yaml:1: "),
    "word for a number": ("guards:\n  grace_s: soon\n", "syncd.yaml:2: "),
    "file outside": ("tasks: [../TASKS.md]\n", "syncd.yaml:1: "),
    "mode without URL": ("mode: postgres\n", "mode postgres needs the database's URL"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_broken_configuration(name: str, tmp_path: Path) -> None:
    """A broken syncd.yaml ends every command with 78, with the place and what would be right."""
    text, place = CONFIGS[name]
    (tmp_path / "syncd.yaml").write_text(text)
    here = Desk(tmp_path, bare_environment(tmp_path))
    ended = here("sync", code=78)
    assert place in ended.stderr.splitlines()[0]
    assert len(ended.stderr.splitlines()) <= 2
    assert "Traceback" not in ended.said
    assert place in told(here("run", "--json", code=78), "config")["message"]


def test_no_workspace(tmp_path: Path) -> None:
    """Where there is no workspace, run and sync end with 3 and say how to make one."""
    here = Desk(tmp_path, bare_environment(tmp_path))
    said_well(here("sync", code=3), message=str(tmp_path), hint="syncd init")
    told(here("run", "--json", code=3), "not-found")
    assert "nowhere" in told(here("-C", "nowhere", "run", "--json", code=3), "not-found")["message"]


# --- task files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(embedded_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A workspace of two task files with a daemon, which all the bad files of this module are given to."""
    root = tmp_path_factory.mktemp("bad input") / "shop"
    with fresh_database(embedded_dsn) as dsn:
        settings = {"tasks": ["TASKS.md", "more.md"], "guards__settle_deletions_ms": 0, "file_write_interval_ms": 0}
        here = desk(root, dsn, **settings)
        (root / "more.md").write_text(MORE)
        with here.daemon():
            yield here


def with_row(row: str) -> bytes:
    """Return the task file with one more row, whose line is 8."""
    return TABLE.replace("\nWords", f"{row}\n\nWords").encode()


FILES = {
    "not UTF-8": (with_row("| B1 | done | Café | — | 1 | |").replace("é".encode(), b"\xe9"), "not-utf8", 8),
    "NUL byte": (with_row("| B1 | done | a\0b | — | 1 | |"), "nul-byte", 8),
    "20 MB": (TABLE.encode() + b"x" * 20_000_000, "unreadable", 1),
    "too many cells": (with_row("| B1 | done | a | — | 1 | | more | cells |"), "too-many-cells", 8),
    "duplicate id": (with_row("| A1 | done | Again | — | 1 | |"), "duplicate-id", 8),
    "unknown status": (with_row("| B1 | someday | Vague | — | 1 | |"), "unknown-status", 8),
    "bad priority": (with_row("| B1 | done | Hot | — | very much so | |"), "bad-priority", 8),
    "missing dependency": (with_row("| B1 | not-started | Late | Z99 | 1 | |"), "unknown-dependency", 8),
    "itself": (with_row("| B1 | not-started | Late | B1 | 1 | |"), "self-dependency", 8),
    "cycle": (TABLE.replace("| Draw the schema | — |", "| Draw the schema | A3 |").encode(), "cycle", 5),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_something_bad_in_it(name: str, watched: Desk) -> None:
    """Something bad in one file is told with its place and a remedy; other files sync, and no byte of it is touched."""
    data, code, line = FILES[name]
    done = f"Done with {name}"
    watched.file.write_bytes(data)
    try:
        problem = until(lambda: next(iter(watched.ask("status")["problems"]), None), "the problem shows")
        assert (problem["code"], problem["path"]) == (code, "TASKS.md")
        assert line in (None, problem["line"])
        assert problem["message"]
        is_unread = code in ("not-utf8", "nul-byte", "unreadable")
        assert ("rm TASKS.md, and syncd writes it again" in problem["hint"]) is is_unread
        (watched.root / "more.md").write_text(MORE.replace("More", done))
        until(lambda: watched.cell("title", "M1") == done, "the other file's edit arrives")
        assert watched.file.read_bytes() == data
        assert watched.sql("select count(*) from backlog where id ~ '^A' and deleted_at is null") == [(3,)]
        shown = watched("status")
        assert "TASKS.md" in shown.stdout
        assert "Traceback" not in shown.said
    finally:
        watched.file.write_text(TABLE)
    until(lambda: watched.ask("status")["problems"] == [], "the problem ends with its cause")
    until(lambda: watched.ask("status")["inSync"], "both sides agree again")


@pytest.fixture
def modest(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A working copy of an ordinary user, whom permissions bind, with the daemon's store in reach."""
    user = ordinary_user()
    dsn = str(request.getfixturevalue("served_dsn" if user else "postgres_dsn"))
    with tempfile.TemporaryDirectory(prefix="syncd test ") as name:
        here = desk(Path(name) / "shop", dsn)
        environ = {**here.environ, **dict(user.pop("env", {})), "DATABASE_URL": dsn}
        owner = int(str(user.get("user", -1)))
        for path in (Path(name), *Path(name).rglob("*")):
            os.chown(path, owner, -1)
        popen = {key: value for key, value in user.items() if key != "cwd"}
        yield Desk(here.root, environ, dsn, popen)


def test_an_unreadable_file(modest: Desk) -> None:
    """A file that may not be read is told, deletes nothing, and is synced again as soon as it may be."""
    with modest.daemon():
        modest.file.chmod(0)
        problem = until(lambda: next(iter(modest.ask("status")["problems"]), None), "the problem shows")
        assert (problem["code"], problem["path"]) == ("unreadable", "TASKS.md")
        assert "Permission denied" in problem["message"]
        modest.sql("update backlog set priority = 7 where id = 'A3'")
        assert modest.sql("select count(*) from backlog where deleted_at is null") == [(3,)]
        modest.file.chmod(0o644)
        until(lambda: "| A1, A2 | 7 |" in modest.text, "what waited is in the file")
        assert modest.ask("status")["problems"] == []


def test_case_27_a_folder_that_is_read_only(modest: Desk) -> None:
    """Where nothing may be written edits still reach the store, the obstacle is told, and what waits comes after it."""
    with modest.daemon():
        modest.root.chmod(0o500)
        modest.sql("update backlog set priority = 7 where id = 'A3'")
        problem = until(lambda: next(iter(modest.ask("status")["problems"]), None), "the problem shows")
        assert (problem["code"], problem["path"]) == ("cannot-write", "TASKS.md")
        modest.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: modest.cell("status", "A1") == "done", "the edit is in the table")
        cycles = modest.ask("metrics")["daemon"]["cycles"]
        quiet_for(1.5, lambda: modest.text)
        assert modest.ask("metrics")["daemon"]["cycles"] < cycles + 5, "a busy loop"
        modest.root.chmod(0o700)
        until(lambda: "| A1, A2 | 7 |" in modest.text, "what waited is in the file")
        assert modest.ask("status")["problems"] == []


def test_a_file_that_is_read_only_is_not_written(modest: Desk) -> None:
    """A task file that its user made read-only stays as it is, with a problem; what waits arrives when it may."""
    modest.file.chmod(0o444)
    before = modest.text
    with modest.daemon():
        modest.sql("update backlog set priority = 7 where id = 'A3'")
        until(lambda: modest.ask("status")["problems"], "the problem is told")
        (problem,) = modest.ask("status")["problems"]
        assert (problem["code"], "read-only" in problem["message"]) == ("cannot-write", True)
        assert modest.text == before
        modest.file.chmod(0o644)
        until(lambda: "| A1, A2 | 7 |" in modest.text, "the update is in the file")
