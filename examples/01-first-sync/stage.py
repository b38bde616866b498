"""What the demo plays on: a copy of the workspace, a Postgres of its own, a daemon, and how all of it ends.

Nothing outside one temporary folder is touched, and leaving the stage takes everything away again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psycopg

from syncd.store.embedded import EmbeddedServer, status

DEADLINE_S = 60.0
WORKSPACE = Path(__file__).resolve().parent / "workspace"
COMMAND = (sys.executable, "-P", "-m", "syncd")

_Seen = TypeVar("_Seen")


class Failed(Exception):
    """A step of the story did not happen as told."""


def until(look: Callable[[], _Seen], what: str) -> _Seen:
    """Look again and again until there is something to see, and return it.

    Raises: Failed when the deadline passes.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {DEADLINE_S:.0f} s in vain: {what}")
        time.sleep(0.001)
    return seen


class Stage:
    """A workspace in a temporary folder with a Postgres beside it.

    Args:
        database_url: a served Postgres to use in place of a private embedded one.
        source: the folder to copy the workspace from.
    """

    def __init__(self, database_url: str | None = None, source: Path = WORKSPACE) -> None:
        self._database_url = database_url
        self._source = source
        self._life = ExitStack()
        self._daemon: subprocess.Popen[str] | None = None

    def __enter__(self) -> Stage:
        try:
            self._set_up()
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tear_down()

    def _set_up(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="syncd-demo-"))
        self._life.callback(shutil.rmtree, folder)
        self.root = folder / "berth-booking"
        shutil.copytree(self._source, self.root)
        self.tasks = self.root / "TASKS.md"
        self._log = folder / "daemon.log"
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SYNCD_", "GIT_", "PG")) and name not in {"DATABASE_URL", "FORCE_COLOR"}
        }
        # What the commands print is read here as UTF-8, whatever the terminal's locale.
        self.environ["PYTHONUTF8"] = "1"
        # Where syncd notes which workspaces its user has: this one is soon gone.
        self.environ["XDG_STATE_HOME"] = str(folder / "state")
        dsn = self._database_url
        if dsn is None:
            dsn = self._private_postgres(folder / "postgres")
        else:
            self.environ["DATABASE_URL"] = dsn
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._life.callback(self._connection.close)
        self._life.callback(self.stop_daemon)

    def _private_postgres(self, data: Path) -> str:
        self.environ["SYNCD_DATA_DIR"] = str(data)
        server = EmbeddedServer.start(data, grace_s=0.1)

        def stop() -> None:
            server.close()
            # Its pid file is the last thing that a server takes away.
            until(
                lambda: not status(data).running and not (data / "data" / "postmaster.pid").exists(),
                "the private Postgres stops",
            )

        self._life.callback(stop)
        return server.dsn

    def _tear_down(self) -> None:
        # A second ctrl-C would leave a server behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._life.close()
        finally:
            signal.signal(signal.SIGINT, before)

    # --- the command line ----------------------------------------------------------------------------

    def syncd(self, *words: str) -> str:
        """Run one command in the workspace and return what it printed.

        Raises: Failed when it does not exit with 0.
        """
        return self._run([*COMMAND, *words], "syncd")

    def git(self, *words: str) -> str:
        """Run git in the workspace, with no settings but its own."""
        config = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        person = ("-c", "user.name=Demo", "-c", "user.email=demo@example.invalid", "-c", "core.autocrlf=false")
        return self._run(["git", *person, *words], "git", **config)

    def _run(self, words: list[str], name: str, **environ: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=3 * DEADLINE_S,
            check=False,
        )
        if done.returncode:
            typed = " ".join(words[words.index(name) :])
            raise Failed(f"`{typed}` exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    # --- the daemon ----------------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start ``syncd run`` in the background."""
        with self._log.open("a") as log:
            self._daemon = subprocess.Popen(
                [*COMMAND, "run"],
                cwd=self.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )

    def stop_daemon(self) -> int | None:
        """End the daemon as a service manager would, and return its exit code; None without one."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return None
        daemon.terminate()
        try:
            return daemon.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            return daemon.wait()

    def daemon_log(self) -> str:
        """Return the last lines that the daemon said."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return "\n".join(lines[-20:])

    # --- both sides ----------------------------------------------------------------------------------

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run plain SQL, as any other service would, and return its rows."""
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def text(self) -> str:
        """Return the task file."""
        return self.tasks.read_bytes().decode()

    def line(self, part: str) -> str:
        """Return the first line of the task file that holds this text; empty without one."""
        return next((each for each in self.text().splitlines() if part in each), "")

    def edit(self, before: str, after: str) -> None:
        """Change one place of the task file and save it by rename, as ``sed -i`` and most editors do."""
        text = self.text()
        if text.count(before) != 1:
            raise Failed(f"{before!r} stands {text.count(before)} times in TASKS.md, not once")
        saved = self.root / ".TASKS.md.swp"
        saved.write_bytes(text.replace(before, after).encode())
        saved.replace(self.tasks)
