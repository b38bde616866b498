"""Helpers to try the embedded server: a folder for one test, other processes, an ordinary user."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from syncd.errors import SyncdError
from syncd.store.embedded import EmbeddedServer, status

GRACE_S = 0.3

CLIENT = f"""
import sys
from pathlib import Path
from syncd.store.embedded import EmbeddedServer
server = EmbeddedServer.start(Path(sys.argv[1]), grace_s={GRACE_S})
print(server.dsn, flush=True)
sys.stdin.readline()
server.close()
"""
"""A script that joins the server of the folder in its argument until it reads a line."""

_DEADLINE_S = 60.0
_ROOT = Path(__file__).resolve().parents[2]


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail by its name when the deadline passes."""
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def wait_until_stopped(folder: Path) -> None:
    """Wait until no process of the server is left."""
    wait_until(lambda: not status(folder).running and not (folder / "data/postmaster.pid").exists(), "it stops")


def start(folder: Path) -> EmbeddedServer:
    """Start or join a server that stops soon after its last client."""
    return EmbeddedServer.start(folder, grace_s=GRACE_S)


def make(folder: Path) -> None:
    """Leave a stopped server with a table in it."""
    with start(folder) as server:
        query(server.dsn, "create table kept (value integer)")
    wait_until_stopped(folder)


def refusal(folder: Path) -> SyncdError:
    """Return the error of a start that must fail."""
    with pytest.raises(SyncdError) as caught:
        start(folder)
    return caught.value


def postmaster(folder: Path) -> int:
    """Return the process number of the running server."""
    return int((folder / "data" / "postmaster.pid").read_text().split("\n")[0])


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a dead one that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def query(dsn: str, statement: str) -> object:
    """Run one statement in a session of its own and return the first value, if there is one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


def started_at(dsn: str) -> str:
    """Return what tells one run of a server from the next."""
    return str(query(dsn, "select pg_postmaster_start_time()::text"))


def script(text: str, *arguments: object, **popen: object) -> subprocess.Popen[str]:
    """Run a script in a process of its own, which waits for a line on its standard input where it reads one."""
    return subprocess.Popen(
        [str(popen.pop("python", sys.executable)), "-c", text, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


def ordinary_user() -> dict[str, object]:
    """Return what makes a script run as an ordinary user, for a test run of root.

    The interpreter of the tests may lie where such a user cannot reach it; the system's serves as well.
    """
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    paths = [str(_ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/", "env": environment}
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            trial = script("import psycopg, syncd.store.embedded", python=python, **user)
        except (PermissionError, FileNotFoundError):
            continue
        trial.communicate()
        if trial.returncode == 0:
            return {"python": python, **user}
    pytest.skip("an ordinary user can reach no Python with the dependencies here")
