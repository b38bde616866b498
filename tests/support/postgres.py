"""Real Postgres servers for tests: the embedded one, and a served one where this machine has it."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from syncd.store.embedded import EmbeddedServer
from tests.support.ports import free_port

SERVED_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
"""Where Debian keeps the oldest supported server that these tests look for."""

_DEADLINE_S = 60.0


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of one test run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedServer:
    """Join the one embedded server of this test run; whoever comes first makes it."""
    folder = shared_folder(tmp_path_factory) / "embedded"
    return EmbeddedServer.start(folder, timeout_s=_DEADLINE_S, grace_s=1.0)


@contextlib.contextmanager
def fresh_database(dsn: str) -> Iterator[str]:
    """Make a database of its own on this server, give its dsn, and drop it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@contextlib.contextmanager
def served_postgres() -> Iterator[str]:
    """Run an older Postgres on a free TCP port of 127.0.0.1 with a password, as a stand-in for a served one."""
    if not (SERVED_PROGRAMS / "postgres").exists():
        pytest.skip(f"no served Postgres to test against: {SERVED_PROGRAMS} is not there")
    # An older server walks back to where it was started by its path, which must be open to its account.
    with tempfile.TemporaryDirectory(prefix="syncd-served-") as name:
        place = Path(name)
        password = secrets.token_hex(8)
        (place / "password").write_text(password)
        account: dict[str, object] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            for path in (place, place / "password"):
                os.chown(path, entry.pw_uid, entry.pw_gid)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        common = {"cwd": place, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **account}
        initdb = [SERVED_PROGRAMS / "initdb", "-D", place / "data", "-U", "syncd", "-A", "scram-sha-256"]
        initdb += ["--no-sync", "--encoding=UTF8", "--locale=C", f"--pwfile={place / 'password'}"]
        subprocess.run(initdb, capture_output=True, check=True, **common)
        yield from _serving(place, password, common)


def _serving(place: Path, password: str, common: dict[str, object]) -> Iterator[str]:
    port = free_port()
    settings = f"listen_addresses=127.0.0.1 port={port} unix_socket_directories= fsync=off max_connections=200"
    server = [SERVED_PROGRAMS / "postgres", "-D", place / "data"]
    server += [word for setting in settings.split() for word in ("-c", setting)]
    log = place / "server.log"
    with (
        log.open("ab") as said,
        subprocess.Popen(
            server, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, **common
        ) as process,
    ):
        try:
            dsn = make_conninfo(host="127.0.0.1", port=port, user="syncd", password=password, dbname="postgres")
            wait_until_it_answers(dsn, process, log)
            yield dsn
        finally:
            process.send_signal(signal.SIGINT)


def wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server takes connections; fail with its last words when it has ended, or takes too long."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def frozen(dsn: str, *, but_go_on_without: int | None = None) -> Iterator[None]:
    """Stop a server with all its processes: the kernel takes what is sent to it, and nothing is answered.

    Args:
        but_go_on_without: a process of it that stays as it is when the others go on.
    """
    with psycopg.connect(dsn) as connection:
        stat = Path(f"/proc/{connection.info.backend_pid}/stat").read_text()
    postmaster = int(stat.rpartition(")")[2].split()[1])
    os.kill(postmaster, signal.SIGSTOP)
    stopped = [postmaster]
    try:
        for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGSTOP)
                stopped.append(int(child))
        yield
    finally:
        for process in reversed([each for each in stopped if each != but_go_on_without]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
