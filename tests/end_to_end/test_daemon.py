"""The daemon as its user meets it: ``python -m syncd run`` in processes of its own, on real files and servers."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.desk import TABLE, Desk, desk, quiet_for, until

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "core.autocrlf=false")


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Desk:
    """A working copy on the embedded server."""
    return desk(tmp_path / "shop", postgres_dsn)


def git(root: Path, *words: str) -> str:
    """Run git in a folder, with no settings but its own."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run([*GIT, *words], cwd=root, env=environ, capture_output=True, text=True, check=True).stdout


def test_an_edit_and_an_update_arrive(tmp_path: Path, served_dsn: str) -> None:
    """On a served Postgres an edited cell becomes the row's value, and a row that SQL updated becomes one changed line."""
    here = desk(tmp_path / "shop", served_dsn)
    git(here.root, "init", "-q")
    git(here.root, "add", "TASKS.md")
    git(here.root, "commit", "-qm", "before")
    with here.daemon():
        here.sql("update backlog set status = 'blocked' where id = 'A3'")
        until(lambda: "| A3 | blocked |" in here.text, "the update is in the file")
        assert git(here.root, "diff", "--numstat", "TASKS.md") == "1\t1\tTASKS.md\n"
        here.edit("| A1 | not-started |", "| A1 | done |")
        until(lambda: here.cell("status", "A1") == "done", "the edit is in the table")
        assert git(here.root, "diff", "--numstat", "TASKS.md") == "2\t2\tTASKS.md\n"


def test_status_and_sync_go_through_the_daemon(shop: Desk) -> None:
    """Beside a daemon, status and sync are its answers, over a socket that only its user can reach; it is live."""
    with shop.daemon() as daemon:
        assert stat.S_IMODE(shop.socket.stat().st_mode) == 0o600
        until(lambda: shop.ask("status")["mode"] == "live", "the heartbeat has come back")
        status = shop.json("status")
        assert (status["daemon"]["pid"], status["mode"], status["inSync"]) == (daemon.pid, "live", True)
        shop.edit("| A1 | not-started |", "| A1 | done |")
        shop.json("sync")
        assert shop.cell("status", "A1") == "done"


def test_a_second_daemon_is_refused(shop: Desk) -> None:
    """A second daemon ends at once with 75, names the first one's process, and leaves its socket alone."""
    with shop.daemon() as first:
        ended = shop("run", "--json", code=75)
        error = json.loads(ended.stderr.splitlines()[-1])["error"]
        assert error["code"] == "busy"
        assert f"process {first.pid}" in error["message"]
        assert shop.ask("status")["daemon"]["pid"] == first.pid
