"""A working copy as its user sees it: files, commands and a daemon in processes of their own, plain SQL."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from syncd.engine.asker import RemoteError, ask
from syncd.errors import Busy
from syncd.files.layout import Layout
from syncd.files.workspace import create
from syncd.store.migrate import migrate

DEADLINE_S = 60.0
TABLE = """\
# Shop

| id | status | title | depends_on | priority | owner |
|----|--------|-------|------------|----------|-------|
| A1 | not-started | Draw the schema | — | 3 | |
| A2 | not-started | Write the parser | A1 | 2 | |
| A3 | not-started | Write the docs | A1, A2 | 0 | |

Words after the table.
"""

_ROOT = Path(__file__).resolve().parents[2]
_Seen = TypeVar("_Seen")


def until(look: Callable[[], _Seen], what: str, *, deadline_s: float = DEADLINE_S, step_s: float = 0.005) -> _Seen:
    """Look again and again until there is something to see, and return it; fail by its name after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s in vain until {what}"
        time.sleep(step_s)
    return seen


def quiet_for(seconds: float, look: Callable[[], object]) -> None:
    """Watch something for a while and fail as soon as it is not what it was."""
    before, deadline = look(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look() == before
        time.sleep(0.05)


def events_in(log: str, name: str) -> list[dict[str, Any]]:
    """Return the events of this name in a log that somebody still writes."""
    lines = [json.loads(each) for each in whole_lines(log) if each.startswith("{")]
    return [each for each in lines if each.get("event") == name]


def whole_lines(text: str) -> list[str]:
    """Return the lines of a text that is being written, without one that has no end yet."""
    return text[: text.rfind("\n") + 1].splitlines()


def bare_environment(place: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user whose own settings and data lie below a folder, and who has no store."""
    own = ("SYNCD_", "PG", "GIT_", "XDG_DATA", "XDG_STATE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own) and name != "DATABASE_URL"}
    folders = {"XDG_STATE_HOME": str(place / "state"), "XDG_DATA_HOME": str(place / "data")}
    paths = [str(_ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, **folders, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Everything that could be read on a screen."""
        return self.stdout + self.stderr


@dataclass
class Running:
    """A daemon's process, and the file that its log goes to."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """Everything that was said so far."""
        return self.log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name that were logged so far."""
        return events_in(self.text, name)

    def ended(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@dataclass
class Desk:
    """One working copy of a project and the user who works in it.

    Args:
        dsn: where the store is, for plain SQL; filled in later where the store is still to be made.
        popen: how processes are started, over the usual way: another account, another interpreter.
    """

    root: Path
    environ: Mapping[str, str]
    dsn: str = ""
    popen: Mapping[str, Any] = field(default_factory=dict)

    # --- commands ---------------------------------------------------------------------------------

    def start(self, *words: str, **popen: Any) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        usual = {"cwd": self.root, "env": dict(self.environ), "stdin": subprocess.DEVNULL}
        given = {**usual, **self.popen, **popen}
        python = str(given.pop("python", sys.executable))
        return subprocess.Popen([python, "-P", "-m", "syncd", *words], text=True, **given)

    def __call__(self, *words: str, code: int | None = 0, **popen: Any) -> Ended:
        """Run a command and assert its exit code; None takes any."""
        process = self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
        ended = Ended(process.returncode, stdout, stderr)
        assert code in (None, ended.code), (words, ended)
        return ended

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json`` and return its value."""
        return json.loads(self(*words, "--json", code=code).stdout)

    # --- the daemon -------------------------------------------------------------------------------

    @contextmanager
    def daemon(self, *words: str) -> Iterator[Running]:
        """Run the daemon, from when it has looked at both sides once until it has ended."""
        running = self.launch(*words)
        try:
            until(lambda: self.is_up(running), "the daemon is up")
            yield running
        finally:
            if running.process.poll() is None:
                running.process.terminate()
            try:
                running.process.wait(DEADLINE_S)
            finally:
                running.process.kill()

    def launch(self, *words: str) -> Running:
        """Start the daemon and do not wait for it; whoever calls ends it."""
        log = self.root.parent / f"{self.root.name}.{time.monotonic_ns()}.log"
        with log.open("w") as said:
            process = self.start("--log-format", "json", *words, "run", stdout=said, stderr=subprocess.STDOUT)
        return Running(process, log)

    def is_up(self, running: Running) -> bool:
        """Return whether a daemon has had its first cycle; fail when it has ended."""
        assert running.process.poll() is None, running.text
        status = self.ask("status")
        return status is not None and status["daemon"]["pid"] == running.pid and status["daemon"]["lastCycleAt"]

    def ask(self, operation: str) -> Any:
        """Ask the daemon over its socket, at the price of no process; ``None`` without one, or while it stops.

        A daemon of another account is asked by a command of that account: nobody trusts a stranger's socket.
        """
        if self.popen.get("user", os.getuid()) != os.getuid():
            return self.json(operation)
        try:
            return ask(self.socket, {"op": operation}, timeout_s=DEADLINE_S)
        except (ConnectionError, json.JSONDecodeError):
            return None
        except RemoteError as error:
            if error.code != Busy.code:
                raise
            return None

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return Layout(self.root).socket(self.environ)

    # --- both sides -------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        return self.root / "TASKS.md"

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode()

    @property
    def unpadded(self) -> str:
        """The file without the padding of its cells, which each copy keeps as its author has it."""
        return re.sub(" +", " ", self.text)

    def edit(self, old: str, new: str) -> None:
        """Replace one place of the file, as an editor does that truncates and writes."""
        text = self.text
        assert text.count(old) == 1, (old, text)
        self.file.write_bytes(text.replace(old, new).encode())

    def sql(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Run a statement as a foreign client would, and return its rows."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="psql") as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def cell(self, column: str, id: str) -> Any:
        """Return one column of one row; ``None`` without the row."""
        rows = self.sql(f"select {column}::text from backlog where id = %s", id)
        return rows[0][0] if rows else None

    def cell_now(self, column: str, id: str) -> Any:
        """Return one column of one row; ``None`` as well while the server is away."""
        try:
            return self.cell(column, id)
        except psycopg.OperationalError:
            return None

    def titles_in_file(self) -> list[str]:
        """Return the titles of the file's rows, in the order of the alphabet."""
        cells = [line.split("|") for line in self.text.splitlines() if line.startswith("| ")]
        return sorted(each[3].strip() for each in cells[1:])

    def stillness(self) -> tuple[int, int, int, int]:
        """Return what moves with any write of the file or of its neighbours; asks nobody."""
        file, folder = self.file.stat(), self.root.stat()
        return file.st_mtime_ns, file.st_ino, folder.st_mtime_ns, Layout(self.root).state.stat().st_mtime_ns

    def footprint(self) -> tuple[object, ...]:
        """Return what must not move while nothing happens: the file's stat, the rows, the history's length."""
        found = self.file.stat()
        rows = self.sql("select project, id, version, changed_xid::text, updated_at from backlog order by 1, 2")
        return found.st_mtime_ns, found.st_ino, rows, self.sql("select count(*) from backlog_history")


def desk(
    root: Path, dsn: str, text: str | None = TABLE, *, environ: Mapping[str, str] | None = None, **settings: Any
) -> Desk:
    """Make a working copy in a folder, against a database that is migrated when it is not yet.

    Args:
        text: what the task file holds; ``None`` for no file.
        environ: the environment of its commands, before the store's URL comes in.
        settings: keys of ``syncd.yaml``, ``__`` for a dot.
    """
    root.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (root / "TASKS.md").write_bytes(text.encode())
    create(Layout(root), {name.replace("__", "."): value for name, value in settings.items()})
    migrate(dsn)
    known = bare_environment(root.parent) if environ is None else environ
    return Desk(root, {**known, "DATABASE_URL": dsn}, dsn)
